"""Histograms of values, ratios and spikes by variable and site, for the unit check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.audit.typical_values import BIN_WIDTH, LOG_RATIOS, LOG_VALUES, MAX_LOG_RATIO, MIN_LOG
from clinicalgru.data.audit.unit_mixture import DECIMALS, Histograms
from clinicalgru.data.events import Events
from clinicalgru.errors import ArgumentError, describe

SHAPES = {  # of the arrays in `Histograms`
    "values": (DECIMALS, len(LOG_VALUES)), "medians": (1, len(LOG_VALUES)),
    "decimal_medians": (DECIMALS, len(LOG_VALUES)), "ratios": (1, len(LOG_RATIOS)), "spikes": (1, len(LOG_RATIOS)),
}  # fmt: skip
ROWS = ("stay", "variable", "value")  # of measurements
MAX_STAYS = 20_000  # of a site, spread evenly over all its stays
PART_ROWS = 500_000  # of whole stays at a time
KINDS = ("values", "medians", "decimal_medians", "ratios", "spikes")
COLUMNS = ("site", "variable", "histogram", "decimals", "bin")


def histograms_by_site(
    events: Events, names: list[str], site_column: str | None
) -> Iterator[tuple[str, str, Histograms]]:
    """Yield the histograms of each variable at each site.

    Parameters
    ----------
    events : Events
        What `read_events` returned.
    names : list of str
        Names of the variables to count.
    site_column : str or None
        Column of `events.stays`; None: all stays are of one site.

    Yields
    ------
    site : str
        The site; "" is all sites together.
    variable : str
        Name of the variable.
    histograms : Histograms
        Its histograms.
    """
    counts = _bin_counts(events, names, site_column)
    if site_column is not None:
        total = counts.groupby(["variable", "histogram", "decimals", "bin"], as_index=False)["rows"].sum()
        counts = pd.concat([counts, total.assign(site="")], ignore_index=True)
    columns = {name: counts[name].to_numpy() for name in ("histogram", "decimals", "bin", "rows")}
    indices: dict[Any, Any] = counts.groupby(["site", "variable"]).indices
    for (site, name), index in sorted(indices.items()):
        histogram, decimals, bins, rows = (column[index] for column in columns.values())
        arrays = {}
        for key, shape in SHAPES.items():
            selected, arrays[key] = histogram == key, np.zeros(shape)
            arrays[key][decimals[selected], bins[selected]] = rows[selected]
        yield str(site), str(name), Histograms(**arrays)


def _bin_counts(events: Events, names: list[str], site_column: str | None) -> pd.DataFrame:
    """Rows per site, variable, histogram, number of decimals and bin."""
    site, labels = _sites(events, site_column)
    keys = [np.empty(0, dtype=np.int64)]
    counts = [np.empty(0, dtype=np.int64)]
    shape = (len(labels), len(names), len(KINDS), DECIMALS, max(len(LOG_VALUES), len(LOG_RATIOS)))
    for part in _parts(events, names, site):
        columns = {name: part[name].to_numpy() for name in ("site", "variable", "stay", "value")}
        cells = np.concatenate([np.ravel_multi_index(points, shape) for points in _points(**columns)])
        key, count = np.unique(cells, return_counts=True)
        keys.append(key)
        counts.append(count)
    table = pd.Series(np.concatenate(counts)).groupby(np.concatenate(keys)).sum()
    position = np.unravel_index(table.index.to_numpy(), shape)
    texts = (np.array(labels, dtype=object), np.array(names, dtype=object), np.array(KINDS, dtype=object))
    columns = {name: text[each] for name, text, each in zip(COLUMNS, texts, position, strict=False)}
    return pd.DataFrame({**columns, "decimals": position[3], "bin": position[4], "rows": table.to_numpy()})


def _points(
    site: np.ndarray, variable: np.ndarray, stay: np.ndarray, value: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Site, variable, histogram, number of decimals and bin of each value, median, ratio and spike.

    The values are in order of variable, stay and time.
    """
    log_value, decimals = np.log(value), _decimals(value)
    none = np.zeros_like(decimals)
    yield site, variable, none, decimals, _bin(log_value)
    is_new = np.append(True, (stay[1:] != stay[:-1]) | (variable[1:] != variable[:-1]))[: len(stay)]
    group = np.cumsum(is_new) - 1
    for kind, classes in ((1, none), (2, decimals)):
        first, medians = _medians(group * DECIMALS + classes, log_value)
        yield site[first], variable[first], none[first] + kind, classes[first], _bin(medians)
    previous, following = ~is_new, np.append(~is_new[1:], False)[: len(is_new)]
    one = np.flatnonzero(previous != following)
    ratio = log_value[one] - log_value[np.where(previous[one], one - 1, one + 1)]
    yield site[one], variable[one], none[one] + 3, none[one], _bin(ratio, of_ratios=True)
    both = np.flatnonzero(previous & following)
    three = log_value[both], log_value[both - 1], log_value[both + 1]
    spike = np.minimum.reduce(three) + np.maximum.reduce(three) - three[1] - three[2]
    yield site[both], variable[both], none[both] + 4, none[both], _bin(spike, of_ratios=True)


def _bin(log_value: np.ndarray, *, of_ratios: bool = False) -> np.ndarray:
    low, n_bins = (-MAX_LOG_RATIO, len(LOG_RATIOS)) if of_ratios else (MIN_LOG, len(LOG_VALUES))
    return np.clip(np.floor((log_value - low) / BIN_WIDTH), 0, n_bins - 1).astype(np.int64)


def _decimals(value: np.ndarray) -> np.ndarray:
    """The number of decimals of each value, the last number for those and more."""
    decimals = np.full(len(value), DECIMALS - 1, dtype=np.int64)
    for digits in reversed(range(DECIMALS - 1)):
        decimals[np.abs(value - np.round(value, digits)) <= 1e-9 * np.maximum(1, np.abs(value))] = digits
    return decimals


def _medians(group: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A row of each group, and the median of its values."""
    order = np.lexsort((value, group))
    begins = np.flatnonzero(np.append(True, np.diff(group[order]) != 0)[: len(group)])
    last = np.append(begins[1:], len(group)) - 1
    low, high = (value[order[middle]] for middle in ((begins + last) // 2, (begins + last + 1) // 2))
    return order[begins], low + (high - low) / 2


def _parts(events: Events, names: list[str], site: np.ndarray) -> Iterator[pa.Table]:
    """The positive values of some variables, in numbers, as many rows of whole stays at a time as `PART_ROWS`."""
    position = {name: number for number, name in enumerate(names)}
    number = np.array([position.get(variable.name, -1) for variable in events.variables], dtype=np.int16)
    further, waiting, done = _further(events, position, site), list[pa.Table](), 0
    for batch in events.batches():
        stay, variable, value = (batch[name].to_numpy() for name in ROWS)
        waiting.append(_usable(stay, batch["available"], number[variable], value, site=site))
        if sum(map(len, waiting)) >= PART_ROWS:
            rows = pa.concat_tables(waiting).combine_chunks()
            end = int(rows["stay"][-1].as_py())  # the next batch may go on with this stay
            cut, first, last = np.searchsorted(rows["stay"], end), *np.searchsorted(further["stay"], [done, end])
            yield _in_order(pa.concat_tables([rows.slice(0, cut), further.slice(first, last - first)]))
            waiting, done = [rows.slice(cut)], end
    yield _in_order(pa.concat_tables([*waiting, further.slice(np.searchsorted(further["stay"], done))]))


def _in_order(part: pa.Table) -> pa.Table:
    """Rows in order of variable, stay, time and value, those without a time last; most are in order of time already."""
    stay, variable, value = (part[name].to_numpy() for name in ("stay", "variable", "value"))
    time = part["available"].fill_null(np.iinfo(np.int64).max).to_numpy()
    key = variable.astype(np.int64) * (int(stay.max(initial=0)) + 1) + stay
    order = np.argsort(key, kind="stable")
    keys, times, values = key[order], time[order], value[order]
    later = (times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (values[1:] >= values[:-1]))
    unordered = np.unique(keys[1:][(keys[1:] == keys[:-1]) & ~later])
    if len(unordered):
        rows = np.flatnonzero(np.isin(keys, unordered))
        order[rows] = order[rows][np.lexsort((values[rows], times[rows], keys[rows]))]
    return part.take(order)


def _usable(
    stay: np.ndarray, available: pa.Array, variable: np.ndarray, value: np.ndarray, *, site: np.ndarray
) -> pa.Table:
    """The positive values of the variables that have a number, in stays that have a site."""
    used = (variable >= 0) & (site[stay] >= 0) & (value > 0) & np.isfinite(value)
    columns = {"site": site[stay], "stay": stay, "variable": variable, "value": value}
    table = pa.table({name: column[used] for name, column in columns.items()})
    return table.append_column("available", available.filter(pa.array(used)))


def _further(events: Events, position: dict[str, int], site: np.ndarray) -> pa.Table:
    """Values that were rejected as implausible, and static covariates, in order of the stays."""
    rejected = events.implausible.filter(pc.is_valid(events.implausible["stay"]))
    static = events.stays[[variable.name for variable in events.static_variables if variable.name in position]]
    long = (
        static.reset_index(drop=True).melt(ignore_index=False, var_name="variable").dropna().reset_index(names="stay")
    )
    tables = []
    for rows, times in ((rejected, rejected["time"].combine_chunks()), (long, pa.nulls(len(long), pa.int64()))):
        names, variables = pd.factorize(np.asarray(rows["variable"], dtype=object))
        number = np.array([position.get(name, -1) for name in variables], dtype=np.int16)
        stay, value = np.asarray(rows["stay"], dtype=np.int32), np.asarray(rows["value"], dtype=np.float64)
        tables.append(_usable(stay, times, np.append(number, np.int16(-1))[names], value, site=site))
    return pa.concat_tables(tables).sort_by("stay").combine_chunks()


def site_of(events: Events, site_column: str | None) -> pd.Series:
    """Return the name of the site of each stay.

    Parameters
    ----------
    events : Events
        What `read_events` returned.
    site_column : str or None
        Column of `events.stays`; None: all stays are of one site.

    Returns
    -------
    Series of str, shape (stay,)
        "" where there is one site; categories by their label; "unknown" where missing.

    Raises
    ------
    ArgumentError
        If the stays do not have the column.
    """
    if site_column is None:
        return pd.Series("", index=events.stays.index, dtype=object)
    if not isinstance(site_column, str) or site_column not in events.stays:
        got = f'"{site_column}"' if isinstance(site_column, str) else describe(site_column)
        fix = f"Choose among {', '.join(events.stays.columns)}."
        raise ArgumentError("site_column as a column of the stays", got, fix)
    column = events.stays[site_column]
    labels = next((list(v.categories.values()) for v in events.static_variables if v.name == site_column), [])
    named = column.map(dict(enumerate(labels))) if labels else column.astype(str).where(column.notna())
    return named.fillna("unknown").astype(object)


def _sites(events: Events, site_column: str | None) -> tuple[np.ndarray, list[str]]:
    """Number of the site of each stay, and the sites; of a site with very many stays, every second, third, ... is used.

    The number of a stay that is not used is -1.
    """
    sites = site_of(events, site_column).reset_index(drop=True)
    number, labels = pd.factorize(sites)
    rank, size = sites.groupby(number).cumcount(), np.bincount(number)[number]
    kept = rank.to_numpy() % np.ceil(size / MAX_STAYS).astype(int) == 0
    return np.where(kept, number, -1).astype(np.int16), list(labels)

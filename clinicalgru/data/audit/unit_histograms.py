"""Histograms of values, ratios and spikes by variable and site, for the unit check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.audit.typical_values import BIN_WIDTH, LOG_RATIOS, LOG_VALUES, MAX_LOG_RATIO, MIN_LOG
from clinicalgru.data.audit.unit_mixture import DECIMALS, Histograms
from clinicalgru.data.events import Events
from clinicalgru.errors import ArgumentError, describe

SHAPES = {  # of the arrays in `Histograms`
    "values": (DECIMALS, len(LOG_VALUES)), "medians": (1, len(LOG_VALUES)),
    "decimal_medians": (DECIMALS, len(LOG_VALUES)), "ratios": (1, len(LOG_RATIOS)), "spikes": (1, len(LOG_RATIOS)),
}  # fmt: skip
MAX_STAYS = 20_000  # of a site, spread evenly over all its stays
# The logarithm of each positive value with its neighbours in the stay and its number of decimals.
LOG_VALUES_SQL = """
CREATE TEMP TABLE log_values AS
SELECT site, variable, stay, ln(value) AS log_value, lag(log_value) OVER w AS previous, lead(log_value) OVER w AS next,
    CASE {decimals} ELSE {most} END AS decimals
FROM (
    SELECT stay, available, v.name AS variable, value FROM facts JOIN names v USING (variable)
    UNION ALL BY NAME SELECT stay, time AS available, variable, value FROM implausible
    UNION ALL BY NAME SELECT stay, NULL AS available, variable, value FROM static_values
) JOIN sites USING (stay)
WHERE value > 0 AND isfinite(value) AND variable IN (SELECT unnest($1))
WINDOW w AS (PARTITION BY variable, stay ORDER BY available, value)
"""
# Whether a value has at most so many decimals.
HAS_DECIMALS = "WHEN abs(value - round(value, {0})) <= 1e-9 * greatest(1, abs(value)) THEN {0}"
# The bins of all histograms of `Histograms`.
BIN_COUNTS = """
WITH points(site, variable, histogram, decimals, place) AS (
    SELECT site, variable, 'values', decimals, (log_value - {min_log}) / {bin_width} FROM log_values
    UNION ALL
    SELECT site, variable, 'medians', 0, (median(log_value) - {min_log}) / {bin_width} FROM log_values
    GROUP BY site, variable, stay
    UNION ALL
    SELECT site, variable, 'decimal_medians', decimals, (median(log_value) - {min_log}) / {bin_width} FROM log_values
    GROUP BY site, variable, stay, decimals
    UNION ALL
    SELECT site, variable, 'ratios', 0, (log_value - coalesce(previous, next) + {max_log_ratio}) / {bin_width}
    FROM log_values WHERE (previous IS NULL) <> (next IS NULL)
    UNION ALL
    SELECT site, variable, 'spikes', 0, (least(log_value, previous, next) + greatest(log_value, previous, next)
        - previous - next + {max_log_ratio}) / {bin_width}
    FROM log_values WHERE previous IS NOT NULL AND next IS NOT NULL)
SELECT site, variable, histogram, decimals, count(*),
    least(greatest(floor(place), 0), if(histogram IN ('ratios', 'spikes'), {n_ratios}, {n_values}) - 1)::INT AS bin
FROM points GROUP BY ALL
"""


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
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false; SET threads = 1")
        tables = {
            "facts": events.measurements,
            "implausible": events.implausible,
            "static_values": _static_values(events, names),
            "sites": _sites(events, site_column),
            "names": _names(events),
        }
        for name, table in tables.items():
            connection.register(name, table)
        decimals = " ".join(HAS_DECIMALS.format(digits) for digits in range(DECIMALS - 1))
        connection.execute(LOG_VALUES_SQL.format(decimals=decimals, most=DECIMALS - 1), [names])
        sizes = {"n_values": len(LOG_VALUES), "n_ratios": len(LOG_RATIOS)}
        sql = BIN_COUNTS.format(min_log=MIN_LOG, bin_width=BIN_WIDTH, max_log_ratio=MAX_LOG_RATIO, **sizes)
        columns = ["site", "variable", "histogram", "decimals", "rows", "bin"]
        return connection.execute(sql).df().set_axis(columns, axis=1)


def _names(events: Events) -> pa.Table:
    """Position and name of each variable."""
    names = [variable.name for variable in events.variables]
    return pa.table({"variable": pa.array(range(len(names)), pa.int16()), "name": pa.array(names, pa.string())})


def _static_values(events: Events, names: list[str]) -> pa.Table:
    """Known static covariates as rows of stay, variable and value."""
    columns = [variable.name for variable in events.static_variables if variable.name in names]
    long = events.stays[columns].melt(ignore_index=False, var_name="variable").dropna()
    return pa.table(
        {
            "stay": pa.array(long.index, pa.int32()),
            "variable": pa.array(long["variable"], pa.string()),
            "value": pa.array(long["value"], pa.float64()),
        }
    )


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


def _sites(events: Events, site_column: str | None) -> pa.Table:
    """Site of each stay that is used; of a site with very many stays, every second, third, ..."""
    sites = site_of(events, site_column)
    rank, size = sites.groupby(sites).cumcount(), sites.groupby(sites).transform("size")
    kept = sites[rank % np.ceil(size / MAX_STAYS).astype(int) == 0]
    return pa.table({"stay": pa.array(kept.index, pa.int32()), "site": pa.array(kept, pa.string())})

"""The unit lab: how often the unit check finds a column in another unit, and how often it cries wolf.

    python benchmarks/units.py [--data FOLDER] [--trials 100] [--least 100 1000] [--tuning]

For each of the twelve common swaps, whole stays are drawn until there are so many values; a share of the rows is put
into the other unit, rounded as laboratories write it; the check sees nothing else. Share 0: any flag is a false alarm.
Shares of a half and of all are tried a quarter as often.

The limit of the check was chosen on one half of the data, which --tuning shows: PhysioNet 2012 set a, every other stay
of PhysioNet 2019 A and of the MIMIC-IV demo, a synthetic cohort. Without --tuning the other half is shown: set b, the
other stays, another cohort, and the eICU demo as YAIB prepared it. Usual values (data_schemas/typical.yaml) are
aggregates of set a and of the whole of the two that are halved; set b and eICU had no part in them.

The interval is Wilson's, 95 %. Stays are drawn again and again from the same few hundred or thousand: it holds for
these sources, not for all hospitals. `known` is what the best of all tests could find at 1 % false alarms and 5 % of
rows mixed, one that knew how the values and decimals of the very source are distributed in both units, but not which
rows belong to one patient: what lies below 0.95 there, no check of values alone can find.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

import clinicalgru as cg
from clinicalgru.data.audit.typical_values import typical
from clinicalgru.data.audit.unit_check import check_units
from clinicalgru.data.events import IMPLAUSIBLE, Events

SWAPS = {  # variable -> other unit, decimals there
    "temperature": ("[degF]", 1), "glucose": ("mmol/L", 1), "creatinine": ("umol/L", 0),
    "bilirubin_total": ("umol/L", 0), "bun": ("mmol/L", 1), "hemoglobin": ("g/L", 0), "fio2": ("%", 0),
    "spo2": ("1", 2), "weight": ("[lb_av]", 0), "admission_weight": ("[lb_av]", 0), "height": ("[in_i]", 0),
    "paco2": ("kPa", 1), "lactate": ("mg/dL", 1),
}  # fmt: skip
SHARES = (0.0, 0.05, 0.5, 1.0)
WHOLE = 0.5
BOUND_TRIALS = 2000
BIN = 0.02  # of the densities that `known_best` receives, in natural logarithms


def sources(folder: Path | None, *, tuning: bool) -> Iterator[tuple[str, Events, slice]]:
    """Name, events, and which stays (every one, or every other) are drawn from."""
    every, half = slice(None), slice(0 if tuning else 1, None, 2)
    yield "synthetic cohort", cg.read_events(cg.simulate(1500, random_state=11 if tuning else 12)), every
    if folder is None:
        return
    name = "a" if tuning else "b"
    events = cg.read_events(folder / "physionet2012" / f"set-{name}.tar.gz", source="physionet2012")
    yield f"PhysioNet 2012 set {name}", events, every
    yield "MIMIC-IV demo, every other stay", cg.read_events(folder / "mimic-iv-demo", source="mimic-iv"), half
    events = cg.read_events(folder / "physionet2019" / "training_setA.zip", source="physionet2019")
    yield "PhysioNet 2019 A, every other stay", events, half
    if not tuning:
        eicu = folder / "yaib-demo" / "los" / "eicu_demo" / "dyn.parquet"
        yield "eICU demo (YAIB)", cg.read_events(eicu, source="yaib", columns={"patient_id": "stay_id"}), every


def column(events: Events, name: str, which: slice = slice(None)) -> pd.DataFrame:
    """stay, time, value of one variable, in order, of these stays."""
    if name in [variable.name for variable in events.static_variables]:
        known = events.stays[name].dropna()
        rows = pd.DataFrame({"stay": known.index, "time": 0, "value": known.to_numpy()})
    else:
        numbers = [i for i, variable in enumerate(events.variables) if variable.name == name]
        facts = events.measurements.filter(
            pa.compute.is_in(events.measurements["variable"], pa.array(numbers, pa.int16()))
        )
        rows = facts.select(["stay", "time", "value"]).to_pandas()
    return rows[rows["stay"].isin(events.stays.index[which])]


def drawn(rows: pd.DataFrame, least: int, chance: np.random.Generator) -> pd.DataFrame:
    """All rows of stays drawn at random, until there are at least so many."""
    stays, sizes = np.unique(rows["stay"], return_counts=True)
    order = chance.permutation(len(stays))
    kept = order[: np.searchsorted(np.cumsum(sizes[order]), least) + 1]
    return rows[rows["stay"].isin(stays[kept])]


def mixed(rows: pd.DataFrame, name: str, share: float, chance: np.random.Generator) -> pd.DataFrame:
    """The rows with a share of them in the swap's unit."""
    value = rows["value"].to_numpy(copy=True)
    swapped = chance.permutation(len(value))[: round(share * len(value))]
    value[swapped] = written_elsewhere(value[swapped], name)
    return rows.assign(value=value)


def written_elsewhere(value: np.ndarray, name: str) -> np.ndarray:
    """The values in the swap's unit, rounded as they are written there."""
    unit, digits = SWAPS[name]
    way = cg.Dictionary.load()[name].conversion(unit)
    return np.round(value / way.factor - way.offset, digits)


@cache
def no_events() -> Events:
    """Events without any."""
    row = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": ["heart_rate"], "value": [80.0]})
    events = cg.read_events(row)
    return replace(events, measurements=events.measurements.slice(0, 0))


def flagged(columns: list[pd.DataFrame], name: str) -> list[set[str]]:
    """The other units that the check names in each of these columns, looked at as one site each."""
    site = pd.concat(columns, keys=range(len(columns)), names=["site"]).reset_index("site")
    stay, stays = pd.factorize(pd.MultiIndex.from_frame(site[["site", "stay"]]))
    cells = [stay, site["time"], np.full(len(site), name), site["value"]]
    arrays = [pa.array(cell, kind.type) for cell, kind in zip(cells, IMPLAUSIBLE, strict=True)]
    events = replace(
        no_events(),
        variables=(cg.Dictionary.load()[name],),
        stays=pd.DataFrame({"site": [f"{number}" for number, _ in stays]}),
        implausible=pa.Table.from_arrays(arrays, schema=IMPLAUSIBLE),
    )
    flags = check_units(events, site_column="site")
    return [{flag.other for flag in flags if flag.site == f"{number}"} for number in range(len(columns))]


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, p = 1.96, hits / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return middle - half, middle + half


def known_best(rows: pd.DataFrame, name: str, least: int, chance: np.random.Generator) -> float:
    """Power, at 1 % false alarms, of the likelihood ratio of the source's own distribution of value and decimals."""
    own = rows.loc[rows["value"] > 0, "value"].to_numpy()
    other = written_elsewhere(own, name)
    own, other = own[other > 0], other[other > 0]
    cells = [_cells(value) for value in (own, other)]
    here, there = (_smooth(pairs) for pairs in cells)
    ratio = np.log(0.95 + 0.05 * there / here)
    swaps = round(0.05 * least)
    of_own, of_other = (ratio[pairs] for pairs in cells)
    clean = chance.choice(of_own, (BOUND_TRIALS, least)).sum(axis=1)
    some = chance.choice(of_own, (BOUND_TRIALS, least - swaps)).sum(axis=1)
    some += chance.choice(of_other, (BOUND_TRIALS, swaps)).sum(axis=1)
    return float((some > np.quantile(clean, 0.99)).mean())


def _smooth(cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Density of the cells, smooth in the value: that converted values lie on a lattice must not help."""
    counts = np.zeros((5, round(25 / BIN)))
    np.add.at(counts, cells, 1)
    kernel = np.exp(-0.5 * (np.arange(-15, 16) * BIN / 0.06) ** 2)
    return np.stack([np.convolve(row, kernel / kernel.sum(), mode="same") for row in counts]) / counts.sum() + 1e-7


def _cells(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each value its decimals, 0 to 3 or more, and where its logarithm lies."""
    decimals = np.full(len(value), 4)
    for digits in (3, 2, 1, 0):
        decimals[np.isclose(value, np.round(value, digits), rtol=1e-9, atol=1e-9)] = digits
    return decimals, ((np.log(value) + 9) / BIN).astype(int)


def lab(events: Events, which: slice, *, trials: int, least: int, random_state: int = 0) -> pd.DataFrame:
    """Rate of flags by swap and share of rows mixed, with its interval; share 0 is the rate of false alarms."""
    lines = []
    for name in SWAPS:
        rows = column(events, name, which)
        if len(rows) < 2 * least:
            continue
        bound = known_best(rows, name, least, np.random.default_rng(random_state))
        for share in SHARES:
            chance = np.random.default_rng([random_state, least, round(100 * share)])
            several = trials if share < WHOLE else max(10, trials // 4)  # half a column is found every time
            tables = [mixed(drawn(rows, least, chance), name, share, chance) for _ in range(several)]
            hits = sum(SWAPS[name][0] in units if share else bool(units) for units in flagged(tables, name))
            lines.append((name, SWAPS[name][0], f"{bound:.2f}", share, hits / several, *wilson(hits, several)))
    return pd.DataFrame(lines, columns=["variable", "unit", "known", "mixed", "flagged", "low", "high"])


def main() -> None:
    """Print the table of each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--least", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--tuning", action="store_true")
    arguments = parser.parse_args()
    assert set(SWAPS) <= set(typical())
    for name, events, which in sources(arguments.data, tuning=arguments.tuning):
        for least in arguments.least:
            print(f"\n{name}, at least {least} values, {arguments.trials} trials")
            table = lab(events, which, trials=arguments.trials, least=least)
            if len(table):
                table["shown"] = [f"{r.flagged:.2f} ({r.low:.2f}-{r.high:.2f})" for r in table.itertuples()]
                shown = table.pivot(index=["variable", "unit", "known"], columns="mixed", values="shown")
                print(shown.to_string(), flush=True)


if __name__ == "__main__":
    main()

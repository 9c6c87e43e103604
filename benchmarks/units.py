"""The unit lab: how often the unit check finds a column in another unit, and how often it cries wolf.

    python benchmarks/units.py [--data FOLDER] [--trials 200] [--least 100 1000]

For each of the twelve common swaps, whole stays are drawn until there are so many values; a share of the rows is put
into the other unit, rounded as laboratories write it; the check sees nothing else. Share 0: any flag is a false alarm.
Sources: the simulated ward, and under --data PhysioNet 2012 set b. Usual values come from set a, but the limits of the
check were chosen with set b, PhysioNet 2019 and the MIMIC-IV and eICU demos in view: their figures are not held out.
The interval is Wilson's, 95 %. Stays are drawn again and again from the same few hundred or thousand: it holds for
these sources, not for all hospitals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

import clinicalgru as cg
from clinicalgru.data.audit.typical import typical
from clinicalgru.data.audit.unit_check import check_units
from clinicalgru.data.events import IMPLAUSIBLE

SWAPS = {  # variable -> other unit, decimals there
    "temperature": ("[degF]", 1), "glucose": ("mmol/L", 1), "creatinine": ("umol/L", 0),
    "bilirubin_total": ("umol/L", 0), "bun": ("mmol/L", 1), "hemoglobin": ("g/L", 0), "fio2": ("%", 0),
    "spo2": ("1", 2), "weight": ("[lb_av]", 0), "admission_weight": ("[lb_av]", 0), "height": ("[in_i]", 0),
    "paco2": ("kPa", 1), "lactate": ("mg/dL", 1),
}  # fmt: skip
SHARES = (0.0, 0.05, 0.5, 1.0)


def sources(folder: Path | None) -> Iterator[tuple[str, cg.Events]]:
    """Name and events of each source."""
    yield "simulated ward", cg.read_events(cg.simulate(1500, seed=11))
    if folder is not None:
        yield "physionet2012 b", cg.read_events(folder / "physionet2012" / "set-b.tar.gz", source="physionet2012")


def column(events: cg.Events, name: str) -> pd.DataFrame:
    """stay, time, value of one variable, in order."""
    static = [variable.name for variable in events.statics]
    if name in static:
        known = events.stays[name].dropna()
        return pd.DataFrame({"stay": known.index, "time": 0, "value": known.to_numpy()})
    number = [variable.name for variable in events.variables].index(name)
    rows = events.facts.filter(pa.compute.equal(events.facts["variable"], number))
    return rows.select(["stay", "time", "value"]).to_pandas()


def drawn(rows: pd.DataFrame, least: int, chance: np.random.Generator) -> pd.DataFrame:
    """All rows of stays drawn at random, until there are at least so many."""
    stays, sizes = np.unique(rows["stay"], return_counts=True)
    order = chance.permutation(len(stays))
    kept = order[: np.searchsorted(np.cumsum(sizes[order]), least) + 1]
    return rows[rows["stay"].isin(stays[kept])]


def flagged(events: cg.Events, rows: pd.DataFrame, name: str, share: float, chance: np.random.Generator) -> set[str]:
    """The other units that the check names once a share of the rows is in the swap's unit."""
    unit, digits = SWAPS[name]
    variable = cg.Dictionary.load()[name]
    way = variable.conversion(unit)
    value = rows["value"].to_numpy(copy=True)
    swapped = chance.permutation(len(value))[: round(share * len(value))]
    value[swapped] = np.round(value[swapped] / way.factor - way.offset, digits)
    cells = [rows["stay"], rows["time"], np.full(len(rows), name), value]
    table = pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(cells, IMPLAUSIBLE, strict=True)], schema=IMPLAUSIBLE
    )
    alone = replace(events, facts=events.facts.slice(0, 0), variables=(variable,), statics=(), implausible=table)
    return {flag.other for flag in check_units(alone)}


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, p = 1.96, hits / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return middle - half, middle + half


def lab(events: cg.Events, *, trials: int, least: int, seed: int = 0) -> pd.DataFrame:
    """Rate of flags by swap and share of rows mixed, with its interval; share 0 is the rate of false alarms."""
    lines = []
    for name in SWAPS:
        known = {variable.name for variable in (*events.variables, *events.statics)}
        rows = column(events, name) if name in known else pd.DataFrame({"value": []})
        if len(rows) < 2 * least:
            continue
        for share in SHARES:
            chance = np.random.default_rng([seed, least, round(100 * share)])
            found = [flagged(events, drawn(rows, least, chance), name, share, chance) for _ in range(trials)]
            hits = sum(SWAPS[name][0] in units if share else bool(units) for units in found)
            lines.append((name, SWAPS[name][0], least, share, hits / trials, *wilson(hits, trials)))
    return pd.DataFrame(lines, columns=["variable", "unit", "values", "mixed", "flagged", "low", "high"])


def main() -> None:
    """Print the table of each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--least", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    assert set(SWAPS) <= set(typical())
    for name, events in sources(arguments.data):
        for least in arguments.least:
            print(f"\n{name}, at least {least} values, {arguments.trials} trials")
            table = lab(events, trials=arguments.trials, least=least)
            table["shown"] = [f"{r.flagged:.3f} ({r.low:.3f}-{r.high:.3f})" for r in table.itertuples()]
            print(table.pivot(index=["variable", "unit"], columns="mixed", values="shown").to_string(), flush=True)


if __name__ == "__main__":
    main()

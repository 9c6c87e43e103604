"""Is a column, or part of it, in another unit than it says? A check of distributions that proposes and never converts.

The values that the intake rejected as implausible are evidence too: most temperatures in °F cannot be true in °C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.audit.typical_values import BIN, FURTHEST, LOGS, LOWEST, STEPS, typical
from clinicalgru.data.audit.unit_mixture import DECIMALS, Evidence, Swap, judge
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.errors import ArgumentError

FEWEST = 100
GAIN = 4.0  # in log-likelihood, from which on a column is taken for one in another unit
SHAPES = {  # of the counts in `Evidence`
    "values": (DECIMALS, len(LOGS)), "levels": (1, len(LOGS)), "written": (DECIMALS, len(LOGS)),
    "steps": (1, len(STEPS)), "spikes": (1, len(STEPS)),
}  # fmt: skip
STAYS_ENOUGH = 20_000  # stays of a site that are looked at, spread evenly over all of them

VALUES = """
CREATE TEMP TABLE seen AS
SELECT site, variable, stay, ln(value) AS level, lag(level) OVER w AS before, lead(level) OVER w AS after,
    CASE {decimals} ELSE {most} END AS decimals
FROM (
    SELECT stay, available, v.name AS variable, value FROM facts JOIN names v USING (variable)
    UNION ALL BY NAME SELECT stay, time AS available, variable, value FROM implausible
    UNION ALL BY NAME SELECT stay, NULL AS available, variable, value FROM descriptors
) JOIN sites USING (stay)
WHERE value > 0 AND isfinite(value) AND variable IN (SELECT unnest($1))
WINDOW w AS (PARTITION BY variable, stay ORDER BY available, value)
"""
DIGITS = "WHEN abs(value - round(value, {0})) <= 1e-9 * greatest(1, abs(value)) THEN {0}"
COUNTS = """
WITH each(site, variable, kind, decimals, place) AS (
    SELECT site, variable, 'values', decimals, (level - {lowest}) / {bin} FROM seen
    UNION ALL
    SELECT site, variable, 'levels', 0, (median(level) - {lowest}) / {bin} FROM seen GROUP BY site, variable, stay
    UNION ALL
    SELECT site, variable, 'written', decimals, (median(level) - {lowest}) / {bin} FROM seen
    GROUP BY site, variable, stay, decimals
    UNION ALL
    SELECT site, variable, 'steps', 0, (level - coalesce(before, after) + {furthest}) / {bin} FROM seen
    WHERE (before IS NULL) <> (after IS NULL)
    UNION ALL
    SELECT site, variable, 'spikes', 0, (least(level, before, after) + greatest(level, before, after) - before - after
        + {furthest}) / {bin} FROM seen
    WHERE before IS NOT NULL AND after IS NOT NULL)
SELECT site, variable, kind, decimals, count(*),
    least(greatest(floor(place), 0), if(kind IN ('steps', 'spikes'), {steps}, {logs}) - 1)::INT AS bin
FROM each GROUP BY ALL
"""


@dataclass(frozen=True)
class UnitFlag:
    """A column that seems to be, in part or whole, in another unit.

    variable, site  which column; the site is "" for all together
    unit, other     the unit it is kept in, and the one it seems to be in
    part            estimated share of values in the other unit
    values          values looked at
    conversion      how `other` would become `unit`
    gain            how much likelier that is than that all are in `unit`, as natural logarithm
    """

    variable: str
    site: str
    unit: str
    other: str
    part: float
    values: int
    conversion: Conversion
    gain: float

    @property
    def proposal(self) -> str:
        """What to look at, in words."""
        place = f" at {self.site}" if self.site else ""
        sign = "-" if self.conversion.offset < 0 else "+"
        offset = f"(value {sign} {abs(self.conversion.offset):g})" if self.conversion.offset else "value"
        how = f"{offset} * {self.conversion.factor:.6g}"
        return (
            f"{self.variable}{place}: about {self.part:.0%} of {self.values:,} values seem to be in {self.other}, not "
            f"{self.unit}. Ask the source; if so, name the unit of these rows ({self.unit} = {how})."
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON, with the proposal."""
        return asdict(self) | {"proposal": self.proposal}


def check_units(events: Events, *, by: str | None = None) -> tuple[UnitFlag, ...]:
    """Columns that seem to be in another unit, by variable and site; nothing is converted.

    events  their measurements, descriptors and the values rejected as implausible are looked at; variables without an
            entry in data_schemas/typical.yaml, and columns of fewer than 100 values, are not
    by      a column of `events.stays` that says the site of each stay; None: one site. What no site shows by itself is
            looked for in all of them together
    returns a flag for each column at fault, likeliest first
    refuses a column that the stays do not have (ArgumentError)

    Units that lie near each other (urea, weight) are told apart by stays with several values, by values written with
    other decimals than the rest, or by many stays.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> cohort = simulate(60)
    >>> check_units(read_events(cohort))
    ()
    >>> undeclared = cohort.measurements.assign(unit=cohort.measurements["unit"].where(lambda unit: unit != "°F"))
    >>> [flag.other for flag in check_units(read_events(undeclared, stays=cohort.stays))]
    ['[degF]']
    """
    known = _variables(events)
    found = [_flag(known[name], site, evidence) for site, name, evidence in _evidence(events, list(known), by)]
    flags = [flag for flag in found if flag is not None]
    at_a_site = {flag.variable for flag in flags if flag.site}
    kept = [flag for flag in flags if flag.site or flag.variable not in at_a_site]
    return tuple(sorted(kept, key=lambda flag: (-flag.gain, flag.variable, flag.site)))


def _likeliest(variable: Variable, evidence: Evidence) -> tuple[str, Swap] | None:
    """The other unit that most of the evidence speaks for, with how much; None where the own unit will do."""
    if evidence.values.sum() < FEWEST:
        return None
    usual = typical()[variable.name]
    swaps = [(unit, judge(evidence, usual, variable.conversion(unit))) for unit in usual.units]
    unit, swap = max(swaps, key=lambda pair: pair[1].gain)
    return (unit, swap) if swap.gain >= GAIN else None


def _flag(variable: Variable, site: str, evidence: Evidence) -> UnitFlag | None:
    found = _likeliest(variable, evidence)
    if found is None:
        return None
    unit, swap = found
    values, conversion = int(evidence.values.sum()), variable.conversion(unit)
    return UnitFlag(variable.name, site, variable.unit, unit, swap.part, values, conversion, round(swap.gain, 1))


def _variables(events: Events) -> dict[str, Variable]:
    """Variables by name that have usual values, in the same unit; also those of which every value was rejected."""
    shipped = Dictionary.load()
    rejected = pc.unique(events.implausible["variable"]).to_pylist()
    found = {name: shipped[name] for name in rejected if name in shipped}
    found |= {variable.name: variable for variable in (*events.variables, *events.static_variables)}
    return {name: v for name, v in found.items() if name in typical() and v.unit == shipped[name].unit}


def _evidence(events: Events, names: list[str], by: str | None) -> Iterator[tuple[str, str, Evidence]]:
    """Of each variable at each site, and at all of them together (site "")."""
    counts = _counts(events, names, by)
    if by is not None:
        together = counts.groupby(["variable", "kind", "decimals", "place"], as_index=False)["rows"].sum()
        counts = pd.concat([counts, together.assign(site="")], ignore_index=True)
    columns = {name: counts[name].to_numpy() for name in ("kind", "decimals", "place", "rows")}
    indices: dict[Any, Any] = counts.groupby(["site", "variable"]).indices
    for (site, name), which in sorted(indices.items()):
        kind, decimals, place, rows = (column[which] for column in columns.values())
        pieces = {}
        for each, (digits, length) in SHAPES.items():
            here, pieces[each] = kind == each, np.zeros((digits, length))
            pieces[each][decimals[here], place[here]] = rows[here]
        yield str(site), str(name), Evidence(**pieces)


def _counts(events: Events, names: list[str], by: str | None) -> pd.DataFrame:
    """How many values, levels, steps and spikes fall where, by site and variable."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false; SET threads = 1")
        tables = {
            "facts": events.measurements,
            "implausible": events.implausible,
            "descriptors": _descriptors(events, names),
            "sites": _sites(events, by),
            "names": pa.table(
                {
                    "variable": pa.array(range(len(events.variables)), pa.int16()),
                    "name": pa.array([variable.name for variable in events.variables], pa.string()),
                }
            ),
        }
        for name, table in tables.items():
            connection.register(name, table)
        decimals = " ".join(DIGITS.format(digits) for digits in range(DECIMALS - 1))
        connection.execute(VALUES.format(decimals=decimals, most=DECIMALS - 1), [names])
        sql = COUNTS.format(lowest=LOWEST, bin=BIN, furthest=FURTHEST, logs=len(LOGS), steps=len(STEPS))
        return connection.execute(sql).df().set_axis(["site", "variable", "kind", "decimals", "rows", "place"], axis=1)


def _descriptors(events: Events, names: list[str]) -> pa.Table:
    columns = [variable.name for variable in events.static_variables if variable.name in names]
    long = events.stays[columns].melt(ignore_index=False, var_name="variable").dropna()
    return pa.table(
        {
            "stay": pa.array(long.index, pa.int32()),
            "variable": pa.array(long["variable"], pa.string()),
            "value": pa.array(long["value"], pa.float64()),
        }
    )


def site_of(events: Events, by: str | None) -> pd.Series:
    """(stay,) name of the site of each stay: "" where there is one, a category by its label.

    Refused: a column that the stays do not have.
    """
    if by is None:
        return pd.Series("", index=events.stays.index, dtype=object)
    if by not in events.stays:
        raise ArgumentError("a column of the stays", f"{by!r}", f"Choose among {', '.join(events.stays.columns)}.")
    column = events.stays[by]
    labels = next((list(v.categories.values()) for v in events.static_variables if v.name == by), [])
    named = column.map(dict(enumerate(labels))) if labels else column.astype(str).where(column.notna())
    return named.fillna("unknown").astype(object)


def _sites(events: Events, by: str | None) -> pa.Table:
    """Site of each stay that is looked at; of a site with very many, every second, third, ..."""
    sites = site_of(events, by)
    rank, size = sites.groupby(sites).cumcount(), sites.groupby(sites).transform("size")
    kept = sites[rank % np.ceil(size / STAYS_ENOUGH).astype(int) == 0]
    return pa.table({"stay": pa.array(kept.index, pa.int32()), "site": pa.array(kept, pa.string())})

"""Table 1 of a cohort: who the stays are, in all and by outcome, with small cells suppressed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.unit_text import format_unit
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small, suppress
from clinicalgru.html import Markup, summary_html, table

ALL, WITHOUT, WITH = "all", "without", "with"
SUPPRESSED = "suppressed"
MOSTLY = 0.95  # of the values are whole numbers: they have no decimals

Line = tuple[str, str, dict[str, str]]  # characteristic, level, text of each column


@dataclass(frozen=True, eq=False)
class TableOne:
    """Characteristics of a cohort.

    Attributes
    ----------
    table : DataFrame
        characteristic, level, then one column of text for all stays and for those without and with the outcome.
    title : str
        The task in words.
    min_cell_size : int
        Smallest count that is shown.
    provenance : mapping of str to str
        Data, and whether the stays are simulated.
    """

    table: pd.DataFrame
    title: str
    min_cell_size: int = MIN_CELL_SIZE
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.title}\n{self.table.to_string(index=False)}"

    __repr__ = __str__

    @property
    def note(self) -> str:
        """What is suppressed."""
        few = f"Counts of 1 to {self.min_cell_size - 1}, and what reveals them, are suppressed."
        return few if self.min_cell_size > 1 else ""

    def as_html(self) -> Markup:
        """The table as HTML.

        Returns
        -------
        Markup
            The table inside a region that scrolls sideways.
        """
        rows = [list(map(str, row)) for row in self.table.itertuples(index=False)]
        with_outcome = ", and of those without and with the outcome" if WITH in self.table else ""
        return table(f"Characteristics of all stays{with_outcome}", tuple(map(str, self.table)), rows, n_text_columns=2)

    def to_html(self, path: str | Path) -> Path:
        """Write the table as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.

        Returns
        -------
        Path
            The file.
        """
        from clinicalgru.display import to_html

        return to_html(self, path)

    def _repr_html_(self) -> str:
        return summary_html("Table 1", {"task": self.title}, self.as_html(), note=self.note)


def table_one(sequences: Sequences, *, min_cell_size: int | None = None) -> TableOne:
    """Describe a cohort, in all and by outcome: stays, patients, static covariates, groups and first measurements.

    Parameters
    ----------
    sequences : Sequences
        The stays, as `select` returns them.
    min_cell_size : int, optional
        Smallest count that is shown; 0 shows all. None: 11, or 0 for synthetic patients.

    Returns
    -------
    TableOne
        Numbers as median (quartiles) of the stays in which they are known; categories as count (percent).

    Raises
    ------
    ArgumentError
        If an argument is of another type.

    Notes
    -----
    Of a variable that is measured, the first value in the window counts. Quartiles of fewer stays than `min_cell_size`
    are suppressed. Where an outcome is not binary, there is one column for all stays.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate, table_one
    >>> stays = select(read_events(simulate(60, random_state=0)), Task.load("in_hospital_mortality"))
    >>> table_one(stays).table.columns.tolist()
    ['characteristic', 'level', 'all', 'without', 'with']
    """
    check_instance("sequences", sequences, Sequences, fix="Pass the Sequences that select returns.")
    check_number("min_cell_size", min_cell_size, minimum=0, whole=True, optional=True)
    smallest = (0 if sequences.simulated else MIN_CELL_SIZE) if min_cell_size is None else min_cell_size
    columns = _columns(sequences)
    rows = [
        {"characteristic": name, "level": level, **cells}
        for lines in (
            _stays(columns, smallest),
            _static(sequences, columns, smallest),
            _groups(sequences, columns, smallest),
            _measured(sequences, columns, smallest),
        )
        for name, level, cells in lines
    ]
    frame = pd.DataFrame(rows, columns=["characteristic", "level", *columns])
    provenance = {"data": sequences.source, "simulated": "yes" if sequences.simulated else "no"}
    return TableOne(frame, sequences.task.title or sequences.task.name, smallest, provenance)


def _columns(sequences: Sequences) -> dict[str, np.ndarray]:
    """The stays of each column."""
    event, every = occurred(sequences.outcome, sequences.task), np.ones(len(sequences), dtype=bool)
    if event is None:
        return {ALL: every}
    return {ALL: every, WITHOUT: ~np.asarray(event, dtype=bool), WITH: np.asarray(event, dtype=bool)}


def _counts(levels: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], smallest: int) -> pd.DataFrame:
    """Counts of levels in each column; NA = suppressed."""
    parts = [name for name in columns if name != ALL] or [ALL]
    counts = pd.DataFrame({part: [int((mask & columns[part]).sum()) for mask in levels.values()] for part in parts})
    shown = pd.DataFrame(suppress(counts.set_axis(list(levels), axis=0), min_cell_size=smallest, keep_total=True))
    return shown.rename(columns={"total": ALL}) if len(parts) > 1 else shown


def _count(counts: pd.DataFrame, level: str, column: str) -> int | None:
    """A count; None = suppressed."""
    cell: Any = counts.loc[level, column]
    return None if cell is pd.NA or np.isnan(float(cell)) else int(cell)


def _count_lines(
    name: str, levels: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], smallest: int
) -> Iterator[Line]:
    counts = _counts(levels, columns, smallest)
    for level in levels:
        cells = {}
        for column in columns:
            number, total = _count(counts, level, column), _count(counts, "total", column)
            share = f" ({number / total:.1%})" if number is not None and total else ""
            cells[column] = SUPPRESSED if number is None else f"{number:,}{share}"
        yield name, level, cells


def _stays(columns: Mapping[str, np.ndarray], smallest: int) -> Iterator[Line]:
    counts = _counts({"stays": columns[ALL]}, columns, smallest)
    shown = {column: _count(counts, "stays", column) for column in columns}
    cells = {column: SUPPRESSED if number is None else f"{number:,}" for column, number in shown.items()}
    yield "stays", "", cells


def _static(sequences: Sequences, columns: Mapping[str, np.ndarray], smallest: int) -> Iterator[Line]:
    for position, variable in enumerate(sequences.static_variables):
        values = sequences.static[:, position].astype(float)
        if variable.categories:
            words = list(variable.categories.values())
            levels = {word: values == number for number, word in enumerate(words)}
            yield from _count_lines(variable.label, {**levels, "unknown": np.isnan(values)}, columns, smallest)
        else:
            yield _number_line(variable, values, columns, smallest)


def _groups(sequences: Sequences, columns: Mapping[str, np.ndarray], smallest: int) -> Iterator[Line]:
    for name in sequences.groups:
        text = sequences.groups[name].astype(object).where(sequences.groups[name].notna(), "unknown").astype(str)
        levels = {level: (text == level).to_numpy() for level in sorted(text.unique())}
        yield from _count_lines(str(name), levels, columns, smallest)


def _measured(sequences: Sequences, columns: Mapping[str, np.ndarray], smallest: int) -> Iterator[Line]:
    stay, values = sequences.stay_of_measurement, np.full((len(sequences.variables), len(sequences)), np.nan)
    first = ~pd.DataFrame({"stay": stay, "variable": sequences.variable}).duplicated().to_numpy()
    values[sequences.variable[first], stay[first]] = sequences.value[first]
    for variable, row in zip(sequences.variables, values, strict=True):
        yield _number_line(variable, row, columns, smallest)


def _number_line(variable: Variable, values: np.ndarray, columns: Mapping[str, np.ndarray], smallest: int) -> Line:
    unit, decimals = format_unit(variable.unit), count_decimals(values)
    cells = {name: _quartiles(values[mask], smallest, decimals) for name, mask in columns.items()}
    if SUPPRESSED in cells.values() and ALL in cells and len(cells) > 1:  # the rest would reveal the small group
        cells = {name: cell if name == ALL else SUPPRESSED for name, cell in cells.items()}
    return variable.label + (f", {unit}" if unit else ""), f"median (quartiles){_known(values, smallest)}", cells


def _known(values: Any, smallest: int) -> str:
    """Say in how many of all stays a value is known; nothing where it would show that few, or all but few, have one."""
    known = int((~np.isnan(values)).sum())
    if not len(values) or is_small(known, smallest) or is_small(len(values) - known, smallest):
        return ""
    return f", known in {known / len(values):.0%}"


def count_decimals(values: Any) -> int:
    """Choose the decimals of a table that suit the spread of values.

    Parameters
    ----------
    values : ndarray
        Values, NaN where unknown.

    Returns
    -------
    int
        So many that the smaller distance of a quartile from the median is 1.5 units of the last digit or more.

    Examples
    --------
    >>> [count_decimals(np.array(values)) for values in ([60.0, 80, 100], [7.31, 7.38, 7.44])]
    [0, 2]
    """
    known = values[~np.isnan(values)]
    if not len(known) or (known == np.round(known)).mean() > MOSTLY:
        return 0
    distances = np.diff(np.quantile(known, [0.25, 0.5, 0.75]))
    spread = float(distances[distances > 0].min()) if (distances > 0).any() else abs(float(np.median(known))) / 10
    return max(0, math.ceil(-math.log10(spread / 1.5))) if spread > 0 else 0


def _quartiles(values: Any, smallest: int, decimals: int) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "not recorded"
    if len(known) < max(smallest, 1):
        return SUPPRESSED
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return f"{middle:,.{decimals}f} ({low:,.{decimals}f} to {high:,.{decimals}f})"

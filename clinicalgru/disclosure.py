"""Small cells: a count of 1 to 10 patients is withheld, and so is what would give it away.

The rule of the US Centers for Medicare & Medicaid Services (cell size suppression policy): no cell of 1 to 10 is shown,
nor any other that lets one be derived. A count of 0 is shown. Each function here decides for all the counts of one
table or page together, since what is hidden in one place may follow from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from clinicalgru.errors import ArgumentError

MIN_CELL_SIZE = 11
WITHHELD = "withheld"
BALANCE = ("used", "descriptors", "merged")  # with the rejected rows they make up the rows in


def is_small(count: float, min_cell_size: int = MIN_CELL_SIZE) -> bool:
    """Whether a count is of somebody, but of fewer than `min_cell_size`.

    >>> is_small(0), is_small(10), is_small(11)
    (False, True, False)
    """
    return 0 < count < min_cell_size


def format_count(count: float | None) -> str:
    """A count as it is written, or that it is withheld.

    >>> format_count(3997), format_count(None)
    ('3,997', 'withheld')
    """
    return WITHHELD if count is None or pd.isna(count) else f"{count:,.0f}"


def suppress_nested(counts: Sequence[int], *, min_cell_size: int = MIN_CELL_SIZE) -> tuple[int | None, ...]:
    """Counts of groups that lie within one another; None where the count, or what it leaves of another, is small.

    counts  the most wanted first: each is shown if no difference from those shown before it is small
    returns as many; any two that are shown differ by nobody or by at least `min_cell_size`

    >>> suppress_nested([3997, 4000, 3500])  # 4,000 would give away that 3 were left out
    (3997, None, 3500)
    """
    kept: list[int] = [0]
    out: list[int | None] = []
    for count in counts:
        safe = not any(is_small(abs(count - other), min_cell_size) for other in kept)
        out.append(int(count) if safe else None)
        kept += [count] if safe else []
    return tuple(out)


def suppress_flow(
    flow: Sequence[tuple[str, int]], *, within: Iterable[int] = (), min_cell_size: int = MIN_CELL_SIZE
) -> tuple[tuple[str, int | None], ...]:
    """A cohort flow in which nobody can tell a step that left out 1 to 10 stays; the last step is kept if any.

    flow    (step, stays left)
    within  further counts shown beside it, of groups within the last step; they are shown in any case

    >>> suppress_flow([("extract", 4000), ("outcome recorded", 3997), ("adults", 3500)])
    (('extract', None), ('outcome recorded', 3997), ('adults', 3500))
    """
    beside = list(within)
    counts = suppress_nested([*beside, *(stays for _, stays in reversed(flow))], min_cell_size=min_cell_size)[
        len(beside) :
    ]
    return tuple((step, stays) for (step, _), stays in zip(flow, reversed(counts), strict=True))


def suppress(
    table: pd.DataFrame | pd.Series, *, min_cell_size: int = MIN_CELL_SIZE, total: str = "total"
) -> pd.DataFrame | pd.Series:
    """A table of counts with its totals, in which no small cell is shown or follows from the others.

    table     counts of groups apart from each other: their sums are the totals; a Series, or a DataFrame
    min_cell_size  the smallest count that may be shown
    total     name of the row and of the column of totals
    returns   the same with totals, as whole numbers; NA = withheld

    Small cells and small totals are withheld, then further cells in the order of the table, until each cell that is
    withheld could be more than `min_cell_size` numbers for someone who adds up and subtracts all that is shown, and knows
    that no 0 is ever withheld. Refused: counts below 0 or not whole.

    Source: cell suppression audited by linear programming, Fischetti and Salazar 2001. DIFF: complements are taken in
    order, not so that the fewest are withheld: the choice of the smallest would itself give sizes away.

    >>> suppress(pd.Series({"a": 3, "b": 40, "c": 25})).tolist()  # 68 - 40 - 25 would be 3
    [<NA>, <NA>, 25, 68]
    """
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    counts = frame.to_numpy(dtype=float)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.round(counts)).all()):
        raise ArgumentError("whole counts of 0 or more", "others", "Pass counts of patients or stays.")
    whole = _with_totals(frame, total)
    values = whole.to_numpy(dtype=float)
    hidden = _hidden(values, rows=len(frame) > 1, columns=frame.shape[1] > 1, min_cell_size=min_cell_size)
    shown = whole.astype("Int64").mask(pd.DataFrame(hidden, index=whole.index, columns=whole.columns))
    return shown.iloc[:, 0] if isinstance(table, pd.Series) else shown


def _with_totals(frame: pd.DataFrame, total: str) -> pd.DataFrame:
    """With a row of totals where there are several rows, and a column where there are several columns."""
    if frame.shape[1] > 1:
        frame = frame.assign(**{total: frame.sum(axis=1)})
    if len(frame) > 1:
        frame = pd.concat([frame, frame.sum().to_frame(total).T])
    return frame


def _hidden(values: np.ndarray, *, rows: bool, columns: bool, min_cell_size: int) -> np.ndarray:
    """True where a cell of the table with its totals must be withheld.

    Which further cell is withheld depends on its place alone, not on its size: who knows this rule learns nothing.
    """
    flat, sums = values.ravel(), _sums(values.shape, rows=rows, columns=columns)
    hidden = (flat > 0) & (flat < min_cell_size)
    while hidden.any():
        weak = _weak(flat, hidden, sums, min_cell_size)
        beside = (sums[(sums[:, weak] != 0).any(axis=1)] != 0).any(axis=0)
        free = ~hidden & (flat > 0)
        free = free & beside if (free & beside).any() else free
        if not weak.any() or not free.any():
            break
        hidden[np.flatnonzero(free)[0]] = True
    return hidden.reshape(values.shape)


def _sums(shape: tuple[int, int], *, rows: bool, columns: bool) -> np.ndarray:
    """(sum, cell) what everybody knows: in each row and column the cells less their total make 0."""
    cell = np.arange(shape[0] * shape[1]).reshape(shape)
    lines = [*(cell if columns else []), *(cell.T if rows else [])]
    sums = np.zeros((len(lines), cell.size))
    for number, line in enumerate(lines):
        sums[number, line[:-1]], sums[number, line[-1]] = 1, -1
    return sums


def _weak(values: np.ndarray, hidden: np.ndarray, sums: np.ndarray, min_cell_size: int) -> np.ndarray:
    """(cell,) True where a withheld cell, being at least 1, could be fewer than `min_cell_size` + 1 numbers, or where a sum
    withholds small cells only."""
    from scipy.optimize import linprog

    unknown, weak = np.flatnonzero(hidden), np.zeros(len(values), dtype=bool)
    known = -sums[:, ~hidden] @ values[~hidden]
    for place, cell in enumerate(unknown if len(sums) else []):
        ends = []
        for sign in (1.0, -1.0):
            aim = np.zeros(len(unknown))
            aim[place] = sign
            found = linprog(aim, A_eq=sums[:, unknown], b_eq=known, bounds=(1, None))
            ends.append(sign * found.fun if found.status == 0 else np.inf)
        weak[cell] = abs(ends[1] - ends[0]) < min_cell_size - 0.5
    for line in sums != 0:
        inside = line & hidden
        weak |= inside & (not (values[inside] >= min_cell_size).any())
    return weak


def suppress_ledger(
    entries: Mapping[str, int], *, shown: Sequence[int] = (), min_cell_size: int = MIN_CELL_SIZE
) -> dict[str, int | None]:
    """An intake ledger with small counts withheld, and with those that would give them away.

    entries  what `Ledger.to_frame` lists: "rows in"; used, descriptors, merged and rejected, which sum to it;
             converted, each a part of what was used; then notes, which count stays
    shown    counts of stays that stand beside the ledger: no note, and no complement of one, comes close to them

    >>> suppress_ledger({"rows in": 500, "used": 497, "merged": 3, "stays": 40, "stays without a series": 2})
    {'rows in': 500, 'used': None, 'merged': None, 'stays': 40, 'stays without a series': None}
    """
    rows = [name for name in entries if name in BALANCE or name.startswith("rejected: ")]
    parts = suppress(pd.Series({name: entries[name] for name in rows}, dtype=float), min_cell_size=min_cell_size)
    out: dict[str, int | None] = {
        name: None if is_small(count, min_cell_size) else count for name, count in entries.items()
    }
    out |= {name: None if pd.isna(parts[name]) else int(parts[name]) for name in rows}
    if len(rows) > 1 and pd.isna(parts["total"]):
        out["rows in"] = None
    stays = entries.get("stays", 0)
    for name in [name for name in entries if name not in (*rows, "rows in") and not name.startswith("converted: ")]:
        beside = [0, *shown, *([] if name == "stays" else [stays])]
        apart = [abs(count - other) for count in (entries[name], stays - entries[name]) for other in beside]
        hidden = entries[name] > 0 and any(is_small(count, min_cell_size) for count in apart)
        out[name] = None if hidden else entries[name]
    return out

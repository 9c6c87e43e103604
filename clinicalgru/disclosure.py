"""Small-cell suppression: counts of 1 to 10 patients, and counts that reveal them, are not shown.

The rule of the US Centers for Medicare & Medicaid Services (cell size suppression policy): no cell of 1 to 10 is shown,
nor any other from which one can be derived. A count of 0 is shown. Each function here decides for all counts of one
table or page together, since one of them may reveal another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError

MIN_CELL_SIZE = 11
SUPPRESSED = "suppressed"
BALANCE = ("used", "static values", "merged")  # with the rejected rows they sum to the rows in


def is_small(count: float, min_cell_size: int = MIN_CELL_SIZE) -> bool:
    """Whether a count is small: above 0, but below `min_cell_size`.

    Parameters
    ----------
    count : float
        A count of patients or stays.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    bool
        Whether it must be suppressed.

    Examples
    --------
    >>> is_small(0), is_small(10), is_small(11)
    (False, True, False)
    """
    return 0 < count < min_cell_size


def format_count(count: float | None) -> str:
    """Format a count, or say that it is suppressed.

    Parameters
    ----------
    count : float or None
        A count; None or NA = suppressed.

    Returns
    -------
    str
        The words.

    Examples
    --------
    >>> format_count(3997), format_count(None)
    ('3,997', 'suppressed')
    """
    return SUPPRESSED if count is None or pd.isna(count) else f"{count:,.0f}"


def stays_of_patients(patient: Iterable[object], min_cell_size: int = MIN_CELL_SIZE) -> int:
    """Give the number of stays from which on any of them are those of enough patients.

    Parameters
    ----------
    patient : iterable
        Patient of each stay.
    min_cell_size : int
        Smallest number of patients that may be shown.

    Returns
    -------
    int
        One more than the stays of the ten patients who have the most; `min_cell_size` where each patient has one.

    Examples
    --------
    >>> stays_of_patients(range(500)), stays_of_patients([*range(500), 7, 7])
    (11, 13)
    """
    if min_cell_size == 0:
        return 0
    counts = pd.Series(list(patient)).value_counts().to_numpy()[: min_cell_size - 1]
    return max(min_cell_size, int(counts.sum()) + 1)


def coarse_count(count: float, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """Format a count for a sentence that has to say how few there are.

    Parameters
    ----------
    count : float
        A count of patients or stays.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    str
        The number; of a small one, and of 0, "fewer than 11".

    Examples
    --------
    >>> coarse_count(3), coarse_count(1200)
    ('fewer than 11', '1,200')
    """
    return f"fewer than {min_cell_size}" if count < min_cell_size else f"{count:,.0f}"


def suppress_nested(counts: Sequence[int], *, min_cell_size: int = MIN_CELL_SIZE) -> tuple[int | None, ...]:
    """Suppress counts of nested groups.

    Parameters
    ----------
    counts : sequence of int
        Counts, the most important first.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    tuple of int or None
        As many; any two that are shown differ by 0 or by at least `min_cell_size`.

    Examples
    --------
    >>> suppress_nested([3997, 4000, 3500])  # 4,000 would reveal that 3 were excluded
    (3997, None, 3500)
    """
    shown: list[int] = [0]
    result: list[int | None] = []
    for count in counts:
        safe = not any(is_small(abs(count - other), min_cell_size) for other in shown)
        result.append(int(count) if safe else None)
        shown += [count] if safe else []
    return tuple(result)


def suppress_flow(
    flow: Sequence[tuple[str, int]], *, within: Iterable[int] = (), min_cell_size: int = MIN_CELL_SIZE
) -> tuple[tuple[str, int | None], ...]:
    """Suppress a cohort flow so that no step reveals that it excluded 1 to 10 stays.

    Parameters
    ----------
    flow : sequence of (str, int)
        Step, stays left after it.
    within : iterable of int
        Other counts that are shown in any case, of groups within the last step.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    tuple of (str, int or None)
        The flow; None = suppressed. The last step has priority.

    Examples
    --------
    >>> suppress_flow([("extract", 4000), ("outcome recorded", 3997), ("adults", 3500)])
    (('extract', None), ('outcome recorded', 3997), ('adults', 3500))
    """
    others, stays = list(within), [count for _, count in reversed(flow)]
    counts = suppress_nested([*others, *stays], min_cell_size=min_cell_size)[len(others) :]
    return tuple((step, count) for (step, _), count in zip(flow, reversed(counts), strict=True))


def suppress(
    table: pd.DataFrame | pd.Series,
    *,
    min_cell_size: int = MIN_CELL_SIZE,
    total: str = "total",
    keep_total: bool = False,
) -> pd.DataFrame | pd.Series:
    """Suppress a table of counts, and add its totals.

    Parameters
    ----------
    table : Series or DataFrame
        Counts of disjoint groups; their sums are the totals.
    min_cell_size : int
        Smallest count that may be shown.
    total : str
        Name of the row and of the column of totals.
    keep_total : bool
        Whether the row of totals stays, as where it is shown elsewhere anyway, unless one of its own counts is small.
        Where that would reveal a small cell, no other row is shown.

    Returns
    -------
    Series or DataFrame
        Whole numbers with totals; NA = suppressed.

    Raises
    ------
    ArgumentError
        If `table` is something else, or its counts are negative or not whole.

    Notes
    -----
    Small cells and small totals are suppressed first. Then further cells are suppressed, in the order of the table and
    totals last, until the feasible range of every suppressed cell, given the published margins (linear programming), is
    at least `min_cell_size` wide.

    Deviation from the paper: complementary cells are taken in order instead of minimising their number, since the
    choice of the smallest would itself reveal sizes.

    References
    ----------
    Fischetti and Salazar 2001, cell suppression audited by linear programming.

    Examples
    --------
    >>> import pandas as pd
    >>> suppress(pd.Series({"a": 3, "b": 40, "c": 25})).tolist()  # 68 - 40 - 25 would be 3
    [<NA>, <NA>, 25, 68]
    >>> suppress(pd.Series({"a": 3, "b": 9}), keep_total=True).tolist()
    [<NA>, <NA>, 12]
    """
    check_instance("table", table, pd.Series, pd.DataFrame, fix="Pass counts of patients or stays.")
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    numeric = all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes)
    counts = frame.to_numpy(dtype=float) if numeric else np.array([np.nan])
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.round(counts)).all()):
        got = "numbers that are negative, missing or not whole" if numeric else "columns that are not numbers"
        raise ArgumentError("whole counts of 0 or more", got, "Pass counts of patients or stays.")
    whole = _with_totals(frame, total)
    values = whole.to_numpy(dtype=float)
    lines: dict[str, bool] = {"rows": len(frame) > 1, "columns": frame.shape[1] > 1}
    suppressed = _cells_to_suppress(values, **lines, min_cell_size=min_cell_size, keep_total=keep_total)
    shown = whole.astype("Int64").mask(pd.DataFrame(suppressed, index=whole.index, columns=whole.columns))
    return shown.iloc[:, 0] if isinstance(table, pd.Series) else shown


def _with_totals(frame: pd.DataFrame, total: str) -> pd.DataFrame:
    """The table with a row of totals if it has several rows, and a column if it has several columns."""
    if frame.shape[1] > 1:
        frame = frame.assign(**{total: frame.sum(axis=1)})
    if len(frame) > 1:
        frame = pd.concat([frame, frame.sum().to_frame(total).T])
    return frame


def _cells_to_suppress(
    values: np.ndarray, *, rows: bool, columns: bool, min_cell_size: int, keep_total: bool = False
) -> np.ndarray:
    """Whether a cell of the table with its totals must be suppressed.

    Which further cell is suppressed depends on its place alone, not on its size, so that the rule reveals nothing.
    """
    flat, sums = values.ravel(), _sums(values.shape, rows=rows, columns=columns)
    small = (flat > 0) & (flat < min_cell_size)
    last = np.arange(len(flat)) >= len(flat) - values.shape[1]
    kept = last & (keep_total and rows and not small[last].any())
    totals = last & rows
    totals |= (np.arange(len(flat)) % values.shape[1] == values.shape[1] - 1) & columns
    order = np.argsort(totals, kind="stable")  # totals stay as long as they can
    hidden = small.copy()
    while hidden.any():
        exposed = _exposed(flat, hidden, sums, min_cell_size)
        if not exposed.any():
            break
        related = (sums[(sums[:, exposed] != 0).any(axis=1)] != 0).any(axis=0)
        candidates = ~hidden & (flat > 0) & ~kept
        candidates = candidates & related if (candidates & related).any() else candidates
        if not candidates.any():
            return ~kept.reshape(values.shape) if kept.any() else hidden.reshape(values.shape)
        hidden[order[candidates[order]][0]] = True
    return hidden.reshape(values.shape)


def _sums(shape: tuple[int, int], *, rows: bool, columns: bool) -> np.ndarray:
    """(sum, cell) the published margins: in each row and column the cells minus their total make 0."""
    cell = np.arange(shape[0] * shape[1]).reshape(shape)
    lines = [*(cell if columns else []), *(cell.T if rows else [])]
    sums = np.zeros((len(lines), cell.size))
    for number, line in enumerate(lines):
        sums[number, line[:-1]], sums[number, line[-1]] = 1, -1
    return sums


def _exposed(values: np.ndarray, hidden: np.ndarray, sums: np.ndarray, min_cell_size: int) -> np.ndarray:
    """(cell,) Whether a suppressed cell has too narrow a feasible range, or is of a known sum of small cells only."""
    from scipy.optimize import linprog

    unknown, exposed = np.flatnonzero(hidden), np.zeros(len(values), dtype=bool)
    known = -sums[:, ~hidden] @ values[~hidden]
    low = high = values[unknown].astype(float)  # every solution, these counts too, widens the range of all cells
    for position, cell in enumerate(unknown if len(sums) else []):
        for sign in (1.0, -1.0):
            if high[position] - low[position] >= min_cell_size - 0.5:
                break
            objective = sign * (np.arange(len(unknown)) == position)
            result = linprog(objective, A_eq=sums[:, unknown], b_eq=known, bounds=(1, None))
            solution = result.x if result.status == 0 else np.where(objective != 0, np.inf, high)
            low, high = np.minimum(low, solution), np.maximum(high, solution)
        exposed[cell] = high[position] - low[position] < min_cell_size - 0.5
    for line in sums:
        inside, is_known = (line != 0) & hidden, not hidden[line < 0].any()
        exposed |= inside & (is_known and not (values[inside] >= min_cell_size).any())
    return exposed


def suppress_ledger(
    entries: Mapping[str, int], *, shown: Sequence[int] = (), min_cell_size: int = MIN_CELL_SIZE
) -> dict[str, int | None]:
    """Suppress the counts of an ingestion ledger, and those that would reveal them.

    Parameters
    ----------
    entries : mapping of str to int
        The lines of `Ledger.to_frame`: "rows in"; used, static values, merged and rejected, which sum to it; converted,
        each a part of used; merged by how, the parts of merged; then notes, which count stays.
    shown : sequence of int
        Counts of stays that are shown next to the ledger; no note, and no complement of one, comes close to them.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    dict of str to int or None
        Counts by name; None = suppressed.

    Examples
    --------
    >>> suppress_ledger({"rows in": 500, "used": 497, "merged": 3, "stays": 40, "stays without a series": 2})
    {'rows in': 500, 'used': None, 'merged': None, 'stays': 40, 'stays without a series': None}
    """
    rows = [name for name in entries if name in BALANCE or name.startswith("rejected: ")]
    parts = suppress(pd.Series({name: entries[name] for name in rows}, dtype=float), min_cell_size=min_cell_size)
    result: dict[str, int | None] = {
        name: None if is_small(count, min_cell_size) else count for name, count in entries.items()
    }
    result |= {name: None if pd.isna(parts[name]) else int(parts[name]) for name in rows}
    if len(rows) > 1 and pd.isna(parts["total"]):
        result["rows in"] = None
    merged = [name for name in entries if name.startswith("merged: ")]  # the parts of merged reveal it, or another part
    if result.get("merged") is None or any(is_small(entries[name], min_cell_size) for name in merged):
        result |= dict.fromkeys(merged)
    stays = entries.get("stays", 0)
    counted = (*rows, *merged, "rows in")
    for name in [name for name in entries if name not in counted and not name.startswith("converted: ")]:
        others = [0, *shown, *([] if name == "stays" else [stays])]
        differences = [abs(count - other) for count in (entries[name], stays - entries[name]) for other in others]
        small = entries[name] > 0 and any(is_small(count, min_cell_size) for count in differences)
        result[name] = None if small else entries[name]
    return result

"""Limits on rejected rows: of all rows that could have been used, and of each variable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import NOT_COUNTED, Ledger
from clinicalgru.errors import InputError

MAX_LOST = 0.5  # of the values of a variable
MIN_LOST = 10  # rejected values from which on a variable may stop the load
MIN_FIT = 0.8  # of the rejected values must be plausible in a unit that is proposed
MAX_NAMED = 5  # variables in a message
FIXES = {  # of all rows, by the most frequent reason
    "unknown variable": "Map its name with names= (`clinicalgru map` drafts the file), or raise max_rejected.",
    "value is not a number": (
        "Write numbers alone, or pass decimal=',' where a comma marks decimals, units_in_values=True where units "
        "follow, or flags_in_values=True where flags such as H or * do."
    ),
    "time not readable": (
        "Pass time_format=, or name a date and a time of day in two columns together: columns={'time': 'Date + Time'}."
    ),
    "stay not in the stays table": (
        "Complete the stays table, or write identifiers as in the rows: 11 and 11.0, or 7 and 007, are two."
    ),
}
REASONS_OF_UNITS = ("implausible", "unknown unit")


def check_rejected(
    workspace: Workspace, ledger: Ledger, *, max_rejected: float, allow: Collection[str]
) -> dict[str, int]:
    """Raise where too many rows were rejected, of all or of a variable, for reasons that count.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with a stay or a reason for each row.
    ledger : Ledger
        The ledger of the extract.
    max_rejected : float
        Largest fraction of rows that may be rejected, 0 to 1. With 1, nothing stops the load.
    allow : collection of str
        Variables that may lose any number of values; they count in neither limit.

    Returns
    -------
    dict of str to int
        Values lost by note, of variables that went on only because they are allowed.

    Raises
    ------
    InputError
        If more rows were rejected, or a variable lost half of its values (more where `max_rejected` is above half), and
        at least `MIN_LOST`.

    Notes
    -----
    Both limits count over the rows that could have been used: empty cells, and what else is in `NOT_COUNTED`, are not
    among them.
    """
    table, limit = _values_by_variable(workspace), max(MAX_LOST, max_rejected)
    is_lost = table["rejected"] >= np.maximum(MIN_LOST, limit * (table["rejected"] + table["used"]))
    is_allowed = table.index.isin(list(allow))
    if max_rejected < 1:
        if (is_lost & ~is_allowed).any():
            raise _variables_lost(workspace, ledger, table[is_lost & ~is_allowed], limit)
        _check_all(ledger, max_rejected, allow)
    lost = table.loc[is_lost & is_allowed, "rejected"]
    return {f"values lost, as allowed: {name}": int(rows) for name, rows in lost.items()}


def check_static_lost(
    variable: Variable, cells: pd.Series, values: pd.Series, *, max_rejected: float, allow: Collection[str], column: str
) -> None:
    """Raise where a static variable of the stays table loses half of its values, and at least `MIN_LOST`.

    Parameters
    ----------
    variable : Variable
        The variable.
    cells : Series of str
        Its cells, NA where blank; the index holds the places of the rows.
    values : Series of float
        What was made of them, NaN where unusable.
    max_rejected : float
        As in `check_rejected`.
    allow : collection of str
        Variables that may lose any number of values.
    column : str
        The column, for the message.

    Raises
    ------
    InputError
        If so many values are lost.
    """
    is_lost, limit = cells.notna() & values.isna(), max(MAX_LOST, max_rejected)
    n_lost, n_cells = int(is_lost.sum()), int(cells.notna().sum())
    if max_rejected >= 1 or variable.name in allow or n_lost < max(MIN_LOST, limit * n_cells):
        return
    unit = fitting_unit(variable, pd.to_numeric(cells[is_lost], errors="coerce").dropna().to_numpy(dtype=float))
    fits = f"; the values fit {unit}" if unit else ""
    has_texts = not unit and not variable.categories
    fix = _fix([variable], {variable.name: unit} if unit else {}, [], has_texts=has_texts)
    got, where = (
        f"{variable.name} {n_lost:,} of {n_cells:,}{fits}",
        f"stays, {cells.index[is_lost][0]}, column {column}",
    )
    raise InputError(f"less than {limit:.0%} of the values of each variable rejected", got, fix, where=where)


def _check_all(ledger: Ledger, max_rejected: float, allow: Collection[str]) -> None:
    """Raise where more than a fraction of the rows that could have been used was rejected."""
    findings = ledger.findings[~ledger.findings["reason"].isin(NOT_COUNTED)]
    is_allowed = findings["variable"].isin(list(allow))
    n_rejected = int(findings.loc[~is_allowed, "rows"].sum())
    n_usable = ledger.usable - int(findings.loc[is_allowed, "rows"].sum())
    if n_rejected > max_rejected * max(n_usable, 1):
        worst = findings[~is_allowed].iloc[0]
        most_frequent = f"{worst['reason']} {worst['variable']}".rstrip() + f" ({worst['rows']:,})"
        usual = "Repair the extract, add the variable or unit to your own YAML (variables=), or raise max_rejected."
        raise InputError(
            f"at most {max_rejected:.0%} of rows rejected",
            f"{n_rejected:,} of {n_usable:,}, most often: {most_frequent}",
            FIXES.get(worst["reason"], usual),
            where=f"first at {worst['where']}",
        )


def _values_by_variable(workspace: Workspace) -> pd.DataFrame:
    """Used and rejected values of each variable, most rejected first."""
    rows = workspace.sql.execute(ingest_sql.VALUES_BY_VARIABLE, [list(NOT_COUNTED)]).fetchall()
    return pd.DataFrame(rows, columns=["variable", "used", "rejected"]).set_index("variable").astype(int)


def _variables_lost(workspace: Workspace, ledger: Ledger, lost: pd.DataFrame, limit: float) -> InputError:
    """The error that names the variables, why their values were rejected, and the units that would fit."""
    findings = ledger.findings[~ledger.findings["reason"].isin(NOT_COUNTED)]
    fits = {name: _fitting_unit(workspace, workspace.dictionary[name]) for name in lost.index}
    named, units, spellings, has_texts, has_times = [], {}, [], False, False
    for name, used, rejected in lost.head(MAX_NAMED).itertuples():
        reasons = findings[findings["variable"] == name].groupby("reason", sort=False)["rows"].sum()
        counts = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.items())
        if fits[name] and "implausible" in reasons:
            units[name] = fits[name]
        if "unknown unit" in reasons:
            spellings.append(name)
        has_texts = has_texts or "value is not a number" in reasons
        has_times = has_times or "time not readable" in reasons
        fit = f"; the values fit {fits[name]}" if fits[name] else ""
        named.append(f"{name} {rejected:,} of {used + rejected:,} ({counts}{fit})")
    more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
    return InputError(
        f"less than {limit:.0%} of the values of each variable rejected",
        f"{'; '.join(named)}{more}",
        _fix(
            [workspace.dictionary[name] for name in lost.index],
            units,
            spellings,
            has_texts=has_texts,
            has_times=has_times,
        ),
        where=f"first at {findings.loc[findings['variable'] == lost.index[0], 'where'].iloc[0]}",
    )


def _fix(
    variables: Sequence[Variable],
    units: Mapping[str, str],
    spellings: Sequence[str],
    *,
    has_texts: bool,
    has_times: bool = False,
) -> str:
    """What to do about variables that were lost."""
    fixes = [f"Where no unit is written, name it: units={units}."] if units else []
    fixes += (
        [f"Add the unit under `also` of {', '.join(spellings)} in your own YAML (variables=)."] if spellings else []
    )
    fixes += [
        f"{variable.name} is written as {', '.join(variable.words)}: add yours under its `words` in your own YAML."
        for variable in variables
        if variable.words and variable.categories
    ]
    texts = (
        "Of numbers with decimal commas, pass decimal=','; of numbers with units behind them, units_in_values=True; "
        "of numbers with flags such as H or *, flags_in_values=True."
    )
    fixes += [FIXES["time not readable"]] if has_times else []
    fixes += [texts] if has_texts else []
    repair = " ".join(fixes if spellings or len(fixes) > bool(units) else [*fixes, "Else repair the values."])
    if len(variables) > MAX_NAMED:  # how the table is written is misread, not some variables
        return repair
    return f"{repair} To go on without them, pass allow={[variable.name for variable in variables]}."


def _fitting_unit(workspace: Workspace, variable: Variable) -> str:
    """The unit that fits the rejected rows of a variable; "" for none."""
    query = ingest_sql.REJECTED_QUANTILES
    ((quantiles,),) = workspace.sql.execute(query, [variable.name, list(REASONS_OF_UNITS)]).fetchall()
    return "" if quantiles is None else fitting_unit(variable, np.array(quantiles, dtype=float))


def fitting_unit(variable: Variable, rejected: np.ndarray) -> str:
    """Find the unit in which most of the rejected values of a variable are plausible, and closest to usual ones.

    Parameters
    ----------
    variable : Variable
        The variable.
    rejected : array of float
        Rejected values, as written.

    Returns
    -------
    str
        The unit; empty where there is none.
    """
    if variable.plausible is None or not len(rejected):
        return ""
    low, high = variable.plausible
    center = _center(variable.reference or variable.plausible)
    candidates = []
    for unit, conversion in {variable.unit: Conversion(1.0), **variable.also}.items():
        values = conversion.apply(rejected)
        fit = np.mean((values >= low) & (values <= high))
        if fit >= MIN_FIT:
            candidates.append((abs(np.log(max(np.median(values), 1e-9) / center)), unit))
    return min(candidates, key=lambda each: each[0])[1] if candidates else ""


def _center(bounds: tuple[float, float]) -> float:
    """The middle of a range, on the scale of logarithms where it has one."""
    low, high = bounds
    return max(float(np.sqrt(low * high)) if low > 0 else (low + high) / 2, 1e-9)

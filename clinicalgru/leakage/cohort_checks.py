"""Checks of a cohort: common patients of two parts, copies of stays, and single numbers that predict alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.leakage.perturbations import numeric_columns
from clinicalgru.leakage.raw_tables import IDENTIFIERS, STAY_TIMES, STAYS, TIMES, RawTables
from clinicalgru.leakage.result import LEAK, NOT_TRIED, SAME

WINDOW, COUNT = "hours until the prediction", "known rows"
MAX_AUROC = {WINDOW: 0.65, COUNT: 0.9}  # above these, with its 95 % interval, a number predicts too well alone
MAX_SINGLE_AUROC = 0.95
MIN_STAYS, MIN_CLASS = 40, 10  # with a value, and with and without the outcome
ONLY_WITH_OUTCOME = 0.98  # of the stays in which something occurs, the fraction with the outcome
NEAR_DUPLICATE, MIN_MEASUREMENTS = 0.9, 10  # fraction of measurements in common; fewest of a stay
COMMON, MAX_PROBES = 20, 500  # stays that share a measurement until it says nothing; stays whose copies are looked for


def split_rows(
    keys: pd.DataFrame, stays: pd.DataFrame, splits: Mapping[str, Collection[Any]], *, random_state: int = 0
) -> list[dict[str, Any]]:
    """Look for patients and near-duplicates in two parts.

    Parameters
    ----------
    keys : DataFrame
        stay_id and key of each measurement, see `measurement_keys`.
    stays : DataFrame
        stay_id and patient_id.
    splits : mapping of str to collection
        stay_id by part.
    random_state : int
        Seed of the stays whose copies are looked for.

    Returns
    -------
    list of dict
        Rows of `LeakageCheck.table`.
    """
    parts = pd.concat([pd.Series(part, index=[str(name) for name in names]) for part, names in splits.items()])
    part = parts.rename("part").rename_axis("stay_id").reset_index()
    rows = [_split_row("stays in one part only", _in_several(part, "stay_id"), part["stay_id"].nunique())]
    if "patient_id" in stays:
        patients = part.merge(stays[["stay_id", "patient_id"]].astype(str))
        common = _in_several(patients, "patient_id")
        rows.append(_split_row("patients in one part only", common, patients["patient_id"].nunique()))
    small = part[part["part"] != part["part"].mode()[0]].drop_duplicates("stay_id")
    probes = small["stay_id"].sample(min(len(small), MAX_PROBES), random_state=random_state)
    copies = _near_duplicates(keys, part, probes)
    rows.append(_split_row("no near-duplicate in another part", copies, len(probes)))
    return rows


def _near_duplicates(keys: pd.DataFrame, part: pd.DataFrame, probes: pd.Series) -> int:
    """Count stays with a near copy of themselves in another part."""
    keys = keys[keys["stay_id"].isin(part["stay_id"])]
    keys = keys[keys["key"].isin(keys.loc[keys["stay_id"].isin(probes), "key"])].drop_duplicates()
    rare = keys[keys.groupby("key")["stay_id"].transform("size") <= COMMON].merge(part, on="stay_id")
    own = rare[rare["stay_id"].isin(probes)]
    size = own.groupby("stay_id", observed=True).size()
    pairs = own.merge(rare, on="key", suffixes=("", "_other"))
    pairs = pairs[pairs["part"] != pairs["part_other"]]
    shared = pairs.groupby(["stay_id", "stay_id_other"], observed=True).size().groupby("stay_id", observed=True).max()
    size = size.reindex(shared.index)
    return int(((shared >= NEAR_DUPLICATE * size) & (size >= MIN_MEASUREMENTS)).sum())


def measurement_keys(raw: RawTables) -> pd.DataFrame:
    """Give a hash of each row: what was measured, at which hour of the stay, and the value.

    Parameters
    ----------
    raw : RawTables
        The extract.

    Returns
    -------
    DataFrame
        stay_id, key.
    """
    parts = [pd.DataFrame({"stay_id": pd.Series(dtype=str), "key": pd.Series(dtype="uint64")})]
    for name in raw.row_tables():
        table = raw.tables[name]
        if "time" in table and len(table):
            hours = _since_first(table)
            fixed = {*IDENTIFIERS, *TIMES, "unit"}
            columns = table[[column for column in table if column not in fixed]].assign(hours=hours.round(2))
            parts.append(pd.DataFrame({"stay_id": table["stay_id"], "key": _hashed(columns)}))
    return pd.concat(parts, ignore_index=True)


def keys_of_sequences(stays: Sequences, names: np.ndarray) -> pd.DataFrame:
    """Give a hash of each measurement of stays, as `measurement_keys` does.

    Parameters
    ----------
    stays : Sequences
        The stays.
    names : ndarray of str, shape (stay,)
        Their stay_id.

    Returns
    -------
    DataFrame
        stay_id, key.
    """
    stay = stays.stay_of_measurement
    first = stays.hours[stays.starts[:-1].clip(max=max(0, len(stays.hours) - 1))] if len(stays.hours) else np.zeros(0)
    hours = (stays.hours - first[stay]) if len(stay) else stays.hours
    columns = pd.DataFrame({"variable": stays.variable, "value": stays.value, "hours": np.round(hours, 2)})
    return pd.DataFrame(
        {"stay_id": pd.Categorical.from_codes(stay.astype(np.int64), pd.Index(names)), "key": _hashed(columns)}
    )


def known_features(raw: RawTables) -> pd.DataFrame:
    """Give single numbers of each stay that were known at its prediction time.

    Parameters
    ----------
    raw : RawTables
        The extract.

    Returns
    -------
    DataFrame
        By stay_id: hours until the prediction, known rows, the last value of each variable, whether each code or
        variable occurred, and the descriptors.
    """
    stays = raw.tables[STAYS].set_index("stay_id").reindex(raw.due.index)
    start = stays.get("start")
    features = {WINDOW: _hours_between(start, raw.due), COUNT: pd.Series(0.0, index=raw.due.index)}
    columns = stays.drop(columns=[*IDENTIFIERS, *STAY_TIMES, *raw.known_later], errors="ignore")
    features |= {
        f"descriptor {name}": pd.to_numeric(columns[name], errors="coerce") for name in numeric_columns(columns)
    }
    wide = [pd.DataFrame(features)]
    for name in raw.row_tables():
        rows = raw.tables[name][~raw.is_later(name) & raw.tables[name]["stay_id"].isin(raw.due.index).to_numpy()]
        wide[0][COUNT] += rows.groupby("stay_id").size().reindex(raw.due.index).fillna(0)
        wide += _of_rows(name, rows, raw.due.index)
    return pd.concat([part.reindex(raw.due.index) for part in wide], axis=1)


def features_of_sequences(stays: Sequences) -> pd.DataFrame:
    """Give single numbers of each stay, as `known_features` does.

    Parameters
    ----------
    stays : Sequences
        Stays with what was known in the window of their task.

    Returns
    -------
    DataFrame
        By position of the stay.
    """
    shape = len(stays), len(stays.variables)
    last = np.full(shape, np.nan)
    last[stays.stay_of_measurement, stays.variable] = stays.value  # ascending hours: the last one stands
    counts = np.bincount(stays.stay_of_measurement * shape[1] + stays.variable, minlength=shape[0] * shape[1])
    present = (counts.reshape(shape) > 0).astype(float)
    codes = np.zeros((len(stays), len(stays.code_vocabulary)))
    codes[np.repeat(np.arange(len(stays)), np.diff(stays.code_starts)), stays.code] = 1
    names = [variable.name for variable in stays.variables]
    statics = [f"descriptor {variable.name}" for variable in stays.static_variables]
    window = stays.end_hours - stays.task.window_hours[0]
    return pd.concat(
        [
            pd.DataFrame({WINDOW: window, COUNT: stays.n_measurements.astype(float)}),
            pd.DataFrame(stays.static.astype(float), columns=statics),
            pd.DataFrame(last, columns=[f"last {name}" for name in names]),
            pd.DataFrame(present, columns=[f"{name} occurs" for name in names]),
            pd.DataFrame(codes, columns=[f"{name} occurs" for name in stays.code_vocabulary]),
        ],
        axis=1,
    )


def cohort_rows(features: pd.DataFrame, outcomes: pd.DataFrame) -> list[dict[str, Any]]:
    """Test whether the window, counts, or a single number predict an outcome by themselves.

    Parameters
    ----------
    features : DataFrame
        One row per stay.
    outcomes : DataFrame
        Columns of 0 and 1, and NaN where unknown; the same rows.

    Returns
    -------
    list of dict
        Rows of `LeakageCheck.table`.
    """
    found: dict[str, list[str]] = {name: [] for name in ("window length", "number of rows", "single variable")}
    tested = 0
    for outcome in outcomes:
        known = outcomes[outcome].notna().to_numpy()
        event = outcomes[outcome].to_numpy()[known] == 1
        if min(event.sum(), (~event).sum()) < MIN_CLASS or known.sum() < MIN_STAYS:
            continue
        tested = max(tested, int(known.sum()))
        table = features[known]
        low = lowest_auroc(table.to_numpy(dtype=float), event)
        for name, bound, only in zip(table, low, _only_with(table.to_numpy(dtype=float), event), strict=True):
            group = {WINDOW: "window length", COUNT: "number of rows"}.get(str(name), "single variable")
            if bound > MAX_AUROC.get(str(name), MAX_SINGLE_AUROC):
                found[group].append(f"{name} separates {outcome} (AUROC above {bound:.2f})")
            elif group == "single variable" and only:
                found[group].append(f"{name} almost only with {outcome}")
    if not tested:
        note = f"needs an outcome of 0 and 1 with {MIN_CLASS} stays of each"
        return [{"check": f"{name} does not predict alone", "result": NOT_TRIED, "note": note} for name in found]
    return [
        {
            "check": f"{name} does not predict alone",
            "result": LEAK if notes else SAME,
            "n_stays": tested,
            "note": "; ".join(notes[:5]) + (f" and {len(notes) - 5} more" if len(notes) > 5 else ""),
        }
        for name, notes in found.items()
    ]


def lowest_auroc(values: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Lower 95 % limits of the AUROC of single numbers, whichever their direction.

    Parameters
    ----------
    values : ndarray, shape (stay, number)
        NaN where unknown.
    event : ndarray of bool, shape (stay,)
        Whether the outcome occurred.

    Returns
    -------
    ndarray, shape (number,)
        0 where too few stays have a value.

    References
    ----------
    Standard error: Hanley and McNeil 1982.

    Examples
    --------
    >>> import numpy as np
    >>> event = np.arange(200) % 2 == 0
    >>> lowest_auroc(np.stack([event, np.arange(200)], axis=1).astype(float), event).round(1).tolist()
    [1.0, 0.4]
    """
    from scipy.stats import rankdata  # here, as reading an extract needs none of it

    known = ~np.isnan(values)
    rank = rankdata(values, axis=0, nan_policy="omit")
    positive, negative = (known & event[:, None]).sum(axis=0), (known & ~event[:, None]).sum(axis=0)
    enough = (np.minimum(positive, negative) >= MIN_CLASS) & (positive + negative >= MIN_STAYS)
    n1, n0 = np.maximum(positive, 1), np.maximum(negative, 1)
    auroc = (np.where(known & event[:, None], rank, 0).sum(axis=0) - n1 * (n1 + 1) / 2) / (n1 * n0)
    auroc = np.where(enough, np.maximum(auroc, 1 - auroc), 0.5)
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (n1 - 1) * (q1 - auroc**2) + (n0 - 1) * (q2 - auroc**2)
    low = auroc - 1.96 * np.sqrt(np.maximum(variance, 0) / (n1 * n0))
    return np.where(enough, low, 0.0)


def _only_with(values: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Whether a number of 0 and 1 is 1 almost only where the outcome occurred, and that often."""
    binary = np.isin(values, (0.0, 1.0)).all(axis=0)
    n = (values == 1).sum(axis=0)
    with_event = ((values == 1) & event[:, None]).sum(axis=0)
    expected = event.mean()
    return binary & (n >= MIN_CLASS) & (with_event >= ONLY_WITH_OUTCOME * n) & (expected < 0.5)


def _split_row(check: str, n_common: int, n: int) -> dict[str, Any]:
    return {"check": check, "result": LEAK if n_common else SAME, "n_stays": n, "n_moved": n_common, "note": ""}


def _in_several(part: pd.DataFrame, name: str) -> int:
    return int((part.groupby(name)["part"].nunique() > 1).sum())


def _since_first(table: pd.DataFrame) -> pd.Series:
    first = table.groupby("stay_id")["time"].transform("min")
    return _hours_between(first, table["time"])


def _hours_between(start: pd.Series | None, end: pd.Series) -> pd.Series:
    if start is None:
        return pd.Series(np.nan, index=end.index)
    gap = end - start
    return gap if pd.api.types.is_numeric_dtype(gap) else gap.dt.total_seconds() / 3600


def _hashed(columns: pd.DataFrame) -> np.ndarray:
    return pd.util.hash_pandas_object(columns, index=False).to_numpy()


def _of_rows(name: str, rows: pd.DataFrame, stays: pd.Index) -> list[pd.DataFrame]:
    """The last value of each variable, and what occurred at all."""
    by = [column for column in TIMES if column in rows][:1]
    rows, parts = rows.sort_values(by) if by else rows, []
    variable = rows["variable"].astype(str) if "variable" in rows else pd.Series(name, index=rows.index)
    for column in ("value", *(each for each in numeric_columns(rows) if each not in ("value", *TIMES))):
        if column in rows and column not in IDENTIFIERS:
            value = pd.to_numeric(rows[column], errors="coerce")
            table = pd.DataFrame({"stay_id": rows["stay_id"], "name": f"last {column} of " + variable, "value": value})
            parts.append(table.dropna().groupby(["stay_id", "name"])["value"].last().unstack())
    what = variable
    if "code" in rows:
        what = variable + (" " + rows["code"].astype(object).fillna("").astype(str)).str.rstrip()
    occurs = pd.crosstab(rows["stay_id"], what + " occurs").clip(upper=1).astype(float)
    return [*parts, occurs.reindex(stays).fillna(0.0)]

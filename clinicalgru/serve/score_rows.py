"""The rows of a score table: a prediction for each stay, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.input_profile import stay_inputs
from clinicalgru.model.prediction_sets import NO_SET, SET, at_prediction_time, set_columns, sets_of
from clinicalgru.serve.bundle import model_hash
from clinicalgru.serve.input_checks import little_known
from clinicalgru.serve.moved_by import moved_by
from clinicalgru.serve.stay_status import NOT_SCORED, STATUS, UNMEASURED, WORDS

SCORES = pa.schema(
    [
        ("patient_id", pa.string()),
        ("stay_id", pa.string()),
        ("prediction_time", pa.timestamp("us")),
        ("prediction_hours", pa.float64()),
        ("as_of", pa.timestamp("us")),
        ("risk", pa.float64()),
        ("risk_low", pa.float64()),
        ("risk_high", pa.float64()),
        ("prediction_set", pa.string()),
        ("status", pa.string()),
        ("reason_code", pa.string()),
        ("reason", pa.string()),
        ("moved_by", pa.string()),
        ("model_hash", pa.string()),
        ("input_hash", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
        ("run_id", pa.string()),
    ]
)


def schema_of(columns: Iterable[str]) -> pa.Schema:
    """Give the types of the columns of a score table.

    Parameters
    ----------
    columns : iterable of str
        Names of columns.

    Returns
    -------
    pyarrow.Schema
        That of `SCORES`, with what a model predicts in place of the risk.
    """
    types = {field.name: field.type for field in SCORES}
    names = [str(name) for name in columns]
    return pa.schema([(n, types.get(n, pa.string() if n.startswith(f"{SET}_") else pa.float64())) for n in names])


def uncertainty_columns(model: FittedModel) -> list[str]:
    """Give the columns of a score table that stand behind the predictions.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    list of str
        The range over refits of a single risk, and the prediction sets.
    """
    refits = ["risk_low", "risk_high"] if list(model.score_columns_) == ["risk"] else []
    return [*refits, *set_columns(model.task_)]


def check_hourly(model: FittedModel) -> None:
    """Raise where a model has no prediction for each hour.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Raises
    ------
    ArgumentError
        If it does not predict each time step.
    """
    if model.task_.task_type != "early_warning" or not hasattr(model, "predict_hourly"):
        got = f"a {type(model).__name__} for a task of type {model.task_.task_type}"
        raise ArgumentError("an early-warning model of networks for hourly scores", got, "Leave hourly out.")


def score_sequences(
    model: FittedModel,
    sequences: Sequences,
    *,
    reasons: pd.DataFrame | None = None,
    as_of: int | None = None,
    hourly: bool = False,
    movers: bool = False,
) -> pd.DataFrame:
    """Predict every stay of sequences, which may hold any variables; see `score`.

    Parameters
    ----------
    model : estimator
        A fitted model.
    sequences : Sequences
        Stays; outcomes are not needed.
    reasons : DataFrame, optional
        For each stay, why it is not to be predicted, as `stay_reasons` gives it.
    as_of : int, optional
        Moment up to which the extract is seen, in microseconds.
    hourly : bool
        Of an early warning: one row for each hour of each stay.
    movers : bool
        Whether the column moved_by is filled, see `moved_by`.

    Returns
    -------
    DataFrame
        As `score` gives it, but for the columns that describe the run.

    Raises
    ------
    ArgumentError
        If `hourly` is set for a model that does not predict each time step, or the model has no scores.
    """
    if hourly:
        check_hourly(model)
    if reasons is None:
        reasons = pd.DataFrame({"reason_code": [""] * len(sequences), "reason": ""}, dtype=object)
    tables, done = [], 0
    name = model_hash(model)
    for block in sequences.chunks():  # of few stays there is but one
        part = reasons.iloc[done : done + len(block)]
        rows = _score_block(model, block, part, as_of, hourly=hourly, movers=movers)
        tables.append(rows.assign(model_hash=name))
        done += len(block)
    return pd.concat(tables, ignore_index=True)


def _score_block(
    model: FittedModel, sequences: Sequences, reasons: pd.DataFrame, as_of: int | None, *, hourly: bool, movers: bool
) -> pd.DataFrame:
    stays = sequences.with_variables(model.variables_).with_static_variables(model.static_variables_)
    code, reason = (reasons[name].to_numpy(dtype=object) for name in ("reason_code", "reason"))
    abstained = np.where(code == "", _abstained(model, stays), "")
    code = np.where(abstained != "", abstained, code)
    reason = np.where(abstained != "", [WORDS.get(each, "") for each in abstained], reason)
    known = code == ""
    which, hours = np.arange(len(stays)), stays.end_hours
    if hourly and isinstance(model, GRUEarlyWarning | GRUEnsemble | Hybrid):
        which, hours, columns = _by_hour(model, stays, known)
    else:
        columns = _by_stay(model, stays, known)
    table = _identity(stays, which, hours, as_of)
    status = np.array([STATUS.get(each, NOT_SCORED) for each in code], dtype=object)
    words = {"status": status[which], "reason_code": code[which], "reason": reason[which]}
    moved = _movers(model, stays, known)[which] if movers else ""
    return pd.concat([table, columns], axis=1).assign(**words, moved_by=moved)


def _abstained(model: FittedModel, stays: Sequences) -> np.ndarray:
    """(stay,) the code of the reason of a stay of which nothing, or too little, is known; "" of the others."""
    limits = model.trained_on_.get("inputs", {}).get("limits", {})
    few = little_known(stay_inputs(stays), limits, every_step=stays.task.every_step)
    return np.where(model.has_observations(stays), few, UNMEASURED).astype(object)


def _identity(stays: Sequences, which: np.ndarray, hours: np.ndarray, as_of: int | None) -> pd.DataFrame:
    """Patient, stay and prediction time of each row; no prediction time is later than `as_of`."""
    table = pd.DataFrame({"patient_id": stays.patient[which], "stay_id": stays.stay[which]})
    later = np.round((hours - stays.end_hours[which]) * HOUR).astype(np.int64)
    at = stays.index_time[which] + later
    limit = np.inf if as_of is None else as_of
    shown = at <= limit if stays.has_dates else np.round(hours * HOUR) <= limit
    table["prediction_time"] = pd.Series(at.view("datetime64[us]")).where(shown & stays.has_dates)
    table["prediction_hours"] = np.where(shown, hours, np.nan)
    moment = np.datetime64("NaT" if as_of is None or not stays.has_dates else as_of, "us")
    return table.assign(as_of=np.full(len(table), moment, dtype="datetime64[us]"))


def _movers(model: FittedModel, stays: Sequences, known: np.ndarray) -> np.ndarray:
    """(stay,) the variables that moved the prediction of each stay most; "" where there is no prediction."""
    words = np.full(len(stays), "", dtype=object)
    if known.any():
        column = getattr(getattr(model, "head_", None), "default_output", 0)
        words[known] = moved_by(model, stays[known], column)
    return words


def _by_stay(model: FittedModel, stays: Sequences, known: np.ndarray) -> pd.DataFrame:
    """One row for each stay, empty where the stay is not scored."""
    columns = np.full((len(stays), len(model.score_columns_)), np.nan)
    if known.any():
        columns[known] = model.score_rows(stays[known])
    table = pd.DataFrame(columns, columns=model.score_columns_)
    is_risk = list(model.score_columns_) == ["risk"]
    if is_risk:
        curve, low_high = model.instability_, np.full((len(stays), 2), np.nan)
        known = known & at_prediction_time(stays) & (not model.task_.every_step)
        if curve is not None:
            low_high[known] = curve.ranges(columns[known, 0])
        table["risk_low"], table["risk_high"] = low_high.T
    names = set_columns(model.task_)
    sets = np.full((len(stays), len(names)), NO_SET, dtype=object)
    if names:
        found = sets_of(model, stays[known], columns[known, 0] if is_risk else columns[known])
        sets[known] = found.reshape(-1, len(names))
    return pd.concat([table, pd.DataFrame(sets, columns=names)], axis=1)


def _by_hour(
    model: GRUEarlyWarning | GRUEnsemble | Hybrid, stays: Sequences, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Stay, hour and risk of one row for each stay and hour, or of one for a stay that is not scored."""
    table = model.predict_hourly(stays[known]) if known.any() else pd.DataFrame({"stay": [], "hours": [], "risk": []})
    scored = np.flatnonzero(known)[table["stay"].astype(int)]
    others = np.setdiff1d(np.arange(len(stays)), scored)
    which = np.concatenate([scored, others])
    hours = np.concatenate([table["hours"], stays.end_hours[others]])
    risk = np.concatenate([table["risk"], np.full(len(others), np.nan)])
    order = np.argsort(which, kind="stable")
    columns = pd.DataFrame({"risk": risk[order]})
    return which[order], hours[order], columns.assign(risk_low=np.nan, risk_high=np.nan, prediction_set=NO_SET)

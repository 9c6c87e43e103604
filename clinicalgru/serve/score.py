"""Scoring: an extract becomes one row for each stay, with a risk or the reason why there is none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.reading import PATHS, arguments_like, check_same_tables
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.data.task.eligibility import eligibility_steps
from clinicalgru.data.task.select import select
from clinicalgru.data.task.stay_times import stay_times
from clinicalgru.errors import ArgumentError, system_errors
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.serve.bundle import load_model, model_hash

SCORES = pa.schema(
    [
        ("patient_id", pa.string()),
        ("stay_id", pa.string()),
        ("prediction_time", pa.timestamp("us")),
        ("prediction_hours", pa.float64()),
        ("risk", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("model_hash", pa.string()),
    ]
)
UNMEASURED = "no variable of the model was measured in the window"
ENDED = "the stay ended before the prediction"


def score(
    model: FittedModel | str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    hourly: bool = False,
    accept_differences: bool = False,
    **reading: Any,
) -> pd.DataFrame:
    """Predict every stay of an extract; outcomes are not needed.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data : object
        An extract, or Events; read with the variables, units and plausible ranges of the model.
    out : str, Path or None
        A folder, which gets scores.parquet, or a .parquet file. Written as a whole or not at all.
    hourly : bool
        Of an early warning: one row for each hour of each stay, from the first with a measurement.
    accept_differences : bool
        Whether an extract is scored that has no ends of stays, or no static variables, where training had them.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract.

    Returns
    -------
    DataFrame
        One row for each stay, ordered by patient and stay: patient_id, stay_id, prediction_time (missing if the
        extract has no dates), prediction_hours since the index time, risk, status ("scored", "not scored", or
        "left out" if the stay is not eligible), reason, model_hash. Other task types have other columns in place of
        risk: risk_<outcome>, risk_<class>, risk_<hours>h, or mean, median, low and high.

    Raises
    ------
    ArgumentError
        If `hourly` is set for a model that does not predict each time step, the model has no scores, or `out` is a file
        of the extract itself.
    InputError
        If the extract cannot be read, or lacks ends of stays or static variables that training had.

    Examples
    --------
    >>> import tempfile
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60))
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, cg.Task.load("in_hospital_mortality")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = cg.score(cg.save(model, f"{folder}/bundle"), events)
    >>> list(table)[3:6], len(table)
    (['prediction_hours', 'risk', 'status'], 60)
    """
    if out is not None:
        _check_not_over_input(out, data, *(reading.get(name) for name in PATHS))
    fitted = load_model(model) if isinstance(model, str | Path) else model
    events = read_like_training(fitted, data, accept_differences=accept_differences, **reading)
    times, sequences = stay_times(events, fitted.task_), select(events, fitted.task_, include_ineligible=True)
    ends, left_out = (
        (times.end - times.anchor) / HOUR,
        _left_out(eligibility_steps(events, fitted.task_, times, sequences)),
    )
    table = score_sequences(fitted, sequences, ends=ends, left_out=left_out, hourly=hourly)
    if out is not None:
        write_scores(table, out)
    return table


def read_like_training(model: FittedModel, data: Any, *, accept_differences: bool = False, **reading: Any) -> Events:
    """Read an extract with the arguments that read the training extract of a model, and with its dictionary.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : object
        An extract; Events are taken as they are.
    accept_differences : bool
        Whether the extract may lack ends of stays, or static variables, that training had.
    **reading
        Arguments of `read_events` that go before those of training.

    Returns
    -------
    Events
        The extract.

    Raises
    ------
    InputError
        If the extract cannot be read, or lacks what training had.
    """
    record = model.trained_on_.get("reading", {})
    if isinstance(data, Events):
        events = data
    elif isinstance(data, SimulatedCohort):
        events = read_events(data, variables=model_dictionary(model))
    else:
        given = reading | {"variables": model_dictionary(model, reading.get("variables"))}
        events = read_events(data, **arguments_like(record, given, accept_differences=accept_differences))
    if not accept_differences:
        check_same_tables(record, events)
    return events


def _left_out(steps: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
    """(stay,) the first of the task's conditions that does not hold, in words; "" where all hold."""
    reason: Any = ""
    for step, holds in steps:
        reason = np.where((reason == "") & ~holds, f"the task requires: {step}", reason).astype(object)
    return np.atleast_1d(reason)


def score_sequences(
    model: FittedModel,
    sequences: Sequences,
    *,
    ends: np.ndarray | float = np.inf,
    left_out: np.ndarray | str = "",
    hourly: bool = False,
) -> pd.DataFrame:
    """Predict every stay of sequences, which may hold any variables; see `score`.

    Parameters
    ----------
    model : estimator
        A fitted model.
    sequences : Sequences
        Stays; outcomes are not needed.
    ends : ndarray, shape (stay,), or float
        Hours since the index time at which the stay ended; infinite where not known.
    left_out : ndarray of str, shape (stay,), or str
        Why the stay is not eligible; "" where it is.
    hourly : bool
        Of an early warning: one row for each hour of each stay.

    Returns
    -------
    DataFrame
        As `score` gives it.

    Raises
    ------
    ArgumentError
        If `hourly` is set for a model that does not predict each time step, or the model has no scores.
    """
    ends, left_out = (np.broadcast_to(given, len(sequences)) for given in (ends, left_out))
    if hourly and (model.task_.task_type != "early_warning" or not hasattr(model, "predict_hourly")):
        got = f"a {type(model).__name__} for a task of type {model.task_.task_type}"
        raise ArgumentError("an early-warning model of networks for hourly scores", got, "Leave hourly out.")
    tables, done = [], 0
    name = model_hash(model)
    for block in sequences.chunks():  # of few stays there is but one
        here = slice(done, done + len(block))
        tables.append(_score_block(model, block, ends[here], left_out[here], name=name, hourly=hourly))
        done += len(block)
    return pd.concat(tables, ignore_index=True)


def _score_block(
    model: FittedModel, sequences: Sequences, ends: np.ndarray, left_out: np.ndarray, *, name: str, hourly: bool
) -> pd.DataFrame:
    stays = sequences.with_variables(model.variables_).with_static_variables(model.static_variables_)
    causes = [left_out != "", ends < stays.end_hours, ~model.has_observations(stays)]
    reason = np.select(causes, [left_out, ENDED, UNMEASURED], "").astype(object)
    known = reason == ""
    which, hours = np.arange(len(stays)), stays.end_hours
    if hourly and isinstance(model, GRUEarlyWarning | GRUEnsemble | Hybrid):
        which, hours, columns = _by_hour(model, stays, known)
    else:
        columns = _by_stay(model, stays, known)
    later = np.round((hours - stays.end_hours[which]) * HOUR).astype(np.int64)
    at = (stays.index_time[which] + later).view("datetime64[us]") if stays.has_dates else np.datetime64("NaT", "us")
    identity = {"patient_id": stays.patient[which], "stay_id": stays.stay[which]}
    status = np.select([known, left_out != ""], ["scored", "left out"], "not scored")
    table = pd.DataFrame(identity).assign(prediction_time=at, prediction_hours=hours)
    table["prediction_time"] = table["prediction_time"].astype("datetime64[us]")
    return pd.concat([table, columns], axis=1).assign(status=status[which], reason=reason[which], model_hash=name)


def _by_stay(model: FittedModel, stays: Sequences, known: np.ndarray) -> pd.DataFrame:
    """One row for each stay, empty where the stay is not scored."""
    columns = np.full((len(stays), len(model.score_columns_)), np.nan)
    if known.any():
        columns[known] = model.score_rows(stays[known])
    return pd.DataFrame(columns, columns=model.score_columns_)


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
    return which[order], hours[order], pd.DataFrame({"risk": risk[order]})


def write_scores(table: pd.DataFrame, out: str | Path) -> Path:
    """Write a score table to a folder or .parquet file; the file before stays whole until the new one is.

    Parameters
    ----------
    table : DataFrame
        As `score` gives it.
    out : str or Path
        A folder, which gets scores.parquet, or a .parquet file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If `out` is a file of another kind, such as .csv.
    InputError
        If the system refuses to write, as without permission or on a full disk.
    """
    path, fix = Path(out), "Choose another out=."
    with system_errors(path.name):
        if path.suffix != ".parquet" and path.suffix[1:].isalpha() and not path.is_dir():
            raise ArgumentError("a folder or a .parquet file", f"a name that ends with {path.suffix}", fix)
        if path.suffix != ".parquet":
            if path.is_file():
                raise ArgumentError("a folder or a .parquet file", f"the file {path.name}", fix)
            path = path / "scores.parquet"
        if path.is_dir():
            raise ArgumentError("a folder or a .parquet file", f"the folder {path.name}", fix)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem[:50]}-") as folder:
            partial = Path(folder) / "scores.parquet"
            pq.write_table(pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False), partial)
            os.replace(partial, path)
    return path


def _check_not_over_input(out: str | Path, *inputs: Any) -> None:
    """Raise where the scores would be written over what they are made of."""
    path = (Path(out) if Path(out).suffix == ".parquet" else Path(out) / "scores.parquet").absolute()
    paths = [each for given in inputs for each in (given if isinstance(given, list | tuple) else [given])]
    if any(isinstance(each, str | os.PathLike) and Path(each).absolute() == path for each in paths):
        raise ArgumentError("out= besides the extract", "a file of the extract itself", "Choose another out=.")


def _schema(table: pd.DataFrame) -> pa.Schema:
    """That of SCORES, with what the model predicts in place of the risk."""
    types = {field.name: field.type for field in SCORES}
    return pa.schema([(str(name), types.get(str(name), pa.float64())) for name in table.columns])


def model_dictionary(model: FittedModel, given: Any = None) -> Dictionary:
    """Give the variables that a model was fitted on, with its units and ranges, over the shipped and the given ones.

    Parameters
    ----------
    model : estimator
        A fitted model.
    given : Dictionary, path or None
        Further variables.

    Returns
    -------
    Dictionary
        All variables; those of the model replace others of the same name.
    """
    base = given if isinstance(given, Dictionary) else Dictionary.load(*([given] if given is not None else []))
    own = {variable.name: variable for variable in (*model.variables_, *model.static_variables_)}
    return Dictionary((dict(base) | own).values())

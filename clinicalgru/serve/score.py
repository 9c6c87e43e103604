"""Scoring: an extract becomes one row for each stay, with a risk or the reason why there is none."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.checks import check_number
from clinicalgru.data.as_of import as_of_time, known_at, last_available
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.reading import PATHS, arguments_like, check_same_tables
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.data.task.select import select
from clinicalgru.errors import ArgumentError, InputMismatch, TooFewScored, system_errors
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.serve.bundle import load_model
from clinicalgru.serve.input_checks import input_warnings
from clinicalgru.serve.score_rows import SCORES, check_hourly, score_sequences
from clinicalgru.serve.stay_status import DUE, SCORED, stay_reasons

LOG = logging.getLogger("clinicalgru")
STALE_HOURS = 24  # from which on the log says how old the newest data are


def score(
    model: FittedModel | str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    as_of: Any = None,
    hourly: bool = False,
    strict: bool = False,
    min_scored: float = 0.0,
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
    as_of : str, datetime or number, optional
        The moment up to which the extract is seen: a date and time; hours since the start of the stays where the
        extract has no dates. None: the last `available_at` of the extract (without dates, rounded up to a full hour).
        It is logged. A stay whose prediction is due later is not scored. An early warning gives the risk at this moment
        for each stay that is still open, and at its end for one that has ended.
    hourly : bool
        Of an early warning: one row for each hour of each stay, from the first with a measurement.
    strict : bool
        Whether nothing is scored where the extract differs from what the model learned from. Otherwise each difference
        is a warning in the log: a variable that is absent or far rarer, a unit that looks exchanged, values outside
        those of training, another number of measurements in a stay, a table that is not given.
    min_scored : float
        Smallest fraction to be scored, 0 to 1, of the stays that are eligible, present and due.
    accept_differences : bool
        Whether an extract is scored that has no ends of stays, or no static variables, where training had them.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract.

    Returns
    -------
    DataFrame
        One row for each stay, ordered by patient and stay: patient_id, stay_id, prediction_time (missing if the
        extract has no dates), prediction_hours since the index time, as_of, risk, status ("scored",
        "too little known": of fewer measurements than nearly all training stays, or "not scored"), reason_code and
        reason, model_hash. No prediction time is later than `as_of`. Other task types have other columns in place of
        risk: risk_<outcome>, risk_<class>, risk_<hours>h, or mean, median, low and high.

    Raises
    ------
    ArgumentError
        If `hourly` is set for a model that does not predict each time step, the model has no scores, or `out` is a file
        of the extract itself.
    InputError
        If the extract cannot be read, or lacks ends of stays or static variables that training had.
    InputMismatch
        If the extract differs from what the model learned from, and `strict` is set. Nothing is written.
    TooFewScored
        If fewer stays than `min_scored` can be scored. Nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60))
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, cg.Task.load("in_hospital_mortality")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = cg.score(cg.save(model, f"{folder}/bundle"), events)
    >>> list(table)[4:7], len(table)
    (['as_of', 'risk', 'status'], 60)
    """
    if out is not None:
        _check_not_over_input(out, data, *(reading.get(name) for name in PATHS))
    check_number("min_scored", min_scored, minimum=0, maximum=1)
    fitted = load_model(model) if isinstance(model, str | Path) else model
    if hourly:
        check_hourly(fitted)
    events = read_like_training(fitted, data, accept_differences=accept_differences, **reading)
    events = seen_as_of(events, as_of)
    sequences = select(events, fitted.task_, include_ineligible=True)
    reasons = stay_reasons(events, fitted.task_, sequences)
    sequences = sequences.with_variables(fitted.variables_).with_static_variables(fitted.static_variables_)
    due = reasons["reason_code"].to_numpy() == ""
    warn_of_differences(fitted, events, sequences if due.all() else sequences[due], strict=strict)
    table = score_sequences(fitted, sequences, reasons=reasons, as_of=events.as_of, hourly=hourly)
    check_min_scored(table, min_scored)
    if out is not None:
        write_scores(table, out)
    return table


def warn_of_differences(model: FittedModel, events: Events, stays: Sequences, *, strict: bool) -> None:
    """Log how an extract differs from what a model learned from, or refuse it.

    Parameters
    ----------
    model : estimator
        A fitted model.
    events : Events
        The extract.
    stays : Sequences
        Its stays that are to be predicted, with the variables of the model.
    strict : bool
        Whether an extract that differs is refused.

    Raises
    ------
    InputMismatch
        If it differs and `strict` is set.
    """
    warnings = input_warnings(model.trained_on_, events, stays)
    for warning in warnings:
        LOG.warning("%s", warning)
    if warnings and strict:
        fix = "Check the extract; leave strict (--strict) out to score it all the same."
        raise InputMismatch("an extract like that of training", "; ".join(warnings), fix)


def check_min_scored(table: pd.DataFrame, min_scored: float) -> None:
    """Raise where too few stays have a prediction, of those that are eligible, present and due.

    Parameters
    ----------
    table : DataFrame
        As `score` gives it.
    min_scored : float
        Smallest fraction, 0 to 1.

    Raises
    ------
    TooFewScored
        If the fraction is smaller.
    """
    stays = table.drop_duplicates(["patient_id", "stay_id"])
    due = stays[stays["reason_code"].isin(DUE)]
    scored = float((due["status"] == SCORED).mean()) if len(due) else 0.0
    if min_scored > 0 and scored < min_scored:
        fix = "Check the extract, and the reasons in a table without min_scored (--min-scored)."
        raise TooFewScored(f"at least {min_scored:.1%} of the stays that are due scored", f"{scored:.1%}", fix)


def seen_as_of(events: Events, as_of: Any = None) -> Events:
    """Give an extract as it was known at a moment, and log which moment that is.

    Parameters
    ----------
    events : Events
        The extract.
    as_of : str, datetime or number, optional
        The moment; None: the last `available_at` of the extract.

    Returns
    -------
    Events
        As of `known_at`; the extract itself where it has no row with a time.

    Raises
    ------
    ArgumentError
        If `as_of` is no such moment.
    """
    moment, last = as_of_time(events, as_of), last_available(events)
    if moment is None:
        return events
    source = "the last available_at of the extract" if as_of is None else "as requested"
    LOG.info("as of %s (%s): nothing later is seen", _moment_words(moment, events), source)
    if last is not None and moment - last > STALE_HOURS * HOUR:
        LOG.warning("the newest row of the extract is %.0f hours older than the as-of time", (moment - last) / HOUR)
    seen = known_at(events, moment)
    if len(seen.stays) < len(events.stays):
        LOG.info("%s stays have no row by then, and are left out", f"{len(events.stays) - len(seen.stays):,}")
    return seen


def _moment_words(moment: int, events: Events) -> str:
    return f"{pd.Timestamp(moment, unit='us')}" if events.has_dates else f"hour {moment / HOUR:g} of each stay"


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

"""What is scored: an extract read as in training, seen as of a moment, and compared with the training extract."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.as_of import as_of_time, known_at
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.mistaken_times import last_available
from clinicalgru.data.read_events import read_events
from clinicalgru.data.reading import arguments_like, check_same_tables
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.sequences.sequences_io import write_sequences
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.data.task.select import all_stays, scratch_folder, select
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import InputMismatch
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.serve.input_checks import input_warnings
from clinicalgru.serve.stay_status import stay_reasons
from clinicalgru.temporary_folder import TemporaryFolder

LOG = logging.getLogger("clinicalgru")
STALE_HOURS = 24  # from which on the log says how old the newest data are
IN_MEMORY = 1_000_000  # measurements up to which an extract is held in memory
MEMORY_GB = 0.3  # of reading, where nothing else is given
STAYS = "stays"
MISTAKEN = (
    "rows are left out whose available_at must be a mistake: it lies over 24 hours after the clock of this machine, "
    "or a year after the other rows of the stay. Correct them, or pass the as-of time (as_of=, --as-of)"
)
COLUMNS = ("hours", "availability_lag", "variable", "value")  # of measurements


@dataclass(frozen=True, eq=False)
class ScoreInput:
    """The stays of an extract, as a model sees them.

    Attributes
    ----------
    model : estimator
        The model.
    stays : Sequences
        All stays, with the variables of the model.
    reasons : DataFrame
        Why stays are not to be predicted; see `stay_reasons`.
    as_of : int or None
        Moment up to which the extract is seen, in microseconds.
    disk : TemporaryFolder or None
        Holds the measurements, where they are not in memory; it is removed with this object.
    """

    model: FittedModel
    stays: Sequences
    reasons: pd.DataFrame
    as_of: int | None
    disk: TemporaryFolder | None = None

    @property
    def folder(self) -> Path | None:
        """Folder of the stays, for `Sequences.open`; None where they are in memory."""
        return None if self.disk is None else Path(self.disk.name) / STAYS

    @property
    def as_of_words(self) -> str:
        """The moment as text: ISO 8601, or hours of each stay."""
        if self.as_of is None:
            return "none"
        if self.stays.has_dates:
            return pd.Timestamp(self.as_of, unit="us").isoformat()
        return f"hour-{self.as_of / HOUR:g}"

    def digest(self) -> str:
        """Give a hash of all that the model sees: equal inputs have equal ones, however they are stored.

        Returns
        -------
        str
            16 hex digits.
        """
        names = (*COLUMNS, "n_measurements", "code_hours", "static_hours", "static_column", "static_value")
        hashes = {name: hashlib.sha256() for name in names}
        for block in self.stays.chunks(size=IN_MEMORY):
            for name, digest in hashes.items():
                digest.update(np.ascontiguousarray(getattr(block, name)).tobytes())
        whole = hashlib.sha256(repr([digest.hexdigest() for digest in hashes.values()]).encode())
        stays = self.stays
        codes = np.array(stays.code_vocabulary, dtype=object)[stays.code] if len(stays.code) else []
        texts = (stays.patient, stays.stay, self.reasons["reason_code"], codes)
        for text in texts:
            whole.update("\0".join(map(str, text)).encode())
        arrays = (
            stays.end_hours,
            stays.index_time,
            stays.static,
            np.diff(stays.code_starts),
            np.diff(stays.static_starts),
        )
        for array in arrays:
            whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()[:16]


def score_input(
    model: FittedModel,
    data: Any,
    *,
    as_of: Any = None,
    strict: bool = False,
    accept_differences: bool = False,
    **reading: Any,
) -> ScoreInput:
    """Read an extract for a model, as of a moment, and compare it with what the model learned from.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data, as_of, strict, accept_differences, **reading
        As of `score`.

    Returns
    -------
    ScoreInput
        Its stays.

    Raises
    ------
    InputError
        If the extract cannot be read, or lacks what training had.
    InputMismatch
        If it differs from what the model learned from, and `strict` is set.
    """
    reading = {"memory_gb": MEMORY_GB} | {name: value for name, value in reading.items() if value is not None}
    events = read_like_training(model, data, accept_differences=accept_differences, **reading)
    ledger = events.ledger.suppressed(min_cell_size=0 if events.simulated else MIN_CELL_SIZE)
    LOG.info("read %s", events.source, extra={"fields": {"ledger": ledger}})
    events = seen_as_of(events, as_of)
    stays, reasons, disk = _stays(model, events)
    due = reasons["reason_code"].to_numpy() == ""
    warn_of_differences(model, events, stays, due, strict=strict)
    return ScoreInput(model, stays, reasons, events.as_of, disk)


def _stays(model: FittedModel, events: Events) -> tuple[Sequences, pd.DataFrame, TemporaryFolder | None]:
    """All stays with the variables of a model, and why some are not predicted; large ones in a temporary folder."""

    def seen(stays: Sequences) -> Sequences:
        return stays.with_variables(model.variables_).with_static_variables(model.static_variables_)

    if events.measurements.num_rows <= IN_MEMORY:
        stays = select(events, model.task_, include_ineligible=True)
        return seen(stays), stay_reasons(events, model.task_, stays), None
    disk = TemporaryFolder()
    place = Path(disk.name) / STAYS
    with scratch_folder(place) as scratch:
        stays = all_stays(events, model.task_, scratch)
        reasons = stay_reasons(events, model.task_, stays)
        write_sequences(stays, place, change=seen, chunk_size=IN_MEMORY)
    return Sequences.open(place), reasons, disk


def warn_of_differences(model: FittedModel, events: Events, stays: Sequences, due: np.ndarray, *, strict: bool) -> None:
    """Log how an extract differs from what a model learned from, or refuse it.

    Parameters
    ----------
    model : estimator
        A fitted model.
    events : Events
        The extract.
    stays : Sequences
        Its stays, with the variables of the model.
    due : ndarray of bool, shape (stay,)
        Which of them are to be predicted.
    strict : bool
        Whether an extract that differs is refused.

    Raises
    ------
    InputMismatch
        If it differs and `strict` is set.
    """
    warnings = input_warnings(model.trained_on_, events, stays, due)
    for warning in warnings:
        LOG.warning("%s", warning)
    if warnings and strict:
        fix = "Check the extract; leave strict (--strict) out to score it all the same."
        raise InputMismatch("an extract like that of training", "; ".join(warnings), fix)


def seen_as_of(events: Events, as_of: Any = None) -> Events:
    """Give an extract as it was known at a moment, and log which moment that is.

    Parameters
    ----------
    events : Events
        The extract.
    as_of : str, datetime or number, optional
        The moment; None: the last `available_at` of the extract that is no mistake, see `last_credible`. Later rows
        are a warning.

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
    if as_of is None and events.as_of is None and last is not None and last > moment:
        LOG.warning(MISTAKEN)
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

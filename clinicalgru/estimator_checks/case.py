"""What a check of an estimator gets: the estimator, stays, one fitted copy and its predictions."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import io
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from clinicalgru.data.events import Events
from clinicalgru.data.sequences.sequences import Sequences

ATOL = 1e-5


class NotApplicable(Exception):
    """A check that does not concern this estimator; the text says why."""


@dataclass(frozen=True, eq=False)
class FitRecord:
    """What a fit did, apart from learning.

    Attributes
    ----------
    model : object
        The fitted copy.
    returned_itself : bool
        Whether `fit` returned the estimator.
    printed : str
        What it wrote to standard output.
    new_files : frozenset of str
        Files that appeared in the working folder.
    stays_changed, parameters_changed, generators_changed : bool
        Whether it changed the stays, its own parameters, or the global random generators.
    """

    model: Any
    returned_itself: bool
    printed: str
    new_files: frozenset[str]
    stays_changed: bool
    parameters_changed: bool
    generators_changed: bool


class CheckCase:
    """An estimator with stays to learn from and to predict.

    Parameters
    ----------
    estimator : object
        Not fitted.
    train, test : Sequences
        Stays without a common patient.
    events : Events, optional
        Their extract, for checks of scoring.
    """

    def __init__(self, estimator: Any, train: Sequences, test: Sequences, events: Events | None = None) -> None:
        self.estimator, self.train, self.test, self.events = estimator, train, test, events

    def fresh(self) -> Any:
        """Give an unfitted copy of the estimator.

        Returns
        -------
        object
        """
        return clone(self.estimator)

    def fit(self, stays: Sequences, *y: Any, model: Any = None) -> Any:
        """Fit a copy, without a progress bar.

        Parameters
        ----------
        stays : Sequences
            Training stays.
        *y
            Outcome, if it is to be passed.
        model : object, optional
            What is fitted; None: an unfitted copy.

        Returns
        -------
        object
            What `fit` returned.
        """
        model = self.fresh() if model is None else model
        quiet = {"verbose": False} if "verbose" in inspect.signature(model.fit).parameters else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(stays, *y, **quiet)

    @cached_property
    def record(self) -> FitRecord:
        """The one fit that most checks share, and what else it did."""
        model, before = self.fresh(), frozenset(os.listdir())
        parameters, stays, state = repr(model.get_params()), digest(self.train), generator_state()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            returned = self.fit(self.train, model=model)
        return FitRecord(
            model,
            returned is model,
            printed.getvalue(),
            frozenset(os.listdir()) - before,
            stays_changed=digest(self.train) != stays,
            parameters_changed=repr(model.get_params()) != parameters,
            generators_changed=generator_state() != state,
        )

    @property
    def model(self) -> Any:
        """The fitted copy."""
        return self.record.model

    @cached_property
    def predictions(self) -> np.ndarray:
        """(row, column) predictions of the test stays."""
        return self.predict(self.test)

    def predict(self, stays: Sequences, model: Any = None) -> np.ndarray:
        """Predict stays.

        Parameters
        ----------
        stays : Sequences
            Any stays.
        model : object, optional
            None: the shared fitted copy.

        Returns
        -------
        ndarray, shape (row, column)
            A row per stay, or per time step or measurement of all stays.
        """
        model = self.model if model is None else model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.train.task.task_type == "forecast":
                answer = model.predict(stays)
            elif hasattr(model, "predict_proba"):
                answer = model.predict_proba(stays)
            else:
                answer = model.score_rows(stays) if hasattr(model, "score_rows") else model.predict(stays)
        if isinstance(answer, pd.DataFrame):
            answer = answer.drop(columns=["stay", "hours"], errors="ignore").select_dtypes("number")
        table = np.asarray(answer, dtype=float)
        return table.reshape(len(table), -1)

    def by_stay(self, stays: Sequences, table: np.ndarray) -> list[np.ndarray]:
        """Divide predictions by stay.

        Parameters
        ----------
        stays : Sequences
            What was predicted.
        table : ndarray, shape (row, column)
            The predictions.

        Returns
        -------
        list of ndarray
            The rows of each stay.
        """
        steps = int(stays.n_steps.sum())
        if len(table) == len(stays):
            counts = np.ones(len(stays), dtype=int)
        elif len(table) == len(stays.value):
            counts = stays.n_measurements
        elif steps and len(table) % steps == 0:
            counts = stays.n_steps * (len(table) // steps)
        else:
            raise AssertionError(f"{len(table)} rows of predictions for {len(stays)} stays of {steps} time steps")
        return np.split(table, np.cumsum(counts)[:-1])

    @property
    def predicts_steps(self) -> bool:
        """Whether there is a prediction after each time step."""
        return bool(self.train.task.every_step)

    @property
    def has_probabilities(self) -> bool:
        """Whether the estimator predicts probabilities."""
        return hasattr(self.model, "predict_proba")

    def copy(self) -> Any:
        """Give a deep copy of the fitted model.

        Returns
        -------
        object
        """
        return copy.deepcopy(self.model)


def same(actual: Any, expected: Any, message: str, *, atol: float = ATOL) -> None:
    """Raise where two predictions differ.

    Parameters
    ----------
    actual, expected : array-like
        Predictions.
    message : str
        What must not matter.
    atol : float
        Largest difference, absolute and relative; 0: the same bits.
    """
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=atol, err_msg=message)


def must(condition: Any, message: str) -> None:
    """Raise an AssertionError where a law does not hold.

    Parameters
    ----------
    condition : bool
        Whether it holds.
    message : str
        What is wrong.
    """
    if not condition:
        raise AssertionError(message)


def must_refuse(call: Callable[[], Any], what: str) -> None:
    """Raise where a call does not raise a ValueError or TypeError that has a message.

    Parameters
    ----------
    call : callable
        The call.
    what : str
        What it should refuse.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (ValueError, TypeError) as error:  # another error is a failure, not a refusal
        must(str(error), f"{what} raises {type(error).__name__} without a message")
        return
    raise AssertionError(f"{what} is not refused")


def digest(stays: Sequences) -> str:
    """Give a hash of all arrays of stays.

    Parameters
    ----------
    stays : Sequences
        The stays.

    Returns
    -------
    str
    """
    whole = hashlib.sha256()
    for one in fields(stays):
        value = getattr(stays, one.name)
        if isinstance(value, np.ndarray):
            whole.update(repr(value.tolist()).encode() if value.dtype == object else value.tobytes())
    return whole.hexdigest()


def learned(model: Any) -> str:
    """Give a hash of all that a model holds.

    Parameters
    ----------
    model : object
        A fitted model.

    Returns
    -------
    str
    """
    return hashlib.sha256(pickle.dumps(model)).hexdigest()


def generator_state() -> str:
    """Give a hash of the state of the global random generators.

    Returns
    -------
    str
    """
    of_numpy: Any = np.random.get_state()
    states = [repr(random.getstate()), repr((of_numpy[1].tolist(), of_numpy[2]))]
    if "torch" in sys.modules:
        states.append(repr(sys.modules["torch"].get_rng_state().tolist()))
    return hashlib.sha256("".join(states).encode()).hexdigest()


@contextlib.contextmanager
def torch_default(name: str) -> Iterator[None]:
    """Set the default number type of torch for a while.

    Parameters
    ----------
    name : str
        Such as "float64".

    Yields
    ------
    None
    """
    torch = sys.modules.get("torch")
    if torch is None:
        raise NotApplicable("torch is not loaded")
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)

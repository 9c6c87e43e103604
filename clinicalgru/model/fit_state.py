"""The state of an estimator before, while and after it is fitted; the arguments of every `fit`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from sklearn.exceptions import NotFittedError

from clinicalgru.checks import check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences, as_sequences
from clinicalgru.errors import ArgumentError, ClinicalGRUError, VariableMismatch, describe

Estimator = TypeVar("Estimator")
RandomState = int | np.random.RandomState | np.random.Generator | None
MAX_SEED = 2**31 - 1


class NotFitted(ClinicalGRUError, NotFittedError):
    """An attribute or a prediction of an estimator that was not fitted; also scikit-learn's `NotFittedError`.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "not_fitted"


def not_fitted(name: str = "") -> NotFitted:
    """Give the error for a model that was not fitted.

    Parameters
    ----------
    name : str
        Attribute that was read, if any.

    Returns
    -------
    NotFitted
        The error to raise.

    Examples
    --------
    >>> print(not_fitted("history_"))
    Expected a fitted model; got one without history_. Call fit first.
    """
    return NotFitted("a fitted model", f"one without {name}" if name else "one that is not fitted", "Call fit first.")


class LearnedAttributes:
    """Mixin: an attribute that ends in an underscore and was not learned yet raises `NotFittedError`."""

    def __getattr__(self, name: str) -> Any:  # only for attributes that are not there
        if name.endswith("_") and not name.startswith("_"):
            raise not_fitted(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)


def learned_attributes(estimator: Any) -> dict[str, Any]:
    """Give the attributes that an estimator learned: those whose names end in one underscore.

    Parameters
    ----------
    estimator : object
        Fitted or not.

    Returns
    -------
    dict
        Value by name; empty if it was not fitted.
    """
    return {name: value for name, value in vars(estimator).items() if name.endswith("_") and not name.endswith("__")}


def blank_copy(estimator: Estimator) -> Estimator:
    """Give a shallow copy without anything learned; `fit` trains it, so a failed fit leaves the original as it was.

    Parameters
    ----------
    estimator : object
        Fitted or not.

    Returns
    -------
    object
        The copy.
    """
    blank = copy.copy(estimator)
    for name in learned_attributes(blank):
        delattr(blank, name)
    return blank


def adopt(estimator: Any, fitted: Any) -> None:
    """Replace what an estimator had learned by what a copy of it learned, in one assignment.

    Parameters
    ----------
    estimator : object
        The estimator that the user holds.
    fitted : object
        The fitted copy, from `blank_copy`.
    """
    old = learned_attributes(estimator)
    others = {name: value for name, value in vars(estimator).items() if name not in old}
    estimator.__dict__ = others | learned_attributes(fitted)


def check_stays(name: str, value: Any) -> Sequences:
    """Give the stays back, or raise where something else was passed.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was passed.

    Returns
    -------
    Sequences
        The stays.

    Raises
    ------
    ArgumentError
        If `value` is no `Sequences`.
    """
    return as_sequences(name, value)


def check_variables(stays: Sequences, variables: Sequence[Variable], static_variables: Sequence[Variable]) -> Sequences:
    """Give the stays back, or raise unless their variables, units and static covariates are those of a fitted model.

    Parameters
    ----------
    stays : Sequences
        The stays.
    variables, static_variables : sequence of Variable
        Those of the model.

    Returns
    -------
    Sequences
        The stays.

    Raises
    ------
    VariableMismatch
        If names, units or order differ.
    """
    stays = check_stays("stays", stays)
    ours = [(variable.name, variable.unit) for variable in (*variables, *static_variables)]
    theirs = [(variable.name, variable.unit) for variable in (*stays.variables, *stays.static_variables)]
    if ours != theirs:
        missing = sorted({name for name, _ in ours} - {name for name, _ in theirs})
        got = f"{len(theirs)}; missing: {', '.join(missing) or 'none, but order, units or extra ones differ'}"
        fix = "Use sequences.with_variables(model.variables_).with_static_variables(model.static_variables_)."
        raise VariableMismatch(f"the model's {len(ours)} variables and static covariates", got, fix)
    return stays


def check_outcome(y: Any, stays: Sequences) -> None:
    """Raise unless `y` is None or equals the outcome that the sequences hold.

    Parameters
    ----------
    y : array-like of shape (n_stays,) or (n_stays, n_columns), or None
        Outcome as scikit-learn passes it; NaN equals NaN.
    stays : Sequences
        The stays.

    Raises
    ------
    ArgumentError
        If `y` differs, or is a `Sequences`.
    """
    if y is None:
        return
    if isinstance(y, Sequences):
        raise ArgumentError("y as outcomes, or nothing", describe(y), "Pass a validation set as validation=.")
    try:
        given = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError("y as numbers", describe(y), "Leave y out: the sequences hold the outcome.") from None
    if given.shape != stays.outcome.shape or not np.array_equal(given, stays.outcome, equal_nan=True):
        got = f"another y of shape {given.shape}"
        fix = "Leave y out: a model learns the outcome of the task by which the stays were selected."
        raise ArgumentError("y equal to the outcome of the sequences", got, fix)


def draw_seed(random_state: RandomState) -> int:
    """Give the seed of one fit: a whole number as it is, else one drawn from a generator, or from the system.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        As scikit-learn takes it. None: a new seed each time.

    Returns
    -------
    int
        0 or more.

    Raises
    ------
    ArgumentError
        If it is something else.

    Examples
    --------
    >>> draw_seed(3), draw_seed(np.random.RandomState(0)) == draw_seed(np.random.RandomState(0))
    (3, True)
    """
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(MAX_SEED))
    if random_state is None or isinstance(random_state, np.random.Generator):
        return int(np.random.default_rng(random_state).integers(MAX_SEED))
    check_number("random_state", random_state, minimum=0, whole=True, optional=True)
    return int(random_state)

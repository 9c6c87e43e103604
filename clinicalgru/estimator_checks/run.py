"""Check any sequence estimator against the laws of this package, as scikit-learn's `check_estimator` does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd
from sklearn.base import is_regressor

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.estimator_checks import (  # noqa: F401 - they register their checks
    fit_checks,
    parameter_checks,
    prediction_checks,
    record_checks,
    saving_checks,
)
from clinicalgru.estimator_checks.case import CheckCase, NotApplicable
from clinicalgru.estimator_checks.example_stays import OUTCOMES, example_events, example_stays
from clinicalgru.estimator_checks.registry import CHECKS, Check

PASSED, FAILED, SKIPPED = "passed", "failed", "not applicable"
EXAMPLE_STAYS, TRAIN = 90, 0.6


def sequence_estimator_checks(
    estimator: Any, stays: Sequences | None = None, *, task_type: str | None = None
) -> Iterator[tuple[str, partial[None]]]:
    """Give the laws as named checks, each a function without arguments; they share one fit.

    Parameters
    ----------
    estimator : object
        An estimator that is not fitted: `fit(X, y=None)` on `Sequences`, and `predict_proba`, `predict` or
        `score_rows`. A small one, since it is fitted a few times.
    stays : Sequences, optional
        Stays with known outcomes. None: synthetic ones of `task_type`.
    task_type : str, optional
        Type of the task of synthetic stays. None: the first that the estimator names; "regression" for a regressor,
        else "binary".

    Yields
    ------
    name : str
        Name of the check.
    check : callable
        Raises AssertionError where the law does not hold, NotApplicable where it does not concern the estimator.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> checks = dict(cg.sequence_estimator_checks(cg.SummaryBaseline("logistic regression")))
    >>> len(checks) > 60
    True
    >>> checks["a_clone_has_the_same_parameters"]()
    """
    case = _case(estimator, stays, task_type)
    for name, function in CHECKS.items():
        yield name, partial(_run, function, case)


def check_sequence_estimator(
    estimator: Any, stays: Sequences | None = None, *, task_type: str | None = None
) -> pd.DataFrame:
    """Check a sequence estimator, yours or ours, against more than 60 laws.

    Parameters
    ----------
    estimator, stays, task_type
        As of `sequence_estimator_checks`.

    Returns
    -------
    DataFrame
        One row per check: check, result ("passed" or "not applicable") and note.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names all that do not, and its cause holds each error with its traceback.
    ArgumentError
        If the estimator is a class, or has no `fit` and `get_params`.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> table = cg.check_sequence_estimator(cg.SummaryBaseline("logistic regression"))
    >>> bool((table["result"] == "passed").sum() > 60)
    True
    """
    rows, failed, errors = [], [], []
    for name, one in sequence_estimator_checks(estimator, stays, task_type=task_type):
        result, note = PASSED, ""
        try:
            one()
        except NotApplicable as reason:
            result, note = SKIPPED, str(reason)
        except Exception as error:  # noqa: BLE001 - an error of any kind breaks the law; it is raised below
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            result, note = FAILED, kind + " ".join(str(error).split())[:200]
            failed.append(f"{name}: {note}")
            errors.append(error)
        rows.append({"check": name, "result": result, "note": note})
    if failed:
        broken = f"{len(failed)} of {len(rows)} laws do not hold"
        raise AssertionError(f"{broken}:\n" + "\n".join(failed)) from ExceptionGroup(broken, errors)
    return pd.DataFrame(rows)


def _run(function: Check, case: CheckCase) -> None:
    function(case)


def _case(estimator: Any, stays: Sequences | None, task_type: str | None) -> CheckCase:
    if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        got = f"the class {estimator.__name__}" if isinstance(estimator, type) else describe(estimator)
        raise ArgumentError("an estimator with fit and get_params", got, "Pass an instance.", where="estimator")
    if stays is not None:
        check_instance("stays", stays, Sequences)
        train, test = split_patients(stays, [TRAIN, 1 - TRAIN])
        return CheckCase(estimator, train, test)
    kind = task_type or _task_type(estimator)
    if kind not in OUTCOMES:
        raise ArgumentError(f"a task type among {', '.join(OUTCOMES)}", repr(kind), "Choose one of them.")
    train, test = split_patients(example_stays(kind, EXAMPLE_STAYS), [TRAIN, 1 - TRAIN])
    return CheckCase(estimator, train, test, example_events(EXAMPLE_STAYS))


def _task_type(estimator: Any) -> str:
    """The type of task that an estimator is for: what it names itself, or that of the estimators within it."""
    inner = getattr(estimator, "estimator", None) or getattr(estimator, "ensemble", None)
    named = [*getattr(estimator, "HEADS", ()), *getattr(estimator, "TASK_TYPES", ())]
    if named:
        return str(named[0])
    if inner is not None:
        return _task_type(inner)
    return "regression" if is_regressor(estimator) else "binary"

"""The checks by name."""

from __future__ import annotations

from collections.abc import Callable

from clinicalgru.estimator_checks.case import CheckCase

Check = Callable[[CheckCase], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register a check under the name of its function.

    Parameters
    ----------
    function : callable
        Raises AssertionError where the law does not hold, NotApplicable where it does not concern the estimator.

    Returns
    -------
    callable
        The function itself.
    """
    CHECKS[function.__name__.lstrip("_")] = function
    return function

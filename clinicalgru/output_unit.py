"""The unit of what a model predicts and an explanation explains; needs no torch."""

from __future__ import annotations

from typing import Any

LOG_ODDS = "log-odds"  # contributions of a probability; a number of its own unit has "outcome"


def is_probability(result: Any) -> bool:
    """Return whether an output is a probability.

    Parameters
    ----------
    result : object
        An explanation target, an explanation or changes of a risk: anything with a `unit`.

    Returns
    -------
    bool
        False for a regression, whose output is in the unit of the outcome.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from clinicalgru.output_unit import is_probability
    >>> is_probability(SimpleNamespace(unit="log-odds")), is_probability(SimpleNamespace(unit="outcome"))
    (True, False)
    """
    return bool(result.unit == LOG_ODDS)

"""What a what-if panel asks of a model, and the options that it offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clinicalgru.view.text.format import format_number
from clinicalgru.view.text.variable_text import format_value, label_with_unit

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.what_if.counterfactual import Counterfactual

NOT_MEASURED = "not measured"


class WhatIfModel(Protocol):
    """A stay whose measurements can be changed, as `what_if(model, stay)` returns it.

    Parameters
    ----------
    *args, **kwargs
        Not used: a protocol has no instances of its own.

    Attributes
    ----------
    explanation : Explanation
        Explanation of the original stay.
    modifiable : list of Variable
        Variables whose measurements can be changed.
    """

    explanation: Explanation
    modifiable: list[Variable]

    def change(self, *, hours: float, variable: str, value: float) -> Explanation:
        """Change the value of a measurement.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it became known.
        variable : str
            Name of the variable.
        value : float
            New value, in the unit of the variable.

        Returns
        -------
        Explanation
            After the change.
        """

    def add(self, *, hours: float, variable: str, value: float) -> Explanation:
        """Add a measurement.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it is made and becomes known.
        variable : str
            Name of the variable.
        value : float
            Value, in the unit of the variable.

        Returns
        -------
        Explanation
            After the addition.
        """

    def delete(self, *, hours: float, variable: str) -> Explanation:
        """Remove a measurement.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it became known.
        variable : str
            Name of the variable.

        Returns
        -------
        Explanation
            After the removal.
        """

    def counterfactual(self, target_risk: float) -> Counterfactual:
        """Search the smallest change with which the risk crosses a threshold.

        Parameters
        ----------
        target_risk : float
            Probability between 0 and 1.

        Returns
        -------
        Counterfactual
            What was found; the stay itself is not changed.
        """

    def reset(self) -> Explanation:
        """Return to the original stay.

        Returns
        -------
        Explanation
            Explanation of the original stay.
        """


def variable_options(variables: Iterable[Variable], explanation: Explanation) -> list[tuple[str, str]]:
    """List variables for a dropdown, those that were measured first.

    Parameters
    ----------
    variables : iterable of Variable
        Variables to offer.
    explanation : Explanation
        Explanation of the stay.

    Returns
    -------
    list of (str, str)
        Label with unit, and name.
    """
    measured = set(explanation.measurements["variable"])
    first = [(label_with_unit(one), one.name) for one in variables if one.name in measured]
    rest = [one for one in variables if one.name not in measured]
    return [*first, *((f"{label_with_unit(one)}: {NOT_MEASURED} at first", one.name) for one in rest)]


def measurement_options(variable: Variable, explanation: Explanation) -> list[tuple[str, float]]:
    """List the measurements of a variable for a dropdown, by hour.

    Parameters
    ----------
    variable : Variable
        The variable.
    explanation : Explanation
        Explanation of the stay as it is now.

    Returns
    -------
    list of (str, float)
        Hour with value, and hour.
    """
    rows = explanation.measurements
    rows = rows[rows["variable"] == variable.name].sort_values("hours")
    return [
        (f"{format_number(hour)} h: {format_value(variable, value)}", float(hour))
        for hour, value in zip(rows["hours"], rows["value"], strict=True)
    ]


def slider_step(width: float) -> float:
    """Return the largest step of 1, 2 or 5 times a power of ten that is not larger than a width.

    Parameters
    ----------
    width : float
        Positive.

    Returns
    -------
    float
        The step.

    Examples
    --------
    >>> from clinicalgru.view.widgets.what_if_model import slider_step
    >>> slider_step(0.199), slider_step(1.0)
    (0.1, 1.0)
    """
    power = 10.0 ** np.floor(np.log10(width))
    return float(max(power * digit for digit in (1.0, 2.0, 5.0) if power * digit <= width * (1 + 1e-9)))

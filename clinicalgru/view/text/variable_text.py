"""Units, values and categories of a variable as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from clinicalgru.data.dictionary.unit_text import format_unit
from clinicalgru.view.text.format import format_number

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable


def label_with_unit(variable: Variable) -> str:
    """Write the label of a variable with its unit in brackets.

    Parameters
    ----------
    variable : Variable
        The variable.

    Returns
    -------
    str
        The label alone where the variable has no unit.

    Examples
    --------
    >>> from clinicalgru.data.dictionary.variable import Variable
    >>> from clinicalgru.view.text.variable_text import label_with_unit
    >>> label_with_unit(Variable("heart_rate", "Heart rate", "numeric", "/min"))
    'Heart rate (/min)'
    """
    return f"{variable.label} ({format_unit(variable.unit)})" if format_unit(variable.unit) else variable.label


def format_value(variable: Variable, value: float) -> str:
    """Format a value of a variable with its unit, or as the label of its category.

    Parameters
    ----------
    variable : Variable
        The variable.
    value : float
        In the variable's own unit.

    Returns
    -------
    str
        "not known" for NaN.

    Examples
    --------
    >>> from clinicalgru.data.dictionary.variable import Variable
    >>> from clinicalgru.view.text.variable_text import format_value
    >>> format_value(Variable("lactate", "Lactate", "numeric", "mmol/L"), 4.24)
    '4.24 mmol/L'
    >>> format_value(Variable("ventilated", "Mechanical ventilation", "binary", "1"), 1.0)
    'yes'
    """
    if math.isnan(value):
        return "not known"
    category = category_labels(variable).get(f"{value:g}")
    return category if category is not None else f"{format_number(value)} {format_unit(variable.unit)}".strip()


def category_labels(variable: Variable) -> Mapping[str, str]:
    """Return the label of each category of a variable.

    Parameters
    ----------
    variable : Variable
        The variable.

    Returns
    -------
    mapping of str to str
        Label by category. "no" and "yes" for a binary variable without categories; empty for a numeric one.
    """
    return variable.categories or ({"0": "no", "1": "yes"} if variable.variable_type == "binary" else {})

"""Format numbers and names for people to read."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Iterator, Mapping
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_SHOWN, LARGEST_SHOWN = 1e-6, 1e15
NOUNS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("died", "dead", "deceased", "expired", "expire"), "death")
    | {"septic": "sepsis", "readmitted": "readmission", "intubated": "intubation", "ventilated": "ventilation"}
    | {"discharged": "discharge", "transfused": "transfusion", "transferred": "transfer", "admitted": "admission"}
    | dict.fromkeys(("is", "has", "had", "was", "flag"), "")
)  # of words in the names of outcome columns


def escape_plotly(text: str) -> str:
    """Escape text for Plotly, which otherwise reads HTML tags and LaTeX in it.

    Parameters
    ----------
    text : str
        Text from the data, such as a label.

    Returns
    -------
    str
        Text that Plotly shows character by character.

    Examples
    --------
    >>> from clinicalgru.view.text.format import escape_plotly
    >>> escape_plotly("pH < 7 <a href='x'>here</a>")
    "pH &lt; 7 &lt;a href='x'&gt;here&lt;/a&gt;"
    """
    return escape(text, quote=False).replace("$", "&#36;")  # a page with MathJax reads LaTeX between two $


def format_number(number: float, *, signed: bool = False) -> str:
    """Format a number with three significant digits, never in scientific notation.

    Parameters
    ----------
    number : float
        Any number.
    signed : bool, default False
        Whether a positive number gets a plus sign.

    Returns
    -------
    str
        From 999.5 on all digits before the decimal point are written, in groups of three. Three significant digits
        below that, without trailing zeros. "–" for NaN, "∞" for infinity. The minus sign is U+2212. Sizes below
        0.000001 and above 10**15 are written as "< 0.000001" and "> 1,000,000,000,000,000".

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_number
    >>> format_number(-0.12345), format_number(999.6), format_number(12345.6), format_number(0.5, signed=True)
    ('−0.123', '1,000', '12,346', '+0.5')
    >>> format_number(0.00004567), format_number(float("nan"))
    ('0.0000457', '–')
    """
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return ("−" if number < 0 else "+" if signed else "") + "∞"
    bound = min(max(abs(number), SMALLEST_SHOWN), LARGEST_SHOWN) if number else 0.0
    text = format(math.copysign(bound, number) + 0.0, f"{'+' if signed else ''},.{_decimals(bound)}f")
    text = (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
    if bound == abs(number):
        return text
    return f"{'<' if (abs(number) < bound) == (number > 0) else '>'} {text}"


def _decimals(number: float) -> int:
    """Decimals with which a number has three significant digits after rounding."""
    exponent = int(f"{abs(number):.2e}".split("e")[1])
    return max(0, 2 - exponent)


def format_hours(hours: float) -> str:
    """Format a number of hours with at most one decimal.

    Parameters
    ----------
    hours : float
        Hours.

    Returns
    -------
    str
        The number without a unit.

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_hours
    >>> format_hours(8.183), format_hours(14.0)
    ('8.2', '14')
    """
    return f"{hours:.1f}".removesuffix(".0").replace("-", "−")


def format_fixed(number: float, *, signed: bool = False) -> str:
    """Format a number with three decimals, so that the numbers of a column line up.

    Parameters
    ----------
    number : float
        Any number.
    signed : bool, default False
        Whether a positive number gets a plus sign.

    Returns
    -------
    str
        "–" for NaN; no minus sign where the number rounds to 0.

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_fixed
    >>> format_fixed(0.86149), format_fixed(-0.0071), format_fixed(0.0021, signed=True), format_fixed(-0.0001)
    ('0.861', '−0.007', '+0.002', '0.000')
    """
    rounded = round(number, 3) + 0.0  # -0.0 becomes 0.0
    return "–" if math.isnan(number) else format(rounded, "+.3f" if signed else ".3f").replace("-", "−")


def format_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Format an interval by its two ends, each with three decimals.

    Parameters
    ----------
    low, high : float
        Ends of the interval.
    signed : bool, default False
        Whether a positive end gets a plus sign.

    Returns
    -------
    str
        The two ends with "to" between them; "no interval" where they are unknown.

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_interval
    >>> format_interval(-0.0154, 0.001)
    '−0.015 to 0.001'
    """
    if low != low or high != high:
        return "no interval"
    return f"{format_fixed(low, signed=signed)} to {format_fixed(high, signed=signed)}"


def format_percent(probability: float) -> str:
    """Format a probability in percent, never as 0 % or 100 %.

    Parameters
    ----------
    probability : float
        From 0 to 1.

    Returns
    -------
    str
        One decimal below 9.95 % and from 99 % on; "< 0.1 %" and "> 99.9 %" at the ends; "–" for NaN.

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_percent
    >>> format_percent(0.3149), format_percent(0.0149), format_percent(0.0002), format_percent(0.9999)
    ('31 %', '1.5 %', '< 0.1 %', '> 99.9 %')
    """
    if math.isnan(probability):
        return "–"
    if probability < 0.001:
        return "< 0.1 %"
    if probability > 0.999:
        return "> 99.9 %"
    return f"{100 * probability:.0f} %" if 0.0995 <= probability < 0.99 else f"{100 * probability:.1f} %"


def format_name(name: str) -> str:
    """Write an identifier as words.

    Parameters
    ----------
    name : str
        Identifier with underscores.

    Returns
    -------
    str
        The words with spaces between them.

    Examples
    --------
    >>> from clinicalgru.view.text.format import format_name
    >>> format_name("in_hospital_death")
    'in-hospital death'
    """
    return name.replace("in_hospital_", "in-hospital_").replace("_", " ")


def format_outcome(name: str) -> str:
    """Write the column of an outcome as the noun that a risk is of.

    Parameters
    ----------
    name : str
        Name of the column, such as "died".

    Returns
    -------
    str
        The words, with nouns for the usual participles.

    Examples
    --------
    >>> format_outcome("died"), format_outcome("is_septic"), format_outcome("hospital_expire_flag")
    ('death', 'sepsis', 'hospital death')
    """
    words = format_name(name).split(" ")
    known = [NOUNS.get(word.lower(), word) for word in words]
    return " ".join(word for word in known if word) or name


def capitalize_first(text: str) -> str:
    """Capitalize the first letter and leave the others as they are.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The text as the start of a sentence.

    Examples
    --------
    >>> from clinicalgru.view.text.format import capitalize_first
    >>> capitalize_first("model hash of GRU")
    'Model hash of GRU'
    """
    return text[:1].upper() + text[1:]


def iter_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows of a table as named tuples without the index.

    Parameters
    ----------
    frame : DataFrame
        A table whose column names are identifiers.

    Returns
    -------
    iterator of namedtuple
        Each column is an attribute: `row.hours`.
    """
    row = namedtuple("row", frame.columns, rename=True)  # type: ignore[misc]  # DataFrame.itertuples is slow for few rows
    return map(row._make, zip(*(frame[name].tolist() for name in frame.columns), strict=True))

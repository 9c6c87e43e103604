"""Numbers, units and values as a reader expects to see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable

UNITS = {
    "1": "", "[pH]": "", "a": "years", "Cel": "°C", "mm[Hg]": "mmHg", "cm[H2O]": "cmH₂O", "10*9/L": "×10⁹/L",
    "10*12/L": "×10¹²/L",
}  # fmt: skip

SMALLEST_SHOWN, LARGEST_SHOWN = 1e-6, 1e15


def escape_plotly(text: str) -> str:
    """Text that plotly shows letter by letter; it would read tags and links in it otherwise.

    >>> escape_plotly("pH < 7 <a href='x'>here</a>")
    "pH &lt; 7 &lt;a href='x'&gt;here&lt;/a&gt;"
    """
    return escape(text, quote=False).replace("$", "&#36;")  # between two $ a page with MathJax would read LaTeX


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


def format_hours(amount: float) -> str:
    """Hours to a tenth.

    >>> format_hours(8.183), format_hours(14.0)
    ('8.2', '14')
    """
    return f"{amount:.1f}".removesuffix(".0").replace("-", "−")


def format_fixed(value: float, *, signed: bool = False) -> str:
    """A number with three decimals, so that a column of them lines up.

    >>> format_fixed(0.86149), format_fixed(-0.0071), format_fixed(0.0021, signed=True), format_fixed(-0.0001)
    ('0.861', '−0.007', '+0.002', '0.000')
    """
    rounded = round(value, 3) + 0.0  # no minus before nothing
    return "–" if math.isnan(value) else format(rounded, "+.3f" if signed else ".3f").replace("-", "−")


def format_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Both ends of an interval.

    >>> format_interval(-0.0154, 0.001)
    '−0.015 to 0.001'
    """
    return f"{format_fixed(low, signed=signed)} to {format_fixed(high, signed=signed)}"


def format_percent(risk: float) -> str:
    """A probability in percent; never 0 % or 100 %, which no model can know.

    >>> format_percent(0.3149), format_percent(0.0149), format_percent(0.0002), format_percent(0.9999)
    ('31 %', '1.5 %', '< 0.1 %', '> 99.9 %')
    """
    if math.isnan(risk):
        return "–"
    if risk < 0.001:
        return "< 0.1 %"
    if risk > 0.999:
        return "> 99.9 %"
    return f"{100 * risk:.0f} %" if 0.0995 <= risk < 0.99 else f"{100 * risk:.1f} %"


def format_unit(code: str) -> str:
    """A unit code as it is written at the bedside; empty where a value has no unit.

    >>> format_unit("umol/L"), format_unit("Cel"), format_unit("1"), format_unit("/min")
    ('µmol/L', '°C', '', '/min')
    """
    return UNITS.get(code, code.replace("ug/", "µg/").replace("umol/", "µmol/").replace("uU/", "µU/"))


def label_with_unit(variable: Variable) -> str:
    """A variable's label with its unit.

    >>> from types import SimpleNamespace
    >>> label_with_unit(SimpleNamespace(label="Heart rate", unit="/min"))
    'Heart rate (/min)'
    """
    return f"{variable.label} ({format_unit(variable.unit)})" if format_unit(variable.unit) else variable.label


def format_value(variable: Variable, amount: float) -> str:
    """A value with its unit, or the word it stands for.

    >>> from types import SimpleNamespace
    >>> format_value(SimpleNamespace(variable_type="numeric", unit="mmol/L", categories={}), 4.24)
    '4.24 mmol/L'
    >>> format_value(SimpleNamespace(variable_type="code", unit="1", categories={"2": "cardiac surgery"}), 2.0)
    'cardiac surgery'
    """
    if math.isnan(amount):
        return "not known"
    named = category_labels(variable).get(f"{amount:g}")
    return named if named is not None else f"{format_number(amount)} {format_unit(variable.unit)}".strip()


def category_labels(variable: Variable) -> Mapping[str, str]:
    """The words a variable's values stand for: its own levels, else no and yes for a binary one, else none."""
    return variable.categories or ({"0": "no", "1": "yes"} if variable.variable_type == "binary" else {})


def format_name(name: str) -> str:
    """A name in a program as words.

    >>> format_name("in_hospital_death")
    'in hospital death'
    """
    return name.replace("_", " ")


def capitalize_first(text: str) -> str:
    """The text with a capital in front, the rest as it is.

    >>> capitalize_first("model hash of GRU")
    'Model hash of GRU'
    """
    return text[:1].upper() + text[1:]


def iter_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, a column read as `row.column`."""
    return iter(frame.itertuples(index=False))

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


def plain(text: str) -> str:
    """Text that plotly shows letter by letter; it would read tags and links in it otherwise.

    >>> plain("pH < 7 <a href='x'>here</a>")
    "pH &lt; 7 &lt;a href='x'&gt;here&lt;/a&gt;"
    """
    return escape(text, quote=False).replace("$", "&#36;")  # between two $ a page with MathJax would read LaTeX


def number(value: float, *, signed: bool = False) -> str:
    """A number with three significant digits and a true minus sign; a dash where it is not known.

    >>> number(-0.12345), number(12345.6), number(0.5, signed=True), number(float("nan"))
    ('−0.123', '12,346', '+0.5', '–')
    """
    if math.isnan(value):
        return "–"
    sign = "+" if signed else ""
    style = f"{sign},.0f" if 1000 <= abs(value) < 1e15 else f"{sign}.3g"
    return format(value + 0.0, style).replace("-", "−")


def hours(amount: float) -> str:
    """Hours to a tenth.

    >>> hours(8.183), hours(14.0)
    ('8.2', '14')
    """
    return f"{amount:.1f}".removesuffix(".0").replace("-", "−")


def fixed(value: float, *, signed: bool = False) -> str:
    """A number with three decimals, so that a column of them lines up.

    >>> fixed(0.86149), fixed(-0.0071), fixed(0.0021, signed=True), fixed(-0.0001)
    ('0.861', '−0.007', '+0.002', '0.000')
    """
    rounded = round(value, 3) + 0.0  # no minus before nothing
    return "–" if math.isnan(value) else format(rounded, "+.3f" if signed else ".3f").replace("-", "−")


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """Both ends of an interval.

    >>> interval(-0.0154, 0.001)
    '−0.015 to 0.001'
    """
    return f"{fixed(low, signed=signed)} to {fixed(high, signed=signed)}"


def percent(risk: float) -> str:
    """A probability in percent; never 0 % or 100 %, which no model can know.

    >>> percent(0.3149), percent(0.0149), percent(0.0002), percent(0.9999)
    ('31 %', '1.5 %', '< 0.1 %', '> 99.9 %')
    """
    if math.isnan(risk):
        return "–"
    if risk < 0.001:
        return "< 0.1 %"
    if risk > 0.999:
        return "> 99.9 %"
    return f"{100 * risk:.0f} %" if 0.0995 <= risk < 0.99 else f"{100 * risk:.1f} %"


def unit(code: str) -> str:
    """A unit code as it is written at the bedside; empty where a value has no unit.

    >>> unit("umol/L"), unit("Cel"), unit("1"), unit("/min")
    ('µmol/L', '°C', '', '/min')
    """
    return UNITS.get(code, code.replace("ug/", "µg/").replace("umol/", "µmol/").replace("uU/", "µU/"))


def labelled(variable: Variable) -> str:
    """A variable's label with its unit.

    >>> from types import SimpleNamespace
    >>> labelled(SimpleNamespace(label="Heart rate", unit="/min"))
    'Heart rate (/min)'
    """
    return f"{variable.label} ({unit(variable.unit)})" if unit(variable.unit) else variable.label


def value(variable: Variable, amount: float) -> str:
    """A value with its unit, or the word it stands for.

    >>> from types import SimpleNamespace
    >>> value(SimpleNamespace(variable_type="numeric", unit="mmol/L", categories={}), 4.24)
    '4.24 mmol/L'
    >>> value(SimpleNamespace(variable_type="code", unit="1", categories={"2": "cardiac surgery"}), 2.0)
    'cardiac surgery'
    """
    if math.isnan(amount):
        return "not known"
    named = levels(variable).get(f"{amount:g}")
    return named if named is not None else f"{number(amount)} {unit(variable.unit)}".strip()


def levels(variable: Variable) -> Mapping[str, str]:
    """The words a variable's values stand for: its own levels, else no and yes for a binary one, else none."""
    return variable.categories or ({"0": "no", "1": "yes"} if variable.variable_type == "binary" else {})


def spaced(name: str) -> str:
    """A name in a program as words.

    >>> spaced("in_hospital_death")
    'in hospital death'
    """
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """The text with a capital in front, the rest as it is.

    >>> sentence("model hash of GRU")
    'Model hash of GRU'
    """
    return text[:1].upper() + text[1:]


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, a column read as `row.column`."""
    return iter(frame.itertuples(index=False))

"""Numbers as a reader expects them."""

from __future__ import annotations

import math

import pytest

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.view.text import format
from clinicalgru.view.text.variable_text import format_value


@pytest.mark.parametrize(
    ("risk", "said"),
    [(0.0, "< 0.1 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (0.9949, "99.5 %"), (1.0, "> 99.9 %"), (math.nan, "–")],
)
def test_a_risk_is_never_said_to_be_0_or_100_percent(risk: float, said: str):
    assert format.format_percent(risk) == said


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (7.3456, "7.35"), (99.95, "100"), (999.4, "999"), (999.5, "1,000"), (999.6, "1,000"),
        (250000.0, "250,000"), (-999.6, "−1,000"), (-1234.5, "−1,234"), (0.0005, "0.0005"), (-0.00001234, "−0.0000123"),
        (1e-6, "0.000001"), (9e-7, "< 0.000001"), (-9e-7, "> −0.000001"), (5e-324, "< 0.000001"),
        (1e15, "1,000,000,000,000,000"), (2e15, "> 1,000,000,000,000,000"), (-2e15, "< −1,000,000,000,000,000"),
        (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_a_number_has_three_significant_digits_and_never_an_exponent(number: float, text: str):
    assert format.format_number(number) == text


def test_a_signed_number_has_a_plus_and_0_of_a_value_that_is_not_0_is_not_written():
    assert [format.format_number(number, signed=True) for number in (0.5, -0.5, 999.6, 1e-9, math.inf)] == [
        "+0.5", "−0.5", "+1,000", "< +0.000001", "+∞",
    ]  # fmt: skip


def test_a_level_is_said_in_its_word_and_an_unknown_value_as_not_known():
    unit = Dictionary.load()["icu_type"]
    assert format_value(unit, 1.0) == "Coronary Care Unit"
    assert format_value(unit, math.nan) == "not known"
    assert format_value(Variable("ventilated", "Ventilated", "binary", "1"), 1.0) == "yes"


def test_plotly_would_read_no_tag_entity_or_formula_in_plain_text():
    assert format.escape_plotly("<a href='x'>&lt;$x$") == "&lt;a href='x'&gt;&amp;lt;&#36;x&#36;"

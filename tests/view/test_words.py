"""Numbers as a reader expects them."""

from __future__ import annotations

import math

import pytest

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.view.text import format


@pytest.mark.parametrize(
    ("risk", "said"),
    [(0.0, "< 0.1 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (0.9949, "99.5 %"), (1.0, "> 99.9 %"), (math.nan, "–")],
)
def test_a_risk_is_never_said_to_be_0_or_100_percent(risk: float, said: str):
    assert format.percent(risk) == said


def test_numbers_have_three_digits_and_no_exponent_up_to_a_large_size():
    assert [format.number(value) for value in (0.0, -0.0, 7.3456, 999.6, 250000.0, -1234.5)] == [
        "0", "0", "7.35", "1e+03", "250,000", "−1,234",
    ]  # fmt: skip


def test_a_level_is_said_in_its_word_and_an_unknown_value_as_not_known():
    unit = Dictionary.load()["icu_type"]
    assert format.value(unit, 1.0) == "Coronary Care Unit"
    assert format.value(unit, math.nan) == "not known"
    assert format.value(Variable("ventilated", "Ventilated", "binary", "1"), 1.0) == "yes"


def test_plotly_would_read_no_tag_entity_or_formula_in_plain_text():
    assert format.plain("<a href='x'>&lt;$x$") == "&lt;a href='x'&gt;&amp;lt;&#36;x&#36;"

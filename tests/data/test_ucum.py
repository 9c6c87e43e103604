"""Units that the dictionary does not spell out, against arithmetic done by hand; and those that must stay unknown."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.ucum import ucum_conversion
from clinicalgru.errors import DictionaryError

pytest.importorskip("ucumvert")


@pytest.mark.parametrize(
    ("unit", "own", "value", "expected"),
    [
        ("mg/L", "mg/dL", 10, 1),
        ("g/L", "mg/dL", 1.5, 150),
        ("mmol/dL", "mmol/L", 0.4, 4),
        ("umol/mL", "mmol/L", 4, 4),
        ("[degF]", "Cel", 98.6, 37),
        ("K", "Cel", 310.15, 37),
        ("Cel", "[degF]", 37, 98.6),
        ("cm[H2O]", "mm[Hg]", 10, 10 * 98.0665 / 133.322387415),
        ("kPa", "mm[Hg]", 10, 10_000 / 133.322387415),
        ("10*6/L", "10*9/L", 7000, 7),
        ("Hz", "/min", 1.5, 90),
        ("nkat/L", "U/L", 1000, 60),
        ("[oz_av]", "kg", 100, 2.8349523125),
        ("wk", "a", 52.17857142857143, 1),
    ],
)
def test_a_unit_of_the_same_dimension_is_converted(unit, own, value, expected):
    conversion = ucum_conversion(unit, own)
    assert conversion is not None
    assert conversion.apply(value) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "own"),
    [
        ("mmol/L", "mg/dL"),  # needs a molar mass
        ("meq/L", "mmol/L"),  # needs a valence
        ("mosm/kg", "mmol/kg"),
        ("mg{urea}/L", "mg/dL"),  # is not mg of urea nitrogen
        ("[IU]/L", "U/L"),  # an arbitrary unit
        ("%", "1"),  # per cent of what
        ("{score}", "1"),
        ("[pH]", "1"),
        ("Mg/dL", "mg/dL"),  # a megagram by the letter, a slip of case in truth
        ("mL/h", "mL"),
        ("B[V]", "V"),  # not a straight scale
        ("", "mg/dL"),
        ("mg/dL/0", "mg/dL"),
        ("no unit at all", "mg/dL"),
        ("10*400/L", "10*9/L"),
        ("10*9999999999/L", "10*9/L"),
    ],
)
def test_a_unit_that_needs_more_than_its_dimension_stays_unknown(unit, own):
    assert ucum_conversion(unit, own) is None


def test_the_dictionary_comes_first_and_both_agree_where_both_know():
    """Every unit spelled out in the dictionary that UCUM can convert too has the same factor and offset there."""
    compared = 0
    for variable in Dictionary.load().values():
        for unit, ours in variable.also.items():
            theirs = ucum_conversion(unit, variable.unit)
            if theirs is not None:
                assert theirs.apply(100.0) == pytest.approx(ours.apply(100.0), rel=1e-6), (variable.name, unit)
                compared += 1
    assert compared > 40


def test_converted_rows_are_counted_and_other_units_refused():
    rows = pd.DataFrame({"patient_id": "1", "time": [0.0, 1.0, 2.0], "variable": "creatinine", "value": [10, 1, 3]})
    events = cg.read_events(rows.assign(unit=["mg/L", "mg/dL", "furlong"]), max_rejected=0.5)
    assert events.to_frame()["value"].tolist() == [1.0, 1.0]
    assert events.ledger.converted == {"creatinine: mg/L -> mg/dL": 1}
    assert events.ledger.rejected == {"unknown unit": 1}
    with pytest.raises(DictionaryError, match="a unit of creatinine"):
        Dictionary.load()["creatinine"].conversion("furlong")


@pytest.mark.slow
def test_the_library_is_loaded_only_when_a_unit_asks_for_it():
    code = "import sys, clinicalgru as cg; cg.read_events(cg.simulate(2, random_state=0)); print('pint' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

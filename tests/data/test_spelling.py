"""Units as laboratories write them: what must be read, and what must be refused."""

from __future__ import annotations

import itertools

import pytest

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.errors import DictionaryError

THOUSAND = ("K", "k", "TH", "th", "THS", "thou", "THOU", "thousand", "1000", "x1000", "10^3", "10*3", "x10^3", "x10E3")
THOUSAND += (
    "10e3",
    "10E3",
    "X10*3",
    "10(3)",
    "x10(3)",
    "x10 3",
    "X 10 3",
    "10\u00b3",
    "x 10\u00b3",
    "\u00d710^3",
    "10**3",
)
MILLION = (
    "M",
    "m",
    "MIL",
    "mill",
    "MILL",
    "million",
    "10^6",
    "10*6",
    "x10^6",
    "x10E6",
    "10e6",
    "x10(6)",
    "X 10 6",
    "10\u2076",
)
MICROLITRE = (
    "/uL",
    "/UL",
    "/mcL",
    "/\u00b5L",
    "/\u03bcL",
    "/cumm",
    "/cu mm",
    "/mm cu",
    "/CMM",
    "/mm3",
    "/mm\u00b3",
    "/mm^3",
    " / uL",
)


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return Dictionary.load()


def test_thousands_in_a_microlitre_are_giga_in_a_litre(dictionary: Dictionary) -> None:
    for unit in map("".join, itertools.product(THOUSAND, MICROLITRE)):
        assert dictionary["platelets"].conversion(unit).apply(215.0) == pytest.approx(215), unit
        assert dictionary["rbc"].conversion(unit).apply(4500.0) == pytest.approx(4.5), unit


def test_millions_in_a_microlitre_are_tera_in_a_litre(dictionary: Dictionary) -> None:
    for unit in map("".join, itertools.product(MILLION, MICROLITRE)):
        assert dictionary["rbc"].conversion(unit).apply(4.5) == pytest.approx(4.5), unit


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        ("platelets", "10^9/L", 215, 215),
        ("platelets", "10*9/l", 215, 215),
        ("platelets", "x10E9/L", 215, 215),
        ("platelets", "G/L", 215, 215),
        ("platelets", "/nL", 215, 215),
        ("platelets", "Gpt/l", 215, 215),
        ("platelets", "Tsd/µl", 215, 215),
        ("platelets", "Mrd/l", 215, 215),
        ("rbc", "Tpt/l", 4.5, 4.5),
        ("rbc", "Mio/µl", 4.5, 4.5),
        ("rbc", "/pl", 4.5, 4.5),
        ("potassium", "mval/l", 4.1, 4.1),
        ("platelets", "cells/mm3", 215_000, 215),
        ("platelets", "#/uL", 215_000, 215),
        ("wbc", "10^6/L", 7000, 7),
        ("wbc", "x10 (3)", 7, 7),  # without a volume: only per microlitre makes sense
        ("rbc", "10*12/L", 4.5, 4.5),
        ("rbc", "10^6", 4.5, 4.5),
        ("iron", "mcg/dL", 100, 100),
        ("iron", "MCG/DL", 100, 100),
        ("creatinine", "mcmol/L", 88.4, 1.0),
        ("creatinine", "micromol/L", 88.4, 1.0),
        ("troponin_t", "mcg/L", 0.1, 0.1),
        ("troponin_t", "ng / mL", 0.1, 0.1),
        ("vancomycin", "mcg/mL", 15, 15),
        ("vancomycin", "ug/ml", 15, 15),
        ("tsh", "MICRO IU/ML", 2, 2),
        ("tsh", "mcIU/mL", 2, 2),
        ("tsh", "mcUnits/mL", 2, 2),
        ("tsh", "mcU/ml", 2, 2),
        ("tsh", "uIU/mL", 2, 2),
        ("alt", "Units/L", 30, 30),
        ("alt", "unit/L", 30, 30),
        ("temperature", "&#176;C", 37, 37),
        ("temperature", "Deg C", 37, 37),
        ("temperature", "degree C", 37, 37),
        ("temperature", "C.", 37, 37),
        ("temperature", "Deg. F", 98.6, 37),
        ("map", "mm(hg)", 70, 70),
        ("map", "mm/hg", 70, 70),
        ("map", "mm Hg", 70, 70),
        ("peep", "cm H2O", 5, 5),
        ("peep", "cm/H2O", 5, 5),
        ("peep", "cmH20", 5, 5),
        ("peep", "mbar", 5, 5 * 1.019716),
        ("pt", "second(s)", 12, 12),
        ("pt", "Secs", 12, 12),
        ("urine_output", "mls", 100, 100),
        ("urine_output", "cc", 100, 100),
        ("weight", "lbs.", 180, 81.6466),
        ("height", "inches", 70, 177.8),
        ("osmolality", "mOsm/kg H2O", 290, 290),
        ("methemoglobin", "% total Hgb", 1, 1),
        ("weight", "oz", 2880, 81.6466),
        ("temperature", "Grad C", 37, 37),
        ("heart_rate", "Schläge/min", 80, 80),
        ("heart_rate", "回/分", 80, 80),
        ("heart_rate", "beats per minute", 80, 80),
        ("respiratory_rate", "insp/min", 16, 16),
        ("esr", "mm/Hr", 20, 20),
        ("mcv", "U3", 90, 90),
        ("mch", "uug", 30, 30),
        ("svr", "dynes*sec/cm5", 1000, 1000),
        ("crrt_blood_flow", "mL/hr", 12_000, 200),
    ],
)
def test_a_spelling_found_in_the_world_is_read(
    dictionary: Dictionary, name: str, unit: str, value: float, expected: float
) -> None:
    assert dictionary[name].conversion(unit).apply(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("wbc", "M/uL"),  # a million, or the Roman thousand
        ("wbc", "uL"),  # a volume is no count
        ("wbc", "mL"),
        ("wbc", "10"),
        ("wbc", "x10^6"),
        ("wbc", "10^3/kg"),
        ("wbc", "%"),
        ("platelets", "mcg/L"),
        ("creatinine", "mcmol/kg"),
        ("glucose", "K/uL"),
        ("glucose", "mmol/kg"),
        ("potassium", "mg"),
        ("fio2", "lpm"),
        ("basophils", "ug/L"),
        ("urine_output", "mL/h"),
    ],
)
def test_what_is_no_unit_of_the_variable_is_refused(dictionary: Dictionary, name: str, unit: str) -> None:
    with pytest.raises(DictionaryError, match=f"a unit of {name}"):
        dictionary[name].conversion(unit)


def test_every_spelling_of_a_unit_has_one_meaning_in_each_variable(dictionary: Dictionary) -> None:
    """No two units of a variable fold to one text with different factors: none of its own spellings is ambiguous."""
    for variable in dictionary.values():
        for spelling, conversion in variable.also.items():
            assert variable.conversion(f" {spelling} ") == conversion, (variable.name, spelling)

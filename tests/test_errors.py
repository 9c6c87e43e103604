"""Errors say what was expected, what was passed and what to do, and they survive a trip to another process."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest

from clinicalgru import errors
from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.errors import ArgumentError, ClinicalGRUError, ClinicalGRUWarning, MissingPackageError, describe

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
ERRORS = [c for c in CLASSES if issubclass(c, ClinicalGRUError)]
WARNINGS = [c for c in CLASSES if issubclass(c, Warning)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind):
    error = kind("a table", "a list of length 3", "Pass a DataFrame.", where="labs.csv, row 17")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.expected, again.got, again.fix, again.where) == (error.expected, error.got, error.fix, error.where)
    assert str(again) == str(error) == "labs.csv, row 17: Expected a table; got a list of length 3. Pass a DataFrame."
    assert isinstance(error, ValueError)


def test_every_kind_of_error_has_a_code_of_its_own():
    assert len({kind.code for kind in ERRORS}) == len(ERRORS) > 5


def test_a_missing_package_is_an_import_error():
    error = MissingPackageError("the package optuna", "no such package", "Install clinicalgru[tune].")
    assert isinstance(error, ImportError)
    assert isinstance(error, ClinicalGRUError)


def test_every_warning_is_one_of_the_package():
    assert len(WARNINGS) > 2
    assert all(issubclass(kind, ClinicalGRUWarning) and issubclass(kind, UserWarning) for kind in WARNINGS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (True, "True"),
        ("CANARY", "text"),
        (2.5, "the number 2.5"),
        (np.int64(3), "the number 3"),
        (int, "the class int"),
        ([1, 2], "a list of length 2"),
        ({}, "a dict of length 0"),
        (np.zeros((2, 3)), "a ndarray of shape (2, 3)"),
        (pd.DataFrame({"a": [1, 2]}), "a DataFrame of shape (2, 1)"),
        (object(), "an object"),
        (np.float64("nan"), "the number nan"),
    ],
)
def test_a_value_is_described_by_type_and_size_and_never_by_its_content(value, words):
    assert describe(value) == words


@pytest.mark.parametrize("value", ["3", None, True, 0, 2.5, np.nan, [3]])
def test_what_is_no_whole_number_in_range_is_refused(value):
    with pytest.raises(ArgumentError, match="Expected n as a whole number of 1 or more"):
        check_number("n", value, minimum=1, whole=True)


def test_numpy_numbers_are_numbers_and_none_may_be_allowed():
    check_number("n", np.int64(3), minimum=1, whole=True)
    check_number("n", np.float32(0.5), minimum=0, maximum=1)
    check_number("n", None, optional=True)
    with pytest.raises(ArgumentError, match="above 0 and below 1"):
        check_number("n", 1.0, minimum=0, maximum=1, open_minimum=True, open_maximum=True)


def test_types_and_choices_are_checked_by_name():
    with pytest.raises(ArgumentError, match="Expected rows as DataFrame; got text"):
        check_instance("rows", "CANARY", pd.DataFrame)
    with pytest.raises(ArgumentError, match='Expected cell among "gru", "lstm"; got the number 5'):
        check_choice("cell", 5, ("gru", "lstm"))

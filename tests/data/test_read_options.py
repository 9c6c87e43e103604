"""The arguments of read_events: each is checked, and the error says what was passed and what to pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest import database
from clinicalgru.errors import ArgumentError, MissingPackageError

WRONG = {
    "data as a number": ({"data": 5}, "data as a path, list of paths, DataFrame .*; got the number 5"),
    "data as a list": ({"data": [1, 2]}, "data 1 as a path, list of paths, DataFrame .*; got the number 1"),
    "an unknown source": ({"source": "epic"}, 'source among .*"long".*; got "epic"'),
    "a source as a number": ({"source": 3}, "source among .*; got the number 3"),
    "stays as a number": ({"stays": 5}, "stays as a path, list of paths, .* or None; got the number 5"),
    "outcomes as a list": ({"outcomes": []}, "outcomes as a path.*; got a list of length 0"),
    "variables as a number": ({"variables": 5}, "variables as a path, dict or Dictionary; got the number 5"),
    "columns as a list": ({"columns": ["time"]}, "columns as a dict; got a list of length 1"),
    "columns of numbers": ({"columns": {"time": 3}}, "columns as a dict of text to text; got the number 3 in it"),
    "units as text": ({"units": "mg"}, "units as a dict; got text"),
    "a time format as a number": ({"time_format": 5}, "time_format as text or None; got the number 5"),
    "an unknown time unit": ({"time_unit": "weeks"}, 'time_unit among .*; got "weeks"'),
    "a long delimiter": ({"delimiter": ";;"}, "delimiter as one character; got text of length 2"),
    "an anchor as a number": ({"anchor": 1}, "anchor as text or None; got the number 1"),
    "a time zone as a number": ({"timezone": 3}, "timezone as text or None; got the number 3"),
    "an unknown time zone": ({"timezone": "Berlin"}, 'timezone as an IANA time zone; got "Berlin"'),
    "max_rejected as text": ({"max_rejected": "a"}, "max_rejected as a number of 0 or more and of 1 or less; got text"),
    "max_rejected above 1": ({"max_rejected": 1.5}, "max_rejected as a number .*; got 1.5"),
    "no memory": ({"memory_gb": 0}, "memory_gb as a number above 0; got 0"),
    "memory as text": ({"memory_gb": "2"}, "memory_gb as a number above 0; got text"),
    "a table where a folder is needed": ({"source": "meds"}, "data as the path of a folder with data/ and metadata/"),
    "a table where an address is needed": ({"source": "sql"}, "data as the address of a database; got a DataFrame"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused_by_name_and_type(three, case):
    arguments, message = WRONG[case]
    with pytest.raises(ArgumentError, match=message):
        cg.read_events(**{"data": three, **arguments})


def test_numpy_scalars_are_accepted_as_numbers(three):
    assert cg.read_events(three, max_rejected=np.float64(0.1), memory_gb=np.int64(1)).ledger.rows_in == 15


def test_an_extract_that_is_a_path_object_is_named_by_its_file(three, tmp_path):
    three.to_csv(tmp_path / "labs.csv", index=False)
    assert cg.read_events(tmp_path / "labs.csv").source == "long: labs.csv"
    assert cg.read_events(three).source == "long: table in memory"


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(database, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"clinicalgru\[sql\]") as caught:
        cg.read_events("sqlite:///extract.db", source="sql", query="SELECT 1")
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize("now", [5, True, "soon"])
def test_an_audit_needs_a_date_and_events(three, now):
    with pytest.raises(ArgumentError, match="now as a date"):
        cg.audit(cg.read_events(three), now=now)
    for function in (cg.audit, cg.check_units):
        with pytest.raises(ArgumentError, match="events as Events; got a DataFrame"):
            function(pd.DataFrame())

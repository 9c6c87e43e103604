"""Options from a file, settings of the estimator, and splits of train."""

from __future__ import annotations

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.cli.config import with_config
from clinicalgru.cli.main import app
from clinicalgru.cli.options import parse_settings
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.parts import split_parts


def test_a_file_gives_defaults_and_the_command_line_goes_before(tmp_path):
    (tmp_path / "run.yaml").write_text("as-of: 2031-01-01\nresume: true\nmissing: [999, -1]\nstays: a.csv\n")
    found = with_config(app, ["score", "bundle", "x.csv", "--stays", "b.csv", "--config", str(tmp_path / "run.yaml")])
    assert found["args"] == ["score", "bundle", "x.csv", "--stays", "b.csv"]
    expected = {"as_of": "2031-01-01", "resume": True, "missing": ["999", "-1"], "stays": "a.csv"}
    assert found["default_map"] == {"score": expected}
    assert with_config(app, ["tasks"]) == {"args": ["tasks"]}
    (tmp_path / "other.yaml").write_text("workerz: 3\n")
    for arguments in (["score", "--config", "none.yaml"], ["score", f"--config={tmp_path}/other.yaml"], ["--config"]):
        with pytest.raises(InputError):
            with_config(app, arguments)


def test_settings_are_numbers_and_words():
    assert parse_settings(["max_epochs=30", "network__cell=lstm"]) == {"max_epochs": 30, "network__cell": "lstm"}
    for text in ("max_epochs", "=3", "x=[1"):
        with pytest.raises(InputError):
            parse_settings([text])


def test_splits_by_date_and_column_divide_no_patient():
    cohort, task = cg.simulate(60), cg.Task.load("in_hospital_mortality")
    events = cg.read_events(cohort)
    stays = cg.select(events, task)
    date = str(np.sort(stays.index_time.view("datetime64[us]"))[len(stays) // 2])
    parts = split_parts(events, task, 0, test_from=date)
    assert not set(parts.development.patient) & set(parts.test.patient)
    assert parts.test.index_time.min() >= np.datetime64(date, "us").astype(int)
    assert parts.development.index_time.max() < np.datetime64(date, "us").astype(int)
    assert len(parts.development) + len(parts.test) == len(stays)
    assert parts.split == ""
    assert "at random" in split_parts(events, task, 0).split
    for wrong in ({"test_from": "soon"}, {"split_column": "none"}, {"test_from": date, "split_column": "x"}):
        with pytest.raises(ArgumentError):
            split_parts(events, task, 0, **wrong)
    with pytest.raises(ArgumentError, match="stays in each part; got none in part 2"):
        split_parts(events, task, 0, test_from="2900-01-01")

"""Scoring: every stay its row, the reason where there is no risk, and files that are whole or not there."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

import clinicalgru as cg
from clinicalgru.serve.bundle import model_hash
from clinicalgru.serve.score import ENDED, SCORES, UNMEASURED, write_scores


@pytest.fixture(scope="module")
def scores(fitted, ward):
    return cg.score(fitted, ward.measurements, stays=ward.stays)


def test_each_status_has_its_reason(scores, ward):
    ended = ward.stays["end"] < ward.stays["start"] + pd.Timedelta("48h")
    assert (scores["reason"] == ENDED).sum() == ended.sum()
    assert (scores["reason"] == UNMEASURED).sum() == ward.planted["stay without rows"]
    assert (scores["risk"].notna() == (scores["status"] == "scored")).all()
    assert set(scores["model_hash"]) == {scores["model_hash"][0]}


def test_the_prediction_time_is_the_end_of_the_window(scores, ward):
    start = ward.stays.set_index("stay_id")["start"]
    expected = scores["stay_id"].map(start) + pd.Timedelta("48h")
    assert (scores["prediction_time"] == expected).all()
    assert set(scores["prediction_hours"]) == {48.0}


def test_outcomes_change_no_score(fitted, ward, scores):
    pd.testing.assert_frame_equal(cg.score(fitted, cg.read_events(ward)), scores)


def test_the_file_has_the_published_columns_and_replaces_the_one_before_as_a_whole(fitted, scores, tmp_path):
    path = write_scores(scores, tmp_path / "out")
    assert pq.read_schema(path).remove_metadata().equals(SCORES)
    again = write_scores(scores.head(3), tmp_path / "out")
    assert again == path
    assert pq.read_table(path).num_rows == 3
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["scores.parquet"]


def test_a_bad_extract_leaves_no_file_behind(fitted, tmp_path):
    with pytest.raises(cg.ClinicalGRUError):
        cg.score(fitted, pd.DataFrame({"patient_id": ["1"]}), out=tmp_path / "scores")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_refused(fitted, scores, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(cg.ClinicalGRUError, match="the file out"):
        write_scores(scores, tmp_path / "out")


def test_the_range_the_model_learned_with_is_enforced_again(fitted, ward, tmp_path):
    """A user's dictionary may add variables; it cannot change those of the model."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("heart_rate: {label: HR, unit: /min, plausible: [0, 10], source: a mistake}\n")
    plain = cg.score(fitted, ward.measurements, stays=ward.stays)
    pd.testing.assert_frame_equal(cg.score(fitted, ward.measurements, stays=ward.stays, variables=mine), plain)


def test_the_hash_names_this_very_model(fitted, parts):
    other = cg.GRUClassifier(**fitted.get_params() | {"seed": 1}).fit(parts[0], parts[1], progress=False)
    assert model_hash(other) != model_hash(fitted)
    assert model_hash(fitted) == model_hash(fitted)

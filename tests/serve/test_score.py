"""Scoring: every stay its row, the reason where there is no risk, and files that are whole or not there."""

from __future__ import annotations

import copy
import gc
import multiprocessing.util
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.html import Markup
from clinicalgru.serve import score as scoring
from clinicalgru.serve import score_input
from clinicalgru.serve.bundle import model_hash
from clinicalgru.serve.stay_status import ENDED, NOT_ELIGIBLE, UNMEASURED
from clinicalgru.view.pages.html_page import write

LATER = "2150-01-01"  # all stays are over


@pytest.fixture(scope="module")
def scores(fitted, cohort):
    return cg.score(fitted, cohort.measurements, stays=cohort.stays, as_of=LATER)


@pytest.mark.slow
def test_each_status_has_its_reason(scores, cohort):
    ended = cohort.stays["end"] < cohort.stays["start"] + pd.Timedelta("48h")
    assert (scores["reason_code"] == ENDED).sum() == ended.sum()
    assert (scores["reason_code"] == UNMEASURED).sum() == cohort.planted["stay without rows"]
    assert (scores["risk"].notna() == (scores["status"] == "scored")).all()
    assert set(scores["model_hash"]) == {scores["model_hash"][0]}


def test_the_prediction_time_is_the_end_of_the_window(scores, cohort):
    start = cohort.stays.set_index("stay_id")["start"]
    expected = scores["stay_id"].map(start) + pd.Timedelta("48h")
    assert (scores["prediction_time"] == expected).all()
    assert set(scores["prediction_hours"]) == {48.0}


@pytest.mark.slow
def test_outcomes_change_no_score(fitted, cohort, scores):
    again = cg.score(fitted, cg.read_events(cohort), as_of=LATER)
    pd.testing.assert_frame_equal(again.drop(columns="scored_at"), scores.drop(columns="scored_at"))


def test_a_bad_extract_leaves_no_file_behind(fitted, tmp_path):
    with pytest.raises(cg.ClinicalGRUError):
        cg.score(fitted, pd.DataFrame({"patient_id": ["1"]}), out=tmp_path / "scores")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_in_the_place_of_the_folder_is_refused(fitted, cohort, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(cg.ClinicalGRUError, match="out"):
        cg.score(fitted, cohort, as_of=LATER, out=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.slow
def test_the_range_the_model_learned_with_is_enforced_again(fitted, cohort, scores, tmp_path):
    """A user's dictionary may add variables; it cannot change those of the model."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("heart_rate: {label: HR, unit: /min, plausible: [0, 10], source: a mistake}\n")
    mine_too = cg.score(fitted, cohort.measurements, stays=cohort.stays, variables=mine, as_of=LATER)
    pd.testing.assert_frame_equal(mine_too.drop(columns="scored_at"), scores.drop(columns="scored_at"))


@pytest.mark.slow
def test_the_hash_names_this_very_model(fitted, parts):
    other = clone(fitted).set_params(random_state=1).fit(parts[0], validation=parts[1], verbose=False)
    assert model_hash(other) != model_hash(fitted)
    assert model_hash(fitted) == model_hash(fitted)


def with_task(fitted, **fields):
    """The same model, of which another task asks about fewer stays."""
    model = copy.copy(fitted)
    model.task_ = cg.Task.from_dict(fitted.task_.to_dict() | fields)
    return model


@pytest.mark.slow
def test_a_stay_that_is_not_eligible_has_the_reason(fitted, cohort, scores):
    model = with_task(
        fitted, include=[{"column": "age", "at_least": 65}], exclude=[{"column": "icu_type", "among": [2]}]
    )
    table = cg.score(model, cohort.measurements, stays=cohort.stays, as_of=LATER)
    stays = cohort.stays.set_index("stay_id").loc[table["stay_id"]]
    age, unit = stays["age"].to_numpy(dtype=float), stays["icu_type"].to_numpy(dtype=float, na_value=np.nan)
    steps = {"age recorded": ~np.isnan(age), "age at least 65": age >= 65,
             "icu_type recorded": ~np.isnan(unit), "not: icu_type among 2": unit != 2}  # fmt: skip
    first = np.select([~holds for holds in steps.values()], list(steps), "")
    assert (table["reason_code"] == NOT_ELIGIBLE).tolist() == (first != "").tolist()
    out = table[first != ""]
    assert out["reason"].tolist() == [f"the task requires: {step}" for step in first[first != ""]]
    assert out["risk"].isna().all()
    columns = table.columns.drop(["model_hash", "input_hash", "scored_at", "run_id"])
    pd.testing.assert_frame_equal(table.loc[first == "", columns], scores.loc[first == "", columns])


def test_scored_and_learned_from_are_the_same_stays(fitted, cohort, events):
    """Whom the task leaves out of training, it leaves out of the round."""
    model = with_task(
        fitted, include=[{"variable": "lactate", "at_least": 2}], anchor={"variable": "lactate", "above": 2}
    )
    table = cg.score(model, events, as_of=LATER)
    learned = cg.select(events, model.task_)
    outcome = events.stays["in_hospital_death"].notna().to_numpy()
    assert set(table.loc[(table["status"] == "scored") & outcome, "stay_id"]) == set(learned.stay)
    never = table["reason"] == "the task requires: index time reached (first lactate above 2)"
    assert never.any()
    assert table.loc[never, "prediction_time"].isna().all()


@pytest.mark.slow
def test_what_nobody_in_the_extract_has_is_unknown_not_an_error(fitted, cohort):
    """Whether a neighbour's age is recorded must not decide whether there are scores at all."""
    model = with_task(fitted, include=[{"column": "age", "at_least": 65}, {"variable": "lactate", "at_least": 1}])
    table = cg.score(
        model, cohort.measurements.query("variable != 'lactate'"), stays=cohort.stays.drop(columns="age"), as_of=LATER
    )
    assert set(table["reason_code"]) == {NOT_ELIGIBLE}
    assert set(table["reason"]) == {"the task requires: age recorded"}


@pytest.mark.parametrize("kind", ["scores", "bundle", "page"])
@pytest.mark.parametrize("place", ["under a file", "a long name", "no such device"])
def test_what_the_system_refuses_to_write_is_one_clear_error(fitted, tmp_path, kind, place):
    (tmp_path / "file").write_text("")
    places = {"under a file": tmp_path / "file" / "out", "a long name": tmp_path / ("a" * 300)}
    target, tonight = Path(places.get(place, "/proc/x")), cg.simulate(20, random_state=1)
    writers = {
        "scores": lambda: cg.score(fitted, tonight, as_of=LATER, out=target),
        "bundle": lambda: cg.save(fitted, target),
        "page": lambda: write(Markup("<p>"), target),
    }
    with pytest.raises(cg.ClinicalGRUError):
        writers[kind]()
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_the_kind_of_file_follows_its_name(fitted, cohort, tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match=r"a folder, or a \.parquet or \.csv file"):
        cg.score(fitted, cohort, as_of=LATER, out=tmp_path / "tonight.xlsx")
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(cg.ClinicalGRUError, match=r"x\.parquet"):
        cg.score(fitted, cohort, as_of=LATER, out=tmp_path / "x.parquet", overwrite=True)
    assert list((tmp_path / "x.parquet").iterdir()) == []


def test_scores_are_never_written_over_the_extract(fitted, tmp_path):
    cohort = cg.simulate(20, random_state=1)
    cohort.measurements.to_parquet(tmp_path / "scores.parquet")
    bundle = cg.save(fitted, tmp_path / "bundle")
    before = (tmp_path / "scores.parquet").read_bytes()
    for out in (tmp_path, tmp_path / "scores.parquet"):
        with pytest.raises(cg.ClinicalGRUError, match="besides the extract"):
            cg.score(fitted, tmp_path / "scores.parquet", stays=cohort.stays, out=out)
    with pytest.raises(cg.ClinicalGRUError, match="in the bundle"):
        cg.score(bundle, tmp_path / "scores.parquet", stays=cohort.stays, out=bundle / "scores")
    assert (tmp_path / "scores.parquet").read_bytes() == before
    assert not (bundle / "scores").exists()


@pytest.mark.slow
def test_stays_on_disk_give_the_rows_of_stays_in_memory(fitted, cohort, scores, tmp_path, monkeypatch, caplog):
    def row(records):
        return [record.message for record in records if record.levelname == "WARNING"]

    reading = {"stays": cohort.stays, "as_of": LATER}
    with caplog.at_level("WARNING", "clinicalgru"):
        cg.score(fitted, cohort.measurements, **reading)
        in_memory = row(caplog.records)
        caplog.clear()
        multiprocessing.util.get_temp_dir()  # of the process that workers are forked from: no data, and it stays
        monkeypatch.setattr(score_input, "IN_MEMORY", 500)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        on_disk = cg.score(fitted, cohort.measurements, **reading)
    assert row(caplog.records) == in_memory
    pd.testing.assert_frame_equal(on_disk.drop(columns="scored_at"), scores.drop(columns="scored_at"))
    monkeypatch.setattr(scoring, "SHARD_STAYS", 60)
    cg.score(fitted, cohort.measurements, out=tmp_path / "one.csv", **reading)
    two = cg.score(fitted, cohort.measurements, out=tmp_path / "two.csv", n_workers=2, **reading)
    assert len(two) == len(scores)
    columns = ["stay_id", "risk", "status", "input_hash"]
    pd.testing.assert_frame_equal(*(pd.read_csv(tmp_path / f"{n}.csv", usecols=columns) for n in ("one", "two")))
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_the_extract_is_read(fitted, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(cg.ClinicalGRUError, match="does not exist yet"):
        cg.score(fitted, tmp_path / "no such extract.csv", out=tmp_path / "there.csv")
    pytest.importorskip("adbc_driver_postgresql")
    with pytest.raises(cg.ClinicalGRUError, match="no connection"):
        cg.score(fitted, tmp_path / "no such extract.csv", to="postgresql://nobody@127.0.0.1:1/none", table="scores")

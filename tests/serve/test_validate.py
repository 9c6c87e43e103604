"""A model at another hospital: the verdict, what differs, and the recalibrated bundle with its history."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import ArgumentError, DataWarning, InputError, TrainingError
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.logistic import logit
from clinicalgru.model.patient_overlap import calibration_stays, held_out
from clinicalgru.model.seen_patients import SeenPatients
from clinicalgru.serve import protocol
from clinicalgru.serve.bundle import model_hash
from clinicalgru.serve.case_mix import compare_case_mix
from clinicalgru.serve.recalibrate import _composed, recalibrate
from clinicalgru.serve.validate import known_stays

TASK = cg.Task.load("in_hospital_mortality")


def cohort(seed, stays=900, rare=1.0):
    """A synthetic hospital; in a rare one, that fraction of the deaths is left."""
    simulated = cg.simulate(stays, random_state=seed)
    outcomes = simulated.outcomes.copy()
    lost = np.random.default_rng(seed).random(len(outcomes)) > rare
    outcomes.loc[lost, "in_hospital_death"] = 0
    tables = {"rows": simulated.measurements, "stays": simulated.stays, "outcomes": outcomes}
    own = {n: t.assign(patient_id=t["patient_id"].astype(str) + f"-{seed}") for n, t in tables.items()}
    return own.pop("rows"), own


@pytest.fixture(scope="module")
def model():
    rows, tables = cohort(1)
    return cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(rows, **tables), TASK))


@pytest.fixture(scope="module")
def elsewhere():
    rows, tables = cohort(2, stays=2000, rare=0.65)
    rows = rows[rows["variable"] != "lactate"]
    odd = rows.head(40).assign(variable="mystery score")
    return cg.read_events(pd.concat([rows, odd]), **tables)


@pytest.fixture(scope="module")
def validated(model, elsewhere, tmp_path_factory):
    target = tmp_path_factory.mktemp("bundles") / "new"
    return cg.validate(model, elsewhere, recalibrate_to=target, n_resamples=100), target


def test_risks_that_are_too_high_are_called_so_with_what_to_do(validated):
    result, _ = validated
    assert result.status == "does not fit"
    assert result.exit_code == 6
    assert "too high here" in result.verdict
    assert "do not use them as they are" in result.verdict


@pytest.mark.slow
def test_text_page_markdown_and_json_say_the_same(validated, tmp_path):
    result, _ = validated
    page = result.to_html(tmp_path / "page.html").read_text()
    for shown in (str(result), page, result.to_markdown().replace("\\", "")):
        assert result.verdict.split(";")[0] in shown
        assert shown.count("too high here") == 1  # the summary leaves out what the verdict has
        assert "lactate: absent" in shown.replace("\\_", "_").lower()
        assert "mystery score" in shown
        assert "Heart rate" in shown
        assert "intercept and slope" in shown
        assert "cross-validated by patient on the stays that recalibrated it" in shown
        assert "The spread of the risks is as before" not in shown  # its slope was estimated
        assert "Calibration slope" in shown
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["status"] == "does not fit"
    assert read["evaluation"]["stays"] == result.evaluation.stays
    assert read["recalibration"]["changes"][0]["stays"] == result.evaluation.stays


def test_case_mix_compares_shares_means_and_standardised_differences(validated):
    mix = validated[0].case_mix.set_index("variable")
    assert mix.loc["Lactate", "share_here"] == 0
    assert mix.loc["Lactate", "share_training"] > 0.3
    assert np.isnan(mix.loc["Lactate", "difference"])
    assert abs(mix.loc["Heart rate", "difference"]) < 0.25


def test_the_new_bundle_is_recalibrated_keeps_its_ranking_and_says_whence_it_is(validated, model, elsewhere):
    result, target = validated
    new, stays = cg.load(target), known_stays(model, elsewhere)
    before, after = (one.predict_proba(stays)[:, 1] for one in (model, new))
    line = LogisticRegression(C=np.inf).fit(logit(before)[:, None], stays.outcome)
    np.testing.assert_allclose(after, line.predict_proba(logit(before)[:, None])[:, 1], atol=0.03)
    np.testing.assert_array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))
    assert after.mean() == pytest.approx(stays.outcome.mean(), rel=0.03)
    [change] = new.changes_
    assert change["parent"] == model_hash(model) != model_hash(new)
    assert change["what"] == "recalibrated: intercept and slope"
    assert (change["stays"], change["outcomes"]) == (len(stays), int(stays.outcome.sum()))
    card = (target / "card.md").read_text()
    assert f"before that it was model {change['parent']}" in card
    table = result.recalibration.table.set_index("metric")
    assert abs(table.loc["observed_expected", "after"] - 1) < 0.1 < abs(table.loc["observed_expected", "before"] - 1)


def test_a_bundle_is_never_recalibrated_in_place(validated, model, elsewhere):
    with pytest.raises(ArgumentError, match="new folder"):
        cg.validate(model, elsewhere, recalibrate_to=validated[1])
    assert not getattr(model, "changes_", [])


@pytest.mark.slow
def test_few_events_give_an_intercept_fewer_nothing_and_training_patients_are_refused(model, elsewhere):
    stays, moment = known_stays(model, elsewhere), datetime(2031, 1, 2, tzinfo=UTC)
    died, lived = (np.flatnonzero(stays.outcome == value) for value in (1, 0))
    some = stays[np.sort(np.concatenate([died[:40], lived[:200]]))]
    update = recalibrate(model, some, moment=moment)
    assert (update.method, update.slope) == ("intercept", 1.0)
    assert update.model.predict_proba(some)[:, 1].mean() == pytest.approx(40 / 240, abs=1e-6)
    assert "The spread of the risks is as before" in str(update)
    assert update.model.changes_[0]["when"] == "2031-01-02T00:00:00+00:00"
    with pytest.raises(ArgumentError, match="20 patients"):
        recalibrate(model, stays[np.sort(np.concatenate([died[:10], lived[:200]]))])
    rows, tables = cohort(1)
    with pytest.raises(TrainingError, match="used for training or early stopping"):
        recalibrate(model, cg.select(cg.read_events(rows, **tables), TASK))
    verdict = cg.validate(model, cg.read_events(rows, **tables), n_resamples=20).verdict
    assert "for training or early stopping" in verdict


def test_stays_that_cannot_recalibrate_are_validated_all_the_same(model, tmp_path):
    """Where the survivors are called dead the ranking is the wrong way: page and verdict are there, no bundle is."""
    rows, tables = cohort(3, stays=250)
    tables["outcomes"]["in_hospital_death"] = 1 - tables["outcomes"]["in_hospital_death"]
    result = cg.validate(model, cg.read_events(rows, **tables), recalibrate_to=tmp_path / "new", n_resamples=20)
    assert (result.status, result.exit_code) == ("does not fit", 6)
    assert not (tmp_path / "new").exists()
    page = result.to_html(tmp_path / "page.html").read_text()
    for shown in (str(result), result.to_markdown(), page, result.to_dict()["not_recalibrated"]):
        assert "train a model on stays of this place" in shown


def test_a_category_has_a_percentage_and_more_than_two_have_no_mean(model, elsewhere):
    stays = known_stays(model, elsewhere)
    [sex] = [variable for variable in stays.static_variables if variable.name == "sex"]
    column = stays.static[:, list(stays.static_variables).index(sex)]
    second = list(sex.categories.values())[1]
    mix = compare_case_mix(model.trained_on_, stays).set_index("variable")
    row = mix.loc[f"Sex: {second}"]
    assert row["unit"] == "%"
    assert row["mean_here"] == pytest.approx(100 * np.nanmean(column), abs=2)
    three = replace(sex, categories=dict(sex.categories) | {"9": "other"})
    variables = tuple(three if variable is sex else variable for variable in stays.static_variables)
    row = compare_case_mix(model.trained_on_, replace(stays, static_variables=variables)).set_index("variable")
    assert row.loc["Sex", ["mean_here", "difference"]].isna().all()


def test_a_line_after_a_calibration_by_hour_is_a_calibration_by_hour():
    before = HourCalibrator(1.3, -0.4, first_hour=0, last_hour=48, level=-0.7, bend=0.3, steepness=0.5, middle=-1.0)
    after = _composed(before, 0.6, -0.9)
    risk, hours = np.linspace(0.01, 0.9, 50), np.linspace(0, 48, 50)
    np.testing.assert_allclose(after.predict_at(risk, hours), expit(0.6 * logit(before.predict_at(risk, hours)) - 0.9))
    np.testing.assert_allclose(after.predict(risk), expit(0.6 * logit(before.predict(risk)) - 0.9))


@pytest.mark.slow
def test_the_command_writes_page_markdown_and_bundle_and_ends_with_the_verdict(model, tmp_path, capsys):
    cg.save(model, tmp_path / "bundle")
    rows, tables = cohort(3, stays=400, rare=0.6)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    files = [f"{tmp_path / name}.csv" for name in ("rows", "stays", "outcomes")]
    options = ["--stays", files[1], "--outcomes", files[2], "--page", f"{tmp_path}/a.html"]
    options += ["--markdown", f"{tmp_path}/a.md", "--recalibrate", f"{tmp_path}/new"]
    with pytest.raises(SystemExit) as ended:
        main(["validate", f"{tmp_path}/bundle", files[0], *options])
    assert ended.value.code in (0, 6, 7)
    assert "Inputs in training and here" in capsys.readouterr().out
    assert "# Validation" in (tmp_path / "a.md").read_text()
    assert cg.load(tmp_path / "new").changes_
    assert (tmp_path / "a.html").exists()


def test_patients_that_calibrated_or_recalibrated_a_bundle_are_known_to_it(model, elsewhere, tmp_path):
    """As training patients are: named in the verdict, and refused to recalibrate on or to hold an update against."""
    stays = known_stays(model, elsewhere)
    ours, theirs = cg.split_patients(stays, [0.5, 0.5])
    loaded = cg.load(cg.save(recalibrate(model, ours).model, tmp_path / "new"))
    assert calibration_stays(loaded, stays).tolist() == np.isin(stays.patient, ours.patient).tolist()
    assert not calibration_stays(model, stays).any()
    for message, part in (("got 2 of 2", stays[calibration_stays(loaded, stays)][:2]), ("used for calibration", ours)):
        with pytest.raises(TrainingError, match=message):
            recalibrate(loaded, part)
    with pytest.raises(InputError, match="patients used for calibration"):
        cg.compare_bundles(model, loaded, {"min_events": 20}, elsewhere)
    assert "for calibration" in cg.validate(loaded, elsewhere, n_resamples=20).verdict
    assert "for calibration" not in cg.validate(model, elsewhere, n_resamples=20).verdict
    twice = cg.load(cg.save(recalibrate(loaded, theirs).model, tmp_path / "twice"))
    assert calibration_stays(twice, stays).all()
    assert len(twice.calibration_patients_) == 2
    content = (tmp_path / "twice" / "weights.safetensors").read_bytes()
    assert not [name for name in np.unique(stays.patient.astype(str)) if name.encode() in content]


def test_patients_of_pretraining_are_held_out_like_those_of_training(model, elsewhere, monkeypatch):
    """Of the unlabelled stays that an encoder learned from: left out where few, else refused or named, everywhere."""
    stays = known_stays(model, elsewhere)
    few, many, rest = cg.split_patients(stays, [0.03, 0.47, 0.5], random_state=0)

    def pretrained_on(part):
        one = copy(model)
        one.pretraining_patients_ = (SeenPatients.of(part),)
        return one

    update = recalibrate(pretrained_on(few), stays)
    expected = recalibrate(model, stays[~np.isin(stays.patient, few.patient)])
    assert update.model.changes_[0]["left_out"] == np.isin(stays.patient, few.patient).sum() > 0
    assert (update.slope, update.intercept) == (expected.slope, expected.intercept)
    assert "pretraining had" in str(update)
    compared = []

    def hold_against(*risks, patients, groups):
        compared.extend(patients)
        return protocol.hold_against(*risks, patients=patients, groups=groups)

    monkeypatch.setattr("clinicalgru.serve.compare_bundles.hold_against", hold_against)
    with pytest.warns(DataWarning, match="are left out"):
        cg.compare_bundles(model, pretrained_on(few), {"min_events": 20}, elsewhere)
    assert set(compared) == set(stays.patient) - set(few.patient)
    monkeypatch.undo()
    known = pretrained_on(many)
    assert held_out(known, stays).tolist() == (~np.isin(stays.patient, many.patient)).tolist()
    n_known = int(np.isin(stays.patient, many.patient).sum())
    with pytest.raises(
        TrainingError, match=f"got {n_known:,} of {len(stays):,} stays of patients used for pretraining"
    ):
        recalibrate(known, stays)
    for pair in ((model, known), (known, model)):
        with pytest.raises(InputError, match="used for pretraining"):
            cg.compare_bundles(*pair, {"min_events": 20}, elsewhere)
    notes = [cg.drift(one, elsewhere).notes for one in (known, model)]
    assert [any("used for pretraining" in note for note in found) for found in notes] == [True, False]
    rows, tables = cohort(1)
    members = cg.select(cg.read_events(rows, **tables), TASK)
    with pytest.raises(ArgumentError, match="used for pretraining"):
        cg.privacy_audit(known, members, stays, warn=False)
    with pytest.raises(ArgumentError, match="stays of other patients"):
        cg.privacy_audit(known, stays, rest, warn=False)
    assert cg.privacy_audit(known, members, rest, warn=False).others == len(np.unique(rest.patient))


@pytest.mark.parametrize("option", ["--page", "--markdown"])
def test_a_command_writes_over_nothing_that_it_reads(model, tmp_path, option, capsys):
    bundle = cg.save(model, tmp_path / "bundle")
    for name in ("rows", "stays", "outcomes"):
        (tmp_path / f"{name}.csv").write_text("stay_id\n1\n")
    command = ["validate", f"{bundle}", f"{tmp_path}/rows.csv"]
    command += [word for name in ("stays", "outcomes") for word in (f"--{name}", f"{tmp_path}/{name}.csv")]
    (tmp_path / "other.csv").hardlink_to(tmp_path / "rows.csv")
    (tmp_path / "linked").symlink_to(bundle)
    targets = [tmp_path / name for name in ("rows.csv", "stays.csv", "outcomes.csv", "other.csv", "linked/card.md")]
    for target in (*targets, bundle / "card.md"):
        before = target.read_bytes()
        with pytest.raises(SystemExit) as ended:
            main([*command, option, str(target)])
        assert ended.value.code == 2
        assert "besides the extract" in capsys.readouterr().err
        assert target.read_bytes() == before


@pytest.mark.parametrize("option", ["--page", "--markdown"])
def test_a_report_is_not_written_into_the_bundle_or_over_a_log(model, tmp_path, option, capsys):
    bundle, log = cg.save(model, tmp_path / "bundle"), tmp_path / "runs.jsonl"
    log.write_text("{}\n")
    before = {file: file.read_bytes() for file in (*bundle.iterdir(), log)}
    for target in (bundle / "manifest.json", bundle / "new.html", log):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(bundle), "--log", str(log), option, str(target)])
        assert ended.value.code == 2
        assert "besides the extract" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:  # before anything is read or trained
        main(["train", "rows.csv", "--task", "in_hospital_mortality", "--out", str(bundle)])
    assert ended.value.code == 2
    assert {file: file.read_bytes() for file in (*bundle.iterdir(), log)} == before


def test_no_page_of_the_python_api_is_written_into_a_bundle(model, tmp_path):
    bundle = cg.save(model, tmp_path / "bundle")
    before = (bundle / "manifest.json").read_bytes()
    evaluation = cg.evaluate([0, 1] * 30, np.linspace(0.1, 0.9, 60), n_resamples=5)
    for name in ("manifest.json", "page.html"):
        with pytest.raises(InputError, match="outside of a bundle"):
            evaluation.to_html(bundle / name)
    assert (bundle / "manifest.json").read_bytes() == before
    assert not (bundle / "page.html").exists()

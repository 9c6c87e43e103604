"""The command line with a task of every kind: what learns, how it is evaluated, what is written, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from family import TASKS, cohort_of_all_tasks
from test_cli import light as light
from test_cli import run

import clinicalgru as cg
from clinicalgru import pipeline
from clinicalgru.data.task.cohort_summary import cohort
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate import calibration
from clinicalgru.parts import Parts, split_parts

KINDS = {
    "multiclass": ("GRUClassifier", "accuracy", None),
    "multilabel": ("GRUMultiLabel", "auroc_shock", "shock"),
    "regression": ("GRURegressor", "mean_absolute_error", None),
    "survival": ("GRUSurvival", "concordance", "50"),
    "early_warning": ("GRUEarlyWarning", "utility", None),
    "forecast": ("GRUForecaster", "scaled_error", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The cohort of all tasks as a user would have it: tables, and a task of each kind."""
    out, events = tmp_path_factory.mktemp("kinds"), cohort_of_all_tasks()
    cohort = cg.simulate(160, random_state=11)
    cohort.measurements.to_parquet(out / "labs.parquet", index=False)
    cohort.stays.assign(end=pd.NaT).to_csv(out / "stays.csv", index=False)
    events.stays[["stay_id", *events.outcomes]].to_csv(out / "outcomes.csv", index=False)
    for kind, fields in TASKS.items():
        text = {"name": kind, "task_type": kind, "window_hours": [0, 24]} | fields
        named = {name: list(value) if isinstance(value, tuple) else value for name, value in text.items()}
        (out / f"{kind}.yaml").write_text(yaml.safe_dump(named))
    return out


@pytest.fixture
def small(monkeypatch, light):
    """Training in a second: smaller networks of the same estimators."""
    network = cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2)
    sizes = {"network": network, "max_epochs": 1, "distillation": 0.0}

    def made(estimator):
        return lambda random_state, **options: estimator(**sizes | options, random_state=random_state)

    by_type = {kind: made(estimator) for kind, estimator in pipeline.BY_TASK_TYPE.items()}
    monkeypatch.setattr(pipeline, "BY_TASK_TYPE", by_type)


def files(folder, *, outcomes=True):
    tables = (folder / "labs.parquet", "--stays", folder / "stays.csv")
    return (*tables, "--outcomes", folder / "outcomes.csv") if outcomes else tables


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_task_of_any_kind_goes_the_whole_line(capsys, folder, small, kind):
    estimator, metric, output = KINDS[kind]
    if kind == "survival":
        pytest.importorskip("sksurv")
    out, given = folder / "out" / kind, files(folder, outcomes=kind != "forecast")
    code, said, err = run(
        capsys, "train", *given, "--task", folder / f"{kind}.yaml", "--out", out, "--quiet", "--random-state", 1
    )
    assert code == 0, err
    assert "boosted trees" in said
    assert ("last value" in said) == (kind == "forecast")
    assert "difference" in said
    manifest = json.loads((out / "bundle" / "manifest.json").read_text())
    assert manifest["model"] == estimator
    by_numbers = {"regression": "half_width_", "early_warning": "threshold_"}  # little is learned of onsets
    assert manifest["calibrator"] is not None or kind in by_numbers or min(manifest["head"]["interval_scale"]) > 0
    assert kind not in by_numbers or by_numbers[kind] in manifest["extra_state"]
    for page in ("evaluation.html", "patient.html"):
        assert (out / page).stat().st_size > 100_000
    code, said, _ = run(capsys, "evaluate", out / "bundle", *given, "--json", "--page", out / "again.html")
    assert code == 0
    judged = json.loads(said)
    assert judged["task_type"] == kind
    assert metric in {row["metric"] for row in judged["metrics"]}
    assert (out / "again.html").exists()
    stay = pd.read_csv(folder / "stays.csv", dtype=str)["stay_id"][0]
    target = () if output is None else ("--target", output)
    code, said, _ = run(
        capsys,
        "explain",
        out / "bundle",
        *files(folder, outcomes=False),
        "--stay",
        stay,
        *target,
        "--page",
        out / "w.html",
    )
    assert code == 0
    assert ("outside their 90 % interval" if kind == "forecast" else "completeness gap") in said
    assert (out / "w.html").stat().st_size > 100_000
    assert output is None or output in said
    assert stay not in said
    code, _, _ = run(capsys, "score", out / "bundle", *files(folder, outcomes=False), "--out", out / "s.parquet")
    assert code == 0
    assert len(pd.read_parquet(out / "s.parquet")) == 160


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
def test_check_says_whom_a_task_asks_about_and_what_happened(capsys, folder, kind):
    code, said, _ = run(
        capsys, "check", *files(folder), "--task", folder / f"{kind}.yaml", "--json", "--exact", "--max-rejected", 0.2
    )
    assert code == 0
    found = json.loads(said)
    assert found["cohort"]["stays in the extract"] == "160 stays"
    assert ("outcome" in found) == (kind != "forecast")


def test_a_count_of_few_is_withheld_and_does_not_follow_from_the_others():
    """Of 40 stays, 3 have no outcome: neither they nor the two groups beside them can be derived."""
    rows = pd.DataFrame(
        {"patient_id": [str(i) for i in range(40)], "time": 0.0, "variable": "heart_rate", "value": 80.0}
    )
    died = np.where(np.arange(40) < 3, np.nan, (np.arange(40) < 20).astype(float))
    outcomes = pd.DataFrame({"stay_id": rows["patient_id"], "died": died})
    events = cg.read_events(rows, outcomes=outcomes)
    found = cohort(events, cg.Task("death", "died", (0.0, 24.0)), min_cell_size=11)
    assert found["cohort"]["stays in the extract"] == "40 stays"
    assert found["cohort"]["something measured in the window"] == "suppressed"
    assert list(found["outcome"].values()).count("suppressed") == 2
    assert found["outcome"]["not eligible"] == "suppressed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "none.csv", "--task", "nothing", "--outcomes", "o.csv", "--out", "x"), "a task among"),
        (("train", "none.csv", "--task", "next_measurement", "--out", "x"), "Did you mean next_measurements?"),
        (("train", "none.csv", "--out", "x"), "--outcomes with an extract of source long"),
        (("train", "none.csv", "--outcomes", "o.csv", "--out", "x", "--resume"), "--checkpoint with --resume"),
        (("train", "none.csv", "--outcomes", "o.csv", "--out", "x", "--set", "epochs=2"), "parameters among"),
        (("train", "none.csv", "--outcomes", "o.csv", "--out", "x", "--set", "max_epochs=-2"), "max_epochs"),
        (("check", "none.csv", "--column", "patient_id"), "--columns ours=theirs"),
    ],
)
def test_what_a_command_cannot_do_is_refused_before_anything_is_read(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("none.csv", "o.csv"):
        (tmp_path / name).write_bytes(b"\0")  # reading one is another error
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "none.csv" not in err


def test_a_missing_file_is_named_before_missing_outcomes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "train", "none.csv", "--out", "x")
    assert (code, "no such path: none.csv" in err) == (2, True)


def test_survival_is_refused_at_once_where_scikit_survival_is_not_installed(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("none.csv", "o.csv"):
        (tmp_path / name).write_bytes(b"\0")
    monkeypatch.setitem(__import__("sys").modules, "sksurv", None)
    code, _, err = run(
        capsys, "train", "none.csv", "--task", folder / "survival.yaml", "--outcomes", "o.csv", "--out", "x"
    )
    assert (code, "clinicalgru[survival]" in err) == (2, True)


@pytest.mark.slow
def test_a_model_that_the_last_part_cannot_calibrate_is_kept_with_a_warning(monkeypatch):
    """Trained for long, it is worth more than an error."""

    class Backwards(cg.GRUClassifier):
        def _predicted(self, stays):
            return 1 - super()._predicted(stays)

    sizes = {
        "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
        "max_epochs": 6,
        "distillation": 0.0,
        "learning_rate": 1e-2,
    }
    monkeypatch.setattr(
        pipeline, "BY_TASK_TYPE", {"binary": lambda random_state, **_: Backwards(**sizes, random_state=random_state)}
    )
    stays = cg.select(cg.read_events(cg.simulate(300, random_state=3)), cg.Task.load("in_hospital_mortality"))
    monkeypatch.setattr(calibration, "MIN_EVENTS", 1)
    with pytest.warns(UserWarning, match="risks that rise with the outcome.*not calibrated"):
        assert pipeline.fit(stays, random_state=0).calibrator_ is None


@pytest.mark.slow
def test_few_outcomes_train_where_the_validation_part_has_none_and_one_outcome_only_is_one_error(parts):
    """As in the published demos, in which a dozen patients died."""
    from dataclasses import replace

    stays = parts[0][np.arange(80)]
    train = cg.split_patients(stays, pipeline.TRAINING_FRACTIONS, random_state=0)[0]
    outcome = np.isin(stays.patient, np.unique(train.patient)[:12]).astype(float)
    network = cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2)

    def fit(outcome):
        estimator = cg.GRUClassifier(network, max_epochs=1, distillation=0.0, random_state=0)
        return pipeline.fit(replace(stays, outcome=outcome), random_state=0, estimator=estimator)

    assert 0 < fit(outcome).predict_proba(stays)[:, 1].mean() < 1
    for same, word in ((np.zeros(80), "no"), (np.ones(80), "yes")):
        with pytest.raises(TrainingError, match=rf"the same outcome in all of them \({word}\). Check the column"):
            fit(same)


@pytest.mark.slow
def test_calibration_never_sees_the_stays_that_are_judged(folder, small):
    """Whatever happened to the test stays, and whatever was measured of them, the calibration is the same."""
    from dataclasses import replace

    events = cohort_of_all_tasks()
    task = cg.Task.load(folder / "multiclass.yaml")
    parts = split_parts(events, task, random_state=1)
    test = replace(parts.test, outcome=parts.test.outcome[::-1].copy(), value=parts.test.value * 2)
    one, other = (
        pipeline.fit(Parts(parts.development, held, events).development, random_state=1) for held in (parts.test, test)
    )
    assert one.calibrator_ == other.calibrator_
    seen = cg.split_patients(parts.development, pipeline.TRAINING_FRACTIONS, random_state=1)
    assert not set(np.concatenate([part.patient for part in seen])) & set(parts.test.patient)

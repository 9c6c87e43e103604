"""Each kind of task on real patients: read, learned, judged, saved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import metrics_of

import clinicalgru as cg
from clinicalgru.evaluate.early_warning import early_warning_predictions
from clinicalgru.evaluate.forecast import forecast_predictions
from clinicalgru.evaluate.multi_metrics import (
    multiclass_predictions,
    multilabel_predictions,
    regression_predictions,
)
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.evaluate.survival import survival_predictions

pytestmark = pytest.mark.slow
YEAR = 8766.0
PBC = {"patient_id": "id", "stay_id": "id", "time": "day", "bilirubin_total": "bili", "cholesterol": "chol"}
PBC |= {"alkaline_phosphatase": "alk.phos", "platelets": "platelet"}
SMALL = {"network": cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4), "batch_size": 32}


def figures(predictions: TaskPredictions) -> pd.Series:
    return metrics_of(predictions, n_resamples=2)["estimate"]


def yaib(folder, task, **fields):
    outcomes = pd.read_parquet(folder / "outc.parquet").groupby("stay_id", as_index=False)["label"].max()
    events = cg.read_events(
        folder / "dyn.parquet",
        source="yaib",
        stays=folder / "sta.parquet",
        outcomes=outcomes.astype({"label": float}),
        columns={"patient_id": "stay_id"},
    )
    return cg.select(events, cg.Task(task, "label", (0.0, 24.0), **fields))


def test_survival_of_pbcseq_beats_the_curve_of_all(real_data):
    """Death with transplant as censoring: the two compete, so risks are those in a world without transplants."""
    pytest.importorskip("sksurv")
    path = real_data / "pbcseq" / "pbcseq.csv"
    outcomes = pd.read_csv(path).groupby("id", as_index=False)[["futime", "status"]].first()
    outcomes["futime"] *= 24.0
    events = cg.read_events(path, source="wide", time_unit="days", columns=PBC, outcomes=outcomes)
    task = cg.Task("death", "status", (0.0, YEAR), task_type="survival", outcome_threshold=1, outcome_time="futime")
    train, tune, test = cg.split_patients(cg.select(events, task), [0.55, 0.15, 0.3], random_state=0)
    model = cg.GRUSurvival(**SMALL, max_epochs=40, patience=8).fit(train, validation=tune, verbose=False)
    hours = np.arange(1, 7) * YEAR
    curves = model.predict_survival(test, hours)
    assert (np.diff(curves, axis=1) <= 0).all()
    everyone = model.head_.initial_bias(train).expand(1, 1, -1)
    common = np.tile(model.head_.survival_at(model.head_.predict(everyone).numpy(), hours), (len(test), 1))
    where = {"hours": hours, "train_outcome": train.outcome}
    ours, theirs = (figures(survival_predictions(test.outcome, each, **where)) for each in (curves, common))
    assert ours["concordance"] > 0.7
    assert ours["integrated_brier"] < 0.9 * theirs["integrated_brier"]


def test_remaining_length_of_stay_of_yaib_is_told_with_an_interval(real_data):
    """A hundred stays: calibrated on some, the interval of 90 % must hold what it says on others; four ways to split,
    as one leaves but 40 stays on either side."""
    stays = yaib(real_data / "yaib-demo" / "los" / "mimic_demo", "days", task_type="regression")
    held = []
    for random_state in range(4):
        train, calibrate, test = cg.split_patients(stays, [0.4, 0.3, 0.3], random_state=random_state)
        model = cg.GRURegressor(**SMALL, max_epochs=15).fit(train, verbose=False).calibrate(calibrate)
        middle, interval = model.predict_quantiles(test, (0.5,))[:, 0], model.predict_interval(test)
        ours = figures(regression_predictions(test.outcome, middle, interval=interval))
        same = np.full(len(test), np.median(train.outcome))
        theirs = figures(regression_predictions(test.outcome, same))
        assert ours["mean_absolute_error"] < 1.1 * theirs["mean_absolute_error"]
        held.append(ours["coverage"])
    assert 0.8 < np.mean(held) <= 1


def test_classes_of_kidney_function_are_told_apart_on_yaib(real_data):
    """Creatinine of the second day in three classes, from the first: known well, as it is carried over."""
    folder = real_data / "yaib-demo" / "kidney_function" / "eicu_demo"
    label = pd.read_parquet(folder / "outc.parquet").groupby("stay_id")["label"].max()
    thirds = pd.DataFrame({"stay_id": label.index, "third": pd.qcut(label, 3, labels=False).to_numpy(float)})
    events = cg.read_events(
        folder / "dyn.parquet",
        source="yaib",
        stays=folder / "sta.parquet",
        outcomes=thirds,
        columns={"patient_id": "stay_id"},
    )
    stays = cg.select(events, cg.Task("kidney", "third", (0.0, 24.0), task_type="multiclass"))
    train, test = cg.split_patients(stays, [0.65, 0.35], random_state=1)
    model = cg.GRUClassifier(**SMALL, max_epochs=6).fit(train, verbose=False)
    table = multiclass_predictions(test.outcome, model.predict_proba(test), classes=model.classes_.tolist())
    assert figures(table)["auroc_mean"] > 0.7


def test_hourly_warnings_of_sepsis_are_worth_more_than_none(real_data, tmp_path):
    """PhysioNet 2019, the first 900 records of hospital A: threshold fixed on patients of its own."""
    import zipfile

    with zipfile.ZipFile(real_data / "physionet2019" / "training_setA.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".psv"))[:900]
        archive.extractall(tmp_path, names)
    folder = (tmp_path / names[0]).parent
    events = cg.read_events(folder, source="physionet2019")
    stays = cg.select(events, cg.Task.load("early_sepsis_2019"))
    assert len(stays) == 900
    train, tune, test = cg.split_patients(stays, [0.5, 0.2, 0.3], random_state=0)
    model = cg.GRUEarlyWarning(
        network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=2),
        max_epochs=3,
        learning_rate=5e-3,
        distillation=0.0,
    )
    model.fit(train, validation=tune, verbose=False).choose_threshold(tune)
    hourly = model.predict_hourly(test)
    judged = figures(early_warning_predictions(hourly, test.outcome, threshold=model.threshold_))
    assert judged["utility"] > 0.05
    assert cg.load(cg.save(model, tmp_path / "bundle")).threshold_ == model.threshold_


def test_phenotypes_of_the_mimic_demo_are_learned_side_by_side(real_data):
    """Groups of diagnoses of an admission, from the first two days of it; the codes themselves are not looked at."""
    folder = real_data / "mimic-iv-demo"
    codes = pd.read_csv(folder / "hosp" / "diagnoses_icd.csv.gz", dtype=str)
    groups = {"kidney_failure": ("N17", "584"), "sepsis": ("A41", "038", "99591", "99592"), "diabetes": ("E11", "250")}
    outcomes = pd.DataFrame({"stay_id": codes["hadm_id"].unique()})
    for name, begins in groups.items():
        having = codes.loc[codes["icd_code"].str.startswith(begins), "hadm_id"]
        outcomes[name] = outcomes["stay_id"].isin(having).astype(float)
    outcomes.loc[::5, "diabetes"] = np.nan  # as if nobody had looked
    events = cg.read_events(folder, source="mimic-iv", anchor="hospital", outcomes=outcomes)
    stays = cg.select(events, cg.Task("phenotypes", tuple(groups), (0.0, 48.0), task_type="multilabel"))
    train, test = cg.split_patients(stays, [0.6, 0.4], random_state=1)
    model = cg.GRUMultiLabel(**SMALL, max_epochs=12).fit(train, verbose=False)
    judged = figures(multilabel_predictions(test.outcome, model.predict_proba(test), labels=model.labels_))
    assert judged["auroc_kidney_failure"] > 0.6
    assert judged["auroc_mean"] > 0.55


def test_forecasts_of_physionet_2012_hold_what_their_intervals_say(real_data, tmp_path):
    """600 stays of set a, 48 hours; calibrated on stays of their own, judged on others."""
    import tarfile

    with tarfile.open(real_data / "physionet2012" / "set-a.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".txt")][:600]
        archive.extractall(tmp_path, members, filter="data")
    events = cg.read_events(tmp_path / "set-a", source="physionet2012")
    stays = cg.select(events, cg.Task("next", "", (0.0, 24.0), task_type="forecast"))
    train, tune, calibrate, test = cg.split_patients(stays, [0.5, 0.1, 0.2, 0.2], random_state=0)
    model = cg.GRUForecaster(
        network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=2), max_epochs=3
    ).fit(train, validation=tune, verbose=False)
    model.calibrate(calibrate, coverage=0.9)
    odd = model.anomaly_scores(test)
    known = odd[~np.isnan(odd)]
    assert 0.88 < np.mean(known <= -np.log(0.1)) < 0.92  # 90 % of a Laplace distribution
    expected = model.expected(test).query("later")
    inside = (expected["value"] >= expected["low"]) & (expected["value"] <= expected["high"])
    assert 0.88 < inside.mean() < 0.92
    assert figures(forecast_predictions(expected))["scaled_error"] < 1

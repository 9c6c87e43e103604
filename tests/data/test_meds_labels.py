"""Label files of MEDS: each stay is seen until the prediction time of its own label, and not beyond."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events

HOURS = {
    subject: (24, 7.5, 0.25, 60)[subject % 4] for subject in range(10, 50)
}  # subject -> hours from the admission to the prediction time
TASK = cg.Task("aces", "boolean_value", (-48, 0), anchor="prediction_time")
START = pd.Timestamp("2030-01-01 08:00")


def dataset(folder: Path, *, after: float = 0.0) -> Path:
    """Subjects with a heart rate each hour; what is known after their prediction time is raised by `after`."""
    rows = []
    for subject, until in HOURS.items():
        times = [START + pd.Timedelta(hours=hour) for hour in range(72)]
        values = [60.0 + subject + hour % 7 + (hour > until) * after for hour in range(72)]
        rows += [(subject, time, "LOINC//8867-4///min", value) for time, value in zip(times, values, strict=True)]
        rows += [(subject, START + pd.Timedelta(hours=hour), "LAB//50912//mg/dL", 1.0 + after) for hour in (65, 66)]
        rows += [
            (subject, START, "HOSPITAL_ADMISSION", None),
            (subject, START + pd.Timedelta("72h"), "HOSPITAL_DISCHARGE", None),
        ]
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    (folder / "data").mkdir(parents=True)
    frame.astype({"time": "datetime64[us]", "numeric_value": "float32"}).to_parquet(
        folder / "data/0.parquet", index=False
    )
    return folder


def labels(**columns: object) -> pd.DataFrame:
    times = [START + pd.Timedelta(hours=hours) for hours in HOURS.values()]
    return pd.DataFrame(
        {"subject_id": list(HOURS), "prediction_time": times, "boolean_value": [True, False] * 20} | columns
    )


def read(folder: Path, outcomes: object = None) -> Events:
    return cg.read_events(folder, source="meds", outcomes=labels() if outcomes is None else outcomes)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    return read(dataset(tmp_path_factory.mktemp("labels") / "meds"))


def test_each_stay_is_seen_until_its_own_prediction_time(events):
    stays = cg.select(events, TASK)
    last = [stays[[i]].hours.max() for i in range(4)]
    assert last == [-0.25, 0, 0, -0.5]  # hours before the prediction time, which itself is seen
    assert stays.n_measurements[:4].tolist() == [1, 49, 25, 8]
    assert stays.outcome[:4].tolist() == [1, 0, 1, 0]
    moments = pd.to_datetime(stays.index_time, unit="us")
    assert moments.tolist() == labels()["prediction_time"].tolist()


def test_nothing_after_the_prediction_time_reaches_the_stays_or_a_risk(events, tmp_path):
    before, after = (cg.select(each, TASK) for each in (events, read(dataset(tmp_path / "later", after=40.0))))
    for name in ("hours", "value", "availability_lag", "starts", "outcome", "index_time"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)
    model = cg.SummaryBaseline("logistic regression").fit(before)
    assert np.abs(model.predict_proba(before) - model.predict_proba(after)).max() == 0.0


def test_a_window_that_ends_elsewhere_is_refused(events):
    for window, anchor in (((0, 24), "start"), ((0, 12), "start"), ((-24, 0), "end")):
        for include_ineligible in (False, True):
            with pytest.raises(cg.ClinicalGRUError, match="anchor: prediction_time"):
                cg.select(
                    events, cg.Task("t", "boolean_value", window, anchor=anchor), include_ineligible=include_ineligible
                )
    for wrong in ({"window_hours": (-24, 1)}, {"window_hours": (0, 24)}):
        with pytest.raises(cg.ClinicalGRUError, match="ends at the prediction time"):
            cg.Task(**{"name": "t", "outcome": "boolean_value", "anchor": "prediction_time"} | wrong)


def test_a_common_window_is_accepted_where_all_labels_have_it(tmp_path):
    times = [START + pd.Timedelta("24h")] * len(HOURS)
    events = read(dataset(tmp_path / "meds"), labels(prediction_time=times))
    common, own = (cg.select(events, task) for task in (cg.Task("t", "boolean_value", (0, 24)), TASK))
    np.testing.assert_array_equal(common.hours - 24, own.hours)
    np.testing.assert_array_equal(common.outcome, own.outcome)


def test_prediction_times_without_labels_serve_scoring_and_their_absence_is_an_error(events, tmp_path):
    folder = dataset(tmp_path / "meds")
    model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, TASK))
    scores = cg.score(model, folder, outcomes=labels().drop(columns="boolean_value"))
    np.testing.assert_array_equal(scores["risk"], model.predict_proba(cg.select(events, TASK))[:, 1])
    assert scores["prediction_time"].tolist() == labels()["prediction_time"].tolist()
    with pytest.raises(cg.ClinicalGRUError, match="labels with a prediction time"):
        cg.select(cg.read_events(folder, source="meds"), TASK)


def test_labels_in_a_text_file_and_a_stay_without_a_label(events, tmp_path):
    labels().iloc[:3].to_csv(tmp_path / "labels.csv", index=False)
    fewer = cg.select(read(dataset(tmp_path / "meds"), tmp_path / "labels.csv"), TASK)
    assert fewer.flow[1] == ("index time reached (prediction time of the label)", 3)
    assert fewer.outcome.tolist() == [1, 0, 1]
    with pytest.raises(cg.ClinicalGRUError, match="labels as numbers"):
        read(tmp_path / "meds", labels(boolean_value=["yes please"] * 40))

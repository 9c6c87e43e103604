"""Label files of MEDS: each stay is seen until the prediction time of its own label, and not beyond."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.task.criteria import Criterion
from clinicalgru.data.task.departures import departure_steps
from clinicalgru.data.task.stay_times import stay_times

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


@pytest.mark.slow
def test_prediction_times_without_labels_serve_scoring_and_their_absence_is_an_error(events, tmp_path):
    folder = dataset(tmp_path / "meds")
    model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, TASK))
    scores = cg.score(model, folder, outcomes=labels().drop(columns="boolean_value"))
    np.testing.assert_array_equal(scores["risk"], model.predict_proba(cg.select(events, TASK))[:, 1])
    assert scores["prediction_time"].tolist() == labels()["prediction_time"].tolist()
    with pytest.raises(cg.ClinicalGRUError, match="labels with a prediction time"):
        cg.select(cg.read_events(folder, source="meds"), TASK)


TIMES = (6, 30.5, 54)  # hours from the admission to the labels of each subject, of which every fourth has one only


def several() -> pd.DataFrame:
    """Labels at several times of each stay, in another order than time."""
    tables = [
        labels(prediction_time=START + pd.Timedelta(hours=hours), boolean_value=[number % 2 == 0, hours > 20] * 20)
        for number, hours in enumerate(TIMES)
    ]
    table = pd.concat(tables[::-1], ignore_index=True)
    return table[(table["subject_id"] % 4 > 0) | (table["prediction_time"] == tables[1]["prediction_time"].iloc[0])]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Events:
    return read(dataset(tmp_path_factory.mktemp("several") / "meds"), several())


@pytest.mark.slow
def test_several_labels_of_a_stay_are_what_each_of_them_is_alone(repeated, tmp_path):
    together, folder, found = cg.select(repeated, TASK), dataset(tmp_path / "meds"), []
    for hours in TIMES:
        table = several()
        alone = read(folder, table[table["prediction_time"] == START + pd.Timedelta(hours=hours)])
        stays = cg.select(alone, TASK)
        same = together[together.index_time == stays.index_time[0]]
        assert same.patient.tolist() == stays.patient.tolist()
        for name in ("hours", "value", "availability_lag", "starts", "outcome", "index_time", "static"):
            np.testing.assert_array_equal(getattr(same, name), getattr(stays, name), err_msg=name)
        found.append(len(stays))
    assert found == [30, 40, 30]
    assert together.flow[:2] == (
        ("stays in the extract", 100),
        ("index time reached (prediction time of the label)", 100),
    )


def test_entries_of_a_stay_have_names_of_their_own_and_count_once(repeated, events):
    stays = repeated.stays
    assert stays["stay_id"].is_unique
    assert stays.loc[stays["patient_id"] == "13", "stay_id"].tolist() == ["13-1:1", "13-1:2", "13-1:3"]
    assert stays.loc[stays["patient_id"] == "12", "stay_id"].tolist() == ["12-1"]
    assert stays.loc[stays["patient_id"] == "13", "prediction_hours"].tolist() == list(TIMES)
    assert (repeated.ledger.used, repeated.ledger.rows_in) == (events.ledger.used, events.ledger.rows_in)
    assert len(repeated) == sum(len(events) // 40 * (3 if subject % 4 else 1) for subject in HOURS)
    note = "further labels of a stay, each an entry of its own with the rows of the stay"
    assert repeated.ledger.notes[note] == 60
    assert cg.audit(repeated).flagged == cg.audit(events).flagged
    pd.testing.assert_frame_equal(repeated.counts(), events.counts())
    parts = cg.split_patients(cg.select(repeated, TASK), [0.5, 0.5])
    assert not set(parts[0].patient) & set(parts[1].patient)
    with pytest.raises(cg.ClinicalGRUError, match="several labels"):
        cg.write_meds(repeated, "never-written")


def test_a_stay_keeps_its_number_and_its_readmission_in_each_entry(tmp_path):
    folder = dataset(tmp_path / "meds")
    rows = pd.read_parquet(folder / "data/0.parquet")
    again = rows.assign(time=rows["time"] + pd.Timedelta("100h"))
    pd.concat([rows, again]).to_parquet(folder / "data/0.parquet", index=False)
    later = several().assign(prediction_time=lambda table: table["prediction_time"] + pd.Timedelta("100h"))
    events = read(folder, pd.concat([several(), later]))
    criterion = Criterion("first stay", column="stay_number", among=(1,))
    first = cg.Task("t", "boolean_value", (-48, 0), anchor="prediction_time", include=(criterion,))
    assert len(cg.select(events, first)) == 100
    gap = cg.Task("t", "boolean_value", (-48, 0), anchor="prediction_time", outcome_time="end", gap_hours=50)
    steps = dict(departure_steps(events, gap, stay_times(events, gap)))
    readmitted = events.stays[~steps["no readmission within the gap of 50 hours"]]
    assert readmitted["prediction_hours"].tolist() == [54.0] * 30  # the next stay starts at hour 100


@pytest.mark.slow
def test_one_model_and_one_score_for_each_label(repeated, tmp_path):
    model = cg.SummaryBaseline("logistic regression").fit(cg.select(repeated, TASK))
    scores = cg.score(model, dataset(tmp_path / "meds"), outcomes=several().drop(columns="boolean_value"))
    assert scores["stay_id"].tolist() == repeated.stays["stay_id"].tolist()
    np.testing.assert_array_equal(scores["risk"], model.predict_proba(cg.select(repeated, TASK))[:, 1])
    table = cg.meds_predictions(scores, repeated.stays.set_index("stay_id")["boolean_value"]).to_pandas()
    written = several().sort_values(["subject_id", "prediction_time"], ignore_index=True)
    for name in ("subject_id", "prediction_time", "boolean_value"):
        assert table[name].tolist() == written[name].tolist()


@pytest.mark.slow
def test_a_label_twice_counts_once_and_labels_that_differ_are_refused(tmp_path):
    folder = dataset(tmp_path / "meds")
    twice = read(folder, pd.concat([labels(), labels().iloc[:3]]))
    assert twice.ledger.notes["labels that repeat another"] == 3
    assert len(cg.select(twice, TASK)) == 40
    other = labels().iloc[:1].assign(boolean_value=False)
    with pytest.raises(cg.ClinicalGRUError, match="row 40: Expected one label for each prediction time"):
        read(folder, pd.concat([labels(), other]))


@pytest.mark.slow
def test_labels_in_a_text_file_and_a_stay_without_a_label(events, tmp_path):
    labels().iloc[:3].to_csv(tmp_path / "labels.csv", index=False)
    fewer = cg.select(read(dataset(tmp_path / "meds"), tmp_path / "labels.csv"), TASK)
    assert fewer.flow[1] == ("index time reached (prediction time of the label)", 3)
    assert fewer.outcome.tolist() == [1, 0, 1]
    with pytest.raises(cg.ClinicalGRUError, match="labels as numbers"):
        read(tmp_path / "meds", labels(boolean_value=["yes please"] * 40))

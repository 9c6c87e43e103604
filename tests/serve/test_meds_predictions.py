"""Scores as the prediction table of meds-evaluation, by its schema."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from meds import LabelSchema
from meds_evaluation.schema import PredictionSchema

import clinicalgru as cg
from clinicalgru.serve.meds_predictions import PREDICTIONS


@pytest.fixture(scope="module")
def scores(parts, events):
    return cg.score(cg.SummaryBaseline("logistic regression").fit(parts[0]), events, as_of="2150-01-01")


@pytest.fixture(scope="module")
def outcomes(events):
    return events.stays.set_index("stay_id")["in_hospital_death"]


@pytest.mark.slow
def test_the_table_has_the_schema_of_labels_and_predictions(scores, outcomes):
    table = cg.meds_predictions(scores, outcomes, threshold=0.2)
    assert table.schema.equals(PREDICTIONS)
    labels = table.select(["subject_id", "prediction_time", "boolean_value"])
    assert LabelSchema.align(labels).equals(labels)
    for threshold in (0.2, None):
        predicted = cg.meds_predictions(scores, outcomes, threshold=threshold)
        assert predicted["predicted_boolean_value"].null_count == (0 if threshold else len(predicted))
        assert predicted["predicted_boolean_probability"].null_count == 0


def test_meds_evaluation_takes_it(scores, outcomes):
    table = cg.meds_predictions(scores, outcomes)
    assert PredictionSchema.align(table).num_rows == table.num_rows
    assert PredictionSchema.align(cg.meds_predictions(scores)).num_rows > table.num_rows


def test_each_scored_stay_has_its_row(scores, outcomes):
    scored = scores[scores["status"] == "scored"]
    table = cg.meds_predictions(scores, outcomes).to_pandas()
    known = scored["stay_id"].map(outcomes).notna()
    assert len(table) == known.sum() < len(scored)
    expected = scored[known].assign(subject_id=scored["patient_id"].astype(int), died=scored["stay_id"].map(outcomes))
    expected = expected.sort_values(["subject_id", "prediction_time"])
    np.testing.assert_allclose(table["predicted_boolean_probability"], expected["risk"], rtol=1e-6)
    assert table["boolean_value"].tolist() == expected["died"].astype(bool).tolist()
    assert cg.meds_predictions(scores).num_rows == len(scored)


def test_what_meds_cannot_hold_is_refused(scores):
    with pytest.raises(cg.ClinicalGRUError, match="whole numbers"):
        cg.meds_predictions(scores.assign(patient_id="a-1"))
    with pytest.raises(cg.ClinicalGRUError, match="with dates"):
        cg.meds_predictions(scores.assign(prediction_time=pd.NaT))
    with pytest.raises(cg.ClinicalGRUError, match="with a risk"):
        cg.meds_predictions(scores.drop(columns="risk"))

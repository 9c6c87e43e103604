"""Quantiles of summaries are learned at hours at which a network predicts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family import SMALL, fitted_case

import clinicalgru as cg
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.summaries import summarise
from clinicalgru.model.network.scaling import InputScaler
from clinicalgru.model.training.prediction_hours import SCALED, known_at_predictions
from clinicalgru.serve.adapt_scaling import adapt_scaling

N_SUMMARIES = len(SUMMARIES)
COUNT, SINCE_FIRST = 0, N_SUMMARIES - 2


@pytest.fixture(scope="module")
def stays(events, task):
    return cg.select(events, task)


def test_without_cuts_the_ends_of_the_stays_are_known(stays):
    assert known_at_predictions(stays, per_step=False, n_cuts=0) is stays


def test_cuts_are_earlier_copies_behind_the_stays(stays):
    known = known_at_predictions(stays, per_step=False, n_cuts=2)
    n = len(stays)
    assert len(known) == 3 * n
    np.testing.assert_array_equal(known.stay, np.tile(stays.stay, 3))
    np.testing.assert_array_equal(known.end_hours[:n], stays.end_hours)
    assert (known.end_hours[n:] <= np.tile(stays.end_hours, 2)).all()
    np.testing.assert_array_equal(summarise(known[:n]), summarise(stays))
    again = stays[np.tile(np.arange(n), 3)].truncate_at(known.end_hours)
    np.testing.assert_array_equal(summarise(known), summarise(again))


def test_steps_are_times_of_measurements(stays):
    known = known_at_predictions(stays, per_step=True, n_cuts=0)
    measured = {(name, hour) for name, hour in zip(stays.stay[stays.stay_of_measurement], stays.hours, strict=True)}
    assert len(known) == 4 * np.count_nonzero(stays.n_steps)
    assert all(pair in measured for pair in zip(known.stay, known.end_hours, strict=True))
    assert len({*known.end_hours}) > len(stays)


def test_no_stay_gives_none(stays):
    none = stays[np.arange(0)]
    assert not len(known_at_predictions(none, per_step=True, n_cuts=0))
    assert not len(known_at_predictions(none, per_step=False, n_cuts=2))


@pytest.mark.parametrize("kind", ["multiclass", "early_warning"])
def test_early_hours_are_not_all_at_the_outermost_score(kind):
    """From the ends of stays alone, counts and hours since the first measurement of early hours had one score."""
    case = fitted_case(kind)
    early = case.train.truncate_at(np.minimum(3.0, case.train.end_hours))
    early = early[early.n_measurements > 0]
    column = list(case.train.variables).index(next(one for one in case.train.variables if one.name == "heart_rate"))
    summaries = torch.from_numpy(summarise(early, indices=case.model.network_.spec.clinical_indices))
    scores = case.model.network_.scaler.summary(summaries)[:, column * N_SUMMARIES : (column + 1) * N_SUMMARIES]
    lowest = case.model.network_.scaler.summary.scores[column * N_SUMMARIES : (column + 1) * N_SUMMARIES].min(dim=1)[0]
    for summary in (COUNT, SINCE_FIRST):
        known = scores[:, summary][~scores[:, summary].isnan()]
        assert (known > lowest[summary]).float().mean() > 0.5
        assert len(known.unique()) > 2


def test_a_regression_is_scaled_at_the_ends():
    case = fitted_case("regression")
    scaler = cg.GRURegressor(**SMALL).init_network(case.train)[0].scaler
    ends = InputScaler(len(case.train.variables), scaler.static_variables, indices=scaler.indices)
    ends.fit(case.train)
    torch.testing.assert_close(scaler.summary.knots, ends.summary.knots, rtol=0, atol=0)


def test_another_hospital_is_scaled_as_the_model_was():
    case = fitted_case("multiclass")
    others = case.train
    assert case.model.trained_on_[SCALED] == "at predictions"
    old = cg.GRUClassifier(**case.model.get_params(deep=False))
    old.__dict__.update(vars(case.model))
    old.trained_on_ = {name: value for name, value in case.model.trained_on_.items() if name != SCALED}
    new_scaler, old_scaler = (adapt_scaling(one, others).network_.scaler.summary.knots for one in (case.model, old))
    scaler = case.model.network_.scaler
    at_ends = InputScaler(len(others.variables), scaler.static_variables, indices=scaler.indices)
    at_ends.fit_measurements(others)
    torch.testing.assert_close(old_scaler, at_ends.summary.knots, rtol=0, atol=0)
    assert not torch.equal(new_scaler, old_scaler)

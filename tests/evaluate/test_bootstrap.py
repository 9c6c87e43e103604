"""The patient bootstrap against a plain loop, and its intervals against the truth they claim to hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate import bootstrap
from clinicalgru.evaluate.bootstrap import (
    metric_interval,
    numbered_patients,
    patient_resamples,
    percentile_interval,
)
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.evaluate.metrics import auroc


def two_normals(random, *, stays: int, shift: float = 1.0):
    outcome = (random.random(stays) < 0.3).astype(float)
    score = random.normal(size=stays) + shift * outcome
    return outcome, stats.norm.cdf(score)


def test_every_resample_draws_as_many_patients_as_there_are_and_keeps_their_stays_together():
    patient = np.array([0, 0, 1, 2, 2, 2, 3])
    weights = np.concatenate(list(patient_resamples(patient, n_resamples=500, random_state=0)))
    first_stay = weights[:, [0, 2, 3, 6]]
    assert weights.shape == (500, 7)
    assert (first_stay.sum(axis=1) == 4).all()
    assert (weights == first_stay[:, patient]).all()
    np.testing.assert_allclose(first_stay.mean(axis=0), 1, atol=0.15)


def test_the_same_seed_draws_the_same_and_another_seed_others():
    first, again, other = (
        np.concatenate(list(patient_resamples(np.arange(9), n_resamples=5, random_state=s))) for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_blocks_stay_small_however_many_stays_there_are(monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK_SIZE", 100)
    blocks = list(patient_resamples(np.arange(30), n_resamples=10, random_state=0))
    assert [len(block) for block in blocks] == [3, 3, 3, 1]
    assert len(next(patient_resamples(np.arange(1000), n_resamples=2, random_state=0))) == 1


@pytest.mark.slow
def test_the_interval_agrees_with_a_plain_loop_over_drawn_patients():
    random = np.random.default_rng(0)
    outcome, risk = two_normals(random, stays=300)
    patient = np.sort(random.integers(0, 120, 300))
    stays_of = [np.flatnonzero(patient == one) for one in np.unique(patient)]
    loop = []
    for _ in range(800):
        stays = np.concatenate([stays_of[one] for one in random.choice(len(stays_of), size=len(stays_of))])
        loop.append(roc_auc_score(outcome[stays], risk[stays]))
    judged = evaluate(outcome, risk, patients=patient, n_resamples=800).metrics.set_index("metric").loc["auroc"]
    np.testing.assert_allclose([judged["low"], judged["high"]], np.percentile(loop, [2.5, 97.5]), atol=0.01)


@pytest.mark.slow
def test_the_interval_holds_the_true_auroc_about_95_times_in_100():
    random, truth, held = np.random.default_rng(1), stats.norm.cdf(1 / np.sqrt(2)), 0
    for random_state in range(300):
        outcome, risk = two_normals(random, stays=200)
        [weights] = patient_resamples(np.arange(200), n_resamples=300, random_state=random_state)
        low, high = percentile_interval(auroc(outcome, risk, weights))
        held += low <= truth <= high
    assert 0.90 <= held / 300 <= 0.985


def test_stays_of_one_patient_are_not_taken_for_independent_evidence():
    outcome, risk = two_normals(np.random.default_rng(2), stays=150)
    fourfold = outcome.repeat(4), risk.repeat(4)
    width = {
        patients is None: evaluate(*fourfold, patients=patients, n_resamples=500).metrics.eval("high - low").to_numpy()
        for patients in (None, np.arange(150).repeat(4))
    }
    assert (width[False] > 1.5 * width[True]).all()  # twice as wide, up to chance


def test_there_is_no_interval_where_too_many_resamples_are_undefined():
    replicates = np.arange(100.0)
    replicates[:5] = np.nan
    assert np.isfinite(percentile_interval(replicates)).all()
    replicates[5] = np.nan
    assert np.isnan(percentile_interval(replicates)).all()
    assert np.isnan(percentile_interval(np.array([]))).all()


def test_patients_are_refused_when_unknown_or_too_few_and_never_named():
    with pytest.raises(ArgumentError, match="1 of 3 stays without one") as unknown:
        numbered_patients(["Ann", None, "Ann"], 3)
    assert "Ann" not in str(unknown.value)
    with pytest.raises(ArgumentError, match="a patient for each of 3 stays"):
        numbered_patients(["Ann"], 3)


def test_with_a_number_of_patients_the_interval_of_a_mean_is_students():
    """The bootstrap of a mean is nearly normal and divides by n, not n - 1: scipy's interval is what it should give."""
    values = np.random.default_rng(0).normal(size=22)
    replicates = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000, values.mean(), stats.sem(values, ddof=0))
    expected = stats.t.interval(0.95, 21, values.mean(), stats.sem(values))
    np.testing.assert_allclose(percentile_interval(replicates, n_patients=22), expected, rtol=1e-3)
    np.testing.assert_allclose(metric_interval("brier", values.mean(), replicates, class_count=22), expected, rtol=1e-3)


def test_the_interval_on_the_log_odds_scale_is_students_and_normal_without_a_count():
    replicates = np.linspace(0.6, 0.8, 500)
    error = replicates.std(ddof=1) / (0.7 * 0.3)
    for count, quantile in ((22, stats.t.ppf(0.975, 21)), (None, stats.norm.ppf(0.975))):
        low, high = metric_interval("auroc", 0.7, replicates, class_count=count)
        np.testing.assert_allclose(logit([low, high]) - logit(0.7), np.array([-quantile, quantile]) * error)

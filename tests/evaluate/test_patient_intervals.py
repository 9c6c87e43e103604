"""Intervals of groups of stays, several of which are of one patient: coverage by simulation, and other formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest, norm

from clinicalgru.evaluate.calibration import calibration_groups, quantile_groups
from clinicalgru.evaluate.calibration_groups import kaplan_meier, number_groups
from clinicalgru.evaluate.curves import curves
from clinicalgru.evaluate.patient_intervals import mean_error, patient_products, wilson_interval
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.evaluate.small_cells import suppress_curves


def simulated(rng, n_patients, per_patient, correlation):
    """Patients, true risks and outcomes; outcomes of a patient are correlated."""
    n = n_patients * per_patient
    patient = np.repeat(np.arange(n_patients), per_patient)
    risk = expit(rng.normal(-1.5, 1, n_patients)[patient] + rng.normal(0, 0.3, n))
    shared = rng.normal(size=n_patients)[patient]
    latent = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=n)
    return patient, risk, (norm.cdf(latent) < risk).astype(float)


def covered(low, high, truth):
    return ((np.asarray(low) <= truth) & (truth <= np.asarray(high))).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("n_patients", "per_patient", "correlation"), [(400, 1, 0.0), (250, 4, 0.6)])
def test_intervals_cover_the_true_rate_in_93_to_97_percent(n_patients, per_patient, correlation):
    rng = np.random.default_rng(0)
    groups, merged, standing, by_stay = [], [], [], []
    for _ in range(120):
        patient, risk, outcome = simulated(rng, n_patients, per_patient, correlation)
        table = calibration_groups(outcome, risk, patients=patient)
        groups += covered(table["low"], table["high"], table["predicted"])
        plain = calibration_groups(outcome, risk)
        by_stay += covered(plain["low"], plain["high"], plain["predicted"])
        counts = {"stays": len(outcome), "events": int(outcome.sum())}
        table = suppress_curves(curves(outcome, risk, patients=patient), **counts).calibration
        merged += covered(table["low"], table["high"], table["predicted"])
        pooled = RiskGroups.of(outcome, risk, patient)
        standing += covered(pooled.low, pooled.high, np.array(pooled.mean_risk))
    assert all(0.93 <= np.mean(hits) <= 0.97 for hits in (groups, merged, standing))
    assert per_patient == 1 or np.mean(by_stay) < 0.92  # what counting stays gives


def test_single_stays_have_wilsons_interval_in_groups_and_among_risk_groups():
    rng = np.random.default_rng(1)
    patient, risk, outcome = simulated(rng, 300, 1, 0.0)
    for row in calibration_groups(outcome, risk, patients=patient).itertuples():
        expected = binomtest(round(row.observed * row.stays), row.stays).proportion_ci(method="wilson")
        np.testing.assert_allclose([row.low, row.high], [expected.low, expected.high], atol=1e-12)
    groups = RiskGroups.of(outcome, risk, patient)
    for low, high, events, stays in zip(groups.low, groups.high, groups.events, groups.stays, strict=True):
        np.testing.assert_allclose([low, high], binomtest(events, stays).proportion_ci(method="wilson"), atol=1e-12)


def test_four_equal_stays_of_each_patient_count_as_one():
    """Also where none has the event, and with t in place of the normal distribution."""
    for events in (0, 30):
        outcome, patient = np.repeat(np.arange(100) < events, 4).astype(float), np.repeat(np.arange(100), 4)
        products = patient_products(outcome, np.zeros(400, dtype=np.int64), patient)
        low, high = wilson_interval(np.array([events / 100]), np.array([400]), products)
        expected = binomtest(events, 100).proportion_ci(method="wilson")
        np.testing.assert_allclose([low[0], high[0]], [expected.low, expected.high], atol=2e-3)


def test_products_of_merged_groups_are_those_of_the_groups_together():
    patient, risk, outcome = simulated(np.random.default_rng(2), 60, 4, 0.5)
    group = quantile_groups(risk, 4)
    products = patient_products(outcome, group, patient)
    for row, of in ((0, outcome - (np.bincount(group, outcome) / np.bincount(group))[group]), (1, np.ones(240))):
        sums = np.bincount(patient[group < 2], of[group < 2])
        assert products[row, :2, :2].sum() == pytest.approx((sums**2).sum())


def test_errors_of_means_and_of_survival_widen_with_the_stays_of_a_patient():
    """Each number four times: as wide as each once. Without patients, Greenwood's formula."""
    rng = np.random.default_rng(3)
    once = rng.exponential(10, 80).round(1)
    outcome = np.column_stack([once, rng.random(80) < 0.7])
    fourfold, patient = np.repeat(outcome, 4, axis=0), np.repeat(np.arange(80), 4)
    assert mean_error(fourfold[:, 0], patient) == pytest.approx(np.std(once, ddof=1) / np.sqrt(80))
    assert kaplan_meier(fourfold, 8.0, patients=patient)[1] == pytest.approx(kaplan_meier(outcome, 8.0)[1], rel=0.02)
    assert kaplan_meier(fourfold, 8.0)[1] == pytest.approx(kaplan_meier(outcome, 8.0)[1] / 2, rel=0.02)
    wide, narrow = (number_groups(fourfold[:, 0], fourfold[:, 0], patients=of) for of in (patient, None))
    assert ((wide["high"] - wide["low"]) > 1.9 * (narrow["high"] - narrow["low"])).all()


def test_risk_groups_keep_their_intervals_and_those_of_an_earlier_version_count_stays():
    patient, risk, outcome = simulated(np.random.default_rng(4), 250, 4, 0.8)
    groups = RiskGroups.of(outcome, risk, patient)
    written = groups.to_dict()
    assert RiskGroups.from_dict(written).to_dict() == written
    older = RiskGroups.from_dict({name: written[name] for name in ("mean_risk", "stays", "events", "ranks")})
    assert older.standing(0.3).high < groups.standing(0.3).high
    for wrong in ({"low": written["low"][1:]}, {"low": written["low"][1:], "high": written["high"][1:]}):
        with pytest.raises(ValueError, match="intervals"):
            RiskGroups.from_dict(written | wrong)

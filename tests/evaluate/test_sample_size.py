"""Sample sizes against published worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import clinicalgru as cg
from clinicalgru.evaluate.sample_size import cox_snell_r_squared, events_for_auroc


@pytest.mark.parametrize(
    ("given", "published"),
    [
        # Stata and R package pmsampsize, first example of the manual
        ({"prevalence": 0.174, "r_squared": 0.288, "n_parameters": 24}, [623, 662, 221]),
        # the same, R squared from a C statistic (Riley et al. 2021)
        ({"prevalence": 0.174, "c_statistic": 0.89, "n_parameters": 24}, [615, 660, 221]),
    ],
)
def test_a_development_needs_what_is_published(given, published):
    assert cg.sample_size("development", **given).criteria["stays"].tolist() == published


def test_pre_eclampsia_needs_5249_women():
    """Riley et al., BMJ 2020;368:m441: 30 parameters, prevalence 0.05, R squared 0.05."""
    needed = cg.sample_size("development", prevalence=0.05, r_squared=0.05, n_parameters=30)
    assert (needed.stays, needed.events) == (5249, 263)
    assert needed.criteria["stays"].tolist()[2] == 73


@pytest.mark.parametrize(
    ("given", "published"),
    [
        # package pmvalsampsize, mechanical heart valve failure; its log-odds are simulated
        ({"prevalence": 0.018, "c_statistic": 0.8, "log_odds": (-5, 2.5), "oe_width": 1}, [905, 4544, 4252]),
        ({"prevalence": 0.2, "c_statistic": 0.78, "log_odds": (-1.75, 1.22)}, [1538, 2958, 511]),
    ],
)
def test_a_validation_needs_what_is_published(given, published):
    np.testing.assert_allclose(cg.sample_size("validation", **given).criteria["stays"], published, rtol=0.005)


def test_without_log_odds_they_follow_from_auroc_and_prevalence():
    rng = np.random.default_rng(0)
    event = rng.random(400_000) < 0.15
    variance = 2 * 0.6744897502**2  # of an AUROC of 0.75
    score = np.log(0.15 / 0.85) - variance / 2 + variance * event + np.sqrt(variance) * rng.normal(size=len(event))
    assert roc_auc_score(event, score) == pytest.approx(0.75, abs=0.003)
    risk = 1 / (1 + np.exp(-score))
    gain = np.mean(np.where(event, np.log(risk), np.log(1 - risk))) - np.mean(
        np.where(event, np.log(0.15), np.log(0.85))
    )
    assert cox_snell_r_squared(0.75, 0.15) == pytest.approx(1 - np.exp(-2 * gain), abs=0.003)


def test_rarer_events_and_weaker_models_need_more():
    assert events_for_auroc(0.7, 0.1) > events_for_auroc(0.9, 0.1)
    rare, common = (cg.sample_size(prevalence=p, c_statistic=0.8).stays for p in (0.02, 0.2))
    assert rare > common


@pytest.mark.parametrize(
    "given",
    [
        {"prevalence": 0},
        {"prevalence": 0.1},
        {"prevalence": 0.1, "c_statistic": 0.4},
        {"purpose": "development", "prevalence": 0.1, "c_statistic": 0.8},
        {"purpose": "development", "prevalence": 0.1, "n_parameters": 5},
        {"purpose": "development", "prevalence": 0.1, "n_parameters": 5, "r_squared": 0.9},
        {"purpose": "both", "prevalence": 0.1},
        {"prevalence": 0.1, "c_statistic": 0.8, "log_odds": 5},
        {"prevalence": 0.1, "c_statistic": 0.8, "log_odds": (0, 0)},
    ],
)
def test_what_cannot_be_computed_is_refused(given):
    with pytest.raises(cg.ClinicalGRUError):
        cg.sample_size(**given)


def test_twenty_stays_of_each_outcome_are_the_least():
    """Large samples are assumed: wide intervals would make three stays enough."""
    wide = cg.sample_size(prevalence=0.1, c_statistic=0.8, oe_width=50, slope_width=50, c_width=5)
    assert (wide.stays, wide.events) == (200, 20)
    assert wide.criteria["criterion"].iloc[-1] == "20 stays with, and 20 without, the event"

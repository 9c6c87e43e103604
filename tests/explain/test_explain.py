"""Explanations against what they must be: deleted measurements, prefixes, and the network's own gradient."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import wilcoxon

import clinicalgru as cg


@pytest.fixture(scope="module")
def why(fitted, test_stays):
    return cg.explain(fitted, test_stays[[2]])


def test_the_reference_risk_is_that_of_the_same_hours_with_nothing_measured(fitted, test_stays, why):
    from dataclasses import replace

    stay = test_stays[[2]]
    other = replace(stay, value=stay.value * 0.9, static=np.full_like(stay.static, np.nan))
    assert cg.explain(fitted, other).reference_risk == pytest.approx(why.reference_risk, abs=1e-6)


def test_unknown_static_covariates_contribute_nothing(fitted, test_stays):
    from dataclasses import replace

    stay = test_stays[[2]]
    unknown = cg.explain(fitted, replace(stay, static=np.full_like(stay.static, np.nan)), reference="nothing")
    assert (unknown.static["contribution"] == 0).all()


def test_the_trajectory_ends_at_the_risk_and_each_point_depends_only_on_what_was_known(fitted, test_stays, why):
    assert why.risk_trajectory["risk"].iloc[-1] == pytest.approx(why.risk, abs=1e-6)
    assert why.risk_trajectory["hours"].iloc[-1] == 48
    hour = why.risk_trajectory["hours"].iloc[10]
    stay = test_stays[[2]]
    cut = stay.filter_measurements(stay.hours <= hour)
    cut.end_hours[:] = hour
    assert why.risk_trajectory["risk"].iloc[10] == pytest.approx(fitted.predict_proba(cut)[0, 1], abs=1e-6)


def test_attention_sums_to_one_over_the_hours_of_the_stay(why, test_stays):
    assert why.attention["weight"].sum() == pytest.approx(1, abs=1e-5)
    assert why.attention["hours"].tolist() == np.unique(test_stays[[2]].hours).tolist()


def test_a_calibrated_model_is_explained_on_its_calibrated_risk(fitted, test_stays, why):
    assert why.risk == pytest.approx(fitted.predict_proba(test_stays[[2]])[0, 1])


@pytest.mark.slow
def test_deleting_what_raised_the_risk_most_lowers_it_more_than_deleting_at_random(fitted, test_stays):
    rng, stays, n_random = np.random.default_rng(0), test_stays[np.arange(40)], 20
    gone = np.zeros((1 + n_random, len(stays.hours)), dtype=bool)  # by choice, then at random
    for i, (first, last) in enumerate(pairwise(stays.starts)):
        why = cg.explain(fitted, stays[[i]], reference="nothing", tolerance=1e-4)
        contribution = why.measurements["contribution"].to_numpy()
        count = max(1, len(contribution) // 10)
        gone[0, first + np.argsort(-contribution)[:count]] = True
        for row in gone[1:]:
            row[first + rng.choice(last - first, count, replace=False)] = True
    by_choice, *by_chance = (fitted.predict_proba(stays.filter_measurements(~row))[:, 1] for row in gone)
    lowered = np.mean(by_chance, axis=0) - by_choice
    assert wilcoxon(lowered, alternative="greater").pvalue < 1e-6  # as unlikely by chance as 35 of 40 stays


def test_no_identifier_unless_requested(fitted, test_stays, why):
    assert why.stay_label == "stay"
    assert cg.explain(fitted, test_stays[[2]], show_id=True).stay_label == (
        f"stay {test_stays.stay[2]} of patient {test_stays.patient[2]}"
    )


def test_other_than_one_stay_is_refused(fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="Expected one stay; got 2"):
        cg.explain(fitted, test_stays[[0, 1]])


def test_contributions_by_variable_sum_to_the_same_total(why):
    total = sum(table["contribution"].sum() for table in (why.measurements, why.static, why.absent))
    assert why.by_variable()["contribution"].sum() == pytest.approx(total)
    assert why.by_variable()["contribution"].abs().is_monotonic_decreasing

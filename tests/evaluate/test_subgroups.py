"""The same metrics, group by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.subgroups import equal_calibration_p, subgroups


@pytest.fixture
def stays():
    random = np.random.default_rng(1)
    risk = random.random(600)
    return (random.random(600) < risk).astype(int), risk, random.choice(["women", "men"], 600)


def test_each_group_is_judged_by_its_own_stays_alone(stays):
    outcome, risk, sex = stays
    table = subgroups(outcome, risk, sex, metrics=["auroc"], n_resamples=20).table.set_index("group")
    for group in ("men", "women"):
        assert table.loc[group, "estimate"] == pytest.approx(roc_auc_score(outcome[sex == group], risk[sex == group]))
        assert table.loc[group, "stays"] == (sex == group).sum()
    assert table.loc["all", "estimate"] == pytest.approx(roc_auc_score(outcome, risk))


def test_a_missing_label_is_a_group_and_not_lost(stays):
    outcome, risk, sex = stays
    labels = pd.Series(sex).where(np.arange(600) >= 100)
    table = subgroups(outcome, risk, labels, metrics=["brier"], n_resamples=5).table.set_index("group")
    assert table.loc["unknown", "stays"] == 100
    assert table.loc[["men", "women", "unknown"], "stays"].sum() == 600


def test_categories_keep_their_order(stays):
    outcome, risk, _ = stays
    age = pd.cut(np.arange(600) % 90, [10, 50, 65, 90], labels=["young", "older", "a great age"])
    table = subgroups(outcome, risk, age, metrics=["brier"], n_resamples=5).table
    assert table["group"].tolist() == ["all", "young", "older", "a great age", "unknown"]


def test_a_small_group_is_withheld_with_what_would_give_it_away(stays):
    outcome, risk, sex = stays
    labels = np.where(np.arange(600) < 12, "few", sex)
    table = subgroups(outcome, risk, labels, metrics=["auroc"], n_resamples=5).table.set_index("group")
    assert pd.isna(table.loc["few", ["stays", "events", "estimate"]]).all()
    assert pd.isna(table.loc[["men", "women", "all"], "stays"]).any()
    shown = subgroups(outcome, risk, labels, metrics=["auroc"], n_resamples=5, min_cell_size=0).table.set_index("group")
    assert shown.loc["few", "stays"] == 12


def test_a_group_without_events_has_no_figure_but_its_count(stays):
    outcome, risk, sex = stays
    labels = np.where(outcome == 0, np.where(np.arange(600) % 2, "well", sex), sex)
    table = subgroups(outcome, risk, labels, metrics=["auroc"], n_resamples=5, min_cell_size=0).table.set_index("group")
    assert np.isnan(table.loc["well", "estimate"])
    assert table.loc["well", "events"] == 0


def test_other_lengths_and_unknown_metrics_are_refused(stays):
    outcome, risk, sex = stays
    with pytest.raises(ArgumentError, match="a group for each of 600 stays"):
        subgroups(outcome, risk, sex[:5])
    with pytest.raises(ArgumentError, match="metrics among"):
        subgroups(outcome, risk, sex, metrics=["luck"])


@pytest.mark.slow
def test_groups_of_equal_calibration_are_called_different_in_five_percent():
    rng, p = np.random.default_rng(0), []
    label = pd.Series(np.repeat(["a", "b", "c"], 250))
    for _ in range(400):
        risk = rng.beta(2, 5, 750)
        outcome = (rng.random(750) < risk).astype(float)
        p.append(equal_calibration_p(outcome, risk, label))
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_a_group_with_other_calibration_is_found_and_said():
    rng = np.random.default_rng(1)
    label, risk = np.repeat(["a", "b"], 1000), rng.beta(2, 5, 2000)
    outcome = rng.random(2000) < np.where(label == "a", risk, risk / 2)
    result = subgroups(outcome, risk, label, n_resamples=20)
    assert result.calibration_p < 1e-4
    assert "Calibration differs between the groups (p < 0.001" in str(result)
    few = subgroups(outcome[990:1010], risk[990:1010], label[990:1010], n_resamples=20, min_cell_size=0)
    assert np.isnan(few.calibration_p)


def test_the_row_of_all_stays_where_every_group_is_small():
    """The counts of all are shown elsewhere on the page."""
    rng = np.random.default_rng(0)
    outcome = (rng.random(120) < 0.2).astype(float)
    outcome[:2] = 0, 1
    table = subgroups(outcome, rng.random(120), rng.integers(0, 6, 120).astype(str), n_resamples=10).table
    every = table[table["group"] == "all"]
    assert every["stays"].tolist() == [120] * 3
    assert every["events"].tolist() == [int(outcome.sum())] * 3
    assert every["estimate"].notna().all()


def repeated_stays(rng, patients, *, worse=0.0):
    """Three stays of each patient, who share a frailty; patients of the second of three groups may have worse risks."""
    patient = np.repeat(np.arange(patients), 3)
    score = rng.normal(-1, 1, len(patient)) + rng.normal(0, 0.7, patients)[patient]
    odds = score + worse * (patient % 3 == 1) + rng.normal(0, 0.5, patients)[patient]
    outcome = (rng.random(len(patient)) < expit(odds)).astype(float)
    return outcome, expit(score), pd.Series(patient % 3).map(str), patient


def test_equal_calibration_is_the_score_test_of_a_gee():
    """The number is that of statsmodels 0.14: GEE(Binomial, Independence).compare_score_test of three groups."""
    outcome, risk, group, patient = repeated_stays(np.random.default_rng(3), 400, worse=0.4)
    p = equal_calibration_p(outcome, risk, group, patients=patient)
    assert p == pytest.approx(0.1830221987336096, abs=1e-9)
    options = {"groups": patient, "family": sm.families.Binomial(), "cov_struct": sm.cov_struct.Independence()}
    line = np.stack([np.ones(len(risk)), logit(risk)], axis=1)
    full = np.hstack([line, *(line * (group == name).to_numpy()[:, None] for name in ("1", "2"))])
    score_test = sm.GEE(outcome, full, **options).compare_score_test(sm.GEE(outcome, line, **options).fit())
    assert p == pytest.approx(score_test["p-value"], abs=1e-9)


def test_groups_of_patients_with_several_stays_are_called_different_in_five_percent():
    """Stays of one patient are alike: a test that took them for independent would call more of them different."""
    rng = np.random.default_rng(0)
    draws = [repeated_stays(rng, 240) for _ in range(300)]
    p = np.array([equal_calibration_p(y, risk, group, patients=patient) for y, risk, group, patient in draws])
    assert 0.015 <= (p < 0.05).mean() <= 0.085
    assert 0.4 < p.mean() < 0.6


def test_one_risk_for_all_is_compared_by_its_level_alone():
    rng = np.random.default_rng(0)
    group = pd.Series(np.repeat(["a", "b"], 500))
    outcome = (rng.random(1000) < np.where(group == "a", 0.1, 0.2)).astype(float)
    events = [outcome[group == name].sum() for name in ("a", "b")]
    test = chi2_contingency([[k, 500 - k] for k in events], correction=False)
    assert equal_calibration_p(outcome, np.full(1000, 0.15), group) == pytest.approx(test.pvalue, rel=0.1)


def test_a_group_of_few_patients_is_not_tested():
    outcome, risk, group, patient = repeated_stays(np.random.default_rng(0), 240)
    few = np.where(group == "0", patient % 10, patient)  # many stays of ten patients
    assert np.isnan(equal_calibration_p(outcome, risk, group.where(group != "2"), patients=few))

"""The same metrics, group by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
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

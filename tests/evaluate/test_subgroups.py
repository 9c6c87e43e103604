"""The same metrics, group by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.subgroups import subgroups


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

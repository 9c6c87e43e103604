"""Sequences as an array of stays: how they are sliced and truncated, and how scikit-learn's tools take them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.utils import _safe_indexing

import clinicalgru as cg
from clinicalgru.data.sequences.columns import SeriesColumn, StaticColumn
from clinicalgru.data.sequences.sequences import AssignableSequences, as_sequences
from clinicalgru.errors import ArgumentError


class MeanValue(ClassifierMixin, BaseEstimator):
    """A risk from the mean of one variable and one static covariate: all that scikit-learn asks of an estimator."""

    def __init__(self, variable="gcs", weight=1.0):
        self.variable, self.weight = variable, weight

    def fit(self, X, y=None):
        self.classes_ = np.array([0, 1])
        self.center_ = np.nanmean(self._mean(as_sequences("X", X)))
        return self

    def _mean(self, stays):
        one = stays.variable == [variable.name for variable in stays.variables].index(self.variable)
        counts = np.bincount(stays.stay_of_measurement[one], minlength=len(stays))
        sums = np.bincount(stays.stay_of_measurement[one], stays.value[one], minlength=len(stays))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def predict_proba(self, X):
        mean = np.nan_to_num(self._mean(as_sequences("X", X)), nan=self.center_)
        age = np.nan_to_num(X.static[:, [v.name for v in X.static_variables].index("age")], nan=65.0)
        risk = 1 / (1 + np.exp(self.weight * (mean - self.center_) - (age - 65) / 20))
        return np.column_stack([1 - risk, risk])

    def predict(self, X):
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


def same(ours, theirs):
    for name in ("patient", "stay", "starts", "hours", "variable", "value", "availability_lag", "outcome"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    np.testing.assert_array_equal(ours.static, theirs.static)


def names(stays):
    return [variable.name for variable in stays.variables]


def test_positions_masks_slices_and_an_ellipsis_pick_the_same_stays(test_stays):
    mask = np.zeros(len(test_stays), bool)
    mask[[2, 5, 6]] = True
    expected = test_stays[[2, 5, 6]]
    for key in (np.array([2, 5, 6]), mask, mask.tolist(), pd.Series(mask), (mask, ...), ([2, 5, 6], ...)):
        same(test_stays[key], expected)
    same(test_stays[5:7], test_stays[[5, 6]])
    same(test_stays[-2:], test_stays[[len(test_stays) - 2, len(test_stays) - 1]])
    assert len(test_stays[[]]) == 0
    assert test_stays.shape == (len(test_stays), len(test_stays.variables) + len(test_stays.static_variables))


@pytest.mark.parametrize("key", [3, np.int64(3), "heart_rate", 2.5, [10**6], np.ones(3, bool), None, ([0], 1), True])
def test_what_names_no_stays_is_refused(test_stays, key):
    with pytest.raises(cg.ClinicalGRUError, match="positions"):
        test_stays[key]


def test_sequences_are_no_array_of_numbers(test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="a table of numbers"):
        np.asarray(test_stays)
    with pytest.raises(cg.ClinicalGRUError, match="Use an estimator of clinicalgru"):
        HistGradientBoostingClassifier().fit(test_stays, test_stays.outcome)
    with pytest.raises(cg.ClinicalGRUError, match="axis=0"):
        test_stays.take([0], axis=1)


@pytest.mark.parametrize("other", [pd.DataFrame({"a": [1]}), "stays", None])
def test_an_estimator_is_told_what_it_got_instead_of_sequences(other):
    with pytest.raises(cg.ClinicalGRUError, match="Expected X as Sequences; got"):
        as_sequences("X", other)


def test_each_stay_is_cut_at_its_own_hour(test_stays):
    hours = np.linspace(6, 40, len(test_stays))
    cut = test_stays.truncate_at(hours)
    assert cut.stay.tolist() == test_stays.stay.tolist()
    np.testing.assert_array_equal(cut.end_hours, hours)
    for i in (0, 7, len(test_stays) - 1):
        whole = test_stays[[i]]
        np.testing.assert_array_equal(cut[[i]].value, whole.value[whole.hours <= hours[i]])
        assert cut.index_time[i] - test_stays.index_time[i] == int((hours[i] - 48) * 3.6e9)
    same(test_stays.truncate_at(24), test_stays.truncate_at(np.full(len(test_stays), 24.0)))
    same(test_stays.truncate_at(10**6), test_stays)
    with pytest.raises(cg.ClinicalGRUError, match="of shape"):
        test_stays.truncate_at([1.0, 2.0])


def test_prefixes_are_of_one_stay(test_stays):
    prefixes = test_stays[[4]].prefixes(np.array([6.0, 24.0]))
    same(prefixes[[0]], test_stays[[4]].truncate_at(6.0))
    same(prefixes[[1]], test_stays[[4]].truncate_at(24.0))
    with pytest.raises(cg.ClinicalGRUError, match="Expected one stay"):
        test_stays.prefixes(np.array([6.0]))


def test_scikit_learn_slices_sequences_as_it_slices_tables(test_stays):
    for key in (np.array([3, 1]), [3, 1], slice(1, 4), np.arange(len(test_stays)) < 3):
        same(_safe_indexing(test_stays, key), test_stays[key])
    left, right, outcome, _ = train_test_split(test_stays, test_stays.outcome, random_state=0)
    assert len(left) + len(right) == len(test_stays)
    np.testing.assert_array_equal(left.outcome, outcome)


def test_cross_validation_and_search_run_on_sequences(test_stays):
    scores = cross_val_score(MeanValue(), test_stays, test_stays.outcome, cv=3, scoring="roc_auc", error_score="raise")
    assert len(scores) == 3
    grouped = cross_val_predict(
        MeanValue(), test_stays, test_stays.outcome, groups=test_stays.patient, cv=GroupKFold(3), method="predict_proba"
    )
    assert grouped.shape == (len(test_stays), 2)
    search = GridSearchCV(MeanValue(), {"weight": [0.1, 1.0]}, cv=2, scoring="roc_auc", error_score="raise")
    assert search.fit(test_stays, test_stays.outcome).best_params_["weight"] in (0.1, 1.0)
    calibrated = CalibratedClassifierCV(MeanValue(), cv=2).fit(test_stays, test_stays.outcome)
    assert np.isfinite(calibrated.predict_proba(test_stays)).all()
    for train, test in StratifiedKFold(2).split(test_stays, test_stays.outcome):
        assert len(train) + len(test) == len(test_stays)


@pytest.mark.parametrize("max_samples", [1.0, 0.5])
def test_permutation_importance_finds_the_columns_that_a_model_uses(test_stays, max_samples):
    model = MeanValue().fit(test_stays)
    expected = test_stays.truncate_at(48)
    found = permutation_importance(
        model, test_stays, test_stays.outcome, scoring="roc_auc", n_repeats=2, random_state=0, max_samples=max_samples
    )
    unused = np.median(found.importances_mean)  # 0, or what the smaller sample changes
    used = {name for name, mean in zip(test_stays.columns, found.importances_mean, strict=True) if mean != unused}
    assert used == {"gcs", "age"}
    same(test_stays, expected)  # unchanged


def test_a_permuted_column_carries_all_measurements_of_a_variable_to_another_stay(test_stays):
    stays = test_stays[[0, 1, 2]]
    position = names(stays).index("heart_rate")
    changed = stays.copy()
    changed["heart_rate"] = stays.iloc[[2, 0, 1], position]
    for new, old in enumerate([2, 0, 1]):
        ours, theirs = changed[[new]], stays[[old]]
        one, other = ours.variable == position, theirs.variable == position
        np.testing.assert_array_equal(ours.value[one], theirs.value[other])
        np.testing.assert_array_equal(ours.hours[one], theirs.hours[other])
        rest, before = stays[[new]], stays[[new]].variable != position
        np.testing.assert_array_equal(ours.value[~one], rest.value[before])
    same(changed.sorted(), changed)
    changed["heart_rate"] = stays.iloc[[0, 1, 2], position]
    same(changed, stays)
    assert changed.n_steps.tolist() == stays.n_steps.tolist()


def test_a_permuted_static_covariate_changes_in_the_copy_only(test_stays):
    copied = test_stays.copy()
    position = test_stays.columns.tolist().index("age")
    column = copied.iloc[::-1, position]
    assert isinstance(column, StaticColumn)
    copied["age"] = column
    place = position - len(test_stays.variables)
    np.testing.assert_array_equal(copied.static[:, place], test_stays.static[::-1, place])
    assert isinstance(copied, AssignableSequences)
    assert isinstance(copied.iloc[:, 0], SeriesColumn)
    with pytest.raises(cg.ClinicalGRUError, match="one column by its position"):
        copied.iloc[:, "age"]


def test_columns_are_not_exchanged_between_stays_with_different_prediction_times(test_stays):
    copied = test_stays.truncate_at(np.linspace(6, 40, len(test_stays))).copy()
    with pytest.raises(cg.ClinicalGRUError, match="one prediction time"):
        copied["age"] = copied.iloc[::-1, copied.shape[1] - 1]


def test_sequences_survive_pickling_also_from_disk(test_stays, tmp_path):
    opened = cg.Sequences.open(test_stays.save(tmp_path / "stays"))
    for stays in (test_stays, opened):
        again = pickle.loads(pickle.dumps(stays))
        same(again, test_stays)
        assert not again.mapped
    same(replace(test_stays, source="elsewhere"), test_stays)


def test_a_stay_is_not_cut_at_an_unknown_hour(test_stays):
    for hours in (np.nan, np.where(np.arange(len(test_stays)) == 0, np.nan, 24.0)):
        with pytest.raises(ArgumentError, match="hours that are known"):
            test_stays.truncate_at(hours)

"""Trees and logistic regression as arrays predict what scikit-learn predicts, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.baselines.logistic_model import LogisticModel


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(400, 30)).astype(np.float32)
    table[rng.random(table.shape) < 0.3] = np.nan
    table[:, 5], table[:, 7] = np.nan, np.round(table[:, 7])  # never known; ties at the thresholds
    return table


@pytest.mark.parametrize("classes", [2, 3])
def test_class_probabilities_of_trees_are_those_of_scikit_learn(table, classes):
    label = np.digitize(np.nan_to_num(table[:, 0] + table[:, 7]), [0.0, 1.0][: classes - 1])
    trees, columns = HistGradientBoostingClassifier(max_iter=10, random_state=0), ~np.isnan(table).all(axis=0)
    ours = BoostedTrees.fit(trees, table, label)
    np.testing.assert_array_equal(ours.predict_proba(table), trees.predict_proba(table[:, columns]))
    np.testing.assert_array_equal(ours.predict_proba(table[:1]), trees.predict_proba(table[:1, columns]))


def test_predictions_of_regression_trees_are_those_of_scikit_learn(table):
    trees = HistGradientBoostingRegressor(loss="absolute_error", max_iter=10, random_state=0)
    ours = BoostedTrees.fit(trees, table, np.nan_to_num(table[:, 0]))
    np.testing.assert_array_equal(ours.predict(table), trees.predict(table[:, ~np.isnan(table).all(axis=0)]))


def test_risks_of_a_logistic_regression_are_those_of_scikit_learn(table):
    label, columns = (np.nan_to_num(table[:, 0]) > 0).astype(int), ~np.isnan(table).all(axis=0)
    fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    pipeline = make_pipeline(fill, StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    pipeline.fit(table[:, columns], label)
    ours = LogisticModel.fit(table, label, inverse_penalty=0.01)
    np.testing.assert_allclose(ours.predict_proba(table), pipeline.predict_proba(table[:, columns]), rtol=1e-6)

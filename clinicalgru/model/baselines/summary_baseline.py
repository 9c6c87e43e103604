"""The baseline: logistic regression and boosted trees on the per-variable summaries, on the same stays."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.features.summaries import summarise

BASELINES = ("logistic regression", "boosted trees")
TREES: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 0.03,
        "max_iter": 300,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 30,
        "l2_regularization": 5.0,
        "max_features": 0.1,
        "early_stopping": False,
    }
)


class SummaryBaseline:
    """A scikit-learn classifier on what was observed of each stay, summarised by variable, with the static descriptors.

    kind  "logistic regression": medians for what is missing, missingness indicators, standard scores, L2;
          "boosted trees": HistGradientBoosting, missing values as they are; 300 small trees, each split choosing among
          a tenth of the features, were best in cross-validation inside PhysioNet 2012 set a

    >>> SummaryBaseline("boosted trees").kind
    'boosted trees'
    """

    def __init__(self, kind: str, *, random_state: int = 0) -> None:
        if kind not in BASELINES:
            raise ArgumentError(f"a kind among {', '.join(BASELINES)}", f"{kind!r}", "Choose one of them.")
        self.kind, self.random_state = kind, random_state

    def fit(self, stays: Sequences) -> SummaryBaseline:
        """Learn from the stays."""
        self.classifier_ = _logistic_regression() if self.kind == BASELINES[0] else boosted_trees(self.random_state)
        table = features(stays)
        self.known_ = ~np.isnan(table).all(axis=0)  # scikit-learn's trees fail on a column that is never known
        self.classifier_.fit(table[:, self.known_], stays.outcome.astype(int))
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, 2) probability of no and of the outcome."""
        return np.asarray(self.classifier_.predict_proba(features(stays)[:, self.known_]))


def features(stays: Sequences, *, indices: bool = True) -> np.ndarray:
    """(stay, feature) summaries, clinical indices, descriptors (categories as one column a level); NaN = not known."""
    columns = [summarise(stays, indices=indices_of(stays) if indices else ())]
    for i, variable in enumerate(stays.static_variables):
        column = stays.static[:, i : i + 1]
        levels = np.arange(len(variable.categories))
        columns.append(np.where(np.isnan(column), np.nan, column == levels) if variable.categories else column)
    return np.concatenate(columns, axis=1, dtype=np.float32)


def _logistic_regression() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(fill, StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))


def boosted_trees(random_state: int) -> Any:
    """A classifier of TREES."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=random_state, **TREES)

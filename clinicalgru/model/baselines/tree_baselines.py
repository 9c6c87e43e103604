"""Rivals of every kind of task: boosted trees on the very summaries of `SummaryBaseline`, asked the same question."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.baselines.summary_baseline import BASELINES, TREES, SummaryBaseline, boosted_trees, features
from clinicalgru.model.heads.survival import Survival


class MulticlassTrees:
    """Which of several: the boosted trees of `SummaryBaseline`, in the order of these classes.

    classes  values of the outcome; one that the stays do not have is given no chance

    >>> MulticlassTrees((0.0, 1.0, 2.0)).classes
    (0.0, 1.0, 2.0)
    """

    def __init__(self, classes: tuple[float, ...], *, random_state: int = 0) -> None:
        self.classes, self.random_state = classes, random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the stays."""
        place = np.searchsorted(self.classes, stays.outcome).astype(float)
        self.trees_ = SummaryBaseline(BASELINES[1], random_state=self.random_state).fit(replace(stays, outcome=place))
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, class) probability of each class."""
        share = np.zeros((len(stays), len(self.classes)))
        share[:, self.trees_.classifier_.classes_] = self.trees_.predict_proba(stays)
        return share


class MultilabelTrees:
    """Several outcomes, each by itself: trees for each, from the stays in which it is known.

    >>> MultilabelTrees(random_state=1).random_state
    1
    """

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the stays; an outcome of one value only is given that value's share."""
        self.trees_: list[SummaryBaseline | float] = []
        for column in stays.outcome.T:
            known = ~np.isnan(column)
            both = len(np.unique(column[known])) == 2
            share = float(column[known].mean()) if known.any() else 0.0
            part = replace(stays[np.flatnonzero(known)], outcome=column[known])
            self.trees_.append(
                SummaryBaseline(BASELINES[1], random_state=self.random_state).fit(part) if both else share
            )
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, outcome) probability of each outcome."""
        columns = [
            np.full(len(stays), trees) if isinstance(trees, float) else trees.predict_proba(stays)[:, 1]
            for trees in self.trees_
        ]
        return np.stack(columns, axis=1)


class MedianTrees:
    """How much: boosted trees that aim at the median.

    >>> MedianTrees(random_state=1).random_state
    1
    """

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the stays."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        table = features(stays)
        self.known_ = ~np.isnan(table).all(axis=0)
        trees = HistGradientBoostingRegressor(loss="absolute_error", random_state=self.random_state, **TREES)
        self.trees_ = trees.fit(table[:, self.known_], stays.outcome)
        return self

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay,) the outcome that is expected."""
        return np.asarray(self.trees_.predict(features(stays)[:, self.known_]))


class DiscreteHazardTrees:
    """When: boosted trees of the hazard in each interval that a stay was followed through; the interval is a feature.

    Source: discrete-time survival as classification, Tutz and Schmid 2016; the intervals are those of the network.

    >>> DiscreteHazardTrees(random_state=1).random_state
    1
    """

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the stays."""
        self.head_ = Survival.fit_targets(stays)
        came, counts = self.head_.events_at_risk(stays.outcome)
        table = features(stays)
        self.known_ = ~np.isnan(table).all(axis=0)
        stay, interval = np.nonzero(counts)
        rows = np.column_stack([table[stay][:, self.known_], interval])
        self.trees_ = boosted_trees(self.random_state).fit(rows, came[stay, interval].astype(int))
        return self

    def predict_survival(self, stays: Sequences, hours: np.ndarray) -> np.ndarray:
        """(stay, hour) probability that it has not happened by each of these hours after the prediction."""
        table, count = features(stays)[:, self.known_], len(self.head_.cuts)
        rows = np.column_stack([np.repeat(table, count, axis=0), np.tile(np.arange(count), len(table))])
        hazard = self.trees_.predict_proba(rows)[:, 1].reshape(-1, count)
        return self.head_.survival_at(np.cumprod(1 - hazard, axis=1), hours)

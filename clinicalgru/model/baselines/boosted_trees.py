"""Gradient-boosted trees as plain arrays: learned by scikit-learn, predicted and saved without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.utils.extmath import softmax

from clinicalgru.errors import BundleError

CHUNK_ROWS = 16_384  # rows predicted together, so that a column stays in the processor's cache
FIELDS = {
    "feature": np.int32,
    "threshold": np.float64,
    "missing_left": np.bool_,
    "left": np.int32,
    "right": np.int32,
    "value": np.float64,
}


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Fitted gradient-boosted trees.

    Parameters
    ----------
    baseline : ndarray of float64, shape (output,)
        Prediction before the first tree. Tree i adds to output i modulo the number of outputs.
    starts : ndarray of int64, shape (tree + 1,)
        The nodes of tree i are those from starts[i] to before starts[i + 1]. A parent stands before its children.
    feature : ndarray of int32, shape (node,)
        Column that the node splits by; -1 marks a leaf.
    threshold : ndarray of float64, shape (node,)
        Rows with a value of at most this go left.
    missing_left : ndarray of bool, shape (node,)
        Whether rows without a value go left.
    left, right : ndarray of int32, shape (node,)
        Children, as positions within the tree.
    value : ndarray of float64, shape (node,)
        What a leaf adds, learning rate included.

    Notes
    -----
    Predictions equal those of scikit-learn's `HistGradientBoosting` estimators to the last bit.
    """

    baseline: np.ndarray
    starts: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    @classmethod
    def fit(cls, trees: Any, table: np.ndarray, target: np.ndarray) -> Self:
        """Fit a scikit-learn estimator and keep its trees.

        Parameters
        ----------
        trees : HistGradientBoostingClassifier or HistGradientBoostingRegressor
            The unfitted estimator.
        table : ndarray, shape (row, feature)
            Features, NaN where unknown. Columns that are unknown in all rows are left out.
        target : ndarray, shape (row,)
            Outcomes.

        Returns
        -------
        BoostedTrees
            The trees, which take tables with all columns.
        """
        columns = np.flatnonzero(~np.isnan(table).all(axis=0))  # scikit-learn fails on a column without any value
        return cls.from_sklearn(trees.fit(table[:, columns], target), columns)

    @classmethod
    def from_sklearn(cls, trees: Any, columns: np.ndarray) -> Self:
        """The trees of a fitted scikit-learn estimator.

        Parameters
        ----------
        trees : HistGradientBoostingClassifier or HistGradientBoostingRegressor
            Fitted, without categorical features.
        columns : ndarray of int, shape (feature of the estimator,)
            Column of the table that each of its features is.

        Returns
        -------
        BoostedTrees
            The same trees.
        """
        nodes = [predictor.nodes for predictors in trees._predictors for predictor in predictors]
        joined = np.concatenate(nodes)
        assert not joined["is_categorical"].any()
        leaf = joined["is_leaf"].astype(bool)
        return cls(
            baseline=np.array(trees._baseline_prediction, dtype=np.float64).ravel(),
            starts=np.cumsum([0, *(len(tree) for tree in nodes)]).astype(np.int64),
            feature=np.where(leaf, -1, columns[np.where(leaf, 0, joined["feature_idx"])]).astype(np.int32),
            threshold=np.where(leaf, 0.0, joined["num_threshold"]),
            missing_left=joined["missing_go_to_left"].astype(bool),
            left=joined["left"].astype(np.int32),
            right=joined["right"].astype(np.int32),
            value=joined["value"].astype(np.float64),
        )

    def predict_raw(self, table: np.ndarray) -> np.ndarray:
        """The sum of all trees.

        Parameters
        ----------
        table : ndarray, shape (row, feature)
            Features, NaN where unknown.

        Returns
        -------
        ndarray, shape (row, output)
            Log-odds, class scores or values.
        """
        raw = np.tile(self.baseline[:, None], (1, len(table)))
        used = np.unique(self.feature[self.feature >= 0])
        for first in range(0, len(table), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            columns = dict(zip(used.tolist(), np.array(table[rows][:, used].T, np.float64, order="C"), strict=True))
            for tree in range(len(self.starts) - 1):
                raw[tree % len(raw), rows] += self._leaf_values(tree, columns, len(raw[0, rows]))
        return raw.T

    def _leaf_values(self, tree: int, columns: Mapping[int, np.ndarray], n_rows: int) -> np.ndarray:
        """(row,) the value of the leaf that each row reaches in one tree."""
        nodes = slice(*self.starts[tree : tree + 2].tolist())
        feature, threshold, missing_left, left, right = (
            getattr(self, name)[nodes].tolist() for name in ("feature", "threshold", "missing_left", "left", "right")
        )
        reached = {0: np.ones(n_rows, dtype=bool)}
        leaf = np.zeros(n_rows, dtype=np.min_scalar_type(len(feature)))
        for node, column in enumerate(feature):
            here = reached.pop(node)
            if column < 0:
                leaf[here] = node
                continue
            values = columns[column]  # a comparison with NaN is False
            goes_left = ~(values > threshold[node]) if missing_left[node] else values <= threshold[node]
            reached[left[node]] = here & goes_left
            reached[right[node]] = here & ~goes_left
        return np.asarray(self.value[nodes][leaf])

    def predict(self, table: np.ndarray) -> np.ndarray:
        """Predicted values.

        Parameters
        ----------
        table : ndarray, shape (row, feature)
            Features, NaN where unknown.

        Returns
        -------
        ndarray, shape (row,)
            The value of each row.
        """
        return np.asarray(self.predict_raw(table)[:, 0])

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        table : ndarray, shape (row, feature)
            Features, NaN where unknown.

        Returns
        -------
        ndarray, shape (row, class)
            Probabilities, which sum to 1; of two classes, the second is the event.
        """
        raw = self.predict_raw(table)
        if raw.shape[1] > 1:
            return np.asarray(softmax(raw))
        risk = expit(raw[:, 0])
        return np.stack([1 - risk, risk], axis=1)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, to be saved.

        Returns
        -------
        dict of str to ndarray
            One entry for each attribute.
        """
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The trees that `to_arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            One entry for each attribute.

        Returns
        -------
        BoostedTrees
            The trees.

        Raises
        ------
        BundleError
            If arrays are missing, of other lengths or types, or a node is not reached exactly once.
        """
        fix = "Save the model again."
        if {*arrays} != {"baseline", "starts", *FIELDS}:
            raise BundleError("the arrays of boosted trees", ", ".join(sorted(arrays)), fix)
        trees = cls(**arrays)
        if not trees._are_arrays() or not trees._are_trees():
            raise BundleError("trees in which each node is reached once", "other sizes or links of nodes", fix)
        return trees

    def _are_arrays(self) -> bool:
        """Whether all arrays have their types and lengths, and each tree has a node."""
        nodes = [getattr(self, name) for name in FIELDS]
        return (
            self.baseline.dtype == np.float64
            and self.starts.dtype == np.int64
            and self.baseline.ndim == self.starts.ndim == 1
            and len(self.starts) % max(len(self.baseline), 1) == 1 % max(len(self.baseline), 1)
            and bool(self.starts[0] == 0 and (np.diff(self.starts) > 0).all())
            and [array.dtype for array in nodes] == [*map(np.dtype, FIELDS.values())]
            and {array.shape for array in nodes} == {(self.starts[-1],)}
        )

    def _are_trees(self) -> bool:
        """Whether each node but the first of a tree is the child of one earlier node."""
        split = self.feature >= 0
        begin = np.repeat(self.starts[:-1], np.diff(self.starts))
        position = np.arange(len(self.feature))
        children = np.concatenate([(begin + self.left)[split], (begin + self.right)[split]])
        parents = np.tile(position[split], 2)
        later = (children > parents) & (children < np.repeat(self.starts[1:], np.diff(self.starts))[parents])
        return bool(later.all() and np.array_equal(np.sort([*children, *self.starts[:-1]]), position))

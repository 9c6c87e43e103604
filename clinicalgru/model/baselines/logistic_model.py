"""Logistic regression as plain arrays: learned by scikit-learn, predicted and saved without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clinicalgru.errors import BundleError


@dataclass(frozen=True, eq=False)
class LogisticModel:
    """Fitted logistic regression with L2 penalty, on median-imputed and standardised features.

    Parameters
    ----------
    columns : ndarray of int64, shape (used,)
        Columns of the table that are used.
    median : ndarray, shape (used,)
        Takes the place of an unknown value.
    indicators : ndarray of int64, shape (indicator,)
        Positions in `columns` of features that were unknown in a training row; each adds an indicator of missingness.
    mean, scale : ndarray, shape (used + indicator,)
        Of the standardisation.
    coefficients : ndarray, shape (used + indicator,)
        Log-odds for each standard deviation.
    intercept : ndarray, shape (1,)
        Log-odds at the means.

    Notes
    -----
    Predictions equal those of a scikit-learn pipeline of `SimpleImputer`, `StandardScaler` and `LogisticRegression` to
    the last bit.
    """

    columns: np.ndarray
    median: np.ndarray
    indicators: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray

    @classmethod
    def fit(cls, table: np.ndarray, outcome: np.ndarray, *, inverse_penalty: float) -> Self:
        """Fit to a table of features.

        Parameters
        ----------
        table : ndarray, shape (row, feature)
            Features, NaN where unknown. Columns that are unknown in all rows are left out.
        outcome : ndarray, shape (row,)
            0 or 1, both present.
        inverse_penalty : float
            `C` of scikit-learn's `LogisticRegression`.

        Returns
        -------
        LogisticModel
            The model, which takes tables with all columns.
        """
        columns = np.flatnonzero(~np.isnan(table).all(axis=0))
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        scaler, regression = StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=2000)
        make_pipeline(imputer, scaler, regression).fit(table[:, columns], outcome)
        return cls(
            columns=columns.astype(np.int64),
            median=imputer.statistics_.astype(table.dtype),
            indicators=np.asarray(imputer.indicator_.features_, dtype=np.int64),
            mean=scaler.mean_.astype(table.dtype),
            scale=scaler.scale_.astype(table.dtype),
            coefficients=regression.coef_[0],
            intercept=regression.intercept_,
        )

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        table : ndarray, shape (row, feature)
            Features, NaN where unknown.

        Returns
        -------
        ndarray, shape (row, 2)
            Probability of no event and of the event.
        """
        used = table[:, self.columns]
        missing = np.isnan(used)
        features = np.hstack([np.where(missing, self.median, used), missing[:, self.indicators]])
        features -= self.mean
        features /= self.scale
        return probabilities(features, self.coefficients, self.intercept)

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
        """The model that `to_arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            One entry for each attribute.

        Returns
        -------
        LogisticModel
            The model.

        Raises
        ------
        BundleError
            If arrays are missing, or of other lengths.
        """
        names = {*cls.__dataclass_fields__}
        fix = "Save the model again."
        if {*arrays} != names:
            raise BundleError("the arrays of a logistic regression", ", ".join(sorted(arrays)), fix)
        used, all_features = len(arrays["columns"]), len(arrays["columns"]) + len(arrays["indicators"])
        lengths = {"median": used, "mean": all_features, "scale": all_features, "coefficients": all_features}
        if any(arrays[name].shape != (length,) for name, length in (lengths | {"intercept": 1}).items()):
            raise BundleError(f"coefficients of {all_features} features", "other lengths", fix)
        return cls(**arrays)


def probabilities(features: np.ndarray, coefficients: np.ndarray, intercept: Any) -> np.ndarray:
    """Probabilities of a logistic regression.

    Parameters
    ----------
    features : ndarray, shape (row, feature)
        Features.
    coefficients : ndarray, shape (feature,)
        Log-odds for each unit.
    intercept : ndarray, shape (1,)
        Log-odds at 0.

    Returns
    -------
    ndarray, shape (row, 2)
        Probability of no event and of the event.
    """
    risk = expit((features @ coefficients[:, None] + intercept)[:, 0])
    return np.stack([1 - risk, risk], axis=1)

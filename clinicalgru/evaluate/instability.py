"""Instability of individual risks: how far they move when the model is refitted on bootstrap samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.logistic import logit
from clinicalgru.evaluate.validation import Array

LOW, HIGH = 2.5, 97.5  # percentiles of the risks by the refitted models
CURVES = ("risk", "low", "high", "mape")
MAX_REFITS = 1e6  # more are a damaged number
MAX_GROUPS = 20  # of stays of similar risk
MAX_DISTANCE = 1.0  # log-odds beyond the lowest and highest group, from where on nothing is known


@dataclass(frozen=True)
class RefitRange:
    """What refitted models would give a stay of a certain risk.

    Attributes
    ----------
    low, high : float
        2.5th and 97.5th percentile of their risks.
    mape : float
        Mean absolute difference between their risks and that of the model.
    n_refits : int
        Number of refitted models.
    """

    low: float
    high: float
    mape: float
    n_refits: int


@dataclass(frozen=True)
class InstabilityCurve:
    """Instability as a function of the risk, in groups of at least 11 patients.

    Attributes
    ----------
    risk : tuple of float
        Mean risk of each group, ascending.
    low, high : tuple of float
        2.5th and 97.5th percentile of the risks by the refitted models, at the mean risk of each group.
    mape : tuple of float
        Mean absolute difference between the risks by the refitted models and by the model, in each group.
    n_refits : int
        Number of refitted models.

    Examples
    --------
    >>> curve = InstabilityCurve((0.1, 0.5), (0.05, 0.4), (0.2, 0.6), (0.03, 0.05), 50)
    >>> round(curve.at(0.1).high, 3), curve.at(0.99) is None
    (0.2, True)
    """

    risk: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mape: tuple[float, ...]
    n_refits: int

    @classmethod
    def of(cls, risk: ArrayLike, refitted: ArrayLike, patients: Any = None) -> InstabilityCurve:
        """Pool stays by their risk.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Risks by the model.
        refitted : array-like, shape (n_refits, n_stays)
            Risks by the refitted models.
        patients : array-like, shape (n_stays,), optional
            Patient of each stay. None: each stay is another patient.

        Returns
        -------
        InstabilityCurve
            Without groups of fewer than 11 patients.

        Examples
        --------
        >>> risk = np.linspace(0.05, 0.95, 200)
        >>> InstabilityCurve.of(risk, np.stack([risk, risk])).mape[0]
        0.0
        """
        own, others = np.asarray(risk, dtype=float), np.asarray(refitted, dtype=float)
        patient = np.arange(len(own)) if patients is None else pd.factorize(np.asarray(patients))[0]
        n_groups = max(1, min(MAX_GROUPS, len(np.unique(patient)) // MIN_CELL_SIZE))
        shift, error = logit(others) - logit(own), np.abs(others - own)
        rows = []
        for part in np.array_split(np.argsort(own, kind="stable"), n_groups):
            if len(np.unique(patient[part])) >= MIN_CELL_SIZE:
                mean = float(own[part].mean())
                ends = expit(logit(np.array([mean])) + np.percentile(shift[:, part], [LOW, HIGH]))
                rows.append((mean, *ends.tolist(), float(error[:, part].mean())))
        columns = np.round(np.array(rows, dtype=float).reshape(-1, 4), 5).T.tolist()
        return cls(**dict(zip(CURVES, map(tuple, columns), strict=True)), n_refits=len(others))

    def at(self, risk: float) -> RefitRange | None:
        """Give what refitted models would give a stay of this risk.

        Parameters
        ----------
        risk : float
            A risk by the model.

        Returns
        -------
        RefitRange or None
            Interpolated between the groups; None where the risk is far from all of them.
        """
        low, high = self.ranges([risk])[0].tolist()
        if np.isnan(low):
            return None
        means = logit(np.array(self.risk))
        mape = float(np.interp(logit(np.array([risk])), means, self.mape)[0])
        return RefitRange(low, high, mape, self.n_refits)

    def ranges(self, risk: ArrayLike) -> Array:
        """Give the 2.5th and 97.5th percentile of the risks that refitted models would give stays of these risks.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Risks by the model.

        Returns
        -------
        ndarray, shape (n_stays, 2)
            Interpolated between the groups; NaN where a risk is far from all of them.

        Examples
        --------
        >>> curve = InstabilityCurve((0.1, 0.5), (0.05, 0.4), (0.2, 0.6), (0.03, 0.05), 50)
        >>> curve.ranges([0.1, 0.99]).round(3).tolist()
        [[0.05, 0.2], [nan, nan]]
        """
        values = np.asarray(risk, dtype=float)
        if not self.risk:
            return np.full((len(values), 2), np.nan)
        own, means = logit(values), logit(np.array(self.risk))
        near = (own >= means[0] - MAX_DISTANCE) & (own <= means[-1] + MAX_DISTANCE)
        ends = [expit(own + np.interp(own, means, logit(np.array(end)) - means)) for end in (self.low, self.high)]
        return np.where(near[:, None], np.stack(ends, axis=1), np.nan)

    def to_dict(self) -> dict[str, list[float]]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict of str to list of float
            `from_dict` makes an equal curve from them.
        """
        lists = {name: list(getattr(self, name)) for name in CURVES}
        return lists | {"n_refits": [float(self.n_refits)]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[float]]) -> InstabilityCurve:
        """Restore the curve that `to_dict` described.

        Parameters
        ----------
        values : mapping of str to sequence of float
            Fields by name.

        Returns
        -------
        InstabilityCurve
            The curve.

        Raises
        ------
        ValueError
            If the fields contradict each other.
        """
        columns = [tuple(float(value) for value in values[name]) for name in CURVES]
        numbers = np.array(columns, dtype=float)  # of different lengths: ValueError
        if not ((numbers >= 0) & (numbers <= 1)).all() or (np.diff(numbers[0]) < 0).any():
            raise ValueError("numbers outside 0 to 1, or groups out of order")
        (n_refits,) = map(float, values["n_refits"])
        is_count = 1 <= n_refits <= MAX_REFITS and n_refits == int(n_refits)
        if not is_count or set(values) != {*CURVES, "n_refits"} or (numbers[1] > numbers[2]).any():
            raise ValueError("a low end above the high one, other fields, or refits that are no count")
        return cls(**dict(zip(CURVES, columns, strict=True)), n_refits=int(n_refits))


@dataclass(frozen=True, eq=False)
class Instability:
    """How far individual risks move when the model is refitted on bootstrap samples of its training stays.

    Attributes
    ----------
    table : DataFrame
        One row for each stay, in their order: risk by the model, low and high (2.5th and 97.5th percentile of the risks
        by the refitted models), mape (mean absolute difference from the model's).
    by_risk : InstabilityCurve
        The same as a function of the risk, in groups of at least 11 patients. A bundle holds it where it was assigned
        to `instability_` of the model.
    n_refits : int
        Refitted models.
    n_failed : int
        Bootstrap samples on which the model could not be fitted.
    """

    table: pd.DataFrame
    by_risk: InstabilityCurve
    n_refits: int
    n_failed: int

    @classmethod
    def of(cls, risk: ArrayLike, refitted: ArrayLike, *, patients: Any = None, n_failed: int = 0) -> Instability:
        """Compare the risks by refitted models with those by the model.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Risks by the model.
        refitted : array-like, shape (n_refits, n_stays)
            Risks by the refitted models.
        patients : array-like, shape (n_stays,), optional
            Patient of each stay.
        n_failed : int
            Samples on which the model could not be fitted.

        Returns
        -------
        Instability
            The result.

        Raises
        ------
        ArgumentError
            If the shapes do not fit, or a risk lies outside 0 to 1.

        Examples
        --------
        >>> result = Instability.of([0.2, 0.4], [[0.1, 0.4], [0.3, 0.5]])
        >>> result.table["mape"].round(3).tolist()
        [0.1, 0.05]
        """
        own, others = np.asarray(risk, dtype=float), np.asarray(refitted, dtype=float)
        fits = others.ndim == 2 and others.shape[1:] == own.shape and len(others) > 0
        if not fits or not all(((one >= 0) & (one <= 1)).all() for one in (own, others)):
            got = f"shapes {own.shape} and {others.shape}" if not fits else "others"
            raise ArgumentError("risks from 0 to 1 of the same stays by each model", got, "Pass a row for each refit.")
        low, high = np.percentile(others, [LOW, HIGH], axis=0)
        columns: dict[str, NDArray[Any]] = {"risk": own, "low": low, "high": high}
        table = pd.DataFrame(columns | {"mape": np.abs(others - own).mean(axis=0)})
        return cls(table, InstabilityCurve.of(own, others, patients), len(others), n_failed)

    @property
    def mape(self) -> float:
        """Mean of the stays' mean absolute differences.

        Returns
        -------
        float
            A difference of risks, from 0 to 1.
        """
        return float(self.table["mape"].mean())

    def __str__(self) -> str:
        curve = pd.DataFrame({name: getattr(self.by_risk, name) for name in CURVES})
        failed = f", {self.n_failed} samples failed" if self.n_failed else ""
        head = f"Individual risks over {self.n_refits} refits{failed}: mean absolute difference {self.mape:.3f}."
        return f"{head}\n{curve.to_string(index=False, float_format='{:.3f}'.format)}"

    __repr__ = __str__

    def plot(self, figure: str = "risks") -> Any:
        """Draw the risks by the refitted models, or their mean absolute difference, against the risk by the model.

        Parameters
        ----------
        figure : {"risks", "mape"}
            Which figure.

        Returns
        -------
        plotly.graph_objects.Figure
            Of groups of at least 11 patients.

        Raises
        ------
        ArgumentError
            If there is no figure of that name.
        """
        from clinicalgru.display import plot

        return plot(self, figure)


def risks_of(model: Any, stays: Any) -> Array:
    """Give the risks of a binary outcome.

    Parameters
    ----------
    model : estimator
        Fitted.
    stays : Sequences
        Stays.

    Returns
    -------
    ndarray, shape (stay,)
        Risks.
    """
    return np.asarray(model.predict_proba(stays), dtype=float)[:, 1]

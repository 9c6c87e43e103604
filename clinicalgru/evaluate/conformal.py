"""Split-conformal sets of a binary outcome: which outcomes a risk leaves open, at a stated coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.conformal_quantile import (
    conformal_quantile,
    coverage_range,
    least_patients,
    one_per_patient,
    read_quantiles,
)
from clinicalgru.evaluate.validation import Array, validate_outcome, validate_risk

EVERYONE = "all"
OCCURRED, ABSENT = "event", "no event"
NO_OUTCOME = "none"
NAMES = (NO_OUTCOME, OCCURRED, ABSENT, "either")  # of a set, by whether it holds the event and its absence


@dataclass(frozen=True)
class PredictionSet:
    """The set of one stay.

    Attributes
    ----------
    outcomes : str
        "event", "no event", "either" or "none"; of several classes their names, such as "0 or 2", or "none".
    alpha : float
        Fraction of the patients whose outcome may lie outside their set.
    by_outcome : bool
        Whether that holds among the patients with the event, and among those without it, or in each class; else among
        all.
    hour : float
        Prediction time, in hours since the index time, at which it holds.
    of_classes : bool
        Whether it is of several classes.
    """

    outcomes: str
    alpha: float
    by_outcome: bool
    hour: float
    of_classes: bool = False


@dataclass(frozen=True)
class ConformalSets:
    """Split-conformal prediction sets of a binary outcome.

    Attributes
    ----------
    alpha : float
        Fraction of the patients whose outcome may lie outside its set.
    quantiles : mapping of str to float
        Largest residual (1 minus the probability of an outcome) of a set, by group; "all" for every patient. A group of
        too few patients has none.
    patients : mapping of str to int
        Patients that the quantile rests on.
    by_outcome : bool
        Whether the groups are the patients with the event ("event") and without it ("no event").

    Examples
    --------
    >>> ConformalSets(0.1, {"all": 0.8}, {"all": 500}).predict([0.1, 0.5]).tolist()
    ['no event', 'either']
    """

    alpha: float
    quantiles: Mapping[str, float]
    patients: Mapping[str, int]
    by_outcome: bool = False

    @classmethod
    def fit(
        cls,
        outcome: ArrayLike,
        risk: ArrayLike,
        *,
        patients: Any = None,
        groups: Any = None,
        by_outcome: bool = False,
        alpha: float = 0.1,
        random_state: int = 0,
    ) -> Self:
        """Learn the quantiles on stays that neither training nor calibration used.

        Parameters
        ----------
        outcome, risk : array-like, shape (n_stays,)
            As for `evaluate`.
        patients : array-like, shape (n_stays,), optional
            Patient of each stay; one stay of each is drawn. None: each stay is another patient.
        groups : array-like, shape (n_stays,), optional
            Labels; coverage then holds in each group of enough patients (Mondrian). Others use the quantile of all.
        by_outcome : bool
            Whether coverage shall hold among the patients with the event, and among those without it. Of a rare
            event, coverage among all can hold though most events are missed.
        alpha : float
            Between 0 and 0.5.
        random_state : int
            Seed of the draw.

        Returns
        -------
        ConformalSets
            The sets.

        Raises
        ------
        ArgumentError
            If there are too few patients for this alpha, or `groups` are given with `by_outcome`.

        Notes
        -----
        Deviation from the paper: the quantile is the mean of the 11 residuals around rank (n + 1)(1 - alpha), so that a
        bundle holds no single patient's residual. In simulation with 1,000 patients the coverage is the nominal one.

        References
        ----------
        Vovk et al. 2005, "Algorithmic Learning in a Random World", label-conditional and Mondrian predictors. Sadinle
        et al. 2019, JASA 114:223-234, least ambiguous sets.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> risk = rng.beta(1, 4, 1000)
        >>> sets = ConformalSets.fit(rng.random(1000) < risk, risk)
        >>> sets.predict([0.02, 0.5, 0.97]).tolist()
        ['no event', 'either', 'event']
        """
        check_number("alpha", alpha, minimum=0, maximum=0.5, open_minimum=True)
        check_number("random_state", random_state, minimum=0, whole=True)
        if by_outcome and groups is not None:
            raise ArgumentError("groups, or by_outcome", "both", "Leave one of them out.")
        true = validate_outcome(outcome)
        checked = validate_risk(risk, stays=len(true))
        label = _outcome_labels(true) if by_outcome else _labels(groups, len(true))
        required = (OCCURRED, ABSENT) if by_outcome else (EVERYONE,)
        rows = one_per_patient(numbered_patients(patients, len(true)), random_state)
        residual = np.where(true == 1, 1 - checked, checked)[rows]
        quantiles: dict[str, float] = {}
        counts: dict[str, int] = {}
        for name in (*required, *sorted(set(label[rows]) - set(required))):
            inside = np.sort(residual if name == EVERYONE else residual[label[rows] == name])
            found = conformal_quantile(inside, alpha)
            if found is not None:
                quantiles[name], counts[name] = found, len(inside)
        if not set(required) <= set(quantiles):
            which = " with, and without, the event" if by_outcome else ""
            expected = f"at least {least_patients(alpha)} patients{which} for alpha={alpha:g}"
            raise ArgumentError(expected, "fewer", "Take more patients, or a larger alpha.")
        return cls(float(alpha), quantiles, counts, by_outcome)

    def predict(self, risk: ArrayLike, groups: Any = None) -> NDArray[Any]:
        """Give the set of each risk.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Between 0 and 1.
        groups : array-like, shape (n_stays,), optional
            Labels; not used with `by_outcome`.

        Returns
        -------
        ndarray of str, shape (n_stays,)
            "event", "no event", "either" (the risk says too little), or "none" (both would be unusual).
        """
        checked = validate_risk(risk)
        limits: tuple[Any, Any]
        if self.by_outcome:
            limits = self.quantiles[OCCURRED], self.quantiles[ABSENT]
        else:
            limits = (self._limits(_labels(groups, len(checked))),) * 2
        has_event, has_none = 1 - checked <= limits[0], checked <= limits[1]
        return np.array(NAMES, dtype=object)[has_event + 2 * has_none]

    def coverage(self, outcome: ArrayLike, risk: ArrayLike, groups: Any = None) -> float:
        """Give the fraction of the stays whose set holds the true outcome.

        Parameters
        ----------
        outcome, risk : array-like, shape (n_stays,)
            Of stays that `fit` did not use.
        groups : array-like, shape (n_stays,), optional
            Labels.

        Returns
        -------
        float
            About 1 - alpha.
        """
        true = validate_outcome(outcome)
        checked = validate_risk(risk, stays=len(true))
        residual = np.where(true == 1, 1 - checked, checked)
        label = _outcome_labels(true) if self.by_outcome else _labels(groups, len(true))
        return float((residual <= self._limits(label)).mean())

    def coverage_ranges(self) -> dict[str, tuple[float, float]]:
        """Give where the coverage of these quantiles lies, given the number of patients that they rest on.

        Returns
        -------
        dict of str to tuple of float
            By group, as of `coverage_range`.

        Examples
        --------
        >>> ConformalSets(0.1, {"all": 0.8}, {"all": 500}).coverage_ranges()
        {'all': (0.873, 0.925)}
        """
        return {name: coverage_range(count, self.alpha) for name, count in self.patients.items()}

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict
            Fields by name.
        """
        return {
            "alpha": self.alpha,
            "quantiles": dict(self.quantiles),
            "patients": dict(self.patients),
            "by_outcome": self.by_outcome,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore the sets that `to_dict` described.

        Parameters
        ----------
        values : mapping
            Fields by name.

        Returns
        -------
        ConformalSets
            The sets.

        Raises
        ------
        ValueError
            If the fields contradict each other.
        """
        alpha, quantiles, counts = read_quantiles(values)
        by_outcome = values.get("by_outcome", False)
        required = {OCCURRED, ABSENT} if by_outcome else {EVERYONE}
        if not isinstance(by_outcome, bool) or not required <= set(quantiles) or (by_outcome and len(quantiles) > 2):
            raise ValueError("quantiles that do not fit")
        return cls(alpha, quantiles, counts, by_outcome)

    def _limits(self, label: NDArray[Any]) -> Array:
        everyone = self.quantiles.get(EVERYONE)
        return np.array([self.quantiles.get(name, everyone) for name in label.tolist()], dtype=float)


def _outcome_labels(true: Array) -> NDArray[Any]:
    return np.where(true == 1, OCCURRED, ABSENT).astype(object)


def _labels(groups: Any, stays: int) -> NDArray[Any]:
    """Labels as text; "all" where there are none, or a label is unknown."""
    if groups is None:
        return np.full(stays, EVERYONE, dtype=object)
    label = pd.Series(np.asarray(groups, dtype=object))
    if len(label) != stays:
        raise ArgumentError(f"a group for each of {stays:,} stays", f"{len(label):,}", "Pass one for every stay.")
    return label.where(label.notna(), EVERYONE).map(str).to_numpy(object)

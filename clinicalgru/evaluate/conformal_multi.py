"""Split-conformal sets of several classes, and of each of several labels, at a stated coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.class_names import JOINED
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.conformal import NO_OUTCOME, ConformalSets
from clinicalgru.evaluate.conformal_quantile import (
    conformal_quantile,
    coverage_range,
    least_patients,
    one_per_patient,
    read_quantiles,
)
from clinicalgru.evaluate.validation import Array

ALWAYS = 1.0  # residual up to which a class of too few patients is in the set: each set holds it


@dataclass(frozen=True)
class ClassConformalSets:
    """Split-conformal prediction sets of one of several classes, with coverage in each class.

    Attributes
    ----------
    alpha : float
        Fraction of the patients of a class whose class may lie outside their set.
    classes : tuple of str
        Names of the classes, in the order of the probabilities.
    quantiles : mapping of str to float
        By class, the largest residual (1 minus its probability) up to which a set holds it. A class of too few patients
        has none, and every set holds it.
    patients : mapping of str to int
        Patients of the class that the quantile rests on.

    Examples
    --------
    >>> sets = ClassConformalSets(0.1, ("0", "1", "2"), {"0": 0.6, "1": 0.7}, {"0": 500, "1": 90})
    >>> sets.predict([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]]).tolist()
    ['0 or 2', '0 or 1 or 2']
    """

    alpha: float
    classes: tuple[str, ...]
    quantiles: Mapping[str, float]
    patients: Mapping[str, int]

    @classmethod
    def fit(
        cls,
        outcome: ArrayLike,
        probability: ArrayLike,
        *,
        classes: Sequence[str],
        patients: Any = None,
        alpha: float = 0.1,
        random_state: int = 0,
    ) -> Self:
        """Learn the quantile of each class on stays that neither training nor calibration used.

        Parameters
        ----------
        outcome : array-like of int, shape (n_stays,)
            Position of the true class.
        probability : array-like, shape (n_stays, n_classes)
            Between 0 and 1.
        classes : sequence of str
            Names of the classes.
        patients : array-like, shape (n_stays,), optional
            Patient of each stay; one stay of each is drawn. None: each stay is another patient.
        alpha : float
            Between 0 and 0.5.
        random_state : int
            Seed of the draw.

        Returns
        -------
        ClassConformalSets
            The sets.

        Raises
        ------
        ArgumentError
            If the shapes do not fit, or no class has enough patients for this alpha.

        Notes
        -----
        Quantiles are means of 11 residuals, as those of `ConformalSets.fit`.

        References
        ----------
        Sadinle et al. 2019, "Least ambiguous set-valued classifiers with bounded error levels", JASA 114:223-234.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> probability = rng.dirichlet([4, 2, 1], 2000)
        >>> outcome = (rng.random((2000, 1)) > probability.cumsum(axis=1)).sum(axis=1)
        >>> sets = ClassConformalSets.fit(outcome, probability, classes=("home", "ward", "dead"))
        >>> sets.predict([[0.9, 0.08, 0.02], [0.05, 0.15, 0.8]]).tolist()
        ['home', 'dead']
        """
        check_number("alpha", alpha, minimum=0, maximum=0.5, open_minimum=True)
        check_number("random_state", random_state, minimum=0, whole=True)
        names = tuple(str(name) for name in classes)
        true, risk = _positions(outcome, len(names)), _probabilities(probability, len(names))
        if len(true) != len(risk):
            raise ArgumentError(f"a class of each of {len(risk):,} stays", f"{len(true):,}", "Pass one for every stay.")
        rows = one_per_patient(numbered_patients(patients, len(true)), random_state)
        residual = 1 - risk[np.arange(len(true)), true]
        quantiles, counts = dict[str, float](), dict[str, int]()
        for position, name in enumerate(names):
            inside = np.sort(residual[rows][true[rows] == position])
            quantile = conformal_quantile(inside, alpha)
            if quantile is not None:
                quantiles[name], counts[name] = quantile, len(inside)
        if not quantiles:
            expected = f"at least {least_patients(alpha)} patients of a class for alpha={alpha:g}"
            raise ArgumentError(expected, "fewer of each", "Take more patients, or a larger alpha.")
        return cls(float(alpha), names, quantiles, counts)

    def contains(self, probability: ArrayLike) -> NDArray[np.bool_]:
        """Say which classes are in the set of each stay.

        Parameters
        ----------
        probability : array-like, shape (n_stays, n_classes)
            Between 0 and 1.

        Returns
        -------
        ndarray of bool, shape (n_stays, n_classes)
            Whether the set holds the class.
        """
        limits = np.array([self.quantiles.get(name, ALWAYS) for name in self.classes])
        return np.asarray(1 - _probabilities(probability, len(self.classes)) <= limits)

    def predict(self, probability: ArrayLike) -> NDArray[Any]:
        """Give the set of each stay.

        Parameters
        ----------
        probability : array-like, shape (n_stays, n_classes)
            Between 0 and 1.

        Returns
        -------
        ndarray of str, shape (n_stays,)
            Names of the classes in the set, such as "0 or 2"; "none" where each would be unusual.
        """
        inside = self.contains(probability)
        patterns, which = np.unique(inside, axis=0, return_inverse=True)
        words = [JOINED.join(np.array(self.classes)[pattern]) or NO_OUTCOME for pattern in patterns]
        return np.array(words, dtype=object)[which.reshape(-1)]

    def coverage(self, outcome: ArrayLike, probability: ArrayLike) -> float:
        """Give the fraction of the stays whose set holds the true class.

        Parameters
        ----------
        outcome : array-like of int, shape (n_stays,)
            Position of the true class.
        probability : array-like, shape (n_stays, n_classes)
            Of stays that `fit` did not use.

        Returns
        -------
        float
            About 1 - alpha.
        """
        true = _positions(outcome, len(self.classes))
        return float(self.contains(probability)[np.arange(len(true)), true].mean())

    def coverage_ranges(self) -> dict[str, tuple[float, float]]:
        """Give where the coverage in each class lies, given its number of patients.

        Returns
        -------
        dict of str to tuple of float
            By class that has a quantile, as of `coverage_range`.
        """
        return {name: coverage_range(count, self.alpha) for name, count in self.patients.items()}

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict
            Fields by name.
        """
        fields = {"quantiles": dict(self.quantiles), "patients": dict(self.patients)}
        return {"alpha": self.alpha, "classes": list(self.classes), **fields}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore the sets that `to_dict` described.

        Parameters
        ----------
        values : mapping
            Fields by name.

        Returns
        -------
        ClassConformalSets
            The sets.

        Raises
        ------
        ValueError
            If the fields contradict each other.
        """
        names = tuple(str(name) for name in values["classes"])
        alpha, quantiles, counts = read_quantiles(values)
        if not set(quantiles) <= set(names) or len(set(names)) < len(names):
            raise ValueError("quantiles that do not fit the classes")
        return cls(alpha, names, quantiles, counts)


@dataclass(frozen=True)
class LabelConformalSets:
    """Split-conformal prediction sets of several labels, each of which has its own.

    Attributes
    ----------
    names : tuple of str
        Names of the labels, in the order of the risks.
    labels : mapping of str to ConformalSets
        Sets by label. One of too few patients with, or without, it has none.

    Examples
    --------
    >>> one = ConformalSets(0.1, {"event": 0.8, "no event": 0.3}, {"event": 90, "no event": 400}, by_outcome=True)
    >>> LabelConformalSets(("shock", "sepsis"), {"shock": one}).predict([[0.1, 0.9], [0.25, 0.5]]).tolist()
    [['no event', ''], ['either', '']]
    """

    names: tuple[str, ...]
    labels: Mapping[str, ConformalSets]

    @classmethod
    def fit(
        cls,
        outcome: ArrayLike,
        risk: ArrayLike,
        *,
        names: Sequence[str],
        patients: Any = None,
        alpha: float = 0.1,
        random_state: int = 0,
    ) -> Self:
        """Learn the sets of each label by outcome, on the stays in which it is known.

        Parameters
        ----------
        outcome : array-like, shape (n_stays, n_labels)
            0, 1, or NaN where it is not known.
        risk : array-like, shape (n_stays, n_labels)
            Between 0 and 1.
        names : sequence of str
            Names of the labels.
        patients : array-like, shape (n_stays,), optional
            Patient of each stay. None: each stay is another patient.
        alpha : float
            Between 0 and 0.5.
        random_state : int
            Seed, see `ConformalSets.fit`.

        Returns
        -------
        LabelConformalSets
            The sets; coverage holds for each label, not for all of a stay together.

        Raises
        ------
        ArgumentError
            If no label has enough patients for this alpha.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> risk = rng.beta(1, 3, (1000, 2))
        >>> sets = LabelConformalSets.fit(rng.random((1000, 2)) < risk, risk, names=("shock", "sepsis"))
        >>> sorted(sets.labels)
        ['sepsis', 'shock']
        """
        true, checked = np.asarray(outcome, dtype=float), _probabilities(risk, len(names))
        patient, labels = numbered_patients(patients, len(true)), dict[str, ConformalSets]()
        options: dict[str, Any] = {"alpha": alpha, "random_state": random_state, "by_outcome": True}
        for position, name in enumerate(names):
            known = ~np.isnan(true[:, position])
            column, predicted = true[known, position], checked[known, position]
            occurred = [len(np.unique(patient[known][column == value])) for value in (0, 1)]
            if min(occurred) >= least_patients(alpha):
                try:
                    labels[str(name)] = ConformalSets.fit(column, predicted, patients=patient[known], **options)
                except ArgumentError:  # the drawn stays of the patients hold too few of one kind
                    continue
        if not labels:
            expected = f"at least {least_patients(alpha)} patients with, and without, a label for alpha={alpha:g}"
            raise ArgumentError(expected, "fewer of each", "Take more patients, or a larger alpha.")
        return cls(tuple(str(name) for name in names), labels)

    @property
    def alpha(self) -> float:
        """Fraction of the patients whose outcome may lie outside its set."""
        return next(iter(self.labels.values())).alpha

    def predict(self, risk: ArrayLike) -> NDArray[Any]:
        """Give the sets of each stay.

        Parameters
        ----------
        risk : array-like, shape (n_stays, n_labels)
            Between 0 and 1.

        Returns
        -------
        ndarray of str, shape (n_stays, n_labels)
            As of `ConformalSets.predict`; "" for a label without sets.
        """
        checked = _probabilities(risk, len(self.names))
        columns = [
            self.labels[name].predict(checked[:, i]) if name in self.labels else np.full(len(checked), "", dtype=object)
            for i, name in enumerate(self.names)
        ]
        return np.stack(columns, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict
            Fields by name.
        """
        return {"names": list(self.names), "labels": {name: sets.to_dict() for name, sets in self.labels.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore the sets that `to_dict` described.

        Parameters
        ----------
        values : mapping
            Fields by name.

        Returns
        -------
        LabelConformalSets
            The sets.

        Raises
        ------
        ValueError
            If the fields contradict each other.
        """
        names = tuple(str(name) for name in values["names"])
        labels = {str(name): ConformalSets.from_dict(one) for name, one in values["labels"].items()}
        is_alike = len({sets.alpha for sets in labels.values()}) == 1 and all(
            sets.by_outcome for sets in labels.values()
        )
        if not is_alike or not set(labels) <= set(names) or len(set(names)) < len(names):
            raise ValueError("sets that do not fit the labels")
        return cls(names, labels)


def _positions(outcome: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    values = np.asarray(outcome, dtype=float)
    if values.ndim != 1 or not np.isin(values, np.arange(n_classes)).all():
        fix = "Leave stays of unknown classes out."
        raise ArgumentError(f"positions of classes, 0 to {n_classes - 1}", "others", fix)
    return values.astype(np.int64)


def _probabilities(probability: ArrayLike, n_columns: int) -> Array:
    values = np.asarray(probability, dtype=float)
    if values.ndim != 2 or values.shape[1] != n_columns:
        raise ArgumentError(
            f"{n_columns} probabilities of each stay", f"shape {values.shape}", "Pass a column for each."
        )
    if not ((values >= 0) & (values <= 1 + 1e-9)).all():
        raise ArgumentError("probabilities between 0 and 1", "others", "Check the model.")
    return values

"""Learning curve of an estimator: its metrics after learning from more and more patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.training.cross_validate import fit_and_evaluate, held_out_folds


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Metrics of an estimator by number of training patients.

    Attributes
    ----------
    folds : DataFrame
        train_size (fraction), patients, stays, fold, metric, estimate: of a model that learned from so many patients of
        the other folds.
    simulated : bool
        Whether the patients are simulated.
    """

    folds: pd.DataFrame
    simulated: bool = False

    @property
    def summary(self) -> pd.DataFrame:
        """Mean, lowest and highest estimate over the folds, for each size and metric."""
        by_size = self.folds.groupby(["train_size", "metric"], sort=False)
        estimates = by_size["estimate"].agg(["mean", "min", "max"])
        return by_size["patients"].mean().round().astype(int).to_frame().join(estimates).reset_index()

    def plot(self, metric: str | None = None) -> Any:
        """Draw a metric against the number of training patients.

        Parameters
        ----------
        metric : str or None
            A metric of `summary`; None: the first.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        return display.plot(self, "learning curve", metric=metric)

    def __str__(self) -> str:
        return str(self.summary.round(3).to_string(index=False))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.summary.round(3).to_html(index=False, escape=True, border=0))


def learning_curve(
    estimator: Any,
    sequences: Sequences,
    *,
    train_sizes: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    n_folds: int = 3,
    n_resamples: int = 20,
    random_state: int = 0,
) -> LearningCurve:
    """Fit an estimator on growing parts of the training patients and evaluate each on the same held-out fold.

    Parameters
    ----------
    estimator : estimator
        Any estimator or baseline; it is cloned, not fitted.
    sequences : Sequences
        Stays with known outcomes.
    train_sizes : sequence of float
        Fractions of the training patients of a fold, above 0 and up to 1, each larger than the one before.
    n_folds : int
        Number of folds, 2 or more.
    n_resamples : int
        Bootstrap resamples of each evaluation, which the result does not show.
    random_state : int
        Seed of the folds, of the order of patients and of the resamples.

    Returns
    -------
    LearningCurve
        A larger part contains the smaller ones.

    Raises
    ------
    ArgumentError
        If an argument has another type or is out of bounds.
    TrainingError
        If a part has too few patients with each outcome.

    Notes
    -----
    A curve that still rises at its right end says that more patients would help. The range over folds is no confidence
    interval: the folds share their training stays.

    References
    ----------
    Perlich et al. 2003, J Mach Learn Res 4:211-255.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(120, random_state=0)), cg.Task.load("in_hospital_mortality"))
    >>> logistic = cg.SummaryBaseline("logistic regression")
    >>> curve = cg.learning_curve(logistic, stays, train_sizes=(0.5, 1.0), n_folds=2)
    >>> curve.folds["patients"].nunique() >= 2
    True
    """
    for size in train_sizes:
        check_number("train_sizes", size, minimum=0, maximum=1, open_minimum=True)
    if not len(train_sizes) or list(train_sizes) != sorted(set(train_sizes)):
        raise ArgumentError("train_sizes that grow", describe(train_sizes), "Pass some such as (0.25, 0.5, 1.0).")
    fold = held_out_folds(estimator, sequences, n_folds=n_folds, random_state=random_state)
    rank = _random_rank(sequences, random_state)
    tables = []
    for number in np.unique(fold):
        order = np.unique(rank[fold != number])
        for size in train_sizes:
            part = sequences[(fold != number) & (rank <= order[max(round(size * len(order)), 1) - 1])]
            test = sequences[fold == number]
            metrics = fit_and_evaluate(estimator, part, test, n_resamples=n_resamples, random_state=random_state)
            counts = {"train_size": float(size), "patients": len(np.unique(part.patient)), "stays": len(part)}
            tables.append(metrics.assign(**counts, fold=int(number) + 1))
    columns = ["train_size", "patients", "stays", "fold", "metric", "estimate"]
    folds = pd.concat(tables, ignore_index=True)[columns].sort_values("train_size", kind="stable", ignore_index=True)
    return LearningCurve(folds, sequences.simulated)


def _random_rank(sequences: Sequences, random_state: int) -> np.ndarray:
    """(stay,) place of its patient in a random order of the patients."""
    names, number = np.unique(np.asarray(sequences.patient), return_inverse=True)
    return np.asarray(np.random.default_rng(random_state).permutation(len(names))[number])

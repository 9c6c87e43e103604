"""Cross-fitting: each stay is predicted by a model that did not learn from its patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError


class Learner(Protocol):
    """What learns from stays and gives (stay, 2) or (step, 2) probabilities."""

    def fit(self, stays: Sequences) -> Any:
        """Learn from the stays."""

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Probability of no and of the outcome."""


def cross_fitted(learners: Sequence[Learner], stays: Sequences, fold: np.ndarray) -> np.ndarray:
    """(stay,) risks, or (step,) of an early warning, each by the learner that had not learned from the patient.

    learners  one for each fold; fitted here, each to all other folds
    fold      (stay,) from `patient_folds`
    """
    by_step = stays.task.every_step
    risk = np.empty(int(stays.n_steps.sum()) if by_step else len(stays))
    for number, one in enumerate(learners):
        one.fit(stays[fold != number])
        held = np.flatnonzero(fold == number)
        risk[points_of(stays.n_steps, held) if by_step else held] = one.predict_proba(stays[held])[:, 1]
    return risk


def patient_folds(patient: np.ndarray, outcome: np.ndarray, *, folds: int, random_state: int) -> np.ndarray:
    """(stay,) the fold of each stay, from 0: a patient is in one fold, and outcomes are spread evenly over them.

    patient  (stay,) identifiers
    outcome  (stay,) what to spread, any number; that of a patient is the highest of the stays
    Refused: fewer than two folds, fewer patients than folds.

    >>> patient_folds(np.array(["a", "b", "a", "c"]), np.array([0.0, 0, 1, 0]), folds=2, random_state=0).shape
    (4,)
    """
    number, patients = pd.factorize(pd.Series(patient).astype(str), sort=True)
    if not 2 <= folds <= len(patients):
        raise ArgumentError(f"from 2 folds to one for each of {len(patients)} patients", f"{folds}", "Correct it.")
    highest = np.full(len(patients), -np.inf)
    np.maximum.at(highest, number, np.nan_to_num(outcome, nan=-1.0))
    chance = np.random.default_rng(random_state)
    order = np.lexsort((chance.permutation(len(patients)), highest))
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % folds
    return fold[number]


def points_of(steps: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Positions of the steps of the stays at `index` among the steps of all stays.

    >>> points_of(np.array([2, 1, 3]), np.array([2, 0]))
    array([3, 4, 5, 0, 1])
    """
    return concat_ranges(np.concatenate([[0], np.cumsum(steps)]), index)[0]

"""Cross-fitting: each stay is predicted by a model that did not learn from its patient."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.errors import ArgumentError


def patient_folds(patient: np.ndarray, outcome: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """(stay,) the fold of each stay, from 0: a patient is in one fold, and outcomes are spread evenly over them.

    patient  (stay,) identifiers
    outcome  (stay,) what to spread, any number; that of a patient is the highest of the stays
    Refused: fewer than two folds, fewer patients than folds.

    >>> patient_folds(np.array(["a", "b", "a", "c"]), np.array([0.0, 0, 1, 0]), folds=2, seed=0).shape
    (4,)
    """
    number, patients = pd.factorize(pd.Series(patient).astype(str), sort=True)
    if not 2 <= folds <= len(patients):
        raise ArgumentError(f"from 2 folds to one for each of {len(patients)} patients", f"{folds}", "Correct it.")
    highest = np.full(len(patients), -np.inf)
    np.maximum.at(highest, number, np.nan_to_num(outcome, nan=-1.0))
    chance = np.random.default_rng(seed)
    order = np.lexsort((chance.permutation(len(patients)), highest))
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % folds
    return fold[number]

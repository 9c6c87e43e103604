"""Validation stays held back from the training stays, for early stopping; folds where they are too few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients, take_stays
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.model.heads.head import Head
from clinicalgru.model.training.folds import patient_folds
from clinicalgru.temporary_folder import TemporaryFolder

VALIDATION_FRACTION = 0.15
N_FOLDS = 5


def hold_back(stays: Sequences, groups: ArrayLike | None, *, random_state: int) -> tuple[Sequences, Sequences]:
    """Divide stays into training and validation stays, no patient and no group in both.

    Parameters
    ----------
    stays : Sequences
        All stays; those on disk stay on disk.
    groups : array-like of shape (n_stays,) or None
        Group of each stay, such as its hospital. None: patients alone.
    random_state : int
        Seed.

    Returns
    -------
    tuple of Sequences
        Training and validation stays; 15 % of the patients, or of the groups, are in the latter.

    Raises
    ------
    ArgumentError
        If there are too few patients or groups.
    """
    if not stays.mapped:
        return _divide(stays, groups, random_state, None)
    with TemporaryFolder() as folder:  # open maps outlive it
        return _divide(stays, groups, random_state, Path(folder))


def _divide(
    stays: Sequences, groups: ArrayLike | None, random_state: int, folder: Path | None
) -> tuple[Sequences, Sequences]:
    """Split by patient, or by the smallest sets of stays that share no patient and no group."""
    fractions = [1 - VALIDATION_FRACTION, VALIDATION_FRACTION]
    if groups is None:
        train, validation = split_patients(stays, fractions, random_state=random_state, folder=folder)
        return train, validation
    joined = joined_groups(stays.patient, groups)
    if joined.max(initial=0) < 1:
        fix = "Pass validation=, or leave groups out."
        raise ArgumentError("two groups or more that share no patient", "one", fix)
    bare = replace(stays.filter_measurements(np.zeros(len(stays.value), dtype=bool)), patient=joined.astype(str))
    held = np.isin(joined.astype(str), split_patients(bare, fractions, random_state=random_state)[1].patient)
    paths = (None, None) if folder is None else (folder / "train", folder / "validation")
    return take_stays(stays, ~held, paths[0]), take_stays(stays, held, paths[1])


def own_parts(
    stays: Sequences, groups: ArrayLike | None, *, min_validation_events: int, random_state: int
) -> tuple[Sequences, Sequences | None, np.ndarray | None]:
    """Choose the stays that stop training: 15 % of the patients, or with few outcomes each of 5 folds in turn.

    Parameters
    ----------
    stays : Sequences
        All stays.
    groups : array-like of shape (n_stays,) or None
        Group of each stay; no group is divided.
    min_validation_events : int
        As of `outcome_folds`.
    random_state : int
        Seed.

    Returns
    -------
    train : Sequences
        The other stays, or all of them where there are folds.
    validation : Sequences or None
        Stays held back; None where there are folds.
    fold : ndarray of int, shape (stay,), or None
        The fold of each stay; None where stays are held back.
    """
    fold = outcome_folds(stays, groups, min_validation_events=min_validation_events, random_state=random_state)
    return (stays, None, fold) if fold is not None else (*hold_back(stays, groups, random_state=random_state), None)


def outcome_folds(
    stays: Sequences, groups: ArrayLike | None, *, min_validation_events: int, random_state: int
) -> np.ndarray | None:
    """Divide stays into 5 folds where the validation stays that `hold_back` gives would have too few outcomes.

    Parameters
    ----------
    stays : Sequences
        All stays.
    groups : array-like of shape (n_stays,) or None
        Group of each stay; no group is divided.
    min_validation_events : int
        Number of validation stays with the rarest outcome or class that is enough for early stopping.
    random_state : int
        Seed.

    Returns
    -------
    ndarray of int, shape (stay,), or None
        The fold of each stay. None for enough outcomes, for tasks other than binary and multiclass, and where some
        fold would lack an outcome.
    """
    if stays.task.task_type not in ("binary", "multiclass") or np.isnan(stays.outcome).any():
        return None
    classes, count = np.unique(stays.outcome, return_counts=True)
    together = stays.patient if groups is None else joined_groups(stays.patient, groups)
    if len(classes) < 2 or not N_FOLDS <= count.min() < min_validation_events / VALIDATION_FRACTION:
        return None
    if len(np.unique(together.astype(str))) < N_FOLDS:
        return None
    fold = patient_folds(together, stays.outcome, n_folds=N_FOLDS, random_state=random_state)
    table = pd.crosstab(fold, stays.outcome)
    return fold if table.shape == (N_FOLDS, len(classes)) and (table > 0).all(axis=None) else None


def check_parts(head: Head, stays: Sequences, validation: Sequences) -> None:
    """Raise unless training and validation stays can be learned from and share no patient.

    Parameters
    ----------
    head : Head
        Head for the task of the stays.
    stays, validation : Sequences
        Both parts.

    Raises
    ------
    TrainingError
        If a part is empty, outcomes are unknown or all alike, or a patient is in both parts.
    """
    if not len(validation) or not len(stays):
        parts = "training stays and validation stays"
        raise TrainingError(parts, f"{len(stays)} and {len(validation)}", "Split with split_patients.")
    for part, name in ((stays, "stays"), (validation, "validation stays")):
        head.validate_targets(part, name)
    both = len(set(stays.patient) & set(validation.patient))
    if both:
        raise TrainingError("each patient in one part", f"{both} patients in both", "Use split_patients.")


def joined_groups(patient: np.ndarray, groups: ArrayLike) -> np.ndarray:
    """Number the smallest sets of stays that share no patient and no group with other stays.

    Parameters
    ----------
    patient : ndarray of shape (n_stays,)
        Identifiers of patients.
    groups : array-like of shape (n_stays,)
        Groups.

    Returns
    -------
    ndarray of int, shape (n_stays,)
        Number of the set of each stay, from 0.

    Raises
    ------
    ArgumentError
        If `groups` is of another length.

    Examples
    --------
    >>> joined_groups(np.array(["a", "b", "a", "c"]), ["x", "y", "y", "z"])
    array([0, 0, 0, 1])
    """
    group = np.asarray(groups)
    if group.shape != patient.shape:
        raise ArgumentError(f"groups of shape {patient.shape}", f"shape {group.shape}", "Pass one group for each stay.")
    people, hospitals = (pd.factorize(pd.Series(one).astype(str))[0] for one in (patient, group))
    n_patients, n_groups = people.max(initial=-1) + 1, hospitals.max(initial=-1) + 1
    edges = coo_array((np.ones(len(people)), (people, n_patients + hospitals)), shape=(n_patients + n_groups,) * 2)
    label = connected_components(edges, directed=False)[1]
    return np.asarray(pd.factorize(label[people])[0])

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
FEW_EVENTS = 200  # training stays of the rarest class: some 30 of them among the validation stays
BATCH_SIZES = (16, 64)  # stays of a batch, with few events and with more


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
        The fold of each stay. None for enough outcomes, for tasks without classes or events of stays, and where some
        fold would lack an outcome.
    """
    outcome = _classes(stays)
    if outcome is None or np.isnan(outcome).any():
        return None
    classes, count = np.unique(outcome, return_counts=True)
    together = stays.patient if groups is None else joined_groups(stays.patient, groups)
    if len(classes) < 2 or not N_FOLDS <= count.min() < min_validation_events / VALIDATION_FRACTION:
        return None
    if len(np.unique(together.astype(str))) < N_FOLDS:
        return None
    fold = patient_folds(together, outcome, n_folds=N_FOLDS, random_state=random_state)
    table = pd.crosstab(fold, outcome)
    return fold if table.shape == (N_FOLDS, len(classes)) and (table > 0).all(axis=None) else None


def stays_of_batch(batch_size: int | None, stays: Sequences) -> int:
    """Give the number of stays in a training batch.

    Parameters
    ----------
    batch_size : int or None
        What the user asks for.
    stays : Sequences
        The training stays.

    Returns
    -------
    int
        What the user asks for; else 16 with fewer than 200 stays of the rarest class or with the event, and 64 with
        more, or for tasks without classes and events.

    Notes
    -----
    With few events the validation loss rises after few epochs, and smaller batches are more steps until then; see
    decision 28.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60, random_state=0)), Task.load("in_hospital_mortality"))
    >>> stays_of_batch(None, stays), stays_of_batch(32, stays)
    (16, 32)
    """
    if batch_size is not None:
        return int(batch_size)
    outcome = _classes(stays)
    counts = [FEW_EVENTS] if outcome is None else np.unique(outcome, return_counts=True)[1]
    return BATCH_SIZES[int(np.min(counts) >= FEW_EVENTS)]


def _classes(stays: Sequences) -> np.ndarray | None:
    """(stay,) The class, or whether the event of an early warning or survival task occurred; None for other tasks."""
    outcome, task_type = stays.outcome, stays.task.task_type
    if task_type in ("binary", "multiclass"):
        return outcome
    if task_type == "early_warning":
        return np.where(np.isnan(outcome), np.nan, np.isfinite(outcome))
    return outcome[:, 1] if task_type == "survival" else None


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

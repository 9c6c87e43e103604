"""Overlap of patients: those of the evaluated stays that also made a model, for which its figures are optimistic."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from clinicalgru.errors import DataWarning

TRAINING, CALIBRATION, PRETRAINING = (
    "training or early stopping",
    "calibration, recalibration or the choice of the threshold",
    "pretraining",
)
Overlap = Mapping[str, Mapping[str, int]]


def patient_overlap(models: Mapping[str, Any], stays: Any) -> dict[str, dict[str, int]]:
    """Count the stays of patients that took part in making each model.

    Parameters
    ----------
    models : mapping of str to object
        Models by name; risks, which know no patients, are left out.
    stays : Sequences
        The evaluated stays.

    Returns
    -------
    dict of str to dict of str to int
        By model, then by what the patients were used for; nothing where all patients are new to all models.
    """
    known = {name: model for name, model in models.items() if hasattr(model, "_patient_overlap")}
    counts = {name: model._patient_overlap(stays) for name, model in known.items()}
    return {name: by_use for name, by_use in counts.items() if by_use}


def overlap_sentences(overlap: Overlap, n_stays: int) -> list[str]:
    """Say which figures are optimistic, and why.

    Parameters
    ----------
    overlap : mapping
        As of `patient_overlap`.
    n_stays : int
        Number of evaluated stays.

    Returns
    -------
    list of str
        One entry for each model, and one that says what to do; no counts.

    Examples
    --------
    >>> overlap_sentences({"GRU": {TRAINING: 90}}, 90)[0]
    'Not new patients: GRU used those of all stays for training or early stopping. If they are the same people, its \
figures are optimistic.'
    """
    uses = {
        name: ", and of ".join(f"{_amount(count, n_stays)} for {use}" for use, count in by_use.items())
        for name, by_use in overlap.items()
    }
    sentences = [
        f"Not new patients: {name} used those of {text}. If they are the same people, its figures are optimistic."
        for name, text in uses.items()
    ]
    return [*sentences, "Evaluate on stays of other patients."] if sentences else []


def warn_of_overlap(overlap: Overlap, n_stays: int, *, stacklevel: int = 3) -> None:
    """Warn where patients of the evaluated stays took part in making a model.

    Parameters
    ----------
    overlap : mapping
        As of `patient_overlap`.
    n_stays : int
        Number of evaluated stays.
    stacklevel : int
        Frame that the warning points to.

    Warns
    -----
    DataWarning
        Once, with all sentences.
    """
    sentences = overlap_sentences(overlap, n_stays)
    if sentences:
        warnings.warn(" ".join(sentences), DataWarning, stacklevel=stacklevel)


def _amount(count: int, n_stays: int) -> str:
    return "all stays" if count == n_stays else "most stays" if 2 * count > n_stays else "some stays"

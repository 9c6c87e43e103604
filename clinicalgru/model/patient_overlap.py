"""Which stays are of patients that took part in making a model: by training, early stopping or calibration."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import CalibrationWarning
from clinicalgru.evaluate.patient_overlap import CALIBRATION, PRETRAINING, TRAINING
from clinicalgru.model.seen_patients import SeenPatients


def seen_patients(model: Any) -> SeenPatients:
    """Give the hashes of the patients that training and early stopping saw.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.

    Returns
    -------
    SeenPatients
        Of an ensemble those of its first member: each member has seen all, some as validation stays.
    """
    seen: SeenPatients = first_network(model).seen_patients_
    return seen


def calibration_stays(model: Any, stays: Sequences) -> np.ndarray:
    """Give which stays are of patients that calibrated or recalibrated a model, or chose its threshold.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Any stays.

    Returns
    -------
    ndarray of bool, shape (stay,)
        All False where the bundle of the model holds no such patients, as those of earlier versions.
    """
    known = [part.includes(stays) for part in model.calibration_patients_]
    return np.any(known, axis=0) if known else np.zeros(len(stays), dtype=bool)


def pretraining_patients(model: Any) -> tuple[SeenPatients, ...]:
    """Give the hashes of the patients whose stays pretrained the encoder that training started from.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.

    Returns
    -------
    tuple of SeenPatients
        One entry; empty where training started from random weights.
    """
    parts: tuple[SeenPatients, ...] = first_network(model).pretraining_patients_
    return parts


def involved_stays(model: Any, stays: Sequences) -> dict[str, np.ndarray]:
    """Give which stays are of patients that took part in making a model, by what they were used for.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Any stays.

    Returns
    -------
    dict of str to ndarray of bool, shape (stay,)
        One entry for each use of any of their patients; empty where all patients are new to the model.
    """
    masks = {TRAINING: seen_patients(model).includes(stays), CALIBRATION: calibration_stays(model, stays)}
    for part in pretraining_patients(model):
        masks[PRETRAINING] = part.includes(stays)
    return {use: mask for use, mask in masks.items() if mask.any()}


def overlapping_stays(model: Any, stays: Sequences) -> dict[str, int]:
    """Count the stays of patients that took part in making a model.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Any stays.

    Returns
    -------
    dict of str to int
        Number of stays by what their patients were used for; nothing where there is none.
    """
    return {use: int(mask.sum()) for use, mask in involved_stays(model, stays).items()}


def held_out(model: Any, stays: Sequences) -> np.ndarray:
    """Give which stays are of patients that took no part in making a model.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Any stays.

    Returns
    -------
    ndarray of bool, shape (stay,)
        False: of a patient of training, early stopping, calibration, recalibration, choice of a threshold or
        pretraining.
    """
    return ~np.any([np.zeros(len(stays), dtype=bool), *involved_stays(model, stays).values()], axis=0)


def involved_text(model: Any, stays: Sequences) -> str:
    """Name the number of stays of patients that took part in making a model, for an error.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Any stays, one or more of such a patient.

    Returns
    -------
    str
        Such as "90 of 200 stays of patients used for pretraining".
    """
    counts = overlapping_stays(model, stays).items()
    used = ", and ".join(f"{count:,} of {len(stays):,} stays of patients used for {use}" for use, count in counts)
    return used or f"0 of {len(stays):,} stays of patients used for the model"


def warn_of_pretraining(model: Any, stays: Sequences, *, purpose: str) -> None:
    """Warn where stays are of patients whose stays, without outcomes, pretrained the encoder of a model.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.
    stays : Sequences
        Stays that something is to be fitted on.
    purpose : str
        What they are for, such as "calibrate on".

    Warns
    -----
    CalibrationWarning
        With the number of such stays.
    """
    known = [part.includes(stays) for part in pretraining_patients(model)]
    n_known = int(np.any(known, axis=0).sum()) if known else 0
    if n_known:
        warnings.warn(
            f"{n_known:,} of {len(stays):,} stays to {purpose} are of patients of pretraining. It saw no outcome of "
            "them, but their measurements: stays of other patients calibrate more surely.",
            CalibrationWarning,
            stacklevel=4,
        )


def first_network(model: Any) -> Any:
    """Give the first member of an ensemble, or of the ensemble within a hybrid; else the model itself.

    Parameters
    ----------
    model : estimator
        A fitted model of any class.

    Returns
    -------
    estimator
        What holds the hashes of the patients of training and pretraining.
    """
    part = getattr(model, "ensemble_", model)
    return getattr(part, "members_", [part])[0]

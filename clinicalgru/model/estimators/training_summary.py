"""Counts of the training data of a model, for its manifest and card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.model.input_profile import input_profile
from clinicalgru.model.reference_values import input_reference

if TYPE_CHECKING:  # baselines load no torch
    from clinicalgru.model.estimators.pretrained import PretrainedEncoder

TRAINING_FOLDS = "training_folds"  # in the counts of calibration stays that `fit` held out


def training_summary(
    stays: Sequences, pretrained: PretrainedEncoder | None = None, unlabelled: Sequences | None = None
) -> dict[str, Any]:
    """Give the source and the counts of training data.

    Parameters
    ----------
    stays : Sequences
        Training stays.
    pretrained : PretrainedEncoder or None
        What training started from.
    unlabelled : Sequences or None
        Stays without outcome that were learned from too.

    Returns
    -------
    dict
        source, simulated, stays, patients, outcomes, measurements; reading: how the extract was read; inputs: see
        `input_profile`; reference: see `input_reference`. Small counts of real patients are None (suppressed), since a
        bundle holds them. outcomes is None too where the task has no such outcome. pretrained_on, where training
        started from an encoder: its stays and source. unlabelled: the same of the stays without outcome, if any.
    """
    summary = _counts(stays) | {"inputs": input_profile(stays), "reference": input_reference(stays)}
    if unlabelled is not None:
        counts = _counts(unlabelled)
        summary["unlabelled"] = {name: counts[name] for name in ("source", "simulated", "stays", "patients")}
    if pretrained is None:
        return summary
    of_encoder = {name: pretrained.trained_on[name] for name in ("source", "simulated", "stays", "patients")}
    return summary | {"pretrained_on": of_encoder}


def _counts(stays: Sequences) -> dict[str, Any]:
    min_cell_size = 0 if stays.simulated else MIN_CELL_SIZE
    patients = suppress_nested([len(stays), len(np.unique(stays.patient.astype(str)))], min_cell_size=min_cell_size)[1]
    has_event = occurred(stays.outcome, stays.task)
    count, outcomes = suppress_nested(
        [len(stays), int(has_event.sum()) if has_event is not None else 0], min_cell_size=min_cell_size
    )
    return {
        "source": stays.source,
        "simulated": stays.simulated,
        "stays": count,
        "patients": patients,
        "outcomes": outcomes if has_event is not None else None,
        "measurements": len(stays.value),
        "reading": dict(stays.reading),
    }


def validation_summary(validation: Sequences | None, fold: np.ndarray | None) -> dict[str, Any]:
    """Say which stays early stopping watched.

    Parameters
    ----------
    validation : Sequences or None
        Validation stays.
    fold : ndarray or None
        Fold of each training stay, where there are no validation stays.

    Returns
    -------
    dict
        validation: the counts of `calibration_counts`, or the number of folds.
    """
    if fold is not None:
        return {"validation": {"folds": len(np.unique(fold))}}
    return {"validation": calibration_counts(validation)} if validation is not None else {}


def validation_text(trained: Mapping[str, Any]) -> str | None:
    """Say how the number of epochs was chosen, for a card.

    Parameters
    ----------
    trained : mapping
        As of `trained_on_`.

    Returns
    -------
    str or None
        None where nothing is known. Small counts are suppressed.

    Examples
    --------
    >>> validation_text({"validation": {"folds": 5}})
    'out of fold; the mean of the weights of 5 networks, each trained on all folds but one'
    >>> validation_text({"validation": {"stays": 600, "patients": 600, "outcomes": 80}})
    'on 600 stays, 80 with the outcome'
    """
    chosen = trained.get("validation")
    if chosen is None:
        return None
    if "folds" in chosen:
        return f"out of fold; the mean of the weights of {chosen['folds']} networks, each trained on all folds but one"
    return calibration_text(chosen)


def calibration_counts(stays: Sequences) -> dict[str, int | None]:
    """Count the stays that a model is calibrated on.

    Parameters
    ----------
    stays : Sequences
        Stays that calibrate the model.

    Returns
    -------
    dict
        stays and patients, and outcomes where the task asks whether something occurs; suppressed as of
        `training_summary`.
    """
    summary, has_events = _counts(stays), occurred(stays.outcome, stays.task) is not None
    return {name: summary[name] for name in ("stays", "patients", *(["outcomes"] if has_events else []))}


def pretraining_text(trained: Mapping[str, Any]) -> str | None:
    """Say what training started from, for a card.

    Parameters
    ----------
    trained : mapping
        As of `training_summary`.

    Returns
    -------
    str or None
        None where it started from random weights. Small counts are suppressed.

    Examples
    --------
    >>> pretraining_text({"pretrained_on": {"source": "set a", "simulated": False, "stays": 4000, "patients": 4000}})
    '4,000 stays without outcomes, set a'
    """
    return _without_outcome_text(trained.get("pretrained_on"))


def unlabelled_text(trained: Mapping[str, Any]) -> str | None:
    """Say which stays without outcome were learned from, for a card.

    Parameters
    ----------
    trained : mapping
        As of `training_summary`.

    Returns
    -------
    str or None
        None where there were none. Small counts are suppressed.

    Examples
    --------
    >>> unlabelled_text({"unlabelled": {"source": "set a", "simulated": False, "stays": 2600, "patients": 2600}})
    'also 2,600 stays without outcomes, set a'
    """
    text = _without_outcome_text(trained.get("unlabelled"))
    return None if text is None else f"also {text}"


def _without_outcome_text(counts: Mapping[str, Any] | None) -> str | None:
    """How many stays without outcomes were learned from, and their source."""
    if counts is None:
        return None
    simulated = " (simulated)" if counts["simulated"] else ""
    return f"{format_count(counts['stays'])} stays without outcomes, {counts['source']}{simulated}"


def calibration_text(counts: Mapping[str, int | None] | None) -> str:
    """Say how many stays calibrated a model, for its card and its evaluation.

    Parameters
    ----------
    counts : mapping or None
        As of `calibration_counts`; None where nothing did. training_folds, where `fit` calibrated: the number of folds;
        1 for the stays that were held back for early stopping.

    Returns
    -------
    str
        Small counts are suppressed.

    Examples
    --------
    >>> calibration_text({"stays": 375, "patients": 375, "outcomes": 53})
    'on 375 stays, 53 with the outcome'
    >>> calibration_text({"stays": 300, "patients": 300, "outcomes": 42, "training_folds": 5})
    'out of fold on 300 stays, 42 with the outcome'
    >>> calibration_text(None)
    'none'
    """
    if counts is None:
        return "none"
    outcomes = counts.get("outcomes")
    number = "a suppressed number" if outcomes is None else format_count(outcomes)
    events = f", {number} with the outcome" if "outcomes" in counts else ""
    folds = counts.get(TRAINING_FOLDS) or 0
    out_of_fold, held_back = "out of fold " if folds > 1 else "", " held back for early stopping" if folds == 1 else ""
    return f"{out_of_fold}on {format_count(counts['stays'])} stays{held_back}{events}"

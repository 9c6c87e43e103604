"""What is measured of a model that was just trained, and kept in its bundle: leaks, membership, instability."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from clinicalgru.data.task.select import split_patients
from clinicalgru.errors import ArgumentError, ClinicalGRUWarning
from clinicalgru.evaluate.instability import Instability
from clinicalgru.leakage.no_future import check_no_future
from clinicalgru.leakage.raw_tables import names_of, stay_names
from clinicalgru.leakage.result import LeakageCheck
from clinicalgru.model.ablations import TRAINING_FRACTIONS
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.instability import instability
from clinicalgru.model.patient_overlap import held_out, seen_patients
from clinicalgru.parts import Parts
from clinicalgru.serve.privacy_audit import PrivacyAudit, privacy_audit

MEMBERSHIP_STAYS = 2000
NO_OTHERS = "all test patients took part in pretraining"
LEAKAGE_STAYS = 30  # of the extract: some ten seconds


def check_leakage(model: Model, parts: Parts, *, random_state: int = 0) -> LeakageCheck:
    """Look for leaks in a model that was just trained, and note the result in what it was trained on.

    Parameters
    ----------
    model : GRUEstimator
        Fitted on the development stays; its bundle and card carry the sentence.
    parts : Parts
        Development and test stays of one extract.
    random_state : int
        Seed of stays and changes.

    Returns
    -------
    LeakageCheck
        On 30 stays of the extract; splits and single variables on all.
    """
    names = stay_names(parts.test_events)
    splits = {"train": names_of(parts.development, names), "test": names_of(parts.test, names)}
    check = check_no_future(model, parts.test_events, splits=splits, n_stays=LEAKAGE_STAYS, random_state=random_state)
    model.trained_on_["leakage"] = check.to_dict()
    return check


def membership_text(model: Any, audit: PrivacyAudit | None) -> str:
    """Say how well training patients are recognised, or why that was not measured.

    Parameters
    ----------
    model : GRUEstimator
        The model.
    audit : PrivacyAudit or None
        As `measure_membership` gives it.

    Returns
    -------
    str
        Empty for tasks that are not measured.
    """
    reason = model.trained_on_.get("membership", {}).get("reason")
    return str(audit) if audit is not None else f"Membership inference: not measured, {reason}." if reason else ""


def measure_membership(model: Any, parts: Parts) -> PrivacyAudit | None:
    """Measure membership inference on training and test stays, and keep the result with the model.

    Parameters
    ----------
    model : GRUEstimator
        Fitted on the development stays.
    parts : Parts
        Development and test stays.

    Returns
    -------
    PrivacyAudit or None
        Of at most 2,000 training stays. None for other tasks than binary ones, and where all test patients took part in
        pretraining: the result is then the reason. The model card shows either.
    """
    if model.task_.task_type != "binary":
        return None
    members = parts.development[seen_patients(model).includes(parts.development)]
    chosen = np.random.default_rng(0).permutation(len(members))[:MEMBERSHIP_STAYS]
    others = parts.test[held_out(model, parts.test)]
    if not len(others):
        nothing: dict[str, Any] = dict.fromkeys(("true_positive_rate", "low", "high"))
        model.trained_on_ = {**model.trained_on_, "membership": nothing | {"reason": NO_OTHERS}}
        return None
    audit = privacy_audit(model, members[np.sort(chosen)], others, warn=False)
    model.trained_on_ = {**model.trained_on_, "membership": audit.to_dict()}
    return audit


def measure_instability(model: Any, parts: Parts, *, n_refits: int, random_state: int) -> Instability | None:
    """Refit a model that was just trained on bootstrap samples, and keep how far risks move with it.

    Parameters
    ----------
    model : GRUEstimator
        Fitted on the development stays by `clinicalgru.pipeline.fit`, for a binary outcome.
    parts : Parts
        Development and test stays.
    n_refits : int
        Number of samples, 10 or more; each takes as long as a training.
    random_state : int
        Seed of the split of `fit`, and of the samples.

    Returns
    -------
    Instability or None
        Of the test stays. Bundle, scores, card and pages show it by groups of similar risk. None where too many samples
        cannot be learned from.

    Warns
    -----
    ClinicalGRUWarning
        If it could not be measured; the model is kept as it is.
    """
    calibration = split_patients(parts.development, TRAINING_FRACTIONS, random_state=random_state)[-1]
    calibrated_on = np.isin(parts.development.stay, calibration.stay)
    try:
        result = instability(
            model,
            parts.development[~calibrated_on],
            calibration=None if model.calibrator_ is None else calibration,
            apply_to=parts.test,
            auxiliary=parts.auxiliary,
            n_refits=n_refits,
            random_state=random_state,
        )
    except ArgumentError as error:
        warnings.warn(f"{error} How far risks move was not measured.", ClinicalGRUWarning, stacklevel=2)
        return None
    model.instability_ = result.by_risk
    return result

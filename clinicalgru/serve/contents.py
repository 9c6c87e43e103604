"""What a bundle holds of a fitted model: its arrays, and the fields of its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clinicalgru.model.baselines.base import Arrays, BaselineEstimator, with_prefix
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.patient_overlap import pretraining_patients
from clinicalgru.model.seen_patients import CALIBRATION, PRETRAINING, patient_arrays


def model_arrays(model: FittedModel) -> dict[str, np.ndarray]:
    """Give all that a model learned as arrays, and the hashes of the patients that trained or calibrated it.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    dict of str to ndarray
        Arrays by name; those of a part with its name before them.
    """
    calibration = patient_arrays(model.calibration_patients_, prefix=CALIBRATION)
    return _learned(model) | calibration | patient_arrays(pretraining_patients(model), prefix=PRETRAINING)


def _learned(model: FittedModel) -> dict[str, np.ndarray]:
    if isinstance(model, Hybrid):
        parts = {"ensemble": _learned(model.ensemble_)}
        parts |= {f"{m}.{n}": one.to_arrays() for m, ones in model.baselines_.items() for n, one in enumerate(ones)}
        parts["stack"] = {"coefficients": model.stack_.coef_, "intercept": model.stack_.intercept_}
    elif isinstance(model, GRUEnsemble):
        parts = {f"{number}": _weights(member) for number, member in enumerate(model.members_)}
        return _named(parts) | model.members_[0].seen_patients_.to_arrays()
    elif isinstance(model, BaselineEstimator):
        arrays = {name: np.ascontiguousarray(array) for name, array in model.to_arrays().items()}
        return arrays | model.seen_patients_.to_arrays()
    else:
        return _weights(model) | model.seen_patients_.to_arrays()
    return _named(parts)


def _weights(model: GRUEstimator) -> dict[str, np.ndarray]:
    return {name: tensor.contiguous().numpy() for name, tensor in model.network_.state_dict().items()}


def _named(parts: Mapping[str, Arrays]) -> dict[str, np.ndarray]:
    """Arrays of all parts; each with the name of its part before its own."""
    return {
        name: np.ascontiguousarray(array).reshape(array.shape)  # an array of no axes keeps its shape
        for part, arrays in parts.items()
        for name, array in with_prefix(part, arrays).items()
    }


def description(model: FittedModel) -> dict[str, Any]:
    """Give the part of the manifest that depends on the class of the model.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    dict
        Fields of `Manifest` by name.
    """
    if isinstance(model, BaselineEstimator):
        return {
            "model": type(model).__name__,
            "arguments": model.arguments_dict(),
            "calibrator": model.calibrator_.to_dict() if model.calibrator_ is not None else None,
            "calibrated_on": model.calibrated_on_,
            "prediction_sets": _sets(model),
            "instability": _instability(model),
            "history": [],
        }
    from clinicalgru.explain.attribution.contributions import averages  # torch is not loaded for a baseline

    ensemble = model.ensemble_ if isinstance(model, Hybrid) else model
    network = ensemble.members_[0] if isinstance(ensemble, GRUEnsemble) else ensemble
    calibrator = ensemble.calibrator_
    return {
        "model": type(network).__name__,
        "arguments": network.arguments_dict(),
        "ensemble": {"n_members": ensemble.n_members, "random_state": ensemble.random_state_}
        if isinstance(ensemble, GRUEnsemble)
        else None,
        "members": [_member(one) for one in ensemble.members_] if isinstance(ensemble, GRUEnsemble) else None,
        "hybrid": list(model.baselines) if isinstance(model, Hybrid) else None,
        "network_spec": network.network_.spec.to_dict(),
        "calibrator": calibrator.to_dict() if calibrator is not None else None,
        "calibrated_on": ensemble.calibrated_on_,
        "prediction_sets": _sets(model),
        "instability": _instability(model),
        "risk_groups": {name: groups.to_dict() for name, groups in ensemble.risk_groups_.items()},
        "head": ensemble.head_.to_dict(),
        "extra_state": model.extra_state(),
        "averages": averages(ensemble),
        "history": model.history_,
    }


def _sets(model: FittedModel) -> dict[str, Any] | None:
    return None if model.prediction_sets_ is None else model.prediction_sets_.to_dict()


def _instability(model: FittedModel) -> dict[str, Any] | None:
    return None if model.instability_ is None else model.instability_.to_dict()


def _member(member: GRUEstimator) -> dict[str, Any]:
    """What may differ between the members of an ensemble, but for weights and history."""
    return {"network_spec": member.network_.spec.to_dict(), "head": member.head_.to_dict()}

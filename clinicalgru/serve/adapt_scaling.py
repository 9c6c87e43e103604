"""Scaling for another hospital: its own distributions of the measurements, learned without outcomes, as a new model."""

from __future__ import annotations

from copy import copy, deepcopy
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.untrained_network import known_when_predicted
from clinicalgru.model.fit_state import check_stays
from clinicalgru.model.reference_stays import sample_stays
from clinicalgru.model.training.prediction_hours import SCALED
from clinicalgru.serve.bundle import model_hash

MIN_PATIENTS = 100  # with fewer, the outer quantiles of most variables are uncertain


def adapt_scaling(
    model: GRUEstimator | GRUEnsemble, stays: Sequences, *, moment: datetime | None = None
) -> GRUEstimator | GRUEnsemble:
    """Scale measurements by their ranks among the stays of another hospital, as a new model; outcomes are not used.

    A network sees measurements and their summaries as normal scores of their ranks among the training values. Here the
    ranks become those among `stays`, so that a hospital that measures higher, or more often, does not look sicker.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted, for another task than a forecast.
    stays : Sequences
        Stays of the other hospital, of 100 patients or more, with the variables of the model.
    moment : datetime, optional
        When this is done, for the history. None: now.

    Returns
    -------
    GRU estimator or GRUEnsemble
        The new model; the one before is unchanged. Its bundle holds the new quantiles, so that `score`, `Monitor` and
        `export_onnx` use them. Its `changes_` say what was done.

    Raises
    ------
    ArgumentError
        If the model has no network, the task is a forecast, or there are fewer than 100 patients.

    Notes
    -----
    For hospitals that measure in another way: assays, devices, habits. A real difference between the patients is lost
    with the rest, and where patients differ more than measuring does, the risks get worse: on a care unit of
    PhysioNet 2012 that was left out, AUROC fell from .892 to .865. Evaluate the new model before use.

    A variable that fewer than 11 of the patients have, and static covariates, keep the quantiles of training. The new
    model is not calibrated, as nothing says that the calibration of training holds: call its `calibrate` with stays
    whose outcomes are known. Groups of similar risk, prediction sets and instability are left out too.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> ours, theirs = (cg.select(cg.read_events(cg.simulate(200, random_state=seed)), task) for seed in (1, 2))
    >>> config = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(config, max_epochs=1, distillation=0.0, min_validation_events=0)
    >>> cg.adapt_scaling(model.fit(ours, verbose=False), theirs).changes_[0]["what"]
    'scaling adapted'
    """
    if not isinstance(model, GRUEstimator | GRUEnsemble):
        raise ArgumentError("a GRU estimator or a GRUEnsemble", describe(model), "Train one: trees have no scaling.")
    check_stays("stays", stays)
    n_patients = len(np.unique(stays.patient.astype(str)))
    if n_patients < MIN_PATIENTS:
        fix = "Wait for more patients, or use the model as it is."
        raise ArgumentError(f"stays of {MIN_PATIENTS} patients or more", "fewer", fix)
    if model.task_.task_type == "forecast":
        raise ArgumentError("a model of an outcome", "a forecast, whose errors are in the same scores", "Train anew.")
    new: Any = copy(model)
    if isinstance(model, GRUEnsemble):
        new.members_ = [_adapted(member, stays) for member in model.members_]
    else:
        new = _adapted(model, stays)
    _forget(new, stays)
    change = {
        "what": "scaling adapted",
        "when": (moment or datetime.now(UTC)).isoformat(timespec="seconds"),
        "parent": model_hash(model),
        "source": stays.source,
        "stays": len(stays),
        "patients": n_patients,
    }
    new.changes_ = [*getattr(model, "changes_", []), change]
    adapted: GRUEstimator | GRUEnsemble = new
    return adapted


def _adapted(model: GRUEstimator, stays: Sequences) -> GRUEstimator:
    """A copy of one network's model with the quantiles of these stays."""
    new = copy(model)
    new.network_ = deepcopy(model.network_)
    predicted = known_when_predicted(new) if SCALED in new.trained_on_ else None
    new.network_.scaler.fit_measurements(new._checked(stays), predicted)
    _forget(new, stays)
    return new


def _forget(model: Any, stays: Sequences) -> None:
    """Leave out what belongs to the scaling before; explanations count from the average of these stays."""
    model.reference_stays_, model.averages_ = sample_stays(stays), MappingProxyType({})
    model.risk_groups_, model.prediction_sets_, model.instability_ = MappingProxyType({}), None, None
    model.calibrator_, model.calibrated_on_ = None, None

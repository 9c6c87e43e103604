"""The same model without its sequence, and without its summaries: what each of them is worth."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from sklearn.base import clone

from clinicalgru.checks import check_choice, check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients
from clinicalgru.errors import ArgumentError, CalibrationWarning, TrainingError, describe
from clinicalgru.model.estimators.training_summary import TRAINING_FOLDS

TRAINING_FRACTIONS = (0.75, 0.125, 0.125)  # training, validation and calibration of a network
ABLATIONS: Mapping[str, str] = MappingProxyType({"no_sequence": "summaries", "no_summaries": "sequence"})


def fit_ablations(
    model: Any,
    stays: Sequences,
    *,
    names: Sequence[str] = tuple(ABLATIONS),
    validation: Sequences | None = None,
    calibration: Sequences | None = None,
    auxiliary: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Fit a model anew without its sequence (GRU and attention), and without its summaries of variables.

    Parameters
    ----------
    model : fitted GRU estimator, ensemble or hybrid
        Its arguments are used; it stays as it is.
    stays : Sequences
        Training stays. Without `validation` and `calibration`, a single network is fitted as `fit(stays)` does. If the
        model is calibrated or warns, it trains on 75 % of the patients, stops by 12.5 %, and the others calibrate it.
    names : sequence of str
        "no_sequence" and "no_summaries", or one of them.
    validation, calibration : Sequences, optional
        Stays of other patients for early stopping and calibration, as the model had; for a single network.
    auxiliary : DataFrame, optional
        Auxiliary outcomes, as the model had; see `GRUClassifier.fit`.

    Returns
    -------
    dict of fitted models
        By name, to be passed to `evaluate` as `baselines`.

    Raises
    ------
    ArgumentError
        If the model has no network, or a name is unknown.

    Warns
    -----
    CalibrationWarning
        If a network cannot be calibrated on the calibration stays; it is kept as it is.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, NetworkConfig, Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60)), Task.load("in_hospital_mortality"))
    >>> network = NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = GRUClassifier(network, max_epochs=1, distillation=0.0, min_validation_events=0)
    >>> list(fit_ablations(model.fit(stays, verbose=False), stays))
    ['no_sequence', 'no_summaries']
    """
    check_instance("stays", stays, Sequences, fix="Pass what select returned.")
    for name in names:
        check_choice("names", name, tuple(ABLATIONS))
    held_out = _is_single(model) and (_calibrated_apart(model) or hasattr(model, "choose_threshold"))
    if validation is None and calibration is None and held_out:
        stays, validation, calibration = split_patients(stays, TRAINING_FRACTIONS, random_state=model.random_state_)
    parts = {"validation": validation} if _is_single(model) else {}
    fitted = {}
    for name in names:
        one = _with_readout_inputs(model, ABLATIONS[name])
        one.fit(stays, **parts, auxiliary=auxiliary, verbose=False)
        fitted[name] = _calibrated(one, calibration) if _is_single(model) and calibration is not None else one
    return fitted


def _is_single(model: Any) -> bool:
    """Whether it is one network, not several that calibrate each other."""
    if not hasattr(model, "get_params"):
        raise ArgumentError("a GRU estimator, ensemble or hybrid", describe(model), "Pass a model with a network.")
    return "network" in model.get_params(deep=False)


def _calibrated_apart(model: Any) -> bool:
    """Whether stays besides those of `fit` calibrated it."""
    return model.calibrated_on_ is not None and TRAINING_FOLDS not in model.calibrated_on_


def _with_readout_inputs(model: Any, inputs: str) -> Any:
    """An unfitted copy whose readouts see these inputs only."""
    copy, given = clone(model), model.get_params(deep=False)
    if "network" in given:
        config = given["network"]
        if config is None and given["pretrained"] is not None:
            config = given["pretrained"].network_config
        return copy.set_params(network=clone(config) if config is not None else None).set_params(
            network__readout_inputs=inputs
        )
    for name in ("estimator", "ensemble"):
        if name in given:
            inner = given[name] if given[name] is not None else getattr(model, f"{name}_", None) or model._start()
            return copy.set_params(**{name: _with_readout_inputs(inner, inputs)})
    raise ArgumentError("a GRU estimator, ensemble or hybrid", describe(model), "Pass a model with a network.")


def _calibrated(model: Any, stays: Sequences) -> Any:
    """Calibrated as `clinicalgru.pipeline.fit` calibrates, and with a threshold if it warns."""
    try:
        model.calibrate(stays)
    except (ArgumentError, TrainingError) as error:
        warnings.warn(f"{error} The ablation is not calibrated.", CalibrationWarning, stacklevel=4)
    return model.choose_threshold(stays) if hasattr(model, "choose_threshold") else model

"""The arguments of an estimator: checked and as Python numbers for a fit, and as a manifest holds them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from clinicalgru.checks import check_choice, check_instance, check_number, to_python
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.validation_split import stays_of_batch
from clinicalgru.model.fit_state import draw_seed
from clinicalgru.model.network.config import NetworkConfig, check_options
from clinicalgru.model.training.device import resolve_device
from clinicalgru.model.training.state import TrainingConfig

COUNTS = ("max_epochs", "patience", "min_code_stays", "n_threads")
OPTIONAL_COUNTS = ("batch_size", "max_steps_per_stay")
WEIGHTS = ("weight_decay", "forecast_weight", "auxiliary_weight", "cut_weight", "label_smoothing", "alarm_priority")
FRACTIONS = ("measurement_dropout", "distillation")


def checked_arguments(estimator: BaseEstimator) -> dict[str, Any]:
    """Give the arguments of an estimator as Python numbers, after each was checked.

    Parameters
    ----------
    estimator : GRUEstimator
        The estimator.

    Returns
    -------
    dict
        Value by name; `network` is a `NetworkConfig`.

    Raises
    ------
    ArgumentError
        Where an argument is of the wrong type or out of its bounds.
    """
    given = estimator.get_params(deep=False)
    for name in COUNTS:
        check_number(name, given[name], minimum=1, whole=True)
    for name in OPTIONAL_COUNTS:
        check_number(name, given[name], minimum=1, whole=True, optional=True)
    check_number("min_validation_events", given["min_validation_events"], minimum=0, whole=True)
    check_number("n_cuts", given["n_cuts"], minimum=0, whole=True)
    check_number("learning_rate", given["learning_rate"], minimum=0, open_minimum=True)
    for name in WEIGHTS:
        check_number(name, given[name], minimum=0)
    for name in FRACTIONS:
        check_number(name, given[name], minimum=0, maximum=1, open_maximum=True)
    resolve_device(given["device"])
    for name in ("use_codes", "hazards"):
        check_choice(name, to_python(given[name]), (True, False))
    if given["hazards"] and given["label_smoothing"]:
        raise ArgumentError("label_smoothing=0 with hazards", f"{given['label_smoothing']:g}", "Leave one of them out.")
    if given["alarm_priority"] and not given["hazards"]:
        raise ArgumentError("hazards=True with alarm_priority", "hazards=False", "Set hazards, or leave it out.")
    pretrained = given["pretrained"]
    fix = "Pass what pretrain gives, or load of its bundle."
    check_instance("pretrained", pretrained, PretrainedEncoder, type(None), fix=fix)
    default = NetworkConfig() if pretrained is None else pretrained.network_config
    network = given["network"] if given["network"] is not None else default
    check_instance("network", network, NetworkConfig, fix="Pass NetworkConfig(hidden_size=64), or leave it out.")
    check_options(network)
    if pretrained is not None:
        pretrained.check_network(network)
    return {name: to_python(value) for name, value in given.items()} | {"network": NetworkConfig(**network.to_dict())}


def training_config(estimator: Any, stays: Sequences) -> TrainingConfig:
    """Give the settings of training of an estimator that is being fitted.

    Parameters
    ----------
    estimator : GRUEstimator
        With checked arguments and its seed.
    stays : Sequences
        The training stays.

    Returns
    -------
    TrainingConfig
        The settings.
    """
    shared = {field.name for field in fields(TrainingConfig)} & set(estimator.get_params(deep=False))
    settings = {name: getattr(estimator, name) for name in shared}
    settings["batch_size"] = stays_of_batch(estimator.batch_size, stays)
    return TrainingConfig(**settings | {"random_state": estimator.random_state_})


def checked_path(name: str, path: str | Path | None) -> Path | None:
    """Give a path as a `Path`, or raise where it is no path.

    Parameters
    ----------
    name : str
        Name of the argument.
    path : str, Path or None
        What was passed.

    Returns
    -------
    Path or None
        The path.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    check_instance(name, path, str, Path, type(None), fix='Pass a path, such as "run.safetensors".')
    return None if path is None else Path(path)


def written_arguments(estimator: Any) -> dict[str, Any]:
    """Give the arguments of a fitted estimator as a manifest holds them; the seed is the one that was used.

    Parameters
    ----------
    estimator : GRUEstimator
        The estimator.

    Returns
    -------
    dict
        Numbers and text by name; `network` is a dict, or None. `pretrained` is None: its weights are in the network's.
        `device` is "auto": a bundle is read on other machines.
    """
    written = {name: to_python(value) for name, value in estimator.get_params(deep=False).items()}
    network = written["network"]
    seed = vars(estimator).get("random_state_", written["random_state"])
    own = {"network": None if network is None else network.to_dict(), "random_state": draw_seed(seed)}
    return written | own | {"pretrained": None, "device": "auto"}

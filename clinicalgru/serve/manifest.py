"""The manifest of a bundle: everything about a model but its weights, readable and checked."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Literal["clinicalgru bundle 2"] = "clinicalgru bundle 2"
PRETRAINED_FORMAT: Literal["clinicalgru pretrained encoder 1"] = "clinicalgru pretrained encoder 1"


class ManifestMember(BaseModel):
    """What may differ between the members of an ensemble, but for weights and history.

    Parameters
    ----------
    network_spec : dict
        Sizes and options of the network, such as the codes it knows.
    head : dict
        What the head learned: classes, intervals.
    """

    model_config = ConfigDict(extra="forbid")

    network_spec: dict[str, Any] = Field(description="Sizes and options of the network, such as the codes it knows")
    head: dict[str, Any] = Field(description="What the head learned: classes, intervals")


SetField = float | bool | list[str] | dict[str, float]


class Manifest(BaseModel):
    """Contents of manifest.json; its JSON Schema is data_schemas/manifest.schema.json.

    Parameters
    ----------
    format : str
        Format and its version.
    model : str
        Estimator class.
    arguments : dict
        Arguments of the estimator.
    network_spec : dict
        Sizes and options of the network; empty for a baseline.
    variables : list of dict
        Series variables, in the order of the weights, with units and ranges.
    static_variables : list of dict
        Static covariates, likewise.
    task : dict
        The question the model answers.
    calibrator : dict or None
        Numbers of the calibration, such as slope and intercept on the log-odds.
    calibrated_on : dict or None
        Stays, patients and outcomes that calibrated the model; small counts are null.
    prediction_sets : dict or None
        Split-conformal sets at the prediction time: alpha, quantiles, patients, and by_outcome of a binary outcome, or
        classes; of several labels their names, and such sets by label.
    instability : dict or None
        Risks by models refitted on bootstrap samples, by the risk: risk, low, high, mape, n_refits.
    risk_groups : dict of str to dict
        Calibration stays of similar risk with their outcomes, pooled, by name of the output.
    head : dict
        What the head learned: classes, intervals.
    extra_state : dict of str to float
        Further learned numbers, such as a threshold.
    averages : dict of str to dict
        Average contributions of training stays by target.
    ensemble : dict of str to int or None
        Arguments of the ensemble.
    members : list of ManifestMember or None
        Of an ensemble: network_spec and head of each member, which may differ.
    hybrid : list of str or None
        Methods of the baselines of a Hybrid.
    trained_on : dict
        Training data in counts, its source, and whether it was simulated.
    history : list of dict
        Losses of each epoch.
    changes : list of dict
        What was changed after training, such as a recalibration: what, when, parent (hash of the model before), source
        and counts of the stays.
    versions : dict of str to str
        Versions of the packages that trained it.
    sha256 : dict of str to str
        sha256 of each other file of the bundle.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["clinicalgru bundle 2"] = Field(description="Format and its version")
    model: str = Field(description="Estimator class")
    arguments: dict[str, Any] = Field(description="Arguments of the estimator")
    network_spec: dict[str, Any] = Field(
        default={}, description="Sizes and options of the network; empty for a baseline"
    )
    variables: list[dict[str, Any]] = Field(
        description="Series variables, in the order of the weights, with units and ranges"
    )
    static_variables: list[dict[str, Any]] = Field(description="Static covariates, likewise")
    task: dict[str, Any] = Field(description="The question the model answers")
    calibrator: dict[str, float | list[list[float]]] | None = Field(
        description="Numbers of the calibration, such as slope and intercept on the log-odds, or none"
    )
    calibrated_on: dict[str, int | None] | None = Field(
        default=None, description="Stays, patients and outcomes that calibrated the model; small counts are null"
    )
    prediction_sets: dict[str, SetField | dict[str, dict[str, SetField]]] | None = Field(
        default=None,
        description="Split-conformal sets of an outcome, of classes or labels at the prediction time, or none",
    )
    instability: dict[str, list[float]] | None = Field(
        default=None, description="Risks by models refitted on bootstrap samples, by groups of similar risk, or none"
    )
    risk_groups: dict[str, dict[str, list[float]]] = Field(
        default={}, description="Calibration stays of similar risk, pooled in groups of at least 11 patients, by output"
    )
    head: dict[str, Any] = Field(default={}, description="What the head learned: classes, intervals")
    extra_state: dict[str, float] = Field(default={}, description="Further learned numbers, such as a threshold")
    averages: dict[str, dict[str, Any]] = Field(
        default={}, description="Average contributions of training stays by target, from which explanations count"
    )
    ensemble: dict[str, int] | None = Field(default=None, description="Arguments of the ensemble, or none")
    members: list[ManifestMember] | None = Field(
        default=None, description="Of an ensemble: network_spec and head of each member, which may differ, or none"
    )
    hybrid: list[str] | None = Field(default=None, description="Methods of the baselines of a Hybrid, or none")
    trained_on: dict[str, Any] = Field(description="Training data in counts, its source, and whether it was simulated")
    history: list[dict[str, float]] = Field(description="Losses of each epoch")
    changes: list[dict[str, str | float | None]] = Field(
        default=[], description="What was changed after training: what, when, parent, source and counts of the stays"
    )
    versions: dict[str, str] = Field(description="Versions of the packages that trained it")
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        description="sha256 of each other file of the bundle"
    )


class PretrainedManifest(BaseModel):
    """Contents of the manifest.json of a pretrained encoder.

    Parameters
    ----------
    format : str
        Format and its version.
    network_spec : dict
        Sizes and options of the network.
    variables, static_variables : list of dict
        Series variables, in the order of the weights, and static covariates.
    trained_on : dict
        Training data in counts, its source, and whether it was simulated.
    history : list of dict
        Losses of each epoch.
    versions : dict of str to str
        Versions of the packages that trained it.
    sha256 : dict of str to str
        sha256 of each other file of the bundle.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["clinicalgru pretrained encoder 1"]
    network_spec: dict[str, Any]
    variables: list[dict[str, Any]]
    static_variables: list[dict[str, Any]]
    trained_on: dict[str, Any]
    history: list[dict[str, float]]
    versions: dict[str, str]
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


def versions() -> dict[str, str]:
    """Give the versions of this package and of those that decide a model's bits.

    Returns
    -------
    dict of str to str
        Version by package.
    """
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Each version, read from disk once: each hash of a model needs them."""
    return tuple((name, version(name)) for name in ("clinicalgru", "torch", "numpy", "pandas", "scikit-learn"))

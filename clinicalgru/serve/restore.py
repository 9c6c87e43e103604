"""Models from the manifest and the arrays of a bundle; nothing is built before its sizes were checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.data.task.task import Task
from clinicalgru.errors import BundleError
from clinicalgru.evaluate.calibrators import from_manifest
from clinicalgru.evaluate.instability import InstabilityCurve
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.baselines.base import Arrays, BaselineEstimator, array_of, by_prefix
from clinicalgru.model.baselines.summary_baseline import BASELINES
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.registry import BASELINE_CLASSES, ESTIMATORS, FittedModel
from clinicalgru.model.estimators.stacking import Hybrid, restored_stack
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.network.config import NetworkSpec, check_options
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.patient_overlap import first_network
from clinicalgru.model.prediction_sets import Sets, restored_sets
from clinicalgru.model.seen_patients import (
    CALIBRATION,
    HASHES,
    PRETRAINING,
    SALT,
    SeenPatients,
    split_patient_arrays,
)
from clinicalgru.model.training.torch_settings import seeded, torch_defaults
from clinicalgru.serve.integrity import MANIFEST, WEIGHTS
from clinicalgru.serve.manifest import Manifest, PretrainedManifest

MAY_BE_UNKNOWN = ("median", "low", "high")  # arrays of forecasts, of variables without enough values


@torch_defaults()
def restored_encoder(manifest: PretrainedManifest, arrays: Arrays) -> PretrainedEncoder:
    """Build a pretrained encoder.

    Parameters
    ----------
    manifest : PretrainedManifest
        Its manifest.
    arrays : mapping of str to ndarray
        What it learned.

    Returns
    -------
    PretrainedEncoder
        The encoder.
    """
    variables, static = (
        tuple(variable_from_dict(one, where=MANIFEST) for one in written)
        for written in (manifest.variables, manifest.static_variables)
    )
    network, seen = _network(arrays, manifest, variables=len(variables)), SeenPatients.from_arrays(arrays)
    return PretrainedEncoder(network, variables, static, manifest.trained_on, manifest.history, seen)


@torch_defaults()
def restored_model(manifest: Manifest, arrays: Arrays) -> FittedModel:
    """Build a fitted model.

    Parameters
    ----------
    manifest : Manifest
        Its manifest.
    arrays : mapping of str to ndarray
        What it learned.

    Returns
    -------
    estimator
        The model; it keeps the versions of the packages that trained it.
    """
    own, calibration_patients = split_patient_arrays(arrays, prefix=CALIBRATION)
    own, pretraining_patients = split_patient_arrays(own, prefix=PRETRAINING)
    model = _restored(manifest, own)
    model.calibration_patients_ = calibration_patients
    first_network(model).pretraining_patients_ = pretraining_patients
    model.prediction_sets_, model.instability_ = _prediction_sets(manifest, model), _instability(manifest, model)
    model.versions_ = dict(manifest.versions)
    return model


def _restored(manifest: Manifest, arrays: Arrays) -> FittedModel:
    if manifest.model in BASELINE_CLASSES:
        baseline = _baseline(BASELINE_CLASSES[manifest.model], manifest, arrays, arguments=manifest.arguments)
        baseline.calibrator_ = from_manifest(baseline.task_.task_type, manifest.calibrator)
        baseline.calibrated_on_, baseline.seen_patients_ = manifest.calibrated_on, SeenPatients.from_arrays(arrays)
        return baseline
    if manifest.hybrid is not None:
        return _hybrid(manifest, arrays)
    if manifest.ensemble is not None:
        return _ensemble(manifest, arrays)
    model = _one(manifest, arrays, history=manifest.history)
    model.calibrator_ = from_manifest(model.task_.task_type, manifest.calibrator)
    model.calibrated_on_, model.seen_patients_ = manifest.calibrated_on, SeenPatients.from_arrays(arrays)
    model.averages_, model.averages_calibrator_ = manifest.averages, model.calibrator_
    model.risk_groups_ = _risk_groups(manifest)
    return model


def _baseline(
    kind: type[BaselineEstimator], manifest: Manifest, arrays: Arrays, *, arguments: Mapping[str, Any]
) -> BaselineEstimator:
    values = [array for name, array in arrays.items() if name not in MAY_BE_UNKNOWN and array.dtype.kind == "f"]
    if any(np.isnan(array).any() for array in values):
        raise BundleError("arrays of numbers", "some that are none", "Save the model again.", where=WEIGHTS)
    try:
        model = kind.from_arguments(arguments)
        _describe(model, manifest)
        model.calibrator_, model.calibrated_on_ = None, None
        model.restore_arrays(arrays)
    except (TypeError, IndexError, KeyError):
        expected, fix = f"the arguments and arrays of a {kind.__name__}", "Save the model again."
        raise BundleError(expected, f"{len(arrays)} arrays that do not fit", fix, where=MANIFEST) from None
    return model


def _hybrid(manifest: Manifest, arrays: Arrays) -> Hybrid:
    ensemble, methods = _ensemble(manifest, by_prefix("ensemble", arrays)), manifest.hybrid or []
    model = Hybrid(clone(ensemble), baselines=tuple(methods))
    _describe(model, manifest)
    model.ensemble_, model.baselines_ = ensemble, {}
    by_step = model.task_.every_step
    for method in [method for method in methods if not by_step or method == BASELINES[1]]:
        kind = BASELINE_CLASSES["EarlyWarningTrees" if by_step else "SummaryBaseline"]
        members = []
        for number in range(ensemble.n_members):
            arguments = {"random_state": number} | ({} if by_step else {"method": method})
            part = by_prefix(f"{method}.{number}", arrays)
            members.append(_baseline(kind, manifest, part, arguments=arguments))
            members[-1].seen_patients_ = ensemble.members_[0].seen_patients_
        model.baselines_[method] = members  # type: ignore[assignment]
    model.stack_ = restored_stack(array_of(arrays, "stack.coefficients"), array_of(arrays, "stack.intercept"))
    if "threshold_" in manifest.extra_state:
        model.threshold_ = manifest.extra_state["threshold_"]
    return model


def _one(manifest: Manifest, arrays: Arrays, *, history: list[dict[str, float]]) -> GRUEstimator:
    """A GRU estimator with these weights."""
    estimator = _estimator(manifest)
    model = estimator.from_arguments(manifest.arguments)
    _describe(model, manifest)
    model.calibrator_, model.calibrated_on_, model.history_ = None, None, history
    model.network_ = _network(arrays, manifest, variables=len(model.variables_))
    model.head_ = estimator.HEADS[model.task_.task_type].from_dict(manifest.head, model.network_)
    if json.loads(json.dumps(model.head_.to_dict())) != manifest.head:  # as a file holds it: lists, no tuples
        fix = "Save the model again."
        raise BundleError(f"the numbers of a {type(model.head_).__name__}", "others", fix, where=f"{MANIFEST}, head")
    for name, number in manifest.extra_state.items():
        setattr(model, name, number)
    return model


def _ensemble(manifest: Manifest, arrays: Arrays) -> GRUEnsemble:
    count, parts = (manifest.ensemble or {}).get("n_members", 0), manifest.members or []
    if not count or len(parts) != count:
        fix = "Save the model again."
        raise BundleError("one entry for each member of the ensemble", f"{len(parts)}", fix, where=MANIFEST)
    of_member = [manifest.model_copy(update=dict(part) | {"extra_state": {}}) for part in parts]
    histories = [[entry for entry in manifest.history if entry.get("member") == n] for n in range(count)]
    members = [_one(of_member[n], by_prefix(f"{n}", arrays), history=histories[n]) for n in range(count)]
    arguments = manifest.ensemble or {}
    model = GRUEnsemble(clone(members[0]), **arguments)
    _describe(model, manifest)
    model.members_, model.random_state_ = members, arguments.get("random_state", 0)
    model.calibrator_ = from_manifest(model.task_.task_type, manifest.calibrator)
    model.calibrated_on_, seen = manifest.calibrated_on, SeenPatients.from_arrays(arrays)
    for member in members:  # each has seen all patients: those of one fold as validation stays
        member.seen_patients_ = seen
    for name, number in manifest.extra_state.items():
        setattr(model, name, number)
    model.head_ = type(members[0].head_).pooled([one.head_ for one in members])
    if isinstance(model.head_, Forecast):
        model.head_ = replace(model.head_, interval_scale=tuple(manifest.head["interval_scale"]))
    model.averages_, model.averages_calibrator_ = manifest.averages, model.calibrator_
    model.risk_groups_ = _risk_groups(manifest)
    return model


def _prediction_sets(manifest: Manifest, model: FittedModel) -> Sets | None:
    if manifest.prediction_sets is None:
        return None
    try:
        return restored_sets(manifest.prediction_sets, model)
    except (AttributeError, KeyError, TypeError, ValueError):
        expected, fix = "alpha, quantiles and patients of prediction_sets", "Save the model again."
        raise BundleError(expected, "others", fix, where=MANIFEST) from None


def _instability(manifest: Manifest, model: FittedModel) -> InstabilityCurve | None:
    if manifest.instability is None:
        return None
    try:
        if model.task_.task_type != "binary":
            raise ValueError("of a single risk only")
        return InstabilityCurve.from_dict(manifest.instability)
    except (KeyError, IndexError, ValueError):
        expected, fix = "risk, low, high, mape and n_refits of instability", "Save the model again."
        raise BundleError(expected, "others", fix, where=MANIFEST) from None


def _risk_groups(manifest: Manifest) -> dict[str, RiskGroups]:
    try:
        return {name: RiskGroups.from_dict(groups) for name, groups in manifest.risk_groups.items()}
    except (KeyError, ValueError):
        fix = "Save the model again."
        raise BundleError("mean_risk, stays, events and ranks of risk_groups", "others", fix, where=MANIFEST) from None


def _describe(model: FittedModel, manifest: Manifest) -> None:
    """What the model was fitted on."""
    model.variables_ = tuple(variable_from_dict(content, where=MANIFEST) for content in manifest.variables)
    model.static_variables_ = tuple(
        variable_from_dict(content, where=MANIFEST) for content in manifest.static_variables
    )
    model.task_ = Task.from_dict(manifest.task, where=MANIFEST)
    model.trained_on_ = manifest.trained_on
    model.changes_ = manifest.changes


def _estimator(manifest: Manifest) -> type[GRUEstimator]:
    """The class that made the bundle; refused where there is none of that name, or none for such a task."""
    estimator, kind = ESTIMATORS.get(manifest.model), str(manifest.task.get("task_type"))
    if estimator is None or kind not in estimator.HEADS:
        got = f"{manifest.model} for a task of kind {kind}"
        fix = "Save the model again with this version."
        raise BundleError(f"a model among {', '.join(ESTIMATORS)}, and a task of its kind", got, fix, where=MANIFEST)
    return estimator


def _network(arrays: Arrays, manifest: Manifest | PretrainedManifest, *, variables: int) -> ClinicalGRU:
    spec = NetworkSpec.from_dict(manifest.network_spec)
    if spec.variables != variables:
        fix = "Save the model again."
        raise BundleError(f"{spec.variables} variables", f"{variables} in the manifest", fix, where=MANIFEST)
    weights = {name: torch.from_numpy(array) for name, array in arrays.items() if name not in (SALT, HASHES)}
    _check_shapes(spec, weights)
    with seeded([0]):  # what is drawn is replaced by the weights
        network = ClinicalGRU(spec)
    network.load_state_dict(weights)
    return network.eval()


def _check_shapes(spec: NetworkSpec, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise unless the network of a specification has the weights' names, shapes and types; nothing large is built."""
    check_options(spec)
    fix, n_weights = "Save the model again.", sum(tensor.numel() for tensor in weights.values())
    sizes = (spec.hidden_size, spec.readout_size, spec.ensemble_size, spec.variables, spec.outputs)
    right = spec.n_layers + len(spec.convolution) <= len(weights) and max(sizes) <= n_weights
    if right:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # sizes without memory
            expected = ClinicalGRU(spec).state_dict()
        right = _shapes(expected) == _shapes(weights)
    if not right:
        raise BundleError("weights of the manifest's shapes", "other names or shapes", fix, where=WEIGHTS)
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise BundleError("finite weights", "weights that are not", fix, where=WEIGHTS)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}

"""Bundles: a fitted model as a folder of arrays, manifest and model card, without pickle."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sklearn.base import clone

from clinicalgru.atomic_write import flush_to_disk
from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.data.task.task import Task
from clinicalgru.errors import BundleError, system_errors
from clinicalgru.evaluate.calibrators import from_manifest
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
from clinicalgru.model.seen_patients import HASHES, SALT, SeenPatients
from clinicalgru.model.training.torch_settings import seeded
from clinicalgru.serve.card import card
from clinicalgru.serve.contents import description, model_arrays
from clinicalgru.serve.integrity import MANIFEST, WEIGHTS, read_bundle, refuse_misfits, seal
from clinicalgru.serve.manifest import FORMAT, Manifest, PretrainedManifest, versions
from clinicalgru.serve.pretrained_bundle import pretrained_files


def save(model: FittedModel | PretrainedEncoder, path: str | Path) -> Path:
    """Save a fitted model as a folder: weights.safetensors, manifest.json and card.md, each covered by a digest.

    Parameters
    ----------
    model : estimator or PretrainedEncoder
        Any fitted estimator of the package: GRU estimators, ensembles, hybrids and baselines; or what `pretrain` gives.
    path : str or Path
        The folder. A bundle in its place is replaced as a whole.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the path holds something else than a bundle.
    InputError
        If the system refuses to write, as without permission or on a full disk.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = cg.save(model, Path(folder) / "bundle")
    ...     sorted(file.name for file in path.iterdir())
    ['card.md', 'manifest.json', 'weights.safetensors']
    """
    kinds = (GRUEstimator, GRUEnsemble, Hybrid, BaselineEstimator, PretrainedEncoder)
    check_instance("model", model, *kinds, fix="Pass a fitted model.")
    check_instance("path", path, str, Path)
    path = Path(path)
    contents = pretrained_files(model) if isinstance(model, PretrainedEncoder) else files(model)
    with system_errors(path.name):
        if path.exists() and not (path / MANIFEST).is_file() and (path.is_file() or any(path.iterdir())):
            raise BundleError(
                "a new folder or a bundle to replace",
                "a path that holds something else",
                "Choose another path.",
                where=path.name,
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:50]}-") as folder:
            made = Path(folder) / "new"
            made.mkdir()
            for name, content in contents.items():
                (made / name).write_bytes(content)
                flush_to_disk(made / name)
            if path.exists():
                os.replace(path, Path(folder) / "old")
            os.replace(made, path)
            flush_to_disk(path.parent)
    return path


def load(path: str | Path) -> FittedModel | PretrainedEncoder:
    """Load a model from a bundle; its predictions equal those of the saved model to the last bit.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote.

    Returns
    -------
    estimator or PretrainedEncoder
        What was saved.

    Raises
    ------
    BundleError
        If a file is missing or was changed, the manifest has another format, or the arrays do not fit it.

    Examples
    --------
    >>> import tempfile
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = cg.load(cg.save(model, f"{folder}/bundle"))
    >>> bool((loaded.predict_proba(stays) == model.predict_proba(stays)).all())
    True
    """
    check_instance("path", path, str, Path)
    manifest, arrays = read_bundle(Path(path))
    with refuse_misfits():
        return _encoder(manifest, arrays) if isinstance(manifest, PretrainedManifest) else _built(manifest, arrays)


def load_model(path: str | Path) -> FittedModel:
    """Load a fitted model from a bundle, as `load` does; that of a pretrained encoder is refused.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote.

    Returns
    -------
    estimator
        The fitted model.

    Raises
    ------
    BundleError
        If the bundle is that of a pretrained encoder, or cannot be loaded.
    """
    model = load(path)
    if isinstance(model, PretrainedEncoder):
        expected, fix = "a bundle of a fitted model", "Pass it to an estimator: GRUClassifier(pretrained=load(path))."
        raise BundleError(expected, "that of a pretrained encoder", fix, where=Path(path).name)
    return model


def load_pretrained(path: str | Path) -> PretrainedEncoder:
    """Load a pretrained encoder from its bundle, as `load` does; that of a fitted model is refused.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote.

    Returns
    -------
    PretrainedEncoder
        The encoder.

    Raises
    ------
    BundleError
        If the bundle is that of a fitted model, or cannot be loaded.
    """
    encoder = load(path)
    if not isinstance(encoder, PretrainedEncoder):
        expected, fix = "a bundle of a pretrained encoder", "Pass the folder that pretrain wrote."
        raise BundleError(expected, f"that of a {type(encoder).__name__}", fix, where=Path(path).name)
    return encoder


def _encoder(manifest: PretrainedManifest, arrays: Arrays) -> PretrainedEncoder:
    variables, static = (
        tuple(variable_from_dict(one, where=MANIFEST) for one in written)
        for written in (manifest.variables, manifest.static_variables)
    )
    network, seen = _network(arrays, manifest, variables=len(variables)), SeenPatients.from_arrays(arrays)
    return PretrainedEncoder(network, variables, static, manifest.trained_on, manifest.history, seen)


def _built(manifest: Manifest, arrays: Arrays) -> FittedModel:
    """The model of a manifest and its arrays."""
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


def files(model: FittedModel) -> dict[str, bytes]:
    """Give the content of each file of the model's bundle; equal models give equal bytes.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    dict of str to bytes
        Content by file name.
    """
    manifest = Manifest(
        format=FORMAT,
        **description(model),
        variables=[variable.to_dict() for variable in model.variables_],
        static_variables=[variable.to_dict() for variable in model.static_variables_],
        task=model.task_.to_dict(),
        trained_on=model.trained_on_,
        changes=getattr(model, "changes_", []),
        versions=versions(),
        sha256={},
    )
    return seal(manifest, model_arrays(model), card(model))


def model_hash(model: FittedModel) -> str:
    """Give the hash that identifies a fitted model: that of its manifest, which holds the sha256 of its weights.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    str
        16 hex digits.
    """
    return hashlib.sha256(files(model)[MANIFEST]).hexdigest()[:16]


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
    fix, right = "Save the model again.", spec.n_layers + len(spec.convolution) <= len(weights)
    if right:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # sizes without memory
            expected = ClinicalGRU(spec).state_dict()
        right = _shapes(expected) == _shapes(weights)
    if not right:
        raise BundleError("weights of the manifest's shapes", "other names or shapes", fix, where=WEIGHTS)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}

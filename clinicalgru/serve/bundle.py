"""A bundle: a fitted model as a folder of weights, manifest and card. No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors import torch as safetensors
from sklearn.base import clone
from torch import Tensor

from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.data.task.task import Task
from clinicalgru.errors import BundleError
from clinicalgru.evaluate.calibrators import restored
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.classifier import GRUClassifier
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import ESTIMATORS, Model
from clinicalgru.model.fit_state import draw_seed
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import seeded
from clinicalgru.serve.card import card
from clinicalgru.serve.manifest import FORMAT, Manifest, versions

WEIGHTS, MANIFEST, CARD = "weights.safetensors", "manifest.json", "card.md"


def save(model: Model, path: str | Path) -> Path:
    """Write a fitted model to a folder: weights.safetensors, manifest.json with the sha256 of each file, card.md.

    A bundle already there is replaced as a whole, never half. Refused: a folder that holds something else.

    returns  the folder
    """
    path = Path(path)
    if path.exists() and not (path / MANIFEST).is_file() and (path.is_file() or any(path.iterdir())):
        raise BundleError(
            "a new folder or a bundle to replace", "something else", "Choose another path.", where=path.name
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        made = Path(folder) / "new"
        made.mkdir()
        for name, content in files(model).items():
            (made / name).write_bytes(content)
        if path.exists():
            os.replace(path, Path(folder) / "old")
        os.replace(made, path)
    return path


def load(path: str | Path) -> Model:
    """The model of a bundle, ready to predict.

    Refused, before anything is used: a missing or changed file, a manifest of another format, weights of other shapes.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name in (WEIGHTS, CARD):
        _check_file(path / name, manifest.sha256.get(name, ""))
    weights = _weights(path / WEIGHTS)
    if manifest.ensemble is None:
        model: Model = _one(manifest, weights, prefix="", history=manifest.history)
    else:
        model = _ensemble(manifest, weights)
    model.calibrator_ = restored(model.task_.task_type, manifest.calibrator)
    return model


def _one(
    manifest: Manifest, weights: dict[str, Tensor], *, prefix: str, history: list[dict[str, float]]
) -> GRUEstimator:
    """An estimator with the weights that begin with the prefix."""
    estimator = _estimator(manifest)
    model = estimator.from_arguments(manifest.arguments)
    _describe(model, manifest)
    model.calibrator_, model.history_ = None, history
    ours = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    model.network_ = _network(ours, manifest, variables=len(model.variables_))
    model.head_ = estimator.HEADS[model.task_.task_type].from_dict(manifest.head, model.network_)
    for name, number in manifest.extra_state.items():
        setattr(model, name, number)
    return model


def _ensemble(manifest: Manifest, weights: dict[str, Tensor]) -> GRUEnsemble:
    count = (manifest.ensemble or {}).get("n_members", 0)
    by_member = [[entry for entry in manifest.history if entry.get("member") == n] for n in range(count)]
    ones = [_one(manifest, weights, prefix=f"{n}.", history=by_member[n]) for n in range(count)]
    members = [one for one in ones if isinstance(one, GRUClassifier | GRUEarlyWarning)]
    if not members or len(members) < count:
        fix = "Save the model again."
        raise BundleError("an ensemble of GRUClassifier or GRUEarlyWarning", manifest.model, fix, where=MANIFEST)
    model = GRUEnsemble(clone(members[0]), **(manifest.ensemble or {}))
    _describe(model, manifest)
    model.members_ = members
    for name, number in manifest.extra_state.items():
        setattr(model, name, number)
    return model


def _describe(model: Model, manifest: Manifest) -> None:
    """What the model was fitted on."""
    model.variables_ = tuple(variable_from_dict(content, where=MANIFEST) for content in manifest.variables)
    model.static_variables_ = tuple(
        variable_from_dict(content, where=MANIFEST) for content in manifest.static_variables
    )
    model.task_ = Task.from_dict(manifest.task, where=MANIFEST)
    model.trained_on_ = manifest.trained_on


def read_manifest(path: Path) -> Manifest:
    """The checked manifest of a bundle."""
    try:
        content = json.loads((Path(path) / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        fix = "Pass the folder that save() wrote."
        raise BundleError(
            "a bundle with a manifest.json", "none, or a damaged one", fix, where=Path(path).name
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        came = content.get("format") if isinstance(content, dict) else "no format"
        raise BundleError(f"format {FORMAT}", f"{came}", "Save the model again with this version.", where=MANIFEST)
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = f"{MANIFEST}, {'.'.join(map(str, first['loc']))}"
        raise BundleError(
            "a manifest as save() writes it", first["msg"], "Save the model again.", where=where
        ) from None


def files(model: Model) -> dict[str, bytes]:
    """The content of each file of the model's bundle; equal models give equal bytes."""
    together = isinstance(model, GRUEnsemble)
    parts: list[GRUEstimator] = [*model.members_] if isinstance(model, GRUEnsemble) else [model]
    weights = {
        f"{number}.{name}" if together else name: tensor.contiguous()
        for number, part in enumerate(parts)
        for name, tensor in part.network_.state_dict().items()
    }
    content = {WEIGHTS: safetensors.save(weights), CARD: card(model).encode()}
    manifest = Manifest(
        format=FORMAT,
        model=type(parts[0]).__name__,
        arguments=parts[0].arguments_dict(),
        ensemble={"n_members": model.n_members, "random_state": draw_seed(model.random_state)}
        if isinstance(model, GRUEnsemble)
        else None,
        network_spec=parts[0].network_.spec.to_dict(),
        variables=[variable.to_dict() for variable in model.variables_],
        static_variables=[variable.to_dict() for variable in model.static_variables_],
        task=model.task_.to_dict(),
        calibrator=model.calibrator_.to_dict() if model.calibrator_ is not None else None,
        head=parts[0].head_.to_dict(),
        extra_state=model.extra_state(),
        trained_on=model.trained_on_,
        history=model.history_,
        versions=versions(),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    )
    return content | {MANIFEST: (manifest.model_dump_json(indent=1) + "\n").encode()}


def model_hash(model: Model) -> str:
    """16 hex digits that name this very model: of its manifest, which names the sha256 of its weights."""
    return hashlib.sha256(files(model)[MANIFEST]).hexdigest()[:16]


def _check_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise BundleError(f"the file {path.name}", "none", "Copy the whole bundle again.", where=path.parent.name)
    with path.open("rb") as file:
        came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != sha256:
        fix = "The file was changed or damaged; copy the bundle again."
        raise BundleError("the sha256 of the manifest", "another one", fix, where=path.name)


def _estimator(manifest: Manifest) -> type[GRUEstimator]:
    """The class that made the bundle; refused where there is none of that name, or none for such a task."""
    estimator, kind = ESTIMATORS.get(manifest.model), str(manifest.task.get("task_type"))
    if estimator is None or kind not in estimator.HEADS:
        came = f"{manifest.model} for a task of kind {kind}"
        fix = "Save the model again with this version."
        raise BundleError(f"a model among {', '.join(ESTIMATORS)}, and a task of its kind", came, fix, where=MANIFEST)
    return estimator


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = safetensors.load_file(path)
    except SafetensorError:
        raise BundleError("weights", "a damaged file", "Copy the bundle again.", where=path.name) from None
    return weights


def _network(weights: dict[str, Tensor], manifest: Manifest, *, variables: int) -> ClinicalGRU:
    spec = NetworkSpec.from_dict(manifest.network_spec)
    if spec.variables != variables:
        fix = "Save the model again."
        raise BundleError(f"{spec.variables} variables", f"{variables} in the manifest", fix, where=MANIFEST)
    with seeded([0]):  # what is drawn is replaced by the weights
        network = ClinicalGRU(spec)
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        fix = "Save the model again."
        raise BundleError("weights of the manifest's shapes", "others", fix, where=WEIGHTS) from None
    return network.eval()

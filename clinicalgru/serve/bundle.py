"""A bundle: a fitted model as a folder of weights, manifest and card. No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors import torch as safetensors

from clinicalgru.data.task import Task
from clinicalgru.data.variables import Variable
from clinicalgru.errors import BundleError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.model.estimators import GRUClassifier
from clinicalgru.model.network import ClinicalGRU, Shape
from clinicalgru.serve.card import card
from clinicalgru.serve.manifest import FORMAT, Manifest, versions

WEIGHTS, MANIFEST, CARD = "weights.safetensors", "manifest.json", "card.md"


def save(model: GRUClassifier, path: str | Path) -> Path:
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


def load(path: str | Path) -> GRUClassifier:
    """The model of a bundle, ready to predict.

    Refused, before anything is used: a missing or changed file, a manifest of another format, weights of other shapes.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name in (WEIGHTS, CARD):
        _check_file(path / name, manifest.sha256.get(name, ""))
    variables = tuple(Variable.from_dict(content, where=MANIFEST) for content in manifest.variables)
    statics = tuple(Variable.from_dict(content, where=MANIFEST) for content in manifest.statics)
    model = GRUClassifier(**manifest.arguments)
    model.variables_, model.statics_ = variables, statics
    model.task_ = Task.from_dict(manifest.task, where=MANIFEST)
    model.classes_ = torch.tensor([0, 1]).numpy()
    model.calibrator_ = PlattCalibrator.from_dict(manifest.calibrator) if manifest.calibrator else None
    model.trained_on_, model.history_ = manifest.trained_on, manifest.history
    model.network_ = _network(path / WEIGHTS, manifest, variables=len(variables))
    return model


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


def files(model: GRUClassifier) -> dict[str, bytes]:
    """The content of each file of the model's bundle; equal models give equal bytes."""
    weights = safetensors.save({name: tensor.contiguous() for name, tensor in model.network_.state_dict().items()})
    content = {WEIGHTS: weights, CARD: card(model).encode()}
    manifest = Manifest(
        format=FORMAT,
        model="GRUClassifier",
        arguments=model.get_params(),
        shape=model.network_.shape.to_dict(),
        variables=[variable.to_dict() for variable in model.variables_],
        statics=[variable.to_dict() for variable in model.statics_],
        task=model.task_.to_dict(),
        calibrator=model.calibrator_.to_dict() if model.calibrator_ is not None else None,
        trained_on=model.trained_on_,
        history=model.history_,
        versions=versions(),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    )
    return content | {MANIFEST: (manifest.model_dump_json(indent=1) + "\n").encode()}


def model_hash(model: GRUClassifier) -> str:
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


def _network(path: Path, manifest: Manifest, *, variables: int) -> ClinicalGRU:
    shape = Shape(**manifest.shape | {"statics": tuple(manifest.shape["statics"])})
    if shape.variables != variables:
        fix = "Save the model again."
        raise BundleError(f"{shape.variables} variables", f"{variables} in the manifest", fix, where=MANIFEST)
    network = ClinicalGRU(shape)
    try:
        network.load_state_dict(safetensors.load_file(path))
    except (RuntimeError, SafetensorError):
        fix = "Save the model again."
        raise BundleError("weights of the manifest's shapes", "others", fix, where=path.name) from None
    return network.eval()

"""Bundles: a fitted model as a folder of arrays, manifest and model card, without pickle."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from clinicalgru.atomic_write import flush_to_disk, holds_other_files, replace_folder
from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError, BundleError, system_errors
from clinicalgru.model.baselines.base import BaselineEstimator
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.serve.card import card
from clinicalgru.serve.contents import description, model_arrays
from clinicalgru.serve.integrity import MANIFEST, read_bundle, refuse_misfits, seal
from clinicalgru.serve.manifest import FORMAT, Manifest, PretrainedManifest, versions
from clinicalgru.serve.pretrained_bundle import pretrained_files
from clinicalgru.serve.restore import restored_encoder, restored_model


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
        if holds_other_files(path, MANIFEST):
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
            replace_folder(made, path, trash=Path(folder))
            flush_to_disk(path.parent)
    return path


def load(path: str | Path, *, require_signature: str | Path | None = None) -> FittedModel | PretrainedEncoder:
    """Load a model from a bundle; its predictions equal those of the saved model to the last bit.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.

    Returns
    -------
    estimator or PretrainedEncoder
        What was saved.

    Raises
    ------
    BundleError
        If a file is missing or was changed, the manifest has another format, or the arrays do not fit it.
    SignatureError
        If the bundle is not signed by the required key.

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
    manifest, arrays = read_bundle(Path(path), require_signature=require_signature)
    with refuse_misfits():
        if isinstance(manifest, PretrainedManifest):
            return restored_encoder(manifest, arrays)
        return restored_model(manifest, arrays)


def load_model(path: str | Path, *, require_signature: str | Path | None = None) -> FittedModel:
    """Load a fitted model from a bundle, as `load` does; that of a pretrained encoder is refused.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote.
    require_signature : str, Path or None
        PEM file of the public key of who must have signed the bundle.

    Returns
    -------
    estimator
        The fitted model.

    Raises
    ------
    BundleError
        If the bundle is that of a pretrained encoder, or cannot be loaded.
    """
    model = load(path, require_signature=require_signature)
    if isinstance(model, PretrainedEncoder):
        expected, fix = "a bundle of a fitted model", "Pass it to an estimator: GRUClassifier(pretrained=load(path))."
        raise BundleError(expected, "that of a pretrained encoder", fix, where=Path(path).name)
    return model


def fitted_model(model: FittedModel | str | Path, *, require_signature: str | Path | None = None) -> FittedModel:
    """Give a fitted model itself, or that of a bundle; whatever takes a model or its bundle passes here.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of its bundle.
    require_signature : str, Path or None
        PEM file of the public key of who must have signed the bundle.

    Returns
    -------
    estimator
        The fitted model.

    Raises
    ------
    ArgumentError
        If a signature is required of a model that is no bundle.
    BundleError
        If the bundle is that of a pretrained encoder, or cannot be loaded.
    SignatureError
        If the bundle is not signed by the required key.
    """
    if isinstance(model, str | Path):
        return load_model(model, require_signature=require_signature)
    if require_signature is not None:
        raise ArgumentError("the folder of a bundle with require_signature", "a model", "Leave require_signature out.")
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
    return seal(_manifest(model), model_arrays(model), card(model))


def _manifest(model: FittedModel) -> Manifest:
    """The manifest but for its digests. A loaded model keeps the versions that trained it."""
    trained_with = getattr(model, "versions_", None)
    return Manifest(
        format=FORMAT,
        **description(model),
        variables=[variable.to_dict() for variable in model.variables_],
        static_variables=[variable.to_dict() for variable in model.static_variables_],
        task=model.task_.to_dict(),
        trained_on=model.trained_on_,
        changes=getattr(model, "changes_", []),
        versions=versions() if trained_with is None else trained_with,
        sha256={},
    )


def model_hash(model: FittedModel) -> str:
    """Give the hash that identifies a fitted model: that of all it learned and of how it was trained.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    str
        16 hex digits. They stay the same when a bundle is loaded with other versions of packages, or of this one: the
        text of the card and fields of the manifest that the bundle does not use are left out.
    """
    described = _manifest(model).model_dump_json(exclude_defaults=True)
    digest = hashlib.sha256(described.encode())
    for name, array in sorted(model_arrays(model).items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]

"""The files of a bundle and their digests: each file is covered, the manifest by a digest within the weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from clinicalgru.errors import BundleError, ClinicalGRUError, system_errors
from clinicalgru.model.baselines.base import Arrays
from clinicalgru.serve.manifest import FORMAT, PRETRAINED_FORMAT, Manifest, PretrainedManifest
from clinicalgru.serve.signature import MAX_BYTES, SIGNATURE, check_signature

WEIGHTS, MANIFEST, CARD = "weights.safetensors", "manifest.json", "card.md"
NO_HASH = "0" * 64  # stands for the sha256 of the weights while the manifest is hashed
MANIFEST_HASH = "manifest_sha256"  # in the metadata of the weights
KINDS: Mapping[str, type[Manifest | PretrainedManifest]] = {FORMAT: Manifest, PRETRAINED_FORMAT: PretrainedManifest}
NAMES = (MANIFEST, WEIGHTS, CARD, SIGNATURE)  # of the files of a bundle
MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES, MAX_ENTRIES = 50_000_000, 1_000_000_000, 1_000
COPY = "The file was changed or damaged; copy the bundle again."


def seal(manifest: Manifest | PretrainedManifest, arrays: Arrays, card: str) -> dict[str, bytes]:
    """Give the files of a bundle; each is covered by a digest.

    Parameters
    ----------
    manifest : Manifest or PretrainedManifest
        Its field `sha256` is set here.
    arrays : mapping of str to ndarray
        What the model learned.
    card : str
        The model card.

    Returns
    -------
    dict of str to bytes
        Content by file name.

    Notes
    -----
    The manifest holds the sha256 of the card and of the weights. The metadata of the weights hold the sha256 of the
    manifest as it is with 64 zeros in place of the sha256 of the weights. This detects damage and careless edits. It
    is no signature: whoever changes a bundle on purpose can compute the digests anew.
    """
    hashes = {CARD: hashlib.sha256(card.encode()).hexdigest(), WEIGHTS: NO_HASH}
    text = (manifest.model_copy(update={"sha256": hashes}).model_dump_json(indent=1) + "\n").encode()
    metadata = {MANIFEST_HASH: hashlib.sha256(text).hexdigest()}
    weights = safetensors.save(dict(arrays), metadata=metadata)
    sealed = hashlib.sha256(weights).hexdigest().encode().join(_around_hash(text, NO_HASH))
    return {WEIGHTS: weights, CARD: card.encode(), MANIFEST: sealed}


def read_bundle(
    path: Path, *, require_signature: str | Path | None = None
) -> tuple[Manifest | PretrainedManifest, Arrays]:
    """Read manifest and arrays of a bundle, once all digests were checked.

    Parameters
    ----------
    path : Path
        The folder that `save` wrote.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle.

    Returns
    -------
    manifest : Manifest or PretrainedManifest
        The manifest.
    arrays : dict of str to ndarray
        What the model learned.

    Raises
    ------
    BundleError
        If a file is missing, was changed, or has another format; or if there are others, or links.
    SignatureError
        If the bundle is not signed by the required key.
    """
    raw = read_manifest(path)
    _check_names(path)
    if require_signature is not None:
        signature = _signature(path / SIGNATURE)
        check_signature(raw, signature, require_signature, where=path.name)
    manifest = _parse_manifest(raw)
    for name in (WEIGHTS, CARD):
        _check_file(path / name, manifest.sha256.get(name, ""))
    metadata, arrays = _weights(path / WEIGHTS)
    covered = NO_HASH.encode().join(_around_hash(raw, manifest.sha256[WEIGHTS]))
    if metadata.get(MANIFEST_HASH) != hashlib.sha256(covered).hexdigest():
        raise BundleError("the manifest that was saved with the weights", "a changed one", COPY, where=MANIFEST)
    return manifest, arrays


def _parse_manifest(raw: bytes) -> Manifest | PretrainedManifest:
    """Check the fields of a manifest and their types."""
    try:
        content = json.loads(raw, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        got = str(error) if isinstance(error, _RepeatedField) else "other text"
        raise BundleError("a manifest in JSON", got, COPY, where=MANIFEST) from None
    kind = KINDS.get(str(content.get("format"))) if isinstance(content, dict) else None
    if kind is None:
        got = f"{content.get('format')!r:.60}" if isinstance(content, dict) else "no format"
        raise BundleError(f"format {FORMAT}", got, "Save the model again with this version.", where=MANIFEST)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = f"{MANIFEST}, {'.'.join(map(str, first['loc']))}"
        fix = "Save the model again."
        raise BundleError("a manifest as save() writes it", first["msg"], fix, where=where) from None


@contextmanager
def refuse_misfits() -> Iterator[None]:
    """Raise whatever goes wrong while a model is built from a manifest as a `BundleError`.

    Yields
    ------
    None
        Nothing; the block builds a model.

    Raises
    ------
    BundleError
        If fields and arrays do not make a model.
    """
    try:
        yield
    except BundleError:
        raise
    except ClinicalGRUError as error:
        raise BundleError(error.expected, error.got, "Save the model again.", where=error.where or MANIFEST) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError):
        expected, got = "fields and arrays that make a model", "others"
        raise BundleError(expected, got, "Save the model again.", where=MANIFEST) from None


class _RepeatedField(ValueError):
    pass


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _RepeatedField("a field twice")
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are no JSON


def read_manifest(path: Path) -> bytes:
    """Read manifest.json as it is.

    Parameters
    ----------
    path : Path
        Folder of the bundle.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    BundleError
        If there is none, or it is larger than 50 MB.
    """
    try:
        if not (path / MANIFEST).is_file():  # a pipe would be waited for without end
            raise FileNotFoundError
        with (path / MANIFEST).open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError:
        fix = "Pass the folder that save() wrote."
        raise BundleError("a bundle with a manifest.json", "no readable manifest.json", fix, where=path.name) from None
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(f"at most {MAX_MANIFEST_BYTES:,} bytes", "more", COPY, where=MANIFEST)
    return raw


def _check_names(path: Path) -> None:
    """Raise where a bundle holds other files than its own, links, or what is no file; hidden files are passed over."""
    with system_errors(path.name):
        entries = [entry for entry in islice(os.scandir(path), MAX_ENTRIES) if not entry.name.startswith(".")]
    for entry in entries:
        if entry.is_symlink() and entry.name in NAMES:
            fix = "Copy the file itself into the bundle."
            raise BundleError("files", "a symbolic link", fix, where=f"{path.name}, {entry.name}")
        if entry.name in NAMES and not entry.is_file():  # a pipe would be waited for without end
            raise BundleError("files", "a folder, pipe or device", COPY, where=f"{path.name}, {entry.name}")
    others = [entry.name for entry in entries if entry.name not in NAMES]
    if others:
        fix = "Remove them, or save the model again."
        raise BundleError(f"nothing but {', '.join(NAMES)}", f"{len(others)} other entries", fix, where=path.name)


def _signature(path: Path) -> bytes | None:
    """Content of the signature; None where there is none."""
    if not path.is_file():
        return None
    with system_errors(path.name), path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _check_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        fix = "Copy the whole bundle again."
        raise BundleError(f"the file {path.name}", "a folder without it", fix, where=path.parent.name)
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        fix = "Save the model again."
        raise BundleError(f"at most {MAX_WEIGHTS_BYTES:,} bytes", "more", fix, where=path.name)
    with system_errors(path.name), path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise BundleError("the sha256 of the manifest", "another sha256", COPY, where=path.name)


def _weights(path: Path) -> tuple[Mapping[str, str], Arrays]:
    """Metadata and arrays of a safetensors file."""
    try:
        arrays: Arrays = safetensors.load_file(path)
        with path.open("rb") as file:  # the library gives no metadata with numpy arrays; it has checked the header
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise BundleError("weights", "a damaged file", "Copy the bundle again.", where=path.name) from None
    return header.get("__metadata__", {}), arrays


def _around_hash(text: bytes, sha256: str) -> tuple[bytes, bytes]:
    """The text before and after the last occurrence of a hash."""
    before, _, after = text.rpartition(sha256.encode())
    return before, after

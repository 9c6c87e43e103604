"""Signatures of bundles: an Ed25519 key signs the manifest, whose digests cover all other files."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from clinicalgru.errors import ArgumentError, SignatureError
from clinicalgru.optional_packages import import_optional

SIGNATURE = "signature.json"
FORMAT = "clinicalgru signature 1"
PURPOSE = b"clinicalgru bundle\0"  # a signature of another kind of file is none of a bundle
MAX_BYTES = 10_000
MAKE = "Make one with: openssl genpkey -algorithm ed25519 -out key.pem"
PUBLIC = "Write it with: openssl pkey -in key.pem -pubout -out key.pub"


def signature_of(manifest: bytes, key: str | Path) -> bytes:
    """Sign a manifest.

    Parameters
    ----------
    manifest : bytes
        Content of manifest.json.
    key : str or Path
        PEM file of an Ed25519 private key, without a password.

    Returns
    -------
    bytes
        Content of signature.json.

    Raises
    ------
    ArgumentError
        If the file holds no such key.
    MissingPackageError
        If the package cryptography is not installed.
    """
    private = _private_key(Path(key))
    signed = private.sign(PURPOSE + hashlib.sha256(manifest).digest())
    content = {
        "format": FORMAT,
        "key": fingerprint(private.public_key()),
        "signature": base64.b64encode(signed).decode(),
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def check_signature(manifest: bytes, signature: bytes | None, key: str | Path, *, where: str) -> None:
    """Raise unless a manifest is signed by a key.

    Parameters
    ----------
    manifest : bytes
        Content of manifest.json.
    signature : bytes or None
        Content of signature.json; None where there is none.
    key : str or Path
        PEM file of an Ed25519 public key.
    where : str
        Name of the bundle, for the message.

    Raises
    ------
    SignatureError
        If there is no signature, it is of another key, or the bundle was changed after it was signed.
    ArgumentError
        If the file holds no such key.
    MissingPackageError
        If the package cryptography is not installed.
    """
    public = _public_key(Path(key))
    expected = f"a bundle signed by the key {fingerprint(public)[:16]}"
    if signature is None:
        fix = "Sign it with: clinicalgru sign BUNDLE --key key.pem; or leave require_signature out."
        raise SignatureError(expected, "a bundle without a signature", fix, where=where)
    try:
        content = json.loads(signature[: MAX_BYTES + 1])
        of, signed = str(content["key"]), base64.b64decode(content["signature"], validate=True)
        is_known = content["format"] == FORMAT
    except (ValueError, TypeError, LookupError, RecursionError):
        is_known = False
    if not is_known:
        raise SignatureError(expected, "a file of another form", "Sign the bundle again.", where=SIGNATURE)
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signed, PURPOSE + hashlib.sha256(manifest).digest())
    except InvalidSignature:
        if of != fingerprint(public):
            got, fix = "one signed by another key", "Pass the public key of who signed it, if you trust them."
        else:
            got, fix = "one that was changed after it was signed", "Do not use it; copy the bundle again."
        raise SignatureError(expected, got, fix, where=where) from None


def fingerprint(key: Any) -> str:
    """Give the sha256 of a public key.

    Parameters
    ----------
    key : Ed25519PublicKey
        The key.

    Returns
    -------
    str
        64 hex digits, of its 32 bytes.
    """
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _private_key(path: Path) -> Any:
    serialization, ed25519 = _cryptography()
    try:
        key = serialization.load_pem_private_key(_content(path, MAKE), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ArgumentError("an Ed25519 private key in PEM, without a password", "another file", MAKE, where=path.name)
    return key


def _public_key(path: Path) -> Any:
    serialization, ed25519 = _cryptography()
    try:
        key = serialization.load_pem_public_key(_content(path, PUBLIC))
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ArgumentError("an Ed25519 public key in PEM", "another file", PUBLIC, where=path.name)
    return key


def _cryptography() -> tuple[Any, Any]:
    package = "cryptography.hazmat.primitives"
    modules = f"{package}.serialization", f"{package}.asymmetric.ed25519"
    return import_optional(modules[0], extra="sign"), import_optional(modules[1], extra="sign")


def _content(path: Path, fix: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        raise ArgumentError("a file with a key", "no readable file", fix, where=path.name) from None

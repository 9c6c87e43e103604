"""Sign a bundle, and verify who signed one."""

from __future__ import annotations

from pathlib import Path

from clinicalgru.atomic_write import atomic_write
from clinicalgru.checks import check_instance
from clinicalgru.serve.integrity import read_bundle, read_manifest
from clinicalgru.serve.signature import SIGNATURE, signature_of


def sign(path: str | Path, key: str | Path) -> Path:
    """Sign a bundle with an Ed25519 key: digests say that it is whole, a signature says whose it is.

    Parameters
    ----------
    path : str or Path
        The folder that `save` wrote. An earlier signature is replaced.
    key : str or Path
        PEM file of the private key, without a password.

    Returns
    -------
    Path
        The file signature.json in the bundle. It signs manifest.json, whose digests cover the other files.

    Raises
    ------
    BundleError
        If the bundle is incomplete or was changed.
    ArgumentError
        If the file holds no Ed25519 private key.
    MissingPackageError
        If the package cryptography is not installed.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cg.sign("no-bundle", "key.pem")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    BundleError: no-bundle: Expected a bundle with a manifest.json; got no readable manifest.json.
    """
    check_instance("path", path, str, Path)
    path = Path(path)
    read_bundle(path)
    made = signature_of(read_manifest(path), key)
    with atomic_write(path / SIGNATURE, in_bundle=True) as draft:
        draft.write_bytes(made)
    return path / SIGNATURE


def verify(path: str | Path, key: str | Path) -> None:
    """Raise unless a bundle is whole and signed by a key; nothing is built from it.

    Parameters
    ----------
    path : str or Path
        The folder of the bundle.
    key : str or Path
        PEM file of the Ed25519 public key of who should have signed it.

    Raises
    ------
    SignatureError
        If there is no signature, it is of another key, or the bundle was changed after it was signed.
    BundleError
        If a file is missing or was changed.
    ArgumentError
        If the file holds no Ed25519 public key.
    MissingPackageError
        If the package cryptography is not installed.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cg.verify("no-bundle", "key.pub")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    BundleError: no-bundle: Expected a bundle with a manifest.json; got no readable manifest.json.
    """
    check_instance("path", path, str, Path)
    read_bundle(Path(path), require_signature=key)

"""Packages of extras: imported where they are needed, with one clear error where they are absent."""

from __future__ import annotations

import importlib
from typing import Any

from clinicalgru.errors import MissingPackageError


def import_optional(*modules: str, extra: str, note: str = "") -> Any:
    """Import modules of a package that an extra installs.

    Parameters
    ----------
    *modules : str
        Names of the modules.
    extra : str
        Extra that installs them.
    note : str
        What else is needed, as a sentence.

    Returns
    -------
    module
        The last of them.

    Raises
    ------
    MissingPackageError
        If one of them is not installed.

    Examples
    --------
    >>> import_optional("json", extra="none").__name__
    'json'
    """
    package = modules[0].split(".")[0]
    try:
        importlib.import_module(package)
        imported = [importlib.import_module(name) for name in modules]
    except ImportError:
        fix = f"Install it: pip install 'clinicalgru[{extra}]'. {note}".rstrip()
        raise MissingPackageError(f"the package {package}", "no such package", fix) from None
    return imported[-1]

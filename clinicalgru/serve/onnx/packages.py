"""The packages of the extra `onnx`, or one clear error where they are absent."""

from __future__ import annotations

from typing import Any

from clinicalgru.errors import ArgumentError


def load_onnx() -> Any:
    """Give the module `onnx`.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ArgumentError
        If it is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        fix = "Install it: pip install 'clinicalgru[onnx]'."
        raise ArgumentError("the packages of the extra onnx", "none installed", fix) from None
    return onnx


def load_runtime() -> Any:
    """Give the module `onnxruntime`.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ArgumentError
        If it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        fix = "Install it: pip install 'clinicalgru[onnx]'."
        raise ArgumentError("the packages of the extra onnx", "no onnxruntime", fix) from None
    return onnxruntime

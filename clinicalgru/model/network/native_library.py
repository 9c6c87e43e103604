"""Functions in C, where they were built: `scan.c` is compiled when the package is installed, if there is a C compiler.

Each has an equal of torch operations, which is used where `library_for` gives None.
"""

from __future__ import annotations

import ctypes
import os
import platform
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
SWITCH = "CLINICALGRU_KERNEL"
LEVELS = {"AVX512": "v4", "AVX2": "v3"}  # torch's names of what the processor has, and those of x86-64 levels


@cache
def load(folder: Path = FOLDER) -> ctypes.CDLL | None:
    """The library for this processor.

    Parameters
    ----------
    folder : Path
        Where the libraries and their source are.

    Returns
    -------
    CDLL or None
        None if there is none for this processor, or it was built from another version of the source.
    """
    machine, capability = platform.machine(), torch.backends.cpu.get_cpu_capability()
    name = f"x86-64-{LEVELS.get(capability)}" if machine in ("x86_64", "AMD64") else machine
    try:
        library = ctypes.CDLL(str(folder / f"scan-{name}.so"))
        is_current = library.gru_source() == zlib.crc32((folder / "scan.c").read_bytes()) & 0x7FFFFFFF
    except (OSError, AttributeError):
        return None
    return library if is_current else None


def library_for(tensors: Sequence[Tensor]) -> ctypes.CDLL | None:
    """The library, if it can compute with these tensors.

    Parameters
    ----------
    tensors : sequence of Tensor
        What it is to read.

    Returns
    -------
    CDLL or None
        None for other numbers than float32, another device, a processor without a library, and where the environment
        variable CLINICALGRU_KERNEL is 0.
    """
    return load() if os.environ.get(SWITCH) != "0" and all(map(_is_plain, tensors)) else None


def _is_plain(tensor: Tensor) -> bool:
    is_dense = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    return is_dense and tensor.dtype == torch.float32 and tensor.device.type == "cpu"


def pointer(tensor: Tensor | None) -> ctypes.c_void_p | None:
    """The address of the numbers of a tensor.

    Parameters
    ----------
    tensor : Tensor or None
        A contiguous tensor, which the caller keeps as long as the address is used.

    Returns
    -------
    c_void_p or None
        None without a tensor.
    """
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())

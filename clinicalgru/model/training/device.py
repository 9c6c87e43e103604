"""Where a network computes: on the CPU, or on a graphics processor."""

from __future__ import annotations

import copy
from typing import Any

import torch

from clinicalgru.checks import check_choice
from clinicalgru.errors import ArgumentError
from clinicalgru.model.network.network import ClinicalGRU

DEVICES = ("auto", "cpu", "cuda", "mps")
CPU = torch.device("cpu")


def resolve_device(device: Any) -> torch.device:
    """Give the device of a name, or raise where this machine has none.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        "auto": "cuda" where there is such a device, else "cpu". "mps" is used on request only.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ArgumentError
        If the name is another one, or torch finds no such device.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    check_choice("device", device, DEVICES)
    if device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else CPU
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not found[device]:
        got = f"none that torch {torch.__version__} can use"
        raise ArgumentError(f'a {device} device for device="{device}"', got, 'Use device="auto" or "cpu".')
    return torch.device(device)


def placed(network: ClinicalGRU, device: torch.device) -> ClinicalGRU:
    """Give a network that computes on a device: itself on the CPU, else a copy, so that no other thread is disturbed.

    Parameters
    ----------
    network : ClinicalGRU
        A network on the CPU.
    device : torch.device
        Where to compute.

    Returns
    -------
    ClinicalGRU
        Its scaling stays on the CPU, in double precision. It takes inputs and gives outputs on the CPU.
    """
    if device == CPU:
        return network
    copied = copy.deepcopy(network).to(device)
    copied.scaler.to(CPU)
    return copied

"""A fitted model that computes on another device."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from clinicalgru.model.training.device import resolve_device

Fitted = TypeVar("Fitted")


def on_device(model: Fitted, device: str | None) -> Fitted:
    """Give a fitted model that predicts and is explained on a device; the model itself is left as it is.

    Parameters
    ----------
    model : estimator
        A GRU estimator, `GRUEnsemble` or `Hybrid`. Baselines compute on the CPU.
    device : {"auto", "cpu", "cuda", "mps"} or None
        Where to compute. None: as the model does.

    Returns
    -------
    estimator
        A copy that shares all that was learned, or the model itself for None.

    Raises
    ------
    ArgumentError
        If the device has another name, or this machine has none.
    """
    if device is None:
        return model
    resolve_device(device)
    copied: Any = copy.copy(model)
    learned = vars(copied)
    copied.reference_stays_ = getattr(model, "reference_stays_", None)  # which copies leave out
    if "members_" in learned:
        copied.members_ = [on_device(member, device) for member in learned["members_"]]
    if "ensemble_" in learned:
        copied.ensemble_ = on_device(learned["ensemble_"], device)
    if "device" in learned:
        copied.device = device
    return copied  # type: ignore[no-any-return]


def device_of(model: Any) -> str | None:
    """Give the name of the device that a fitted model computes on.

    Parameters
    ----------
    model : estimator
        Any estimator.

    Returns
    -------
    str or None
        None for a baseline.
    """
    part = vars(model).get("ensemble_", model)
    return getattr([*vars(part).get("members_", []), part][0], "device", None)

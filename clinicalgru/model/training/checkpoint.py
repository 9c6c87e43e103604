"""A checkpoint: weights, best weights, optimizer and history in one safetensors file; no pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from clinicalgru.errors import TrainingError, system_errors

if TYPE_CHECKING:
    from clinicalgru.model.training.state import TrainingConfig, TrainingState


def save_checkpoint(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Write the state of training.

    An earlier file stays complete until the new one is.

    Parameters
    ----------
    path : Path
        File; its folder is made if needed.
    state : TrainingState
        State after an epoch.
    config : TrainingConfig
        Settings of the training.
    """
    path = Path(path)
    tensors = {f"now.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in state.averaged.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    notes = {"config": json.dumps(asdict(config)), "epoch": str(state.epoch), "history": json.dumps(state.history)}
    partial = path.with_suffix(".partial")
    with system_errors(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, partial, metadata=notes)
        os.replace(partial, path)


def load_checkpoint(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Restore the state of training.

    Parameters
    ----------
    path : Path
        File that `save_checkpoint` wrote.
    state : TrainingState
        It is set to the state in the file.
    config : TrainingConfig
        Settings; they must equal those of the file.

    Raises
    ------
    TrainingError
        If the file is missing or damaged, or of other settings or another network.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise TrainingError(
            "a checkpoint", "no such file, or a damaged one", "Check resume_from=.", where=path.name
        ) from None
    was = json.loads(notes.get("config", "{}"))
    other = [name for name, value in asdict(config).items() if was.get(name) != value]
    if other:
        fix = "Resume with the arguments that training began with."
        raise TrainingError("a checkpoint of the same settings", f"other {', '.join(other)}", fix, where=path.name)
    try:
        state.network.load_state_dict(_part(tensors, "now."))
        state.averaged.load_state_dict(_part(tensors, "averaged."))
    except RuntimeError:
        fix = "Resume with the same training stays and sizes."
        raise TrainingError("a checkpoint of this network", "one of other shapes", fix, where=path.name) from None
    state.best_weights, state.epoch, state.history = (
        _part(tensors, "best."),
        int(notes["epoch"]),
        json.loads(notes["history"]),
    )
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _part(tensors, "optimizer.").items():
        number, moment = name.split(".", 1)
        moments.setdefault(int(number), {})[moment] = tensor
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

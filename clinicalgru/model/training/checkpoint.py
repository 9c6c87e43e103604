"""A checkpoint: weights, best weights, optimizer and history in one safetensors file; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from clinicalgru.atomic_write import atomic_write
from clinicalgru.data.sequences.layout import RAGGED
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError

if TYPE_CHECKING:
    from clinicalgru.model.training.state import TrainingConfig, TrainingState

NOTES = ("config", "data", "epoch", "history")
MAX_DIGEST_STAYS = 20_000  # whose measurements are part of the digest; of more stays, evenly spaced ones


def save_checkpoint(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Write the state of training, with a digest of it and of the data.

    An earlier file stays complete until the new one is.

    Parameters
    ----------
    path : Path
        File; its folder is made if needed.
    state : TrainingState
        State after an epoch, with the digest of its data.
    config : TrainingConfig
        Settings of the training.
    """
    path = Path(path)
    tensors = {f"now.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in state.averaged.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    notes = {"config": json.dumps(asdict(config)), "data": state.data, "epoch": str(state.epoch)}
    notes["history"] = json.dumps(state.history)
    with atomic_write(path) as draft:
        save_file(tensors, draft, metadata=notes | {"sha256": _digest(tensors, notes)})


def save_file(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors into a file that is there.

    The library's own function writes another file next to it and renames that, which a killed process would leave.

    Parameters
    ----------
    tensors : dict of str to Tensor
        By name.
    path : Path
        The file.
    metadata : dict of str to str
        Notes of the file.
    """
    path.write_bytes(save(tensors, metadata))


def load_checkpoint(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Restore the state of training.

    Parameters
    ----------
    path : Path
        File that `save_checkpoint` wrote.
    state : TrainingState
        It is set to the state in the file, whose data must have the same digest.
    config : TrainingConfig
        Settings; they must equal those of the file.

    Raises
    ------
    TrainingError
        If the file is missing or damaged, or of other settings, other stays or another network.
    """
    path = Path(path)
    notes, tensors = _content(path)
    was = json.loads(notes["config"])
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
    if notes["data"] != state.data:
        fix = "Resume with the stays, outcomes and validation stays that training began with."
        raise TrainingError("a checkpoint of these stays", "one of other stays", fix, where=path.name)
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


def data_digest(*parts: Sequences) -> str:
    """Give a digest of stays: other patients, outcomes or measurements have another one.

    Parameters
    ----------
    *parts : Sequences
        Training stays, and validation stays.

    Returns
    -------
    str
        64 hex digits. No identifier or value can be read from them.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(30)), Task.load("in_hospital_mortality"))
    >>> data_digest(stays) == data_digest(stays[:]), data_digest(stays) == data_digest(stays[1:])
    (True, False)
    """
    digest = sha256()
    for stays in parts:
        for names in (stays.patient, stays.stay):
            digest.update(json.dumps([str(name) for name in names]).encode())
        for array in (stays.outcome, stays.static, stays.end_hours, *(getattr(stays, starts) for starts in RAGGED)):
            digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        some = stays
        if len(stays) > MAX_DIGEST_STAYS:
            some = stays[np.linspace(0, len(stays) - 1, MAX_DIGEST_STAYS).astype(int)]
        for dtypes in RAGGED.values():
            for name in dtypes:
                digest.update(np.ascontiguousarray(getattr(some, name)).tobytes())
    return digest.hexdigest()


def _content(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Notes and tensors of a file whose digest is right."""
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        right = {*notes} == {*NOTES, "sha256"} and notes.pop("sha256") == _digest(tensors, notes)
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        got = "a damaged file" if path.is_file() else "no such file"
        raise TrainingError("a checkpoint", got, "Check resume_from=.", where=path.name) from None
    if not right:
        fix = "The file was changed or damaged, or is of another version: take an earlier copy, or train again."
        raise TrainingError("the sha256 that was written with it", "another sha256", fix, where=path.name)
    return notes, tensors


def _digest(tensors: Mapping[str, torch.Tensor], notes: Mapping[str, str]) -> str:
    """The sha256 of names, types, shapes and bytes of all tensors, and of the notes."""
    digest = sha256(json.dumps([[name, notes[name]] for name in NOTES]).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

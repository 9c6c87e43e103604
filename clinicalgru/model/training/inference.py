"""Inference: predictions of a network batch by batch, and their loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.long_stay import can_be_divided, long_stay_logits
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.model.training.prefetch import prefetch
from clinicalgru.model.training.torch_settings import torch_defaults

MAX_STEP_PAIRS = 2**25  # of a batch, where each time step attends to those before it
MAX_CELLS = 2**21  # time steps x variables of a batch of several stays


@torch_defaults(grad=False)
def mean_loss(network: ClinicalGRU, stays: Sequences, *, head: Head) -> float:
    """The loss of the mean prediction of the members, over all predictions of these stays.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    stays : Sequences
        Stays with outcomes.
    head : Head
        The head of the network.

    Returns
    -------
    float
    """
    batches = iterate_batches(network, stays, head=head)
    scaled = ((network.scaler(batch), batch, head.labels(part, batch)) for part, batch, _ in batches)
    return losses_of_batches(network, scaled, head)[0]


def losses_of_batches(network: ClinicalGRU, batches: Iterable[tuple[Inputs, Batch, Tensor]], head: Head) -> list[float]:
    """The loss of the mean prediction of the members, over all predictions of these batches.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    batches : iterable of (Inputs, Batch, Tensor)
        Batches in normal scores, as they are, and their labels.
    head : Head
        The head of the network.

    Returns
    -------
    list of float
        Of all members; then of the members of each part of the readout, if parts share no weights.
    """
    network.eval()
    parts = [slice(None), *network.readout_parts().values()]
    aggregated, labels = [list[Tensor]() for _ in parts], list[Tensor]()
    for inputs, batch, known in batches:
        logits = network.logits(inputs, batch)[0][..., : head.n_outputs]
        for made, members in zip(aggregated, parts, strict=True):
            made.append(head.aggregate_members(logits[members]))
        labels.append(known)
    known = torch.cat(labels)
    return [head.loss(one, known.to(one.dtype)).item() for one in (torch.cat(made, dim=1) for made in aggregated)]


@torch_defaults(grad=False)
def predict(network: ClinicalGRU, stays: Sequences, *, head: Head, batch_size: int = 256) -> Tensor:
    """The prediction of each stay in their order, or of each time step, stay after stay.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    stays : Sequences
        The stays.
    head : Head
        The head of the network.
    batch_size : int
        Largest number of stays of a batch.

    Returns
    -------
    Tensor, shape (point, ...)
        What `Head.predict` gives.
    """
    network.eval()
    n_points = int(stays.n_steps.sum()) if head.per_step else len(stays)
    prediction: Tensor | None = None
    for positions, logits in _logits(network, stays, head=head, batch_size=batch_size):
        part = head.predict(head.aggregate_members(logits))
        prediction = part.new_empty(n_points, *part.shape[1:]) if prediction is None else prediction
        prediction[positions] = part
    return prediction if prediction is not None else torch.empty(0, dtype=torch.float32)


def _logits(network: ClinicalGRU, stays: Sequences, *, head: Head, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Positions of predictions, and the outputs of all members; very long stays are taken in part by part."""
    most = MAX_CELLS / max(1, len(stays.variables))
    is_long = (stays.n_steps > most) if can_be_divided(network) and not head.per_step else np.zeros(len(stays), bool)
    for number in np.flatnonzero(is_long):
        yield torch.tensor([number]), long_stay_logits(network, stays[[number]])
    others = np.flatnonzero(~is_long)
    if len(others):
        short = stays if not is_long.any() else stays[others]
        for _, batch, positions in iterate_batches(network, short, head=head, batch_size=batch_size):
            yield torch.from_numpy(others)[positions] if is_long.any() else positions, network(batch)


def iterate_batches(
    network: ClinicalGRU, stays: Sequences, *, head: Head, batch_size: int = 256
) -> Iterator[tuple[Sequences, Batch, Tensor]]:
    """Batches of stays of similar length.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    stays : Sequences
        The stays.
    head : Head
        The head of the network.
    batch_size : int
        Largest number of stays of a batch. Batches of long stays are smaller, which bounds their memory; with
        predictions after each time step, attention needs a number for each pair of time steps.

    Yields
    ------
    stays : Sequences
        The stays of the batch.
    batch : Batch
        The batch.
    positions : Tensor of int64, shape (point,)
        Position of each prediction among those of all stays.
    """
    if head.per_step:
        batch_size = max(1, min(batch_size, MAX_STEP_PAIRS // max(1, int(stays.n_steps.max(initial=0))) ** 2))
    by_length = np.argsort(-stays.n_steps, kind="stable")
    begins = torch.from_numpy(np.cumsum(stays.n_steps) - stays.n_steps)

    def prepare(index: np.ndarray) -> tuple[Sequences, Batch, Tensor]:
        part = stays[index]
        batch = network.make_batch(part, per_step=head.per_step)
        stay = torch.from_numpy(index[batch.order])[batch.point_stay]
        return part, batch, begins[stay] + batch.point_number if head.per_step else stay

    most_steps = MAX_CELLS / max(1, len(stays.variables))
    parts = np.array_split(by_length, max(1, math.ceil(len(stays) / batch_size)))
    yield from prefetch(prepare, [small for part in parts for small in _split(part, stays.n_steps, most_steps)])


def _split(index: np.ndarray, n_steps: np.ndarray, most_steps: float) -> list[np.ndarray]:
    """The stays of a batch, in several ones where they have more time steps together; a stay is never divided."""
    steps = n_steps[index]
    if steps.sum() <= most_steps:
        return [index]
    number = np.cumsum(steps) // most_steps
    return np.split(index, np.flatnonzero(np.diff(number)) + 1)

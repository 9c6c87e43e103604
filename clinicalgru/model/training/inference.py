"""Prediction: what a network says of stays, batch by batch, and how far that is from what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.prefetch import one_ahead
from clinicalgru.model.training.torch_settings import torch_defaults

PAIRS = 2**25  # pairs of steps in a batch, at most, where each step attends to those before it


@torch_defaults(grad=False)
def mean_loss(network: ClinicalGRU, stays: Sequences, *, head: Head) -> float:
    """Loss of what the members say together, over all points of these stays."""
    network.eval()
    parts = [
        (head.aggregate_members(network(batch)[..., : head.n_outputs]), head.labels(part, batch))
        for part, batch, _ in in_batches(network, stays, head=head)
    ]
    mixed, target = (torch.cat(tensors, dim=dim) for tensors, dim in zip(zip(*parts, strict=True), (1, 0), strict=True))
    return head.loss(mixed, target.to(mixed.dtype)).item()


@torch_defaults(grad=False)
def predict(network: ClinicalGRU, stays: Sequences, *, head: Head, batch_size: int = 256) -> Tensor:
    """(point, ...) prediction for each stay, in their order; or for each step of each stay, stay after stay."""
    network.eval()
    points = int(stays.n_steps.sum()) if head.per_step else len(stays)
    prediction: Tensor | None = None
    for _, batch, where in in_batches(network, stays, head=head, batch_size=batch_size):
        part = head.predict(head.aggregate_members(network(batch)))
        prediction = part.new_empty(points, *part.shape[1:]) if prediction is None else prediction
        prediction[where] = part
    return prediction if prediction is not None else torch.empty(0, dtype=torch.float32)


def in_batches(
    network: ClinicalGRU, stays: Sequences, *, head: Head, batch_size: int = 256
) -> Iterator[tuple[Sequences, Batch, Tensor]]:
    """All stays, those of like length together: the stays of a batch, the batch, and the place of each of its points.

    After each step attention needs a number for each two steps of a stay: where stays are long, fewer share a batch.
    """
    if head.per_step:
        batch_size = max(1, min(batch_size, PAIRS // max(1, int(stays.n_steps.max(initial=0))) ** 2))
    by_length = np.argsort(-stays.n_steps, kind="stable")
    begins = torch.from_numpy(np.cumsum(stays.n_steps) - stays.n_steps)

    def made(index: np.ndarray) -> tuple[Sequences, Batch, Tensor]:
        part = stays[index]
        batch = network.batch(part, every_step=head.per_step)
        stay = torch.from_numpy(index[batch.order])[batch.point_stay]
        return part, batch, begins[stay] + batch.point_number if head.per_step else stay

    yield from one_ahead(made, np.array_split(by_length, max(1, math.ceil(len(stays) / batch_size))))

"""A loss that is no number: which variable brought it, or that the learning rate did."""

from __future__ import annotations

import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

RATE = "Lower learning_rate: all inputs are finite, so that it is the steps that are too large."


class BrokenLoss(TrainingError):
    """Training met a loss, or a gradient, that is no number."""


def broken(network: ClinicalGRU, stays: Sequences, batch: Batch, *, epoch: int) -> BrokenLoss:
    """The error to raise for a batch of these stays: it names the first variable or descriptor whose inputs are not
    finite, or else whose gradient alone is not; or the learning rate."""
    found = _inputs(network, stays, batch) or _gradients(network, stays)
    fix = RATE if found is None else f"Look at the values of {found}, or leave it out with with_variables."
    came = "one that is no number" + (f", from {found}" if found is not None else "")
    return BrokenLoss("a finite loss", f"{came}, in epoch {epoch}", fix)


@torch.no_grad()
def _inputs(network: ClinicalGRU, stays: Sequences, batch: Batch) -> str | None:
    inputs = network.scales(batch)
    wrong = torch.zeros(len(stays.variables), dtype=torch.bool)
    wrong[batch.variable[~inputs.score.isfinite() | ~batch.value.isfinite()]] = True
    if len(stays.variables):
        wrong |= ~inputs.gap_hours.isfinite().all(dim=0)
        wrong |= ~_by_variable(inputs.summaries.isfinite().all(dim=0), stays).all(dim=1)
    if wrong.any():
        return stays.variables[int(wrong.nonzero()[0])].name
    static = batch.static.isinf().any(dim=0)
    return stays.static_variables[int(static.nonzero()[0])].name if static.any() else None


def _gradients(network: ClinicalGRU, stays: Sequences) -> str | None:
    """The first variable whose own number embedding has a gradient that is not finite, where others have not."""
    rows: list[Tensor] = [
        ~weight.grad.flatten(1).isfinite().all(dim=1)
        for weight in network.embedding.parameters()
        if weight.grad is not None
    ]
    if not rows or not len(stays.variables):
        return None
    wrong = _by_variable(torch.stack(rows).any(dim=0), stays).any(dim=1)
    return stays.variables[int(wrong.nonzero()[0])].name if wrong.any() and not wrong.all() else None


def _by_variable(feature: Tensor, stays: Sequences) -> Tensor:
    """(variable, summary) of the summaries; of the clinical indices, whose parts are among them, nothing."""
    return feature[: len(stays.variables) * len(SUMMARIES)].reshape(-1, len(SUMMARIES))

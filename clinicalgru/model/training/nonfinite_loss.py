"""A loss that is not finite: the error that names the variable, or the learning rate, that it comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import torch_defaults

LOWER_RATE = "Lower learning_rate: all inputs are finite, so that the steps of the optimiser are too large."


class NonFiniteLoss(TrainingError):
    """A loss or a gradient of training is infinite or not a number.

    Parameters
    ----------
    expected, got, fix, where : str
        As of `ClinicalGRUError`.
    """


def nonfinite_loss(network: ClinicalGRU, stays: Sequences, batch: Batch, *, epoch: int) -> NonFiniteLoss:
    """The error for a batch whose loss or gradient is not finite.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    stays : Sequences
        The stays of the batch.
    batch : Batch
        The batch.
    epoch : int
        Number of the epoch, from 1.

    Returns
    -------
    NonFiniteLoss
        It names the first variable or static covariate with inputs that are not finite; else the one whose gradient
        alone is not finite; else the learning rate.
    """
    name = _nonfinite_input(network, stays, batch) or _nonfinite_gradient(network, stays)
    fix = LOWER_RATE if name is None else f"Check the values of {name}, or leave it out with with_variables."
    origin = f", from {name}" if name is not None else ""
    return NonFiniteLoss("a finite loss", f"an infinite loss, or NaN{origin}, in epoch {epoch}", fix)


@torch_defaults(grad=False)
def _nonfinite_input(network: ClinicalGRU, stays: Sequences, batch: Batch) -> str | None:
    """The first variable or static covariate whose inputs are not finite."""
    inputs = network.scaler(batch)
    nonfinite = torch.zeros(len(stays.variables), dtype=torch.bool)
    nonfinite[batch.variable[~inputs.score.isfinite() | ~batch.value.isfinite()]] = True
    if len(stays.variables):
        nonfinite |= ~inputs.delta_hours.isfinite().all(dim=0)
        nonfinite |= ~_by_variable(inputs.summaries.isfinite().all(dim=0), stays).all(dim=1)
    if nonfinite.any():
        return stays.variables[int(nonfinite.nonzero()[0])].name
    static = batch.static.isinf().any(dim=0)
    return stays.static_variables[int(static.nonzero()[0])].name if static.any() else None


def _nonfinite_gradient(network: ClinicalGRU, stays: Sequences) -> str | None:
    """The first variable whose number embedding has a gradient that is not finite, unless all have."""
    rows: list[Tensor] = [
        ~weight.grad.cpu().flatten(1).isfinite().all(dim=1)
        for weight in network.embedding.parameters()
        if weight.grad is not None
    ]
    if not rows or not len(stays.variables):
        return None
    nonfinite = _by_variable(torch.stack(rows).any(dim=0), stays).any(dim=1)
    return stays.variables[int(nonfinite.nonzero()[0])].name if nonfinite.any() and not nonfinite.all() else None


def _by_variable(feature: Tensor, stays: Sequences) -> Tensor:
    """The summaries as (variable, summary), without the clinical indices, which are made of them."""
    return feature[: len(stays.variables) * len(SUMMARIES)].reshape(-1, len(SUMMARIES))

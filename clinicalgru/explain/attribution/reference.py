"""Reference of an explanation: a stay of the same hours with nothing measured and nothing known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.rolling import ROLLING
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs


@dataclass(frozen=True, eq=False)
class PathEnds:
    """Both ends of the paths: the stays, and the reference with the same hours and nothing measured or known.

    Attributes
    ----------
    full, reference : Inputs
        Inputs of the network at both ends.
    embedded : Tensor, shape (level, stay, feature x size)
        Embedded summaries: unknown; known at the training median; as they are.
    """

    full: Inputs
    reference: Inputs
    embedded: Tensor


def _reference_inputs(network: ClinicalGRU, batch: Batch, full: Inputs) -> Inputs:
    """Give the inputs of the reference: the same hours with nothing measured and nothing known."""
    column = torch.arange(full.summaries.shape[1])
    spec = network.spec
    of_variables = column < spec.variables * len(SUMMARIES)  # the clinical indices follow: not known
    counts = of_variables & (column % len(SUMMARIES) == SUMMARIES.index("count"))
    of_window = column - (spec.features - spec.rolling_features)
    counts |= (of_window >= 0) & (of_window % len(ROLLING) == ROLLING.index("count"))
    empty = full.summaries.new_full((len(column),), torch.nan).masked_fill(counts, 0.0)
    none = network.scaler.summary(empty[None].expand_as(full.summaries))
    first = batch.hours.new_full((len(batch.order),), torch.inf).scatter_reduce(0, batch.stay, batch.hours, "amin")
    return Inputs(
        score=torch.zeros_like(full.score),
        mask=torch.zeros_like(full.mask),
        delta_hours=(batch.hours - first[batch.stay])[:, None].expand_as(full.delta_hours),
        summaries=none.nan_to_num(),
        summary_mask=(~none.isnan()).to(full.summary_mask.dtype),
        static=torch.zeros_like(full.static),
    )


def path_ends(network: ClinicalGRU, batch: Batch) -> PathEnds:
    """Give both ends of the integration paths of some stays.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    batch : Batch
        The stays.

    Returns
    -------
    PathEnds
    """
    full = network.scaler(batch)
    reference = _reference_inputs(network, batch, full)
    levels = (
        (reference.summaries, reference.summary_mask),
        (reference.summaries, full.summary_mask),
        (full.summaries, full.summary_mask),
    )
    device = network.device
    embedded = [network.embedding(*(tensor.to(device) for tensor in level)).cpu() for level in levels]
    return PathEnds(full, reference, torch.stack(embedded))

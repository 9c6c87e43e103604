"""Dropout of measurement patterns: some variables of a stay without the information of when they were measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.rolling import ROLLING
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.scaling import Inputs

PATTERN = ("count", "hours_since_first", "hours_since_last")  # summaries that do not depend on a value


def without_patterns(inputs: Inputs, batch: Batch, spec: NetworkSpec, rng: np.random.Generator) -> Inputs:
    """Hide the pattern of the measurements of some variables of each stay.

    Parameters
    ----------
    inputs : Inputs
        The batch in normal scores.
    batch : Batch
        The batch.
    spec : NetworkSpec
        Its `pattern_dropout` is the probability for each stay and variable.
    rng : numpy.random.Generator
        Where random numbers come from.

    Returns
    -------
    Inputs
        Without a mask and time gaps of these variables; their counts and hours since are unknown. Values, and the
        summaries of values, stay as they are.
    """
    if not spec.pattern_dropout:
        return inputs
    hidden = torch.from_numpy(rng.random((len(batch.order), spec.variables)) < spec.pattern_dropout)
    by_row, by_point = hidden[batch.stay], hidden[batch.point_stay]
    summary = torch.tensor([name in PATTERN for name in SUMMARIES])
    rolling = torch.tensor([name == "count" for name in ROLLING] * len(spec.rolling_hours), dtype=torch.bool)
    columns = [
        (by_point[..., None] & summary).flatten(1),
        by_point.new_zeros(len(by_point), len(spec.clinical_indices)),
        (by_point[..., None] & rolling).flatten(1),
    ]
    unknown = torch.cat(columns, dim=1)
    return replace(
        inputs,
        mask=inputs.mask.masked_fill(by_row, 0.0),
        delta_hours=inputs.delta_hours.masked_fill(by_row, 0.0),
        summaries=inputs.summaries.masked_fill(unknown, 0.0),
        summary_mask=inputs.summary_mask.masked_fill(unknown, 0.0),
    )

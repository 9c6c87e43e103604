"""The course of a risk: after each hour what was known up to then says, and how far the network's members disagree."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences import Sequences
from clinicalgru.explain.asked import Asked, until
from clinicalgru.model.attention import Attended
from clinicalgru.model.estimator import GRUEstimator
from clinicalgru.model.network import ClinicalGRU

LOW, HIGH = 5, 95  # percentiles of the members' risks


@torch.no_grad()
def course_of(
    network: ClinicalGRU, asked: Asked, stay: Sequences, *, at_end: Tensor | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """How the risk of one stay moved up to its end, what the end attends to, and how many members there are.

    at_end   (member, 1, output) logits of the whole stay, where they are known already
    returns  hours, risk and, of several members, low and high, as of `Explanation`; hours, weight; members

    The risk after each hour is one causal pass; a network that also reads backwards, or in strides, is asked about
    each prefix.
    """
    network.eval()
    after, looked = after_each_step(network, stay)
    at_end = _at_end(network, stay)[0] if at_end is None else at_end
    hours, end = np.unique(stay.hours), float(stay.end_hours[0])
    earlier = hours < end
    logits = torch.cat([after[:, torch.from_numpy(earlier)], at_end], dim=1)
    moved = asked(logits).numpy()
    course = pd.DataFrame({"hours": np.append(hours[earlier], end), "risk": asked.risk(moved)})
    members = len(at_end)
    if members > 1:
        low, high = np.percentile(asked.risk(asked.each(logits).numpy()), [LOW, HIGH], axis=0)
        course = course.assign(low=low, high=high)
    return course, _attended(network, stay, looked), members


@torch.no_grad()
def after_each_step(network: ClinicalGRU, stay: Sequences) -> tuple[Tensor, Attended]:
    """(member, hour, output) logits after each distinct hour of measurements of one stay; what its end attends to."""
    if network.shape.causal:
        batch = network.batch(stay, every_step=True)
        return network.logits(network.scales(batch), batch)
    batch = network.batch(until(stay, np.unique(stay.hours)))
    logits = network.logits(network.scales(batch), batch)[0]
    return logits[:, torch.from_numpy(np.argsort(batch.order))], _at_end(network, stay)[1]


def _at_end(network: ClinicalGRU, stay: Sequences) -> tuple[Tensor, Attended]:
    batch = network.batch(stay)
    return network.logits(network.scales(batch), batch)


@torch.no_grad()
def half_lives(model: GRUEstimator) -> dict[str, float]:
    """Hours by variable after which the network carries a value half as strongly towards its training median.

    The decay is exp(-max(0, w d + b)) of the d hours since the value was measured: one half where w d + b = ln 2, at
    once (0) where b alone is as much.
    Source: Che et al. 2018, Eq. 3.
    """
    decay = model.network_.encoder.steps.value_decay
    hours = ((math.log(2) - decay.bias) / F.softplus(decay.raw)).clamp_min(0).double()
    names = [variable.name for variable in model.variables_]
    return dict(zip(names, hours.tolist(), strict=True))


def _attended(network: ClinicalGRU, stay: Sequences, looked: Attended) -> pd.DataFrame:
    weight = looked.weight[0, -1].numpy()
    hours = np.unique(np.concatenate([stay.hours, stay.code_hours] if network.shape.codes else [stay.hours]))
    exact = len(hours) == len(weight)  # strides leave fewer
    return pd.DataFrame({"hours": hours if exact else looked.hours[0].numpy(), "weight": weight})

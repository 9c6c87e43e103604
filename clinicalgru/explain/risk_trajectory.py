"""The course of a risk: after each hour what was known up to then says, and how far members disagree."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.targets import Asked
from clinicalgru.explain.voices import Voice
from clinicalgru.model.network.attention import Attended
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

LOW, HIGH = 5, 95  # percentiles of the members' risks


@dataclass(frozen=True, eq=False)
class Followed:
    """What one network says of one stay after each distinct hour of its measurements, and at its end.

    hours   (step + 1,)
    number  (step + 1,)
    each    (member, step + 1)  what each member says alone
    looked  hours, weight: what the end attends to
    """

    hours: np.ndarray
    number: np.ndarray
    each: np.ndarray
    looked: pd.DataFrame


@torch.no_grad()
def followed(voice: Voice, stay: Sequences, *, batch: Batch | None = None, at_end: Tensor | None = None) -> Followed:
    """One stay as one network follows it.

    batch   the stay asked after each step, where it was made already
    at_end  (member, 1, output) logits of the whole stay, where they are known already

    It is one causal pass; a network that also reads backwards, or in strides, is asked about each prefix.
    """
    network, stay = voice.network, voice.heard(stay)
    after, looked = _after_each_step(network, stay, batch)
    at_end = _at_end(network, stay)[0] if at_end is None else at_end
    logits = torch.cat([after, at_end], dim=1)
    hours = np.append(np.unique(stay.hours), stay.end_hours[0])
    number, each = voice.asked(logits).numpy(), voice.asked.each(logits).numpy()
    return Followed(hours, number, each, _attended(network, stay, looked))


def course_of(found: list[Followed], asked: Asked) -> pd.DataFrame:
    """How the risk of one stay moved up to its end, as its networks say together.

    returns  hours, risk and, of several members, low and high: the 5th and 95th percentile of the risks of all members
    """
    course = pd.DataFrame({"hours": found[0].hours, "risk": asked.risk(np.mean([one.number for one in found], axis=0))})
    each = np.concatenate([one.each for one in found])
    if len(each) > 1:
        low, high = np.percentile(asked.risk(each), [LOW, HIGH], axis=0)
        course = course.assign(low=low, high=high)
    return course.drop_duplicates("hours", keep="last", ignore_index=True)  # the end may be an hour of measurements


def members_of(found: list[Followed]) -> int:
    """How many members all the networks have."""
    return sum(len(one.each) for one in found)


def attention_of(found: list[Followed]) -> pd.DataFrame:
    """hours, weight: what the end attends to, the mean of the networks."""
    if len(found) == 1:
        return found[0].looked
    both = pd.concat([one.looked for one in found]).groupby("hours", as_index=False).sum()
    return both.assign(weight=both["weight"] / len(found))


@torch.no_grad()
def half_lives(networks: Collection[ClinicalGRU], names: Collection[str]) -> dict[str, float]:
    """Hours by variable after which a network carries a value half as strongly towards its training median.

    names  of the variables
    The decay is exp(-max(0, w d + b)) of the d hours since the value was measured: one half where w d + b = ln 2, at
    once (0) where b alone is as much. Of several networks, their median.
    Source: Che et al. 2018, Eq. 3.
    """
    decays = [network.encoder.steps.value_decay for network in networks]
    hours = [((math.log(2) - decay.bias) / F.softplus(decay.raw)).clamp_min(0).double().numpy() for decay in decays]
    return dict(zip(names, np.median(hours, axis=0).tolist(), strict=True))


def _after_each_step(network: ClinicalGRU, stay: Sequences, batch: Batch | None) -> tuple[Tensor, Attended]:
    """(member, hour, output) logits after each distinct hour of measurements of one stay; what its end attends to."""
    if network.spec.is_causal:
        batch = network.batch(stay, every_step=True) if batch is None else batch
        return network.logits(network.scales(batch), batch)
    batch = network.batch(stay.prefixes(np.unique(stay.hours)))
    logits = network.logits(network.scales(batch), batch)[0]
    return logits[:, torch.from_numpy(np.argsort(batch.order))], _at_end(network, stay)[1]


def _at_end(network: ClinicalGRU, stay: Sequences) -> tuple[Tensor, Attended]:
    batch = network.batch(stay)
    return network.logits(network.scales(batch), batch)


def _attended(network: ClinicalGRU, stay: Sequences, looked: Attended) -> pd.DataFrame:
    weight = looked.weight[0, -1].numpy()
    hours = np.unique(np.concatenate([stay.hours, stay.code_hours] if network.spec.code_vocabulary else [stay.hours]))
    exact = len(hours) == len(weight)  # strides leave fewer
    return pd.DataFrame({"hours": hours if exact else looked.hours[0].numpy(), "weight": weight})

"""What the model says when measurements are taken away, or given one after the other, in some order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.voices import Voice

PARTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)  # of the measurements, the first ones of an order
TOGETHER = 256  # stays


@dataclass(frozen=True, eq=False)
class Removal:
    """How the answer for each stay moves when the first measurements of an order are deleted, or alone are there.

    deletion          (stay,) mean fall in log-odds when they are deleted
    insertion         (stay,) mean rise in log-odds above nothing measured when they alone are there
    comprehensiveness (stay,) mean fall of the risk when they are deleted
    sufficiency       (stay,) mean fall of the risk when they alone are there; lower is better
    """

    deletion: np.ndarray
    insertion: np.ndarray
    comprehensiveness: np.ndarray
    sufficiency: np.ndarray


def numbers(asking: tuple[Voice, ...], stays: Sequences) -> np.ndarray:
    """(stay,) the number that is explained, also of stays without measurements."""
    return np.asarray(np.mean([_numbers(voice, stays) for voice in asking], axis=0))


def removal(asking: tuple[Voice, ...], stays: Sequences, *, scores: np.ndarray) -> Removal:
    """Deletion and insertion of the measurements in the order of their scores, the highest first.

    scores  (fact,)
    A measurement that is deleted was never made: its mask is 0, and nothing carries or counts it.

    Source: Petsiuk et al. 2018 (deletion, insertion); DeYoung et al. 2020 (comprehensiveness, sufficiency).
    """
    rank, counts = ranks(scores, stays), stays.n_measurements[stays.stay_of_measurement]
    asked, whole = asking[0].asked, numbers(asking, stays)
    nothing = numbers(asking, stays.filter_measurements(np.zeros(len(rank), dtype=bool)))
    first = [rank < np.ceil(part * counts) for part in PARTS]
    deleted = np.stack([numbers(asking, stays.filter_measurements(~gone)) for gone in first])
    alone = np.stack([numbers(asking, stays.filter_measurements(there)) for there in first])
    return Removal(
        deletion=(whole - deleted).mean(axis=0),
        insertion=(alone - nothing).mean(axis=0),
        comprehensiveness=(asked.risk(whole) - asked.risk(deleted)).mean(axis=0),
        sufficiency=(asked.risk(whole) - asked.risk(alone)).mean(axis=0),
    )


def ranks(scores: np.ndarray, stays: Sequences) -> np.ndarray:
    """(fact,) 0 for the highest score of its stay, 1 for the next, ..."""
    stay = stays.stay_of_measurement
    order = np.lexsort((-scores, stay))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - stays.starts[:-1][stay]
    return rank


@torch.no_grad()
def _numbers(voice: Voice, stays: Sequences) -> np.ndarray:
    network, order, parts = voice.network, np.argsort(-stays.n_steps, kind="stable"), []
    for index in np.array_split(order, max(1, len(order) // TOGETHER)):
        batch = network.batch(stays[index])
        found = voice.asked(network.logits(network.scales(batch), batch)[0]).numpy()
        parts.append(found[np.argsort(batch.order)])
    return np.concatenate(parts)[np.argsort(order)]

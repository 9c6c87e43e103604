"""Outputs of a model when measurements are deleted, or inserted one after the other, in some order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.targets import MemberNetwork, pool_networks, to_risk

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)  # of the measurements, the first ones of an order
BATCH_SIZE = 256  # stays


@dataclass(frozen=True, eq=False)
class Perturbation:
    """Change of the output for each stay when the first measurements of an order are deleted, or alone present.

    Attributes
    ----------
    deletion : ndarray, shape (stay,)
        Mean fall in log-odds when they are deleted.
    insertion : ndarray, shape (stay,)
        Mean rise in log-odds above nothing measured when they alone are present.
    comprehensiveness : ndarray, shape (stay,)
        Mean fall of the risk when they are deleted.
    sufficiency : ndarray, shape (stay,)
        Mean fall of the risk when they alone are present; lower is better.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    comprehensiveness: np.ndarray
    sufficiency: np.ndarray


def model_outputs(networks: Sequence[MemberNetwork], stays: Sequences) -> np.ndarray:
    """Compute the explained number of each stay, also of stays without measurements.

    Parameters
    ----------
    networks : sequence of MemberNetwork
        The networks of a model.
    stays : Sequences
        The stays.

    Returns
    -------
    ndarray, shape (stay,)
        Of all networks together, in the unit of the target.
    """
    return pool_networks(networks[0].target, [network_terms(member, stays) for member in networks])


def perturbation_curves(networks: Sequence[MemberNetwork], stays: Sequences, *, scores: np.ndarray) -> Perturbation:
    """Delete and insert the measurements of each stay in the order of their scores, the highest first.

    Parameters
    ----------
    networks : sequence of MemberNetwork
        The networks of a model.
    stays : Sequences
        The stays.
    scores : ndarray, shape (measurement,)
        Order of the measurements of each stay.

    Returns
    -------
    Perturbation
        Means over the fractions in `FRACTIONS`.

    Notes
    -----
    A deleted measurement was never made: its mask is 0, and nothing carries it forward or counts it.

    References
    ----------
    Deletion and insertion: Petsiuk et al. 2018. Comprehensiveness and sufficiency: DeYoung et al. 2020.
    """
    rank, counts = rank_within_stay(scores, stays), stays.n_measurements[stays.stay_of_measurement]
    target, full = networks[0].target, model_outputs(networks, stays)
    nothing = model_outputs(networks, stays.filter_measurements(np.zeros(len(rank), dtype=bool)))
    first = [rank < np.ceil(fraction * counts) for fraction in FRACTIONS]
    deleted = np.stack([model_outputs(networks, stays.filter_measurements(~chosen)) for chosen in first])
    inserted = np.stack([model_outputs(networks, stays.filter_measurements(chosen)) for chosen in first])
    return Perturbation(
        deletion=(full - deleted).mean(axis=0),
        insertion=(inserted - nothing).mean(axis=0),
        comprehensiveness=(to_risk(target, full) - to_risk(target, deleted)).mean(axis=0),
        sufficiency=(to_risk(target, full) - to_risk(target, inserted)).mean(axis=0),
    )


def rank_within_stay(scores: np.ndarray, stays: Sequences) -> np.ndarray:
    """Rank the measurements of each stay by their scores.

    Parameters
    ----------
    scores : ndarray, shape (measurement,)
        One score per measurement.
    stays : Sequences
        The stays.

    Returns
    -------
    ndarray of int, shape (measurement,)
        0 for the highest score of a stay, 1 for the next, and so on.
    """
    stay = stays.stay_of_measurement
    order = np.lexsort((-scores, stay))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - stays.starts[:-1][stay]
    return rank


@torch.no_grad()
def network_terms(member: MemberNetwork, stays: Sequences) -> np.ndarray:
    """Compute what one network contributes to the explained number of each stay; see `pool_networks`.

    Parameters
    ----------
    member : MemberNetwork
        The network.
    stays : Sequences
        The stays.

    Returns
    -------
    ndarray, shape (stay, ...)
    """
    network, order, outputs = member.network, np.argsort(-stays.n_steps, kind="stable"), []
    for index in np.array_split(order, max(1, len(order) // BATCH_SIZE)):
        batch = network.make_batch(stays[index])
        terms = member.terms(network.logits(network.scaler(batch), batch)[0], batch.point_hours).numpy()
        outputs.append(terms[np.argsort(batch.order)])
    return np.concatenate(outputs)[np.argsort(order)]

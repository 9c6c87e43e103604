"""Stays that the model sees alike, from a cohort that the analyst supplies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, WITHHELD, format_count, suppress_nested
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.voices import Explained, checked, first, looked_at, one_network
from clinicalgru.html import summary_html
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import threads

TOGETHER = 256  # stays


@dataclass(frozen=True, eq=False, repr=False)
class Similar:
    """The nearest stays of a cohort, nearest first.

    table      position (in the cohort), distance, outcome (NaN = not recorded): exact, for the analyst
    median_distance  median distance between the stay and the cohort
    simulated  whether the cohort is: only then are small counts shown
    """

    table: pd.DataFrame
    median_distance: float
    simulated: bool

    def _facts(self) -> dict[str, str]:
        known = self.table["outcome"].dropna()
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        of, events = suppress_nested([len(known), int((known > 0).sum())], min_cell_size=min_cell_size)
        return {
            "similar stays": f"{len(self.table)}",
            "farthest of them": f"{self.table['distance'].max():.2f} (median of the cohort {self.median_distance:.2f})",
            "with the outcome": f"{format_count(events)} of {format_count(of)}" if of is not None else WITHHELD,
        }

    def __str__(self) -> str:
        return "; ".join(f"{name}: {fact}" for name, fact in self._facts().items())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return summary_html("Similar stays", self._facts())


def similar(model: Explained, stay: Sequences, cohort: Sequences, *, n_neighbors: int = 5) -> Similar:
    """The stays of a cohort whose hidden state at the end is nearest to that of one stay.

    stay     sequences of one stay: test[[0]]
    cohort   (stay,) stays to look among, such as those the model learned from; never kept in the model
    n_neighbors  how many, at least 1 and at most as many as there are
    returns  a `Similar`: exact in its table; where it is printed or shown, counts of 1 to 10 are withheld

    Distances are Euclidean, each unit of the state in its spread over the cohort. Stays of the same patient are left
    out. Refused: an ensemble, other than one stay, a stay without measurements, other variables than the model's, too
    few stays.

    >>> cg.similar(model, test[[0]], train, n_neighbors=3).table.columns.tolist()
    ['position', 'distance', 'outcome']
    """
    network = one_network(model, "similar")
    stay, cohort = looked_at(model, stay, hours=None, name="similar"), checked(model, cohort)
    others = np.flatnonzero(cohort.patient != stay.patient[0])
    if not 1 <= n_neighbors <= len(others):
        raise ArgumentError(
            f"n_neighbors from 1 to {len(others)}, the stays of other patients", f"{n_neighbors}", "Choose fewer."
        )
    with threads(first(model).n_threads):
        state, own = last_states(network, cohort), last_states(network, stay)[0]
    spread = state.std(axis=0)
    distance = np.linalg.norm((state[others] - own) / np.where(spread > 0, spread, 1), axis=1) / np.sqrt(len(spread))
    nearest = np.argsort(distance, kind="stable")[:n_neighbors]
    outcome = cohort.outcome[others[nearest]]
    table = pd.DataFrame({"position": others[nearest], "distance": distance[nearest]})
    names = ["outcome"] if outcome.ndim == 1 else [f"outcome {i}" for i in range(outcome.shape[1])]
    return Similar(
        pd.concat([table, pd.DataFrame(outcome.reshape(len(table), -1), columns=names)], axis=1),
        float(np.median(distance)),
        cohort.simulated,
    )


@torch.no_grad()
def last_states(network: ClinicalGRU, stays: Sequences) -> np.ndarray:
    """(stay, hidden) state of the encoder after the last step of each stay."""
    network.eval()
    found: list[tuple[Tensor, Batch]] = []
    handle = network.encoder.register_forward_hook(lambda module, given, output: found.append(output))
    order, parts = np.argsort(-stays.n_steps, kind="stable"), []
    try:
        for index in np.array_split(order, max(1, len(order) // TOGETHER)):
            batch = network.batch(stays[index])
            network.logits(network.scales(batch), batch)
            parts.append(network.encoder.at_points(*found.pop()).numpy()[np.argsort(batch.order)])
    finally:
        handle.remove()
    return np.concatenate(parts)[np.argsort(order)]

"""Stays of a cohort whose hidden state is nearest to that of one stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, SUPPRESSED, format_count, suppress_nested
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.prepared import check_one_network, prepare_stay, prepare_stays
from clinicalgru.explain.targets import Explainable
from clinicalgru.html import summary_html
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

BATCH_SIZE = 256  # stays


@dataclass(frozen=True, eq=False, repr=False)
class Similar:
    """The nearest stays of a cohort, nearest first.

    Attributes
    ----------
    table : DataFrame
        position (in the cohort), distance, outcome (NaN if not recorded): exact, for the analyst.
    median_distance : float
        Median distance between the stay and the cohort.
    simulated : bool
        Whether the cohort is; only then small counts are printed.
    """

    table: pd.DataFrame
    median_distance: float
    simulated: bool

    def _summary(self) -> dict[str, str]:
        farthest = f"{self.table['distance'].max():.2f} (median of the cohort {self.median_distance:.2f})"
        summary = {"similar stays": f"{len(self.table)}", "farthest of them": farthest}
        return summary | ({"with the outcome": self._outcome_text()} if "outcome" in self.table else {})

    def _outcome_text(self) -> str:
        known = self.table["outcome"].dropna()
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        n_known, n_events = suppress_nested([len(known), int((known > 0).sum())], min_cell_size=min_cell_size)
        return SUPPRESSED if n_known is None else f"{format_count(n_events)} of {format_count(n_known)}"

    def __str__(self) -> str:
        return "; ".join(f"{name}: {text}" for name, text in self._summary().items())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return summary_html("Similar stays", self._summary())


def similar(model: Explainable, stay: Sequences, cohort: Sequences, *, n_neighbors: int = 5) -> Similar:
    """Find the stays of a cohort whose hidden state at the end is nearest to that of one stay.

    Parameters
    ----------
    model : GRU estimator
        Fitted, of one network.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    cohort : Sequences
        Stays to search, each with a measurement. Stays of the same patient are left out.
    n_neighbors : int
        Number of stays, at most as many as there are of other patients.

    Returns
    -------
    Similar
        Exact in its table; where it is printed or displayed, counts of 1 to 10 are suppressed.

    Raises
    ------
    ArgumentError
        If it is an ensemble, not one stay with a measurement, or there are too few stays.
    VariableMismatch
        If the variables are not those of the model.

    Notes
    -----
    The distance is Euclidean, of states in units of their standard deviation over the cohort, divided by the square
    root of the number of units. Of stays at the same distance, the one that comes first in the cohort is nearer.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> cg.similar(model, stays[[0]], stays, n_neighbors=3).table.columns.tolist()
    ['position', 'distance', 'outcome']
    """
    check_one_network(model, "similar")
    check_instance("cohort", cohort, Sequences)
    prepared, known = prepare_stay(model, stay, caller="similar"), prepare_stays(model, cohort)
    others = np.flatnonzero(cohort.patient != prepared.stays.patient[0])
    if not len(others):
        raise ArgumentError("a cohort with stays of other patients", "stays of this patient alone", "Pass a cohort.")
    check_number("n_neighbors", n_neighbors, minimum=1, maximum=len(others), whole=True)
    network = prepared.networks[0].network
    with prepared.computing():
        state, own = last_states(network, known.stays), last_states(network, prepared.stays)
    std = state.std(axis=0)
    std = np.where(std > 0, std, 1)
    position, distance = _nearest(state[others] / std, own / std)
    distance = distance / np.sqrt(len(std))
    nearest = others[position[:n_neighbors]]
    return Similar(_table(cohort, nearest, distance[:n_neighbors]), float(np.median(distance)), cohort.simulated)


def _nearest(states: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all states, nearest first and of equal distances the first one first; and the distances."""
    search = NearestNeighbors(n_neighbors=len(states), algorithm="kd_tree").fit(states.astype(np.float64))
    distance, position = (result[0] for result in search.kneighbors(own.astype(np.float64)))
    order = np.lexsort((position, distance))
    return position[order], distance[order]


def _table(cohort: Sequences, nearest: np.ndarray, distance: np.ndarray) -> pd.DataFrame:
    outcome = cohort.outcome[nearest]
    table = pd.DataFrame({"position": nearest, "distance": distance})
    names = ["outcome"] if outcome.ndim == 1 else [f"outcome {i}" for i in range(outcome.shape[1])]
    return pd.concat([table, pd.DataFrame(outcome.reshape(len(table), -1), columns=names)], axis=1)


@torch.no_grad()
def last_states(network: ClinicalGRU, stays: Sequences) -> np.ndarray:
    """Compute the state of the encoder after the last time step of each stay.

    Parameters
    ----------
    network : ClinicalGRU
        In evaluation mode.
    stays : Sequences
        Each with a measurement.

    Returns
    -------
    ndarray, shape (stay, unit)
    """
    outputs: list[tuple[Tensor, Batch]] = []
    handle = network.encoder.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    order, states = np.argsort(-stays.n_steps, kind="stable"), []
    try:
        for index in np.array_split(order, max(1, len(order) // BATCH_SIZE)):
            batch = network.make_batch(stays[index])
            network.logits(network.scaler(batch), batch)
            states.append(network.encoder.states_at(*outputs.pop()).cpu().numpy()[np.argsort(batch.order)])
    finally:
        handle.remove()
    return np.concatenate(states)[np.argsort(order)]

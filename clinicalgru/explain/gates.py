"""Gates of a GRU along one stay: what is retained of the state, and what elapsed time decays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clinicalgru import display
from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.prepared import check_one_network, prepare_stay
from clinicalgru.explain.targets import Explainable
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.encoder import Recurrent
from clinicalgru.model.network.network import ClinicalGRU

GATES = ("update", "reset", "decayed", "retained")


@dataclass(frozen=True, eq=False)
class Gates:
    """Gates of one layer of a GRU along one stay.

    Attributes
    ----------
    update : DataFrame, shape (hour, unit)
        Near 1 keeps the old state, near 0 takes the new one.
    reset : DataFrame, shape (hour, unit)
        Near 0 computes the new state without the old one.
    decayed : DataFrame, shape (hour, unit)
        Fraction of the state that was decayed by the hours since the time step before, from 0 to 1.
    retained : DataFrame, shape (hour, unit)
        Fraction of the state after the time step before that is still there: (1 - decayed) * update.
    state : DataFrame, shape (hour, unit)
        After each time step, from -1 to 1.
    """

    update: pd.DataFrame
    reset: pd.DataFrame
    decayed: pd.DataFrame
    retained: pd.DataFrame
    state: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Mean over the units of update, reset, decayed and retained, from 0 to 1, by hours since the index time."""
        return pd.DataFrame({name: getattr(self, name).mean(axis=1) for name in GATES}).reset_index()

    def plot(self, name: str = "retained", **options: Any) -> Any:
        """Draw the gates with Plotly.

        Parameters
        ----------
        name : {"retained", "decayed", "update", "reset", "equations"}
            Which gate to draw as a heat map of units by hours; "equations": all and the state, each under its equation.
        **options
            Passed on to the function that draws it.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.

        Raises
        ------
        ArgumentError
            If there is no figure of that name.
        """
        return display.plot(self, name, **options)

    def __str__(self) -> str:
        means = self.summary.drop(columns="hours").mean()
        return (
            f"{len(self.state)} steps, {self.state.shape[1]} units; on average {means['retained']:.0%} of the state "
            f"retained from step to step, {means['decayed']:.0%} decayed by time"
        )

    __repr__ = __str__


def gates(model: Explainable, stay: Sequences, *, layer: int = 0) -> Gates:
    """Compute the update and reset gates over the hours of one stay, and the decay of the state by elapsed time.

    Parameters
    ----------
    model : GRU estimator
        Fitted, of one network.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    layer : int
        Layer of the encoder, from 0.

    Returns
    -------
    Gates

    Raises
    ------
    ArgumentError
        If it is an ensemble, not one stay with a measurement, or there is no such layer. Also if the cell is not a GRU
        with its reset gate after the product, or has delayed feedback or strided convolutions.
    VariableMismatch
        If the variables of the stay are not those of the model.

    References
    ----------
    Cho et al. 2014; Che et al. 2018, Eqs. 10-14.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> cg.gates(model, stays[[0]]).retained.shape == (stays.n_steps[0], 4)
    True
    """
    check_one_network(model, "gates")
    prepared = prepare_stay(model, stay, caller="gates")
    (member, own), *_ = prepared.by_network()
    network, spec = member.network, member.network.spec
    if (spec.cell, spec.reset, spec.feedback_delay_hours) != ("gru", "after", None) or max(
        spec.convolution, default=1
    ) > 1:
        got = f"cell {spec.cell}, reset {spec.reset}, feedback_delay_hours {spec.feedback_delay_hours}, "
        fix = "Train such a model to look at its gates."
        expected = "a GRU that resets after the product, without delayed feedback and strides"
        raise ArgumentError(expected, f"{got}convolution {spec.convolution}", fix)
    check_number("layer", layer, minimum=0, maximum=spec.n_layers - 1, whole=True)
    with prepared.computing():
        values = _gate_values(network, own, int(layer))
    hours = np.unique(np.concatenate([own.hours, own.code_hours]) if spec.code_vocabulary else own.hours)
    index = pd.Index(hours, name="hours")
    return Gates(**{name: pd.DataFrame(tensor.numpy(), index=index) for name, tensor in values.items()})


def _gate_values(network: ClinicalGRU, stay: Sequences, layer: int) -> dict[str, Tensor]:
    """Each gate (step, unit), from the inputs of the layer and its states."""
    batch = network.make_batch(stay)
    recurrent = network.encoder.forward_layers[layer]
    assert isinstance(recurrent, Recurrent)
    with _recorded(recurrent) as recorded:
        network.logits(network.scaler(batch), batch)
    inputs, gap_hours, state = recorded  # on the device of the network
    decay = recurrent.state_decay(gap_hours)
    before = decay * torch.cat([torch.zeros_like(state[:1]), state[:-1]])
    projection = recurrent.project(inputs) + recurrent.recurrent(before)
    if recurrent.time_gate is not None:
        by_gap = recurrent.time_gate(torch.log1p(gap_hours))
        projection = projection + torch.cat([torch.zeros_like(by_gap), by_gap, torch.zeros_like(by_gap)], dim=1)
    reset, update = torch.sigmoid(projection[:, : 2 * state.shape[1]]).chunk(2, dim=1)
    gates = {"update": update, "reset": reset, "decayed": 1 - decay, "retained": decay * update, "state": state}
    return {name: values.cpu() for name, values in gates.items()}


@contextmanager
def _recorded(recurrent: Recurrent) -> Iterator[list[Tensor]]:
    """Record the inputs, gaps and states of a layer while the network runs."""
    recorded: list[Tensor] = []

    def record(_: Any, arguments: tuple[Tensor, Tensor, Batch], states: Tensor) -> None:
        recorded.extend((arguments[0], arguments[1], states))

    handle = recurrent.register_forward_hook(record)
    try:
        yield recorded
    finally:
        handle.remove()

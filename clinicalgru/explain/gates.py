"""Inside a GRU: what its gates kept and forgot at each step of a stay, and what elapsed time erased."""

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
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.voices import Explained, first, looked_at, one_network
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.encoder import Recurrent
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import threads


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates of one layer of a GRU along one stay; each frame has a row for each hour and a column for each unit.

    update  near 1 keeps the old state, near 0 takes the new one
    reset   near 0 makes the new state without looking at the old one
    decayed  part of the state that the hours since the step before erased, 0 to 1
    retained  part of the state after the step before that is still there: (1 - decayed) * update
    state   after each step, -1 to 1
    summary hours, and the mean over the units of update, reset, decayed and retained
    """

    update: pd.DataFrame
    reset: pd.DataFrame
    decayed: pd.DataFrame
    retained: pd.DataFrame
    state: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each hour."""
        frames = {name: getattr(self, name) for name in ("update", "reset", "decayed", "retained")}
        return pd.DataFrame({name: frame.mean(axis=1) for name, frame in frames.items()}).reset_index()

    def plot(self, name: str = "retained", **options: Any) -> Any:
        """Draw the gates with Plotly.

        Parameters
        ----------
        name : {"retained", "decayed", "update", "reset"}
            Which gate to draw as a heat map of units by hours.
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
            f"{len(self.state)} steps, {self.state.shape[1]} units; on average {means['retained']:.0%} of the state kept "
            f"from step to step, {means['decayed']:.0%} decayed by time"
        )


def gates(model: Explained, stay: Sequences, *, layer: int = 0) -> Gates:
    """Update and reset gates over the hours of one stay, what was kept, and what elapsed time erased.

    stay   sequences of one stay: test[[0]]
    layer  of the encoder, from 0
    Refused: an ensemble, other than one stay, a stay without measurements, other variables than the model's, a cell
    that is no GRU with its reset gate after the product and without delayed feedback, strides, a layer that does not
    exist.

    Source: Cho et al. 2014; Che et al. 2018, Eqs. 10-14.

    >>> inside = cg.gates(model, test[[0]])
    >>> inside.retained.shape == (test.n_steps[0], model.network_.spec.hidden_size)
    True
    """
    network = one_network(model, "gates")
    stay, spec = looked_at(model, stay, hours=None, name="gates"), network.spec
    plain = (spec.cell, spec.reset, spec.feedback_delay_hours) == ("gru", "after", None)
    if not plain or any(stride > 1 for stride in spec.convolution):
        got = f"cell {spec.cell}, reset {spec.reset}, feedback_delay_hours {spec.feedback_delay_hours}, strides {spec.convolution}"
        raise ArgumentError(
            "a GRU that resets after the product, no delay, no strides", got, "Gates are shown of such."
        )
    if not 0 <= layer < spec.n_layers:
        raise ArgumentError(f"a layer from 0 to {spec.n_layers - 1}", f"{layer}", "Choose one of them.")
    with threads(first(model).n_threads), torch.no_grad():
        found = _found(network, stay, layer)
    hours = np.unique(np.concatenate([stay.hours, stay.code_hours])) if spec.code_vocabulary else np.unique(stay.hours)
    index = pd.Index(hours, name="hours")
    return Gates(**{name: pd.DataFrame(tensor.numpy(), index=index) for name, tensor in found.items()})


def _found(network: ClinicalGRU, stay: Sequences, layer: int) -> dict[str, Tensor]:
    """Each gate (step, unit), from what the layer was given and the states it gave."""
    batch = network.batch(stay)
    recurrent = network.encoder.onward[layer]
    assert isinstance(recurrent, Recurrent)
    with _overheard(recurrent) as heard:
        network.logits(network.scales(batch), batch)
    inputs, gap_hours, state = heard
    kept = recurrent.state_decay(gap_hours)
    before = kept * torch.cat([torch.zeros_like(state[:1]), state[:-1]])
    drive = recurrent.project(inputs) + recurrent.recurrent(before)
    if recurrent.time_gate is not None:
        by_gap = recurrent.time_gate(torch.log1p(gap_hours))
        drive = drive + torch.cat([torch.zeros_like(by_gap), by_gap, torch.zeros_like(by_gap)], dim=1)
    reset, update = torch.sigmoid(drive[:, : 2 * state.shape[1]]).chunk(2, dim=1)
    return {"update": update, "reset": reset, "decayed": 1 - kept, "retained": kept * update, "state": state}


@contextmanager
def _overheard(recurrent: Recurrent) -> Iterator[list[Tensor]]:
    """What a layer is given and gives while the network runs: inputs, gaps, states."""
    heard: list[Tensor] = []

    def hear(_: Any, given: tuple[Tensor, Tensor, Batch], states: Tensor) -> None:
        heard.extend((given[0], given[1], states))

    handle = recurrent.register_forward_hook(hear)
    try:
        yield heard
    finally:
        handle.remove()

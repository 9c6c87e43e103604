"""A stay that is followed row by row: the network's state, attention and summaries, each updated in constant time."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError
from clinicalgru.model.features.clinical_indices import with_indices
from clinicalgru.model.network.attention import AdditiveAttention
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.encoder import CELLS, MEMORIES, Recurrent
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs

COLUMNS = ("n", "first", "last", "off", "square", "low", "high", "first_hours", "last_hours")  # of each variable


def check_followed(spec: NetworkSpec) -> None:
    """Raise where a network cannot be updated row by row in constant time.

    Parameters
    ----------
    spec : NetworkSpec
        The network.

    Raises
    ------
    ArgumentError
        If it looks back at all rows: bidirectional, convolution, multi-head attention, delayed feedback, coded
        events, or rolling statistics.
    """
    reasons = {
        "bidirectional": spec.bidirectional,
        "with a convolution": bool(spec.convolution),
        "with multi-head attention": spec.attention == "multihead",
        "with delayed feedback": spec.feedback_delay_hours is not None,
        "with coded events": bool(spec.code_vocabulary),
        "with rolling_hours": bool(spec.rolling_hours),
    }
    found = [words for words, holds in reasons.items() if holds]
    if found:
        fix = "Score its stays as a batch: score(model, extract)."
        raise ArgumentError("a network that is updated row by row", f"one {' and '.join(found)}", fix)


@dataclass
class RunningStay:
    """What a network keeps of a stay; its size does not depend on the number of rows.

    Attributes
    ----------
    summaries : ndarray of float, shape (9, variable)
        Number of measurements, first and last value, sums of deviations from the first and of their squares, lowest and
        highest value, hours of the first and last measurement.
    states : list of Tensor
        State of each layer.
    context : ndarray of float, shape (width,)
        Sum of the states of all rows, weighted by attention.
    weight : float
        Sum of the weights of attention.
    highest : float
        Highest score of attention so far, which the weights are relative to.
    begin : float or None
        Hours of the first row; None before it.
    state : Tensor, shape (1, width)
        What the last layer passes on.
    """

    summaries: np.ndarray
    states: list[Tensor]
    context: np.ndarray
    weight: float = 0.0
    highest: float = -np.inf
    begin: float | None = None
    state: Tensor = field(default_factory=lambda: torch.zeros(1, 0, dtype=torch.float32))

    @classmethod
    def of(cls, network: ClinicalGRU) -> RunningStay:
        """Make that of a stay without rows.

        Parameters
        ----------
        network : ClinicalGRU
            The network.

        Returns
        -------
        RunningStay
        """
        spec = network.spec
        summaries = np.full((len(COLUMNS), spec.variables), np.nan)
        summaries[0] = 0
        width = MEMORIES[spec.cell] * spec.hidden_size
        states = [torch.zeros(1, width, dtype=torch.float32) for _ in network.encoder.forward_layers]
        passed = torch.zeros(1, spec.width, dtype=torch.float32)
        return cls(summaries, states, np.zeros(network.attention.width), state=passed)

    @torch.no_grad()
    def after(self, network: ClinicalGRU, hours: float, row: list[tuple[int, float, float]]) -> RunningStay:
        """Give the stay after a further row.

        Parameters
        ----------
        network : ClinicalGRU
            The network.
        hours : float
            When the row became known; later than the rows before.
        row : list of (int, float, float)
            Variable, value and hours of each measurement, in order of time.

        Returns
        -------
        RunningStay
            A new one; this one stays as it is.
        """
        begin = hours if self.begin is None else self.begin
        before = np.where(self.summaries[0] > 0, self.summaries[8], begin)
        delta = torch.from_numpy((hours - before).astype(np.float32))[None]
        new = copy.copy(self)
        new.begin, new.summaries, new.states = begin, self.summaries.copy(), list(self.states)
        mask = torch.zeros(1, new.summaries.shape[1], dtype=torch.float32)
        for variable, value, measured in row:
            new._measure(variable, value, measured)
            mask[0, variable] = 1
        new._step(network, mask, delta)
        new._attend(network, hours - begin)
        return new

    def _measure(self, variable: int, value: float, hours: float) -> None:
        n, first, _, off, square, low, high, begin, _ = self.summaries[:, variable]
        if n == 0:
            self.summaries[:, variable] = 1, value, value, 0, 0, value, value, hours, hours
        else:
            sums = off + value - first, square + (value - first) ** 2
            self.summaries[:, variable] = n + 1, first, value, *sums, min(low, value), max(high, value), begin, hours

    def _step(self, network: ClinicalGRU, mask: Tensor, delta: Tensor) -> None:
        """The next state of each layer."""
        known = np.flatnonzero(self.summaries[0] > 0)
        score = torch.zeros_like(mask)
        last = torch.from_numpy(self.summaries[2, known].astype(np.float32))
        score[0, known] = network.scaler.value.at(last, torch.from_numpy(known))
        passed = network.encoder.steps.embed(score, mask, delta)
        for number, layer in enumerate(network.encoder.forward_layers):
            assert isinstance(layer, Recurrent)
            self.states[number] = _next_state(layer, passed, delta, self.states[number])
            passed = self.states[number][:, : network.spec.hidden_size]
            if network.encoder.norms:
                passed = network.encoder.norms[number](passed)
        self.state = passed

    def _attend(self, network: ClinicalGRU, hours: float) -> None:
        """Add the row to the sums of a softmax over all rows."""
        layer = network.attention
        if not isinstance(layer, AdditiveAttention):
            return
        score = layer.outer(torch.tanh(layer.inner(self.state))).item() + F.softplus(layer.rate).item() * hours
        highest = max(self.highest, score)
        kept, added = np.exp(self.highest - highest), np.exp(score - highest)
        self.context = self.context * kept + added * self.state[0].numpy().astype(np.float64)
        self.weight, self.highest = self.weight * kept + added, highest

    @torch.no_grad()
    def logits(self, network: ClinicalGRU, hours: float, static: np.ndarray, names: list[str]) -> Tensor:
        """Give the outputs of the network for a prediction now.

        Parameters
        ----------
        network : ClinicalGRU
            The network.
        hours : float
            Time of the prediction.
        static : ndarray of float, shape (static covariate,)
            Values; NaN where unknown.
        names : list of str
            Names of the variables.

        Returns
        -------
        Tensor, shape (member, 1, output)
        """
        return self.logits_with(network, hours, static[None], self._summaries(network, hours, names))

    @torch.no_grad()
    def logits_with(self, network: ClinicalGRU, hours: float, static: np.ndarray, summaries: np.ndarray) -> Tensor:
        """Give the outputs of the network for a prediction now, from summaries that were computed elsewhere.

        Parameters
        ----------
        network : ClinicalGRU
            The network.
        hours : float
            Time of the prediction.
        static : ndarray of float, shape (1, static covariate)
            Values; NaN where unknown.
        summaries : ndarray of float32, shape (1, variable x summary + index)
            As of `summarise`.

        Returns
        -------
        Tensor, shape (member, 1, output)
        """
        scores = network.scaler.summary(torch.from_numpy(summaries))
        known, none = (~scores.isnan()).to(scores.dtype), torch.zeros(0, dtype=torch.float32)
        fixed = network.scaler.static_inputs(torch.from_numpy(static.astype(np.float32)))
        inputs = Inputs(none, none, none, summaries=scores.nan_to_num(), summary_mask=known, static=fixed)
        context = self.context / self.weight if self.weight > 0 else self.context
        at = torch.tensor([hours], dtype=torch.float64)
        return network.logits_at(torch.from_numpy(context.astype(np.float32))[None], self.state, inputs, at)

    @torch.no_grad()
    def follow(
        self, network: ClinicalGRU, score: Tensor, mask: Tensor, delta_hours: Tensor, since_begin: Tensor
    ) -> None:
        """Take in many rows at once; the summaries stay as they are.

        Parameters
        ----------
        network : ClinicalGRU
            The network, whose cell is a GRU with its reset gate after the product.
        score, mask, delta_hours : Tensor, shape (row, variable)
            As of `StepEmbedding.embed`.
        since_begin : Tensor, shape (row,)
            Hours since the first row of the stay.
        """
        passed = network.encoder.steps.embed(score, mask, delta_hours)
        for number, layer in enumerate(network.encoder.forward_layers):
            assert isinstance(layer, Recurrent)
            passed = layer.following(passed, delta_hours, self.states[number])
            self.states[number] = passed[-1:].clone()
            if network.encoder.norms:
                passed = network.encoder.norms[number](passed)
        self.state, layer = passed[-1:].clone(), network.attention
        if isinstance(layer, AdditiveAttention):
            scores = layer.outer(torch.tanh(layer.inner(passed))).squeeze(1) + F.softplus(layer.rate) * since_begin
            highest = max(self.highest, scores.max().item())
            kept, added = np.exp(self.highest - highest), torch.exp(scores.double() - highest)
            self.context = self.context * kept + (added @ passed.double()).numpy()
            self.weight, self.highest = self.weight * kept + added.sum().item(), highest

    @np.errstate(invalid="ignore", divide="ignore")
    def _summaries(self, network: ClinicalGRU, hours: float, names: list[str]) -> np.ndarray:
        """(1, variable x summary + index), as of `summarise`."""
        n, first, last, off, square, low, high, begin, end = self.summaries
        mean = off / n
        std = np.sqrt(np.maximum(square / n - mean * mean, 0))
        columns = [np.log1p(n), first + mean, std, low, high, first, last, last - first, hours - begin, hours - end]
        summaries = np.stack(columns, axis=1).astype(np.float32).reshape(1, -1)
        return with_indices(summaries, names, network.scaler.indices)

    def to_dict(self) -> dict[str, Any]:
        """Give all that is kept, as plain values.

        Returns
        -------
        dict
            For `from_dict`.
        """
        arrays = {"summaries": self.summaries.tolist(), "context": self.context.tolist()}
        tensors = {"states": [state.tolist() for state in self.states], "state": self.state.tolist()}
        return {**arrays, **tensors, "weight": self.weight, "highest": self.highest, "begin": self.begin}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RunningStay:
        """Restore what `to_dict` gave.

        Parameters
        ----------
        content : dict
            Plain values.

        Returns
        -------
        RunningStay
        """
        numbers = {name: content[name] for name in ("weight", "highest", "begin")}
        states = [torch.tensor(state, dtype=torch.float32) for state in content["states"]]
        arrays = np.array(content["summaries"], dtype=float), states, np.array(content["context"], dtype=float)
        return cls(*arrays, **numbers, state=torch.tensor(content["state"], dtype=torch.float32))


def _next_state(layer: Recurrent, inputs: Tensor, delta: Tensor, state: Tensor) -> Tensor:
    """One step of a layer, as of `Recurrent.forward`."""
    projection, hidden = layer.project(inputs), layer.spec.hidden_size
    if layer.time_gate is not None:
        projection = projection + F.pad(layer.time_gate(torch.log1p(delta)), (hidden, (layer.gates - 2) * hidden))
    decayed = state * layer.state_decay(delta).repeat(1, MEMORIES[layer.spec.cell])
    cell = CELLS[layer.spec.cell, layer.spec.reset]
    return cell(projection, decayed, decayed[:, :hidden], layer.recurrent.weight, layer.recurrent.bias)

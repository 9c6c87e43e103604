"""A network as operators of ONNX: embedded time steps, recurrence, attention and readout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError
from clinicalgru.model.network.attention import MASKED_SCORE, AdditiveAttention, MultiHeadAttention
from clinicalgru.model.network.cells import GATES
from clinicalgru.model.network.config import N_ATTENTION_HEADS, NetworkSpec
from clinicalgru.model.network.embeddings import NumberEmbedding, VariableEmbedding
from clinicalgru.model.network.encoder import MEMORIES, Recurrent
from clinicalgru.model.network.layers import MAX_DECAY_EXPONENT, Decay
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.serve.onnx.features_graph import (
    Facts,
    Rows,
    padded,
    scores_of,
    static_inputs,
    summaries_of,
    with_indices,
)
from clinicalgru.serve.onnx.graph import Graph, Value

Step = Callable[[Value, Value, Value, Value, Value, int], Value]


def check_exported(spec: NetworkSpec) -> None:
    """Raise where a network has a part that is not exported.

    Parameters
    ----------
    spec : NetworkSpec
        The network.

    Raises
    ------
    ArgumentError
        If it has a convolution, delayed feedback, or rolling statistics.
    """
    reasons = {
        "a convolution": bool(spec.convolution),
        "delayed feedback": spec.feedback_delay_hours is not None,
        "rolling_hours": bool(spec.rolling_hours),
    }
    found = [words for words, holds in reasons.items() if holds]
    if found:
        expected = "a network with a GRU, LSTM or RNN of any layers and directions, and any attention"
        raise ArgumentError(expected, f"one with {' and '.join(found)}", "Train one without it.")


@dataclass(frozen=True)
class Shared:
    """What all networks of an ensemble share.

    Attributes
    ----------
    graph : Graph
        The graph.
    facts : Facts
        Its inputs.
    rows : Rows
        Time steps.
    summaries, known : Value
        Summaries of the variables, and whether there is one.
    names : list of str
        Names of the variables.
    hours : Value of float64, shape (stay,)
        Prediction times.
    """

    graph: Graph
    facts: Facts
    rows: Rows
    summaries: Value
    known: Value
    names: list[str]
    hours: Value

    @classmethod
    def of(cls, graph: Graph, facts: Facts, rows: Rows, names: list[str]) -> Shared:
        """Compute it from the inputs.

        Parameters
        ----------
        graph : Graph
            The graph.
        facts : Facts
            Its inputs.
        rows : Rows
            Time steps.
        names : list of str
            Names of the variables.

        Returns
        -------
        Shared
        """
        summaries, known = summaries_of(graph, facts, rows, len(names))
        return cls(graph, facts, rows, summaries, known, names, facts.end_hours)


@torch.no_grad()
def logits_of(network: ClinicalGRU, shared: Shared) -> Value:
    """Give the outputs of a network at the end of each stay.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    shared : Shared
        What it sees.

    Returns
    -------
    Value of float32, shape (member, stay, output)
    """
    graph, spec, facts, rows = shared.graph, network.spec, shared.facts, shared.rows
    check_exported(spec)
    states = _encoded(network, shared)
    context, state = _context(network, states, rows), _last_state(network, states, rows)
    summaries, known = with_indices(shared.summaries, shared.known, shared.names, network.scaler.indices)
    scores = scores_of(network.scaler.summary, summaries, graph.value(np.arange(spec.features), np.int64))
    mask = known.astype(np.float32)
    embedded = _number_embedding(network.embedding, graph.where(known, scores, 0.0), mask)
    parts = [*context, state, static_inputs(network.scaler, facts.static), embedded]
    if network.codes is not None and facts.code is not None and facts.code_stay is not None:
        table = network.codes.table.numpy()
        cell, ones = facts.code_stay * len(table) + facts.code, (facts.code > -1).astype(np.float32)
        seen = graph.scatter(graph.fill(np.float32(0), rows.stays * len(table)), cell, ones, "max")
        parts.append(seen.reshape(rows.stays, len(table)) @ graph.weight(table))
    if spec.window_hours:
        parts.append(_clock(shared.hours, spec.window_hours))
    return _readout(network, graph.concat(1, *parts))


def _linear(layer: nn.Module, inputs: Value) -> Value:
    """A linear layer on the last axis."""
    assert isinstance(layer, nn.Linear)
    product = inputs @ inputs.graph.weight(layer.weight.numpy().T)
    return product if layer.bias is None else product + layer.bias.numpy()


def _decay(layer: Decay, delta_hours: Value) -> Value:
    weight, bias = -F.softplus(layer.raw), -layer.bias
    graph = delta_hours.graph
    raw = delta_hours * weight.numpy() if layer.diagonal else delta_hours @ graph.weight(weight.numpy().T)
    limits = np.array(-MAX_DECAY_EXPONENT, dtype=np.float32), np.array(0, dtype=np.float32)
    return graph.op("Exp", graph.op("Clip", raw + bias.numpy(), *limits))


def _number_embedding(layer: NumberEmbedding, scores: Value, mask: Value | None) -> Value:
    """(row, feature x size) from (row, feature); all known where there is no mask."""
    graph, edges = scores.graph, layer.edges.numpy()
    weight = torch.cat([layer.line[:, None], layer.bins, layer.unknown[:, None]], dim=1).numpy()
    columns = scores.transpose(1, 0).unsqueeze(2)  # (feature, row, 1)
    limits = np.array(0, dtype=np.float32), np.array(1, dtype=np.float32)
    encoded = graph.op("Clip", (columns - edges[:-1]) / (edges[1:] - edges[:-1]), *limits)
    basis = graph.concat(2, columns, encoded)
    if mask is None:
        weight = weight[:, :-1]
    else:
        flags = mask.transpose(1, 0).unsqueeze(2)
        basis = graph.concat(2, basis * flags, graph.value(np.float32(1), np.float32) - flags)
    embedded = basis @ graph.weight(weight, axis=0)  # (feature, row, size)
    return embedded.transpose(1, 0, 2).reshape(0, weight.shape[0] * weight.shape[2])


def _variable_embedding(layer: VariableEmbedding, scores: Value, rows: Rows) -> Value:
    graph, variables = scores.graph, layer.covariates.shape[1]
    by_mask, by_gap, constant = layer.covariates.numpy()
    gaps = graph.op("Log", rows.delta_hours + 1.0)
    covariates = rows.mask.unsqueeze(3) * by_mask + gaps.unsqueeze(3) * by_gap + constant
    value = _number_embedding(layer.value, scores.reshape(-1, variables), None)
    return graph.op("Relu", value.reshape(rows.steps, rows.stays, -1) + covariates.reshape(0, 0, -1))


def _embedded(network: ClinicalGRU, shared: Shared) -> tuple[Value, Value]:
    """Inputs of the recurrence and its time gaps, (step, stay, ...)."""
    graph, rows, layer, facts = shared.graph, shared.rows, network.encoder.steps, shared.facts
    score = padded(scores_of(network.scaler.value, facts.value, facts.variable)).take(rows.locf)
    kept = _decay(layer.value_decay, rows.delta_hours)
    one = graph.value(np.float32(1), np.float32)
    decayed = score * (rows.mask + (one - rows.mask) * kept)
    inputs = graph.concat(2, decayed, rows.mask)
    if layer.embedding is not None:
        inputs = _variable_embedding(layer.embedding, decayed, rows)
    delta = rows.delta_hours
    if layer.codes is not None and facts.code is not None and rows.code_row is not None:
        table = layer.codes.table.numpy()
        empty = graph.fill(np.float32(0), rows.steps * rows.stays, table.shape[1])
        added = graph.weight(table).take(facts.code)
        sums = graph.op("ScatterND", empty, rows.code_row.unsqueeze(1), added, dtype=np.float32, reduction="add")
        inputs = graph.concat(2, inputs, sums.reshape(rows.steps, rows.stays, table.shape[1]))
        delta = graph.concat(2, delta, rows.interval_hours.unsqueeze(2))
    return inputs, delta


def _encoded(network: ClinicalGRU, shared: Shared) -> Value:
    """States of the last layer, (step, stay, width)."""
    graph, rows, encoder = shared.graph, shared.rows, network.encoder
    states, delta = _embedded(network, shared)
    gaps = network.spec.variables + bool(network.spec.code_vocabulary)
    for number, layer in enumerate(encoder.forward_layers):
        assert isinstance(layer, Recurrent)
        below = states
        states = _recurrent(layer, below, delta, rows)
        if len(encoder.backward_layers):
            other = encoder.backward_layers[number]
            assert isinstance(other, Recurrent)
            zero = graph.fill(np.float32(0), 1, rows.stays)
            to_next = graph.concat(0, rows.interval_hours.slice(1, rows.steps, 0), zero).unsqueeze(2)
            wide = graph.op("Expand", to_next, graph.shape(rows.steps, rows.stays, gaps))
            states = graph.concat(2, states, _recurrent(other, below, wide, rows, reverse=True))
        if len(encoder.norms):
            norm = encoder.norms[number]
            assert isinstance(norm, nn.LayerNorm)
            scale, bias = norm.weight.numpy(), norm.bias.numpy()
            states = graph.op("LayerNormalization", states, scale, bias, axis=-1, epsilon=norm.eps)
    return states


def _recurrent(layer: Recurrent, inputs: Value, delta: Value, rows: Rows, *, reverse: bool = False) -> Value:
    """(step, stay, hidden); padding leaves the state as it is, so that a reversed layer starts at the last step."""
    graph, spec, hidden = inputs.graph, layer.spec, layer.spec.hidden_size
    projection, decay = _linear(layer.project, inputs), _decay(layer.state_decay, delta)
    if layer.time_gate is not None:
        gate = _linear(layer.time_gate, graph.op("Log", delta + 1.0))
        left, right = (graph.fill(np.float32(0), rows.steps, rows.stays, hidden * n) for n in (1, GATES[spec.cell] - 2))
        projection = projection + graph.concat(2, left, gate, right)
    memories = MEMORIES[spec.cell]
    weight = graph.weight(layer.recurrent.weight.numpy().T)
    bias = graph.value(layer.recurrent.bias.numpy(), np.float32)
    cell = CELLS[spec.cell, spec.reset]

    def step(state: Value, here: Value, kept: Value, valid: Value) -> tuple[Value, Value]:
        decayed = state * (graph.concat(1, kept, kept) if memories > 1 else kept)
        new = graph.where(valid, cell(here, decayed, decayed.slice(0, hidden, 1), weight, bias, hidden), state)
        return new, new.slice(0, hidden, 1)

    start = graph.fill(np.float32(0), rows.stays, memories * hidden)
    return graph.scan(step, start, [projection, decay, rows.valid.unsqueeze(2)], reverse=reverse)


def _parts(value: Value, count: int, size: int) -> list[Value]:
    """Parts of one size of the second axis."""
    return [value.slice(size * i, size * (i + 1), 1) for i in range(count)]


def _gru(here: Value, decayed: Value, seen: Value, weight: Value, bias: Value, hidden: int) -> Value:
    graph = here.graph
    input_r, input_z, input_n = _parts(here, 3, hidden)
    product_r, product_z, product_n = _parts(seen @ weight + bias, 3, hidden)
    reset, update = graph.op("Sigmoid", input_r + product_r), graph.op("Sigmoid", input_z + product_z)
    candidate = graph.op("Tanh", input_n + reset * product_n)
    return candidate + update * (decayed - candidate)


def _gru_before(here: Value, decayed: Value, seen: Value, weight: Value, bias: Value, hidden: int) -> Value:
    graph = here.graph
    input_r, input_z, input_n = _parts(here, 3, hidden)
    product_r, product_z, _ = _parts(seen @ weight + bias, 3, hidden)
    reset, update = graph.op("Sigmoid", input_r + product_r), graph.op("Sigmoid", input_z + product_z)
    product_n = _parts((reset * seen) @ weight + bias, 3, hidden)[2]
    candidate = graph.op("Tanh", input_n + product_n)
    return candidate + update * (decayed - candidate)


def _lstm(here: Value, decayed: Value, seen: Value, weight: Value, bias: Value, hidden: int) -> Value:
    graph = here.graph
    input_gate, forget_gate, candidate, output_gate = _parts(here + seen @ weight + bias, 4, hidden)
    memory = graph.op("Sigmoid", forget_gate) * _parts(decayed, 2, hidden)[1]
    memory = memory + graph.op("Sigmoid", input_gate) * graph.op("Tanh", candidate)
    return graph.concat(1, graph.op("Sigmoid", output_gate) * graph.op("Tanh", memory), memory)


def _rnn(here: Value, decayed: Value, seen: Value, weight: Value, bias: Value, hidden: int) -> Value:
    return here.graph.op("Tanh", here + (seen @ weight + bias))


CELLS: dict[tuple[str, str], Step] = {
    ("gru", "after"): _gru,
    ("gru", "before"): _gru_before,
    ("lstm", "after"): _lstm,
    ("rnn", "after"): _rnn,
}


def _last_state(network: ClinicalGRU, states: Value, rows: Rows) -> Value:
    """State of the encoder at the end of each stay, (stay, width): the backward one is that of the first step."""
    width, hidden = network.spec.width, network.spec.hidden_size
    last = states.reshape(-1, width).take(rows.last_row)
    if width > hidden:
        first = states.slice(0, 1, 0).reshape(-1, width)
        last = last.graph.concat(1, last.slice(0, hidden, 1), first.slice(hidden, width, 1))
    return last * rows.has_steps


def _context(network: ClinicalGRU, states: Value, rows: Rows) -> list[Value]:
    """Context of attention, (stay, width), or nothing."""
    graph, layer = states.graph, network.attention
    valid = rows.valid.transpose(1, 0)  # (stay, step)
    hours = rows.hours.astype(np.float32).transpose(1, 0)
    since = hours - hours.slice(0, 1, 1)
    by_stay = states.transpose(1, 0, 2)
    if isinstance(layer, AdditiveAttention):
        score = _linear(layer.outer, graph.op("Tanh", _linear(layer.inner, by_stay))).reshape(0, -1)
        score = score + since * F.softplus(layer.rate).numpy()
        weight = graph.op("Softmax", graph.where(valid, score, MASKED_SCORE), axis=1) * valid.astype(np.float32)
        return [(weight.unsqueeze(1) @ by_stay).reshape(0, network.spec.width)]
    if isinstance(layer, MultiHeadAttention):
        return [_multihead(layer, states, by_stay, since=since, rows=rows)]
    return []


def _multihead(layer: MultiHeadAttention, states: Value, by_stay: Value, *, since: Value, rows: Rows) -> Value:
    graph, width = states.graph, layer.width
    size = width // N_ATTENTION_HEADS
    last = states.reshape(-1, width).take(rows.last_row)
    query = _linear(layer.query, last).reshape(0, N_ATTENTION_HEADS, 1, size)
    key, value = (
        _linear(one, by_stay).reshape(0, 0, N_ATTENTION_HEADS, size).transpose(0, 2, 1, 3)
        for one in (layer.key, layer.value)
    )  # (stay, head, step, size)
    score = (query @ key.transpose(0, 1, 3, 2)) / math.sqrt(size)
    score = score + since.unsqueeze(1, 2) * F.softplus(layer.rate).numpy().reshape(-1, 1, 1)
    valid = rows.valid.transpose(1, 0).unsqueeze(1, 2)
    weight = graph.op("Softmax", graph.where(valid, score, MASKED_SCORE), axis=3) * valid.astype(np.float32)
    context = (weight @ value).transpose(0, 2, 1, 3).reshape(-1, width)
    return _linear(layer.out, context) * rows.has_steps


def _clock(hours: Value, window_hours: tuple[float, ...]) -> Value:
    """As `network.clock`, (stay, 2)."""
    graph, (first, last) = hours.graph, window_hours
    passed = graph.op("Clip", hours - first, np.array(0.0), np.array(float(last - first)))
    place = [passed / (last - first) - 1.0, graph.op("Log", passed + 1.0) - math.log1p(last - first)]
    return graph.concat(1, *(one.unsqueeze(1) for one in place)).astype(np.float32)


def _readout(network: ClinicalGRU, inputs: Value) -> Value:
    """(member, stay, output)"""
    visible = network.visible if isinstance(network.visible, torch.Tensor) else None
    members = list[Value]()
    for _, readout, columns in network.readout.parts():
        seen = inputs if columns is None else inputs.take(columns.numpy(), axis=1)
        scale = readout.input_scale if visible is None else readout.input_scale * visible
        hidden = seen.unsqueeze(0) * scale.numpy()
        for block in (readout.first, readout.second):
            hidden = inputs.graph.op("Relu", _linear(block[0], hidden))
        members.append(hidden @ inputs.graph.weight(readout.last.numpy(), axis=0) + readout.bias.numpy())
    return members[0] if len(members) == 1 else inputs.graph.concat(0, *members)

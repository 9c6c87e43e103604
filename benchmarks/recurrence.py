"""The recurrence against torch's own: one training step of one layer, ratios side by side in one run, on one thread.

    python benchmarks/recurrence.py [--rounds 9]

ours       drive = linear([values, observed]), decay = exp(-relu(linear(gap_hours))), gru_layer: native if built
torch      the same layer from torch operations, with gru_scan
plain      the same layer over gru_scan_plain
GRUCell    a loop over nn.GRUCell on [values, observed] with the same decay
nn.GRU     on the values alone: half the inputs, no decay, no mask; padded where lengths differ
nn.GRU 72  on [values, observed]: as many inputs as ours, no decay
packed     nn.GRU on the values as a PackedSequence, where lengths differ
products   the matrix products of ours and nothing else: the floor

Times are of the processor. The contestants take turns, so that whatever else the machine does falls on all of them; a
ratio is the median over the rounds of time / time of nn.GRU in the same round, or that of the least times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from clinicalgru.model.network.native import gru_layer
from clinicalgru.model.network.recurrence import gru_scan, gru_scan_plain, packed_rows

VARIABLES = 36
Step = Callable[[], Any]


@dataclass(frozen=True)
class SimulatedCohort:
    """Random stays: lengths from the longest to the shortest; inputs as packed rows and padded (step, stay, input)."""

    lengths: list[int]
    hidden: int
    inputs: Tensor  # (row, 2 * variable)  values, observed
    gap_hours: Tensor  # (row, variable)
    padded: Tensor  # (step, stay, 2 * variable)

    @property
    def sizes(self) -> list[int]:
        return packed_rows(self.lengths)


def cohort(lengths: list[int], hidden: int) -> SimulatedCohort:
    steps, stays = lengths[0], len(lengths)
    observed = (torch.rand(steps, stays, VARIABLES) < 0.3).float()
    padded = torch.cat([torch.randn(steps, stays, VARIABLES) * observed, observed], dim=2)
    valid = torch.arange(steps)[:, None] < torch.tensor(lengths)
    return SimulatedCohort(lengths, hidden, padded[valid], torch.rand(int(valid.sum()), VARIABLES) * 5, padded)


class Layer(nn.Module):
    """A time-aware GRU layer; `scan` runs the recurrence."""

    def __init__(self, hidden: int, scan: Callable[..., Tensor]) -> None:
        super().__init__()
        self.cell, self.forget, self.scan = nn.GRUCell(2 * VARIABLES, hidden), nn.Linear(VARIABLES, hidden), scan

    def decay(self, gap_hours: Tensor) -> Tensor:
        return torch.exp(-torch.relu(self.forget(gap_hours)))

    def forward(self, inputs: Tensor, gap_hours: Tensor, sizes: list[int]) -> Tensor:
        cell = self.cell
        drive = nn.functional.linear(inputs, cell.weight_ih, cell.bias_ih)
        return self.scan(drive, self.decay(gap_hours), cell.weight_hh, cell.bias_hh, sizes)


class Fused(Layer):
    """The layer as the network runs it."""

    def forward(self, inputs: Tensor, gap_hours: Tensor, sizes: list[int]) -> Tensor:
        cell, forget = self.cell, self.forget
        return gru_layer(
            inputs,
            gap_hours,
            input_weights=(cell.weight_ih, cell.bias_ih),
            decay_weights=(-forget.weight, -forget.bias),
            weights=(cell.weight_hh, cell.bias_hh),
            sizes=sizes,
        )


class CellLoop(Layer):
    """What one writes first: `nn.GRUCell`, step after step."""

    def forward(self, inputs: Tensor, gap_hours: Tensor, sizes: list[int]) -> Tensor:
        state, states = inputs.new_zeros(sizes[0], self.cell.hidden_size), []
        for step, decay, size in zip(inputs.split(sizes), self.decay(gap_hours).split(sizes), sizes, strict=True):
            state = self.cell(step, decay * state[:size])
            states.append(state)
        return torch.cat(states)


def training_step(module: nn.Module, *inputs: Any) -> Step:
    """Forward, and backward from a fixed gradient of the states."""
    grad: list[Tensor] = []

    def run() -> None:
        module.zero_grad()
        states = module(*inputs)
        states = states if isinstance(states, Tensor) else states[0]
        states = states.data if isinstance(states, PackedSequence) else states
        if not grad:
            grad.append(torch.randn_like(states))
        states.backward(grad[0])

    return run


def products(stays: SimulatedCohort) -> Step:
    """The matrix products of one training step of ours, on operands of the right shapes."""
    hidden, rows = stays.hidden, len(stays.inputs)
    drive, states = torch.randn(rows, 3 * hidden), torch.randn(rows, hidden)
    weight, weight_in = torch.randn(3 * hidden, hidden), torch.randn(3 * hidden, 2 * VARIABLES)
    weight_gap = torch.randn(hidden, VARIABLES)
    outs = [(states[:size], drive[:size].clone(), states[:size].clone()) for size in stays.sizes]

    def run() -> None:
        torch.mm(stays.inputs, weight_in.t())
        torch.mm(stays.gap_hours, weight_gap.t())
        for state, gates, back in outs:
            torch.mm(state, weight.t(), out=gates)
            torch.mm(gates, weight, out=back)
        for left, right in ((drive, states), (drive, stays.inputs), (states, stays.gap_hours)):
            torch.mm(left.t(), right)

    return run


def contestants(stays: SimulatedCohort) -> dict[str, Step]:
    """By name, the reference first."""
    hidden, packed = stays.hidden, (stays.inputs, stays.gap_hours, stays.sizes)
    values = stays.padded[..., :VARIABLES].contiguous()
    sequence = PackedSequence(stays.inputs[:, :VARIABLES].contiguous(), torch.tensor(stays.sizes))
    steps = {
        "nn.GRU": training_step(nn.GRU(VARIABLES, hidden), values),
        "ours": training_step(Fused(hidden, gru_scan), *packed),
        "torch": training_step(Layer(hidden, gru_scan), *packed),
        "nn.GRU 72": training_step(nn.GRU(2 * VARIABLES, hidden), stays.padded),
        "GRUCell": training_step(CellLoop(hidden, gru_scan), *packed),
        "plain": training_step(Layer(hidden, gru_scan_plain), *packed),
        "products": products(stays),
    }
    if stays.lengths[0] > stays.lengths[-1]:
        steps["packed"] = training_step(nn.GRU(VARIABLES, hidden), sequence)
    return steps


def timed(step: Step) -> float:
    """Milliseconds of the processor."""
    begin = time.process_time()
    step()
    return (time.process_time() - begin) * 1e3


def race(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round, after one round to warm up; the contestants take turns."""
    for step in steps.values():
        step()
    taken = [{name: timed(step) for name, step in steps.items()} for _ in range(rounds)]
    return {name: [turn[name] for turn in taken] for name in steps}


def report(title: str, times: dict[str, list[float]]) -> None:
    """Median and fastest milliseconds, the median of the ratios to nn.GRU and to ours, and the ratio of the fastest."""
    print(f"\n{title}\n{'':10s}{'median ms':>10s}{'min ms':>10s}{'/ nn.GRU':>10s}{'/ ours':>10s}{'min / min':>10s}")
    least = min(times["nn.GRU"])
    for name, taken in times.items():
        to_gru, to_ours = (statistics.median(map(float.__truediv__, taken, times[to])) for to in ("nn.GRU", "ours"))
        columns = f"{statistics.median(taken):10.1f}{min(taken):10.1f}{to_gru:10.2f}{to_ours:10.2f}"
        print(f"{name:10s}{columns}{min(taken) / least:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds; {VARIABLES} variables; float32")
    for stays, steps, hidden in ((64, 200, 64), (128, 48, 128), (32, 1000, 64)):
        title = f"{stays} stays, {steps} steps each, hidden {hidden}"
        report(title, race(contestants(cohort([steps] * stays, hidden)), rounds))
    lengths = sorted(torch.randint(20, 201, (64,)).tolist(), reverse=True)
    title = f"64 stays, 20 to 200 steps ({sum(lengths)} of {64 * lengths[0]} padded cells filled), hidden 64"
    report(title, race(contestants(cohort(lengths, 64)), rounds))


if __name__ == "__main__":
    main()

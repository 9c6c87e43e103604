"""Training and prediction on a graphics processor: our network's times, and the ratio of the layer to cuDNN's nn.GRU.

    python benchmarks/device.py [--rounds 9]

layer      one training step of the GRU layer with decay and mask, relative to nn.GRU on the values alone (cuDNN)
network    a training step of the whole network, on the CPU and on the device; the largest difference of its outputs

Without a CUDA device it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from recurrence import VARIABLES, Layer, cohort, training_step
from torch import nn

import clinicalgru as cg
from clinicalgru.model.network.recurrence import gru_scan
from clinicalgru.model.training.device import placed, resolve_device

NONE = (
    "There is no CUDA device here: nothing is measured. The times of a CPU are those of recurrence.py and training.py."
)
SHAPES = ((64, 200, 64), (128, 48, 128), (32, 1000, 64))


def median_ms(step: Callable[[], Any], rounds: int) -> float:
    """Median milliseconds of a step, after two to warm up; the device has finished before each clock is read."""
    taken = []
    for number in range(rounds + 2):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        step()
        torch.cuda.synchronize()
        taken += [(time.perf_counter() - begin) * 1e3] if number > 1 else []
    return statistics.median(taken)


def layers(rounds: int, device: torch.device) -> None:
    """Print the layer against cuDNN at the shapes of recurrence.py."""
    print(f"{'stays, steps, hidden':24s}{'nn.GRU ms':>12s}{'ours ms':>12s}{'ratio':>8s}")
    for stays, steps, hidden in SHAPES:
        one = cohort([steps] * stays, hidden)
        values = one.padded[..., :VARIABLES].contiguous().to(device)
        theirs = training_step(nn.GRU(VARIABLES, hidden).to(device), values)
        packed = (one.inputs.to(device), one.gap_hours.to(device), one.sizes)
        ours = training_step(Layer(hidden, gru_scan).to(device), *packed)
        times = [median_ms(step, rounds) for step in (theirs, ours)]
        print(f"{f'{stays}, {steps}, {hidden}':24s}{times[0]:12.1f}{times[1]:12.1f}{times[1] / times[0]:8.1f}")


def networks(rounds: int, device: torch.device) -> None:
    """Print a training step of the whole network on both, and how far its outputs are apart."""
    stays = cg.select(cg.read_events(cg.simulate(400)), cg.Task.load("in_hospital_mortality"))[:128]
    network, head = cg.GRUClassifier().init_network(stays)
    batch, times, outputs = network.eval().make_batch(stays), [], []
    labels = head.labels(stays, batch)
    for where in (torch.device("cpu"), device):
        there = placed(network, where)
        outputs.append(there(batch).detach())
        times.append(median_ms(lambda there=there: head.loss(there(batch), labels).backward(), rounds))
    apart = (outputs[0] - outputs[1]).abs().max().item()
    print(f"\nnetwork, 128 stays: CPU {times[0]:.1f} ms, {device} {times[1]:.1f} ms")
    print(f"outputs apart by at most {apart:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    if not torch.cuda.is_available():
        print(NONE)
        return
    device = resolve_device("cuda")
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}, {rounds} rounds")
    layers(rounds, device)
    networks(rounds, device)


if __name__ == "__main__":
    main()

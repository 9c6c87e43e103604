"""What each part of a training step costs: PhysioNet 2012 set a, one batch, milliseconds of the processor.

    python benchmarks/training_parts.py --data physionet2012 [--hidden 64] [--batch 128] [--cuts 2] [--repeats 9]

Least of the repeats on one thread, for hourly steps and for the times as they were measured, without and with copies
cut at random hours. Parts that are indented are contained in the part above them; "backward" includes the forward pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from training import hourly

import clinicalgru as cg
from clinicalgru.model.estimators.arguments import training_config
from clinicalgru.model.features.summaries import summaries_at_end
from clinicalgru.model.network.collate import NO_PREFIXES
from clinicalgru.model.training.adamw import AdamW
from clinicalgru.model.training.cuts import CutStays, points_of, with_cuts
from clinicalgru.model.training.optimizer import clip_gradients, make_optimizer


def least(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Milliseconds of the fastest repeat, and what the last one gave."""
    best, found = np.inf, None
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        best = min(best, time.process_time() - began)
    return 1000 * best, found


def backward(work: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Forward and backward pass."""

    def both() -> None:
        made = work()
        made.backward(torch.ones_like(made))

    return both


def parts(stays: cg.Sequences, *, hidden: int, batch: int, n_cuts: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each part of a step."""
    estimator = cg.GRUClassifier(cg.NetworkConfig(hidden_size=hidden), batch_size=batch, n_cuts=n_cuts)
    estimator.random_state_ = 0
    network, head = estimator.init_network(stays)
    optimizer: AdamW = make_optimizer(network, training_config(estimator))
    index = np.random.default_rng(0).permutation(len(stays))[:batch]
    took: dict[str, float] = {}

    def measure(name: str, work: Callable[[], Any]) -> Any:
        took[name], found = least(work, repeats)
        return found

    complete = measure("selecting stays", lambda: stays[index])
    retained = np.random.default_rng(1).random(len(complete.value)) >= 0.15

    def thinned() -> CutStays:
        rng = np.random.default_rng(2)
        if not n_cuts:
            return CutStays(complete.filter_measurements(retained), np.arange(len(complete)), NO_PREFIXES)
        return with_cuts(complete, retained, n_cuts=n_cuts, measurement_dropout=0.15, rng=rng)

    copies, _, prefixes = measure("leaving out measurements, cuts", thinned)
    made = measure("batch", lambda: network.make_batch(copies, prefixes=prefixes))
    measure("  summaries", lambda: summaries_at_end(copies, indices=network.spec.clinical_indices))
    inputs = measure("normal scores", lambda: network.scaler(made))
    measure("encoder, backward", backward(lambda: network.encoder(inputs, made)[0]))
    measure("  inputs of its steps, backward", backward(lambda: network.encoder.steps(inputs, made)))
    states = network.encoder(inputs, made)[0].detach().requires_grad_()
    measure("attention, backward", backward(lambda: network.attention(states, made)[0]))
    measure("embedded summaries, backward", backward(lambda: network.embedding(inputs.summaries, inputs.summary_mask)))
    seen = torch.randn(len(made.point_row), network.readout.first[0].weight.shape[1], requires_grad=True)
    measure("readout, backward", backward(lambda: network.readout(seen)))
    labels = head.labels(copies, points_of(made, np.ones(len(made.point_row), dtype=bool)))
    measure("whole network and loss, backward", lambda: head.loss(network.logits(inputs, made)[0], labels).backward())
    measure("clipping and optimiser", lambda: (clip_gradients(network, 1.0), optimizer.step()))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--stays", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))[: arguments.stays]
    sizes = {"hidden": arguments.hidden, "batch": arguments.batch, "repeats": arguments.repeats}
    table = {
        f"{name}, {n_cuts} cuts": parts(part, n_cuts=n_cuts, **sizes)
        for name, part in (("hourly", hourly(stays)), ("irregular", stays))
        for n_cuts in (0, arguments.cuts)
    }
    print(pd.DataFrame(table).round(1).to_string())


if __name__ == "__main__":
    main()

"""One epoch of training on PhysioNet 2012 set a, next to other libraries: the same stays, hidden size and batch.

    python benchmarks/training.py --data physionet2012 [--epochs 3] [--hidden 64] [--batch 128] [--stays 1200]

hourly steps    ours with the risk at the end alone, as the others learn it, and with two more predictions at random
                hours of each stay (the default); with one member and a small readout; from torch operations; a plain
                padded `nn.GRU` classifier, which has neither decay, gaps, attention nor summaries; PyPOTS GRU-D, left
                out where it is not installed
irregular times ours on the distinct hours as they were measured, with what that costs

Seconds are of the processor, the best of the epochs, on one thread. Ours make their batches from the measurements in
every epoch; the padded tensors of the others are made once, outside the time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pypots_grud import HOURS, Standard, available, grud, quiet
from torch import nn

import clinicalgru as cg
from clinicalgru.model.network.collate import collate
from clinicalgru.model.network.native import SWITCH


class Plain(nn.Module):
    """Last values and masks through nn.GRU; the last state through a line."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(inputs, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, padded: torch.Tensor) -> torch.Tensor:
        return self.last(self.gru(padded)[0][:, -1]).squeeze(1)


def hourly(stays: cg.Sequences) -> cg.Sequences:
    """The same measurements on whole hours, those of an hour in one step."""
    return replace(stays, hours=np.floor(stays.hours), availability_lag=np.zeros_like(stays.availability_lag))


def padded(stays: cg.Sequences, steps: int = 49) -> torch.Tensor:
    """(stay, step, 2 x variable): standardised values carried forward, and masks."""
    values = np.full((len(stays), steps, len(stays.variables)), np.nan, dtype=np.float32)
    values[stays.stay_of_measurement, np.floor(stays.hours).astype(int), stays.variable] = stays.value
    observed = ~np.isnan(values)
    seen = np.maximum.accumulate(np.where(observed, np.arange(steps)[None, :, None], 0), axis=1)
    values = np.take_along_axis(values, seen, axis=1)
    values = (values - np.nanmean(values, axis=(0, 1))) / np.nanstd(values, axis=(0, 1)).clip(1e-6)
    return torch.from_numpy(np.concatenate([np.nan_to_num(values), observed], axis=2, dtype=np.float32))


def plain_epochs(stays: cg.Sequences, *, epochs: int, hidden: int, batch: int) -> float:
    inputs, outcome = padded(stays), torch.from_numpy(stays.outcome).float()
    network = Plain(inputs.shape[2], hidden)
    optimizer = torch.optim.AdamW(network.parameters(), foreach=False)

    def epoch() -> None:
        for index in torch.randperm(len(stays)).split(batch):
            loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[index]), outcome[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return min(_seconds(epoch) for _ in range(epochs))


class Timed:
    """Callback that measures the processor time of each epoch but the first."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """Nothing to do."""

    def on_epoch_end(self, entry: dict[str, float], *, best: int) -> None:
        """Seconds since the epoch before."""
        now = time.process_time()
        self.seconds += [now - self.last] if self.last else []
        self.last = now


def our_epochs(stays: cg.Sequences, *, epochs: int, batch: int, n_cuts: int = 0, **sizes: int) -> float:
    """Seconds of the best epoch, with the prediction of the few stays that it is stopped by."""
    train, tune = cg.split_patients(stays, [0.98, 0.02], random_state=0)
    options = {"batch_size": batch, "max_epochs": 1 + epochs, "patience": 1 + epochs, "n_cuts": n_cuts}
    timed = Timed()
    model = cg.GRUClassifier(cg.NetworkConfig(**sizes), distillation=0.0, **options)
    model.fit(train, validation=tune, verbose=False, callbacks=(timed,))
    return min(timed.seconds) * len(stays) / len(train)


def collating(stays: cg.Sequences, batch: int) -> float:
    order = np.argsort(-stays.n_steps)
    return _seconds(lambda: [collate(stays[order[i : i + batch]]) for i in range(0, len(stays), batch)])


def pypots_epochs(stays: cg.Sequences, *, epochs: int, hidden: int, batch: int) -> float:
    data = {"X": Standard.of(stays)(stays), "y": stays.outcome.astype(int)}

    def fit(count: int) -> None:
        sizes = {"n_steps": HOURS, "n_features": data["X"].shape[2], "n_classes": 2, "rnn_hidden_size": hidden}
        with quiet():
            grud()(**sizes, batch_size=batch, epochs=count, device="cpu", verbose=False).fit(data)

    fit(1)  # what is slow but once is not counted
    return (_seconds(lambda: fit(1 + epochs)) - _seconds(lambda: fit(1))) / epochs


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--stays", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    events = cg.read_events(
        arguments.data / "set-a.tar.gz", source="physionet2012", outcomes=arguments.data / "Outcomes-a.txt"
    )
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))[: arguments.stays]
    grid, epochs, hidden, batch = hourly(stays), arguments.epochs, arguments.hidden, arguments.batch
    small = {"ensemble_size": 1, "readout_size": 32}
    found = {"plain nn.GRU, hourly": plain_epochs(stays, epochs=epochs, hidden=hidden, batch=batch)}
    found["ours, hourly"] = our_epochs(grid, epochs=epochs, batch=batch, hidden_size=hidden)
    found["ours, hourly, two cuts"] = our_epochs(grid, epochs=epochs, batch=batch, n_cuts=2, hidden_size=hidden)
    found["ours, hourly, small readout"] = our_epochs(grid, epochs=epochs, batch=batch, hidden_size=hidden, **small)
    found["ours, irregular times"] = our_epochs(stays, epochs=epochs, batch=batch, hidden_size=hidden)
    found["ours, irregular, two cuts"] = our_epochs(stays, epochs=epochs, batch=batch, n_cuts=2, hidden_size=hidden)
    os.environ[SWITCH] = "0"
    found["ours, hourly, torch scan"] = our_epochs(grid, epochs=epochs, batch=batch, hidden_size=hidden)
    found["ours, irregular, torch scan"] = our_epochs(stays, epochs=epochs, batch=batch, hidden_size=hidden)
    del os.environ[SWITCH]
    found["of which batches"] = collating(stays, batch)
    if available():
        found["PyPOTS GRU-D, hourly"] = pypots_epochs(stays, epochs=epochs, hidden=hidden, batch=batch)
    base = found["plain nn.GRU, hourly"]
    print(
        f"{len(stays):,} stays; {grid.n_steps.mean():.0f} hourly steps a stay, "
        f"{stays.n_steps.mean():.0f} irregular ones"
    )
    for name, seconds in found.items():
        print(f"{name:<30}{seconds:>7.2f} s an epoch{seconds / base:>7.2f} x plain nn.GRU")


if __name__ == "__main__":
    main()

"""Which learning rate? A sweep from small to large over a few hundred steps, which the estimator does not remember."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.training.torch_settings import seeded, threads, torch_defaults
from clinicalgru.model.training.training import bucketed

KEPT = 0.9  # part of the running mean of the losses that each step keeps
WORSE = 4.0  # the sweep ends where the running mean has risen so many times as far as it had fallen
SAFE = 10.0  # the suggestion lies so many times below the rate of the lowest loss


@dataclass(frozen=True, eq=False)
class RateSweep:
    """What a sweep of learning rates found.

    table       one row a step: learning_rate, loss (of its batch), smoothed (running mean, without its start's bias)
    suggestion  a tenth of the rate at which the running mean was lowest
    """

    table: pd.DataFrame
    suggestion: float

    def __repr__(self) -> str:
        return f"RateSweep({len(self.table)} steps, suggestion {self.suggestion:.2g})"


def find_learning_rate(
    estimator: GRUEstimator,
    stays: Sequences,
    *,
    low: float = 1e-5,
    high: float = 1.0,
    steps: int = 150,
    random_state: int = 0,
) -> RateSweep:
    """Train a fresh network with rates that rise from `low` to `high`, a batch each, and see where the loss turns.

    The estimator is left as it is. Recurrent networks are sensitive to the rate: start a search from here.
    Refused: rates that do not rise above 0, fewer than 20 steps, stays that the estimator refuses.
    Source: Smith 2017, the learning rate range test.

    returns  a `RateSweep`
    """
    if not 0 < low < high < np.inf or steps < 20:
        raise ArgumentError(
            "0 < low < high, and 20 steps or more", f"{low:g}, {high:g} and {steps}", "Use the defaults."
        )
    one = clone(estimator)
    with torch_defaults(), threads(one.threads), seeded([random_state]):
        losses = _losses(one, stays, np.geomspace(low, high, steps), np.random.default_rng(random_state))
    table = pd.DataFrame(losses, columns=["learning_rate", "loss", "smoothed"])
    lowest = int(np.argmin(table["smoothed"].to_numpy()))
    return RateSweep(table, float(table["learning_rate"].to_numpy()[lowest] / SAFE))


def _losses(
    one: GRUEstimator, stays: Sequences, rates: np.ndarray, chance: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Rate, loss and running mean of each step, until the loss runs away."""
    network, head = one.init_network(stays), one.head_
    optimizer = torch.optim.AdamW(network.parameters(), lr=float(rates[0]), foreach=False)
    passed, mean, batches = list[tuple[float, float, float]](), 0.0, list[np.ndarray]()
    for number, rate in enumerate(rates.tolist()):
        batches = batches or bucketed(stays.n_steps, one.batch_size, chance)
        part = stays[batches.pop()]
        batch = network.batch(part, every_step=head.per_step)
        loss = head.loss(network(batch)[..., : head.n_outputs], head.labels(part, batch))
        if not torch.isfinite(loss):
            break
        mean = KEPT * mean + (1 - KEPT) * loss.item()
        passed.append((rate, loss.item(), mean / (1 - KEPT ** (number + 1))))
        first, least = passed[0][2], min(entry[2] for entry in passed)
        if passed[-1][2] > least + WORSE * max(first - least, 0.1 * abs(first)):
            break
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=False)
        optimizer.step()
    return passed

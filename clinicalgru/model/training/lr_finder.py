"""Learning rate range test (Smith 2017): the loss while the learning rate rises over a few hundred batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.validation_split import stays_of_batch
from clinicalgru.model.training.adamw import AdamW
from clinicalgru.model.training.torch_settings import seeded, threads, torch_defaults
from clinicalgru.model.training.training import bucket_by_length

SMOOTHING = 0.9  # weight of the past in the running mean of the losses
DIVERGENCE_FACTOR = 4.0  # the sweep ends where the running mean has risen so many times as far as it had fallen
SAFETY_FACTOR = 10.0  # the suggestion is the rate of the lowest loss divided by this
MIN_STEPS = 20


@dataclass(frozen=True, eq=False)
class LearningRateSweep:
    """Result of a learning rate range test.

    Attributes
    ----------
    table : DataFrame
        One row for each batch: learning_rate, loss, smoothed (bias-corrected running mean of the losses).
    suggestion : float
        A tenth of the learning rate at which the running mean was lowest.
    """

    table: pd.DataFrame
    suggestion: float

    def __repr__(self) -> str:
        return f"LearningRateSweep({len(self.table)} steps, suggestion {self.suggestion:.2g})"


def find_learning_rate(
    estimator: GRUEstimator,
    stays: Sequences,
    *,
    low: float = 1e-5,
    high: float = 1.0,
    n_steps: int = 150,
    random_state: int = 0,
) -> LearningRateSweep:
    """Train a new network while the learning rate rises, and suggest a rate from where the loss is lowest.

    Parameters
    ----------
    estimator : GRUEstimator
        Its arguments are used; it is not changed.
    stays : Sequences
        Training stays.
    low, high : float
        First and last learning rate; they rise geometrically.
    n_steps : int
        Number of batches, 20 or more.
    random_state : int
        Seed.

    Returns
    -------
    LearningRateSweep
        The losses, and a suggestion.

    Raises
    ------
    ArgumentError
        For rates that do not rise from above 0, or too few steps.
    TrainingError
        For stays that the estimator refuses.

    References
    ----------
    Smith 2017, Cyclical learning rates for training neural networks: the range test.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60, random_state=0)), Task.load("in_hospital_mortality"))
    >>> find_learning_rate(GRUClassifier(), stays, n_steps=20).suggestion < 1
    True
    """
    check_instance("estimator", estimator, GRUEstimator, fix="Pass GRUClassifier(), or another GRU estimator.")
    check_number("low", low, minimum=0, open_minimum=True)
    check_number("high", high, minimum=0, open_minimum=True)
    check_number("n_steps", n_steps, minimum=MIN_STEPS, whole=True)
    if low >= high:
        raise ArgumentError("0 < low < high", f"{low:g} and {high:g}", "Use the defaults.")
    with torch_defaults(), threads(int(estimator.n_threads)), seeded([random_state]):
        losses = _losses(estimator, stays, np.geomspace(low, high, n_steps), np.random.default_rng(random_state))
    table = pd.DataFrame(losses, columns=["learning_rate", "loss", "smoothed"])
    lowest = int(np.argmin(table["smoothed"].to_numpy()))
    return LearningRateSweep(table, float(table["learning_rate"].to_numpy()[lowest] / SAFETY_FACTOR))


def _losses(
    estimator: GRUEstimator, stays: Sequences, rates: np.ndarray, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Give rate, loss and running mean of each batch, until the loss diverges."""
    network, head = estimator.init_network(stays)
    optimizer = AdamW([{"params": list(network.parameters()), "weight_decay": 0.01}], lr=float(rates[0]))
    rows, mean, batches = list[tuple[float, float, float]](), 0.0, list[np.ndarray]()
    for number, rate in enumerate(rates.tolist()):
        batches = batches or bucket_by_length(stays.n_steps, stays_of_batch(estimator.batch_size, stays), rng)
        part = stays[batches.pop()]
        batch = network.make_batch(part, per_step=head.per_step)
        loss = head.loss(network(batch)[..., : head.n_outputs], head.labels(part, batch))
        if not torch.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss.item()
        rows.append((rate, loss.item(), mean / (1 - SMOOTHING ** (number + 1))))
        if _diverged(rows):
            break
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=False)
        optimizer.step()
    return rows


def _diverged(rows: list[tuple[float, float, float]]) -> bool:
    """Whether the running mean rose far above its lowest value."""
    first, lowest, last = rows[0][2], min(row[2] for row in rows), rows[-1][2]
    return last > lowest + DIVERGENCE_FACTOR * max(first - lowest, 0.1 * abs(first))

"""How to train, and where training stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from clinicalgru.model.network.network import ClinicalGRU


@dataclass(frozen=True)
class Plan:
    """How to train: everything that decides the final bits, besides the data.

    max_epochs           at most; patience ends it sooner
    embedding_rate       of the number embeddings, as a multiple of the learning rate
    warm_up              part of all steps over which the learning rate rises
    measurement_dropout  part of the measurements left out of each training stay, anew each time it is seen
    averaging            part of the running mean of the weights that each step keeps; that mean is judged and kept
    max_steps_per_stay          where each step is asked: at most so many of each stay an epoch, by chance; None = all.
                         Of a forecast: the likelier, the more is measured next of what is seldom measured
    patience             epochs without a better loss on the tune stays before training stops
    """

    max_epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2e-3
    embedding_rate: float = 10.0
    weight_decay: float = 3e-4
    warm_up: float = 0.05
    clip: float = 1.0
    averaging: float = 0.99
    measurement_dropout: float = 0.15
    max_steps_per_stay: int | None = 8
    patience: int = 6
    random_state: int = 0
    forecast_weight: float = 0.0
    auxiliary_weight: float = 0.6


@dataclass
class Progressed:
    """Where training stands after an epoch; with the plan and the data, all that decides how it goes on."""

    network: ClinicalGRU
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the lowest loss on the tune stays; 0 before any."""
        losses = [entry["val_loss"] for entry in self.history]
        return 1 + int(np.argmin(losses)) if losses else 0

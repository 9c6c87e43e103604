"""The settings of training, and its state after each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.adamw import AdamW


@dataclass(frozen=True)
class TrainingConfig:
    """All settings that, with the data, decide the final weights.

    Parameters
    ----------
    max_epochs : int
        Largest number of epochs.
    batch_size : int
        Stays in a batch.
    learning_rate : float
        Of AdamW, after the warm-up.
    embedding_lr_factor : float
        Learning rate of the embeddings of numbers, relative to the others.
    weight_decay : float
        Of AdamW; see `optimizer.make_optimizer` for the parameters that decay.
    warmup_fraction : float
        Fraction of all steps over which the learning rate rises.
    max_grad_norm : float
        Largest norm of the gradients.
    ema_decay : float
        Decay of the exponential moving average of the weights. The average is validated and kept.
    measurement_dropout : float
        Fraction of the measurements left out of each training stay, drawn anew in each epoch.
    max_steps_per_stay : int or None
        With predictions after each time step: largest number of them per stay and epoch, drawn at random. None: all.
    patience : int
        Epochs without a lower validation loss before training stops.
    n_cuts : int
        Random hours at which an epoch predicts each stay, in addition to its end; some of them from thinned copies.
    cut_weight : float
        Weight of the loss at these hours relative to that at the end.
    random_state : int
        Seed of all random numbers.
    forecast_weight, auxiliary_weight : float
        Weights of the auxiliary losses.
    """

    max_epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2e-3
    embedding_lr_factor: float = 10.0
    weight_decay: float = 3e-4
    warmup_fraction: float = 0.05
    max_grad_norm: float = 1.0
    ema_decay: float = 0.99
    measurement_dropout: float = 0.15
    max_steps_per_stay: int | None = 8
    patience: int = 6
    n_cuts: int = 0
    cut_weight: float = 1.0
    random_state: int = 0
    forecast_weight: float = 0.0
    auxiliary_weight: float = 0.6


PART_LOSS = "val_loss_"  # of a part of the readout, which the name of the part follows


@dataclass
class TrainingState:
    """The state of training after an epoch; with the settings and the data it decides how training continues.

    Attributes
    ----------
    network : ClinicalGRU
        The network that is trained.
    averaged : AveragedModel
        The exponential moving average of its weights.
    optimizer : AdamW
        The optimiser with its moments.
    best_weights : dict of str to Tensor
        Averaged weights of the epoch with the lowest validation loss.
    epoch : int
        Number of epochs that are done.
    history : list of dict
        Epoch, train_loss and val_loss of each.
    data : str
        Digest of training and validation stays, where a checkpoint is written or read.
    """

    network: ClinicalGRU
    averaged: AveragedModel
    optimizer: AdamW
    best_weights: dict[str, Tensor]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    data: str = ""

    @property
    def best_epochs(self) -> dict[str, int]:
        """The epoch, from 1, with the lowest value of each validation loss; 0 before the first has ended."""
        names = [name for name in self.history[0] if name.startswith("val_loss")] if self.history else ["val_loss"]
        losses = {name: [entry[name] for entry in self.history] for name in names}
        return {name: 1 + int(np.argmin(values)) if values else 0 for name, values in losses.items()}

    @property
    def last_improvement(self) -> int:
        """The last epoch in which the loss of a part fell to its lowest, where parts share no weights; else of all."""
        best = self.best_epochs
        return max((epoch for name, epoch in best.items() if name.startswith(PART_LOSS)), default=best["val_loss"])

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the lowest validation loss; 0 before the first has ended."""
        return self.best_epochs["val_loss"]

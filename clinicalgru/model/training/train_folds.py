"""Training with few outcomes: a network for each fold of the stays, and the mean of their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.auxiliary_losses import AuxiliaryLosses
from clinicalgru.model.training.nonfinite_loss import NonFiniteLoss
from clinicalgru.model.training.optimizer import ema_update, make_optimizer
from clinicalgru.model.training.progress import Callback, Progress
from clinicalgru.model.training.state import TrainingConfig, TrainingState
from clinicalgru.model.training.torch_settings import torch_defaults
from clinicalgru.model.training.training import train_epoch, validate_epoch, warn_of_stop
from clinicalgru.model.training.validation_loss import ValidationLoss


class Fold(NamedTuple):
    """Parts of the stays of one network.

    Parameters
    ----------
    stays, validation : Sequences
        The stays that it is trained on, and those of the fold that it does not see.
    auxiliary : AuxiliaryLosses
        Its further losses.
    """

    stays: Sequences
    validation: Sequences
    auxiliary: AuxiliaryLosses


@torch_defaults()
def train_folds(
    network: ClinicalGRU,
    folds: Sequence[Fold],
    *,
    head: Head,
    config: TrainingConfig,
    verbose: bool = True,
    callbacks: Sequence[Callback] = (),
) -> tuple[list[dict[str, float]], list[ClinicalGRU]]:
    """Train copies of a network on all folds but one each; it ends with the mean of their weights.

    Each copy keeps the weights of the epoch with the lowest loss of the fold that it does not see, and stops when that
    has not fallen for `patience` epochs. All start from the same weights, and each stay is seen by all copies but one.

    Parameters
    ----------
    network : ClinicalGRU
        The network, with a fitted scaler; changed in place.
    folds : sequence of Fold
        Parts of the training stays.
    head : Head
        The head of the network.
    config : TrainingConfig
        All settings.
    verbose : bool
        Whether to show progress.
    callbacks : sequence of Callback
        Called after each batch and epoch.

    Returns
    -------
    history : list of dict
        Epoch, and the means of train_loss and val_loss over the folds; of a copy that has stopped, its last ones.
    copies : list of ClinicalGRU
        The copy of each fold, which did not learn from it, with its best weights.

    Raises
    ------
    NonFiniteLoss
        If a loss or gradient of the first epoch is not finite.
    KeyboardInterrupt
        If training is interrupted in the first epoch.

    Warns
    -----
    TrainingWarning
        If training ends in a later epoch by Ctrl-C or a loss that is not finite. The best weights are kept.

    References
    ----------
    Wortsman et al. 2022, model soups: the mean of the weights of networks that were trained from the same start.
    """
    states = [_state(network, config) for _ in folds]
    val_losses = [ValidationLoss(fold.validation, head=head, config=config) for fold in folds]
    history, size = list[dict[str, float]](), np.array([len(fold.validation) for fold in folds])
    with Progress(config.max_epochs, verbose=verbose, callbacks=callbacks) as bar:
        shared = cast(Progress, _Share(bar, len(folds)))
        try:
            while running := [number for number, state in enumerate(states) if _goes_on(state, config)]:
                for state, fold, val_loss in ((states[n], folds[n], val_losses[n]) for n in running):
                    loss = train_epoch(
                        state, fold.stays, head, auxiliary=fold.auxiliary, config=config, progress=shared
                    )
                    validate_epoch(state, loss, val_loss)
                history.append(_mean_entry([state.history[-1] for state in states], size, epoch=len(history) + 1))
                bar.on_epoch_end(history[-1], best=max(state.best_epoch for state in states))
        except (KeyboardInterrupt, NonFiniteLoss) as stop:
            if not history:
                raise
            warn_of_stop(stop, epoch=len(history) + 1, best=max(state.best_epoch for state in states))
    network.load_state_dict(_mean([state.best_weights for state in states]))
    for state in states:
        state.network.load_state_dict(state.best_weights)
    return history, [state.network for state in states]


def _goes_on(state: TrainingState, config: TrainingConfig) -> bool:
    return state.epoch < config.max_epochs and state.epoch - state.last_improvement < config.patience


def _mean_entry(entries: Sequence[dict[str, float]], size: np.ndarray, *, epoch: int) -> dict[str, float]:
    """The mean of the folds' last losses, weighted by their validation stays."""
    means = {name: float(np.average([one[name] for one in entries], weights=size)) for name in entries[0]}
    return means | {"epoch": epoch}


class _Share:
    """Progress that a batch of one of several networks advances by its share."""

    def __init__(self, progress: Progress, n_networks: int) -> None:
        self.progress, self.n_networks = progress, n_networks

    def on_batch_end(self, fraction: float, loss: float) -> None:
        self.progress.on_batch_end(fraction / self.n_networks, loss)


def _state(network: ClinicalGRU, config: TrainingConfig) -> TrainingState:
    own = copy.deepcopy(network)
    averaged = AveragedModel(own, avg_fn=partial(ema_update, decay=config.ema_decay))
    return TrainingState(own, averaged, make_optimizer(own, config), copy.deepcopy(own.state_dict()))


def _mean(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    first = weights[0]
    return {name: torch.stack([one[name].double() for one in weights]).mean(0).to(first[name]) for name in first}

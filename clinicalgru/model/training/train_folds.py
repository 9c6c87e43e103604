"""Training with few outcomes: a network for each fold, as many epochs for all, and the mean of their weights."""

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
from clinicalgru.model.training.cuts import fixed_cuts
from clinicalgru.model.training.nonfinite_loss import NonFiniteLoss
from clinicalgru.model.training.optimizer import ema_update, make_optimizer
from clinicalgru.model.training.progress import Callback, Progress
from clinicalgru.model.training.state import TrainingConfig, TrainingState
from clinicalgru.model.training.torch_settings import torch_defaults
from clinicalgru.model.training.training import train_epoch, validate_epoch, warn_of_stop


class Fold(NamedTuple):
    """The stays that one network is trained on, those of the fold that it does not see, and its further losses."""

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
) -> list[dict[str, float]]:
    """Train copies of a network on all folds but one each; it ends with the mean of their weights at the best epoch.

    The best epoch is that with the lowest mean loss of the folds that the copies do not see. Training stops when it
    has not fallen for `patience` epochs. All copies start from the same weights, and each stay is seen by all but one.

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
    list of dict
        Epoch, and the means of train_loss and val_loss over the folds.

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
    states, cuts = [_state(network, config) for _ in folds], [_cuts(fold.validation, head, config) for fold in folds]
    size = np.array([len(fold.validation) for fold in folds])
    history, best_epoch, best = list[dict[str, float]](), 0, list[dict[str, Tensor]]()
    with Progress(config.max_epochs, verbose=verbose, callbacks=callbacks) as bar:
        shared = cast(Progress, _Share(bar, len(folds)))
        try:
            while len(history) < config.max_epochs and len(history) - best_epoch < config.patience:
                for state, fold, cut in zip(states, folds, cuts, strict=True):
                    loss = train_epoch(
                        state, fold.stays, head, auxiliary=fold.auxiliary, config=config, progress=shared
                    )
                    validate_epoch(state, loss, fold.validation, cut, head=head, cut_weight=config.cut_weight)
                history.append(_mean_entry([state.history[-1] for state in states], size))
                if history[-1]["val_loss"] <= min(entry["val_loss"] for entry in history):
                    best_epoch, best = len(history), [copy.deepcopy(_averaged(state).state_dict()) for state in states]
                bar.on_epoch_end(history[-1], best=best_epoch)
        except (KeyboardInterrupt, NonFiniteLoss) as stop:
            if not history:
                raise
            warn_of_stop(stop, epoch=len(history) + 1, best=best_epoch)
    network.load_state_dict(_mean(best))
    return history


def _mean_entry(entries: Sequence[dict[str, float]], size: np.ndarray) -> dict[str, float]:
    """The mean of the folds' losses in one epoch, weighted by their validation stays."""
    means = {name: float(np.average([one[name] for one in entries], weights=size)) for name in entries[0]}
    return means | {"epoch": entries[0]["epoch"]}


class _Share:
    """Progress that a batch of one of several networks advances by its share."""

    def __init__(self, progress: Progress, n_networks: int) -> None:
        self.progress, self.n_networks = progress, n_networks

    def on_batch_end(self, fraction: float, loss: float) -> None:
        self.progress.on_batch_end(fraction / self.n_networks, loss)


def _state(network: ClinicalGRU, config: TrainingConfig) -> TrainingState:
    own = copy.deepcopy(network)
    averaged = AveragedModel(own, avg_fn=partial(ema_update, decay=config.ema_decay))
    return TrainingState(own, averaged, make_optimizer(own, config), {})


def _cuts(validation: Sequences, head: Head, config: TrainingConfig) -> Sequences | None:
    if not (config.n_cuts and head.supports_cuts):
        return None
    return fixed_cuts(validation, n_cuts=config.n_cuts, random_state=config.random_state)


def _averaged(state: TrainingState) -> ClinicalGRU:
    """The network with the moving average of the weights."""
    return cast(ClinicalGRU, state.averaged.module)


def _mean(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    first = weights[0]
    return {name: torch.stack([one[name].double() for one in weights]).mean(0).to(first[name]) for name in first}

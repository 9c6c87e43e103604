"""The training loop: AdamW, averaged weights, early stopping on the validation set, checkpoints."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from collections.abc import Sequence as SequenceABC
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingWarning
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.collate import NO_PREFIXES, StepSampling
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.model.training.auxiliary_losses import NO_AUXILIARY, AuxiliaryLosses
from clinicalgru.model.training.checkpoint import data_digest, load_checkpoint, save_checkpoint
from clinicalgru.model.training.cuts import points_of, with_cuts
from clinicalgru.model.training.distributed import backward, broadcast, is_main_process, rank_and_world_size, rank_shard
from clinicalgru.model.training.nonfinite_loss import NonFiniteLoss, nonfinite_loss
from clinicalgru.model.training.optimizer import clip_gradients, ema_update, make_optimizer, set_learning_rate
from clinicalgru.model.training.pattern_dropout import without_patterns
from clinicalgru.model.training.prefetch import prefetch
from clinicalgru.model.training.progress import Callback, Progress
from clinicalgru.model.training.state import PART_LOSS, TrainingConfig, TrainingState
from clinicalgru.model.training.torch_settings import seeded, torch_defaults
from clinicalgru.model.training.validation_loss import ValidationLoss


@torch_defaults()
def train(
    network: ClinicalGRU,
    stays: Sequences,
    validation: Sequences,
    *,
    head: Head,
    config: TrainingConfig,
    auxiliary: AuxiliaryLosses = NO_AUXILIARY,
    verbose: bool = True,
    callbacks: SequenceABC[Callback] = (),
    checkpoint_path: Path | None = None,
    resume_from: Path | None = None,
) -> list[dict[str, float]]:
    """Train a network in place; it ends with the averaged weights of the best epoch.

    Parameters
    ----------
    network : ClinicalGRU
        The network, with a fitted scaler.
    stays, validation : Sequences
        Training set and validation set.
    head : Head
        The head of the network.
    config : TrainingConfig
        All settings.
    auxiliary : AuxiliaryLosses
        Further losses.
    verbose : bool
        Whether to show progress.
    callbacks : sequence of Callback
        Called after each batch and epoch.
    checkpoint_path : Path or None
        File that is written after each epoch.
    resume_from : Path or None
        Such a file, from which training continues to the same bits as without the interruption.

    Returns
    -------
    list of dict
        Epoch, train_loss and val_loss of each epoch.

    Raises
    ------
    NonFiniteLoss
        If a loss or gradient of the first epoch is not finite.
    TrainingError
        If the checkpoint is missing, damaged, or of other settings or stays.
    KeyboardInterrupt
        If training is interrupted in the first epoch.

    Warns
    -----
    TrainingWarning
        If training ends in a later epoch by Ctrl-C or a loss that is not finite. The best weights are kept.
    """
    averaged = AveragedModel(network, avg_fn=partial(ema_update, decay=config.ema_decay))
    state = TrainingState(network, averaged, make_optimizer(network, config), copy.deepcopy(network.state_dict()))
    if checkpoint_path is not None or resume_from is not None:
        state.data = data_digest(stays, validation)
    if resume_from is not None:
        load_checkpoint(resume_from, state, config)
    main = is_main_process()
    val_loss = ValidationLoss(validation, head=head, config=config)
    with Progress(config.max_epochs, verbose=verbose and main, callbacks=callbacks if main else ()) as progress:
        try:
            while state.epoch < config.max_epochs and state.epoch - state.last_improvement < config.patience:
                train_loss = train_epoch(state, stays, head, auxiliary=auxiliary, config=config, progress=progress)
                validate_epoch(state, train_loss, val_loss)
                if checkpoint_path is not None and main:
                    save_checkpoint(checkpoint_path, state, config)
                progress.on_epoch_end(state.history[-1], best=state.best_epoch)
        except (KeyboardInterrupt, NonFiniteLoss) as stop:
            if not state.history:
                raise
            warn_of_stop(stop, epoch=state.epoch + 1, best=state.best_epoch)
    network.load_state_dict(state.best_weights)
    return state.history


def warn_of_stop(stop: BaseException, *, epoch: int, best: int) -> None:
    """Warn that training ended early, and of the weights that are kept.

    Parameters
    ----------
    stop : NonFiniteLoss or KeyboardInterrupt
        What ended it.
    epoch, best : int
        The epoch that did not end, and the one whose weights are kept.

    Warns
    -----
    TrainingWarning
        Always.
    """
    why = f"{stop} Stopped" if isinstance(stop, NonFiniteLoss) else "Stopped by hand"
    warnings.warn(f"{why} in epoch {epoch}; epoch {best} is kept.", TrainingWarning, stacklevel=3)


def validate_epoch(state: TrainingState, train_loss: float, validation: ValidationLoss) -> None:
    """Append the losses of an epoch to the history, and keep its averaged weights if they are the best.

    Parameters
    ----------
    state : TrainingState
        Changed in place.
    train_loss : float
        Loss of the epoch.
    validation : ValidationLoss
        Loss of the validation stays.

    Raises
    ------
    NonFiniteLoss
        If the loss is not finite.
    """
    averaged = cast(ClinicalGRU, state.averaged.module)
    val_loss, *by_part = (broadcast(loss) for loss in validation.losses(averaged))
    if not math.isfinite(val_loss):
        batch = state.network.make_batch(validation.stays, per_step=validation.head.per_step)
        raise nonfinite_loss(state.network, validation.stays, batch, epoch=state.epoch + 1)
    parts = [f"{PART_LOSS}{name}" for name in averaged.readout_parts()]
    entry = {"epoch": state.epoch + 1, "train_loss": train_loss, "val_loss": val_loss}
    state.history.append(entry | dict(zip(parts, by_part, strict=True)))
    state.epoch += 1
    best = state.best_epochs
    for name, weight in averaged.state_dict().items():
        loss = f"{PART_LOSS}{averaged.part_of_weight(name)}" if parts else "val_loss"
        if best[loss] == state.epoch:
            state.best_weights[name] = weight.detach().clone()


class _PreparedBatch(NamedTuple):
    """A batch of one step, which does not depend on learned weights and is prepared in advance."""

    all_stays: Sequences  # of all processes
    stays: Sequences  # of this process, followed by thinned copies of them that end earlier, if there are any
    batch: Batch
    inputs: Inputs
    is_cut: np.ndarray | None  # (point,) whether it is earlier than the end of its stay; None without cuts


def train_epoch(
    state: TrainingState,
    stays: Sequences,
    head: Head,
    *,
    auxiliary: AuxiliaryLosses,
    config: TrainingConfig,
    progress: Progress,
) -> float:
    """Train on all stays once; random numbers depend on the seed and the number of the epoch only.

    Parameters
    ----------
    state : TrainingState
        Changed in place.
    stays : Sequences
        Training stays.
    head : Head
        The head of the network.
    auxiliary : AuxiliaryLosses
        Further losses.
    config : TrainingConfig
        All settings.
    progress : Progress
        Called after each batch.

    Returns
    -------
    float
        Mean loss.

    Raises
    ------
    NonFiniteLoss
        If a loss or gradient is not finite.
    """
    rng = np.random.default_rng([config.random_state, state.epoch])
    batches = bucket_by_length(stays.n_steps, config.batch_size, rng)
    rank, world_size = rank_and_world_size()
    seed = [config.random_state, state.epoch, *([rank] if world_size > 1 else [])]
    rank_rng = np.random.default_rng(seed) if world_size > 1 else rng
    prepare = _preparation(state.network, stays, head, config=config, rng=rng, rank_rng=rank_rng)
    state.network.train()
    total = 0.0
    with seeded(seed), closing(prefetch(prepare, batches)) as prepared:
        for number, one in enumerate(prepared):
            step = state.epoch * len(batches) + number
            set_learning_rate(state.optimizer, config, step / max(1, config.max_epochs * len(batches)))
            loss = _optimizer_step(state, one, head=head, auxiliary=auxiliary, config=config)
            total += loss * len(one.all_stays)
            progress.on_batch_end(1 / len(batches), loss)
    return total / len(stays)


def _preparation(
    network: ClinicalGRU,
    stays: Sequences,
    head: Head,
    *,
    config: TrainingConfig,
    rng: np.random.Generator,
    rank_rng: np.random.Generator,
) -> Callable[[np.ndarray], _PreparedBatch]:
    """A function that prepares the batch of some stays: measurement dropout, shard, sampled steps, normal scores."""
    sample = None
    if head.per_step and config.max_steps_per_stay:
        sample = StepSampling(config.max_steps_per_stay, rank_rng, head.step_sampling_weights)

    def prepare(index: np.ndarray) -> _PreparedBatch:
        complete = stays[index]
        retained = rng.random(len(complete.value)) >= config.measurement_dropout
        all_stays = complete.filter_measurements(retained)
        shard = rank_shard(all_stays)
        n = len(shard)
        prefixes = NO_PREFIXES
        if config.n_cuts and head.supports_cuts:
            cuts, dropout = config.n_cuts, config.measurement_dropout
            made = with_cuts(complete, retained, n_cuts=cuts, measurement_dropout=dropout, rng=rng)
            made = made.of_rank(*rank_and_world_size())
            shard, _, prefixes = made if network.is_causal else made.as_copies()
        batch = network.make_batch(shard, per_step=head.per_step, sample=sample, prefixes=prefixes)
        is_cut = (batch.order[batch.point_stay.numpy()] >= n) | (batch.point_number.numpy() > 0)
        scaled = without_patterns(network.scaler(batch), batch, network.spec, rank_rng)
        return _PreparedBatch(all_stays, shard, batch, scaled, is_cut if config.n_cuts and head.supports_cuts else None)

    return prepare


def _optimizer_step(
    state: TrainingState, prepared: _PreparedBatch, *, head: Head, auxiliary: AuxiliaryLosses, config: TrainingConfig
) -> float:
    """Update the weights with one batch, and give its mean loss over all processes."""
    state.optimizer.zero_grad()
    loss = _backward_step(state.network, prepared, head=head, auxiliary=auxiliary, cut_weight=config.cut_weight)
    if not (math.isfinite(loss) and clip_gradients(state.network, config.max_grad_norm)):
        batch = state.network.make_batch(prepared.all_stays, per_step=head.per_step)
        raise nonfinite_loss(state.network, prepared.all_stays, batch, epoch=state.epoch + 1)
    state.optimizer.step()
    state.averaged.update_parameters(state.network)
    return loss


def _backward_step(
    network: ClinicalGRU, prepared: _PreparedBatch, *, head: Head, auxiliary: AuxiliaryLosses, cut_weight: float
) -> float:
    """Compute the gradients of the mean loss of a batch over all processes, and give that loss."""
    if not len(prepared.stays):
        return backward(network, torch.zeros((), dtype=torch.float32, device=network.device), 0.0)
    loss = _loss(network, prepared, head=head, auxiliary=auxiliary, cut_weight=cut_weight)
    if rank_and_world_size()[1] == 1:
        return backward(network, loss, 1.0)
    batch, is_cut = prepared.batch, prepared.is_cut
    points = batch if is_cut is None else points_of(batch, ~is_cut)
    return backward(network, loss, head.loss_denominator(head.labels(prepared.stays, points)))


def _loss(
    network: ClinicalGRU, prepared: _PreparedBatch, *, head: Head, auxiliary: AuxiliaryLosses, cut_weight: float
) -> Tensor:
    """The loss of the head and the auxiliary losses: of the stays, and with its weight that of their cuts."""
    _, stays, batch, inputs, is_cut = prepared
    logits, forecast = network.forward_with_forecast(inputs, batch)

    def loss_of(logits: Tensor, points: Batch, forecast: Tensor | None) -> Tensor:
        head_logits, auxiliary_logits = logits[..., : head.n_outputs], logits[..., head.n_outputs :]
        loss, risk = head.loss(head_logits, head.labels(stays, points)), head.risk_logits(head_logits)
        loss = auxiliary.distilled(loss, risk, stays, points)
        return loss + auxiliary.loss(auxiliary_logits, forecast, stays, points)

    if is_cut is None:
        return loss_of(logits, batch, forecast)
    whole = loss_of(logits[:, torch.from_numpy(~is_cut)], points_of(batch, ~is_cut), forecast)
    cut = loss_of(logits[:, torch.from_numpy(is_cut)], points_of(batch, is_cut), None)
    return (whole + cut_weight * cut) / (1 + cut_weight)


def bucket_by_length(n_steps: np.ndarray, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of stays of similar length, in random order.

    Parameters
    ----------
    n_steps : ndarray of int, shape (stay,)
        Time steps of each stay.
    batch_size : int
        Stays of a batch.
    rng : numpy.random.Generator
        Where random numbers come from.

    Returns
    -------
    list of ndarray
        Positions of the stays of each batch.

    Notes
    -----
    Stays are shuffled, sorted by length within pools of 16 batches, and divided into batches.
    """
    order = rng.permutation(len(n_steps))
    batches = list[np.ndarray]()
    for start in range(0, len(order), 16 * batch_size):
        pool = order[start : start + 16 * batch_size]
        by_length = pool[np.argsort(-n_steps[pool], kind="stable")]
        batches += [by_length[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]

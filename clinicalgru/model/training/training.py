"""Training, in sight: AdamW, warm-up and decay, clipping, early stopping on the tune stays, checkpoints and resume."""

from __future__ import annotations

import copy
import math
import warnings
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
from clinicalgru.model.network.batch import Batch, Sample
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.model.training.auxiliary_losses import ALONE, Beside
from clinicalgru.model.training.checkpoint import load_checkpoint, save_checkpoint
from clinicalgru.model.training.distributed import agreed, backward, leads, my_share, processes
from clinicalgru.model.training.inference import mean_loss
from clinicalgru.model.training.nonfinite_loss import BrokenLoss, broken
from clinicalgru.model.training.prefetch import one_ahead
from clinicalgru.model.training.progress import Callback, Progress
from clinicalgru.model.training.state import Plan, Progressed
from clinicalgru.model.training.torch_settings import seeded, torch_defaults

OWN_RATE = 3.0  # of what comes straight from a variable's own summaries, as a multiple of the learning rate


@torch_defaults()
def train(
    network: ClinicalGRU,
    stays: Sequences,
    tune: Sequences,
    *,
    head: Head,
    plan: Plan,
    beside: Beside = ALONE,
    verbose: bool = True,
    callbacks: SequenceABC[Callback] = (),
    checkpoint_path: Path | None = None,
    resume_from: Path | None = None,
) -> list[dict[str, float]]:
    """Train the network in place, leave it with the weights of the best epoch, and give back one entry an epoch.

    checkpoint_path  file written after each epoch
    beside           what else is asked while training
    resume_from      such a file: training goes on from it to the same final bits as without the interruption
    Ctrl-C ends training with the best weights so far, with a warning; so does a loss that is no number, which is
    refused in the first epoch. Refused: a checkpoint of another plan.
    """
    optimizer = torch.optim.AdamW(_groups(network, plan), lr=plan.learning_rate, fused=True)
    averaged = AveragedModel(network, avg_fn=partial(_running_mean, part=plan.averaging))
    state = Progressed(network, averaged, optimizer, copy.deepcopy(network.state_dict()))
    if resume_from is not None:
        load_checkpoint(resume_from, state, plan)
    watched = callbacks if leads() else ()
    with Progress(plan.max_epochs, verbose=verbose and leads(), callbacks=watched) as bar:
        try:
            while state.epoch < plan.max_epochs and state.epoch - state.best_epoch < plan.patience:
                train_loss = _epoch(state, stays, head, beside=beside, plan=plan, bar=bar)
                val_loss = agreed(mean_loss(cast(ClinicalGRU, averaged.module), tune, head=head))
                if not math.isfinite(val_loss):
                    whole = network.batch(tune, every_step=head.per_step)
                    raise broken(network, tune, whole, epoch=state.epoch + 1)
                state.history.append({"epoch": state.epoch + 1, "train_loss": train_loss, "val_loss": val_loss})
                state.epoch += 1
                if state.best_epoch == state.epoch:
                    state.best = copy.deepcopy(averaged.module.state_dict())
                if checkpoint_path is not None and leads():
                    save_checkpoint(checkpoint_path, state, plan)
                bar.on_epoch_end(state.history[-1], best=state.best_epoch)
        except (KeyboardInterrupt, BrokenLoss) as stop:
            if not state.history:
                raise
            why = f"{stop} Stopped" if isinstance(stop, BrokenLoss) else "Stopped by hand"
            warnings.warn(
                f"{why} in epoch {state.epoch + 1}; epoch {state.best_epoch} is kept.", TrainingWarning, stacklevel=2
            )
    network.load_state_dict(state.best)
    return state.history


def _epoch(state: Progressed, stays: Sequences, head: Head, *, beside: Beside, plan: Plan, bar: Progress) -> float:
    """One pass over the training stays; all chance in it follows from the seed and the number of the epoch."""
    chance = np.random.default_rng([plan.random_state, state.epoch])
    batches = bucketed(stays.n_steps, plan.batch_size, chance)
    state.network.train()
    total = 0.0
    rank, count = processes()
    mine = [plan.random_state, state.epoch, *([rank] if count > 1 else [])]
    own = np.random.default_rng(mine) if count > 1 else chance
    weight = head.step_sampling_weights
    sample = Sample(plan.max_steps_per_stay, own, weight) if head.per_step and plan.max_steps_per_stay else None

    def made(index: np.ndarray) -> _Made:
        part = stays[index]
        part = part.filter_measurements(chance.random(len(part.value)) >= plan.measurement_dropout)
        share = my_share(part)
        batch = state.network.batch(share, every_step=head.per_step, sample=sample)
        return _Made(part, share, batch, state.network.scales(batch))

    with seeded(mine), closing(one_ahead(made, batches)) as ready:
        for number, one in enumerate(ready):
            step = state.epoch * len(batches) + number
            _set_rate(state.optimizer, plan, step / max(1, plan.max_epochs * len(batches)))
            state.optimizer.zero_grad()
            loss = _learn(state.network, one, head=head, beside=beside)
            if not (math.isfinite(loss) and _clipped(state.network, plan.clip)):
                whole = state.network.batch(one.whole, every_step=head.per_step)
                raise broken(state.network, one.whole, whole, epoch=state.epoch + 1)
            state.optimizer.step()
            state.averaged.update_parameters(state.network)
            total += loss * len(one.whole)
            bar.on_batch_end(1 / len(batches), loss)
    return total / len(stays)


class _Made(NamedTuple):
    """What a step learns from, made before it: none of it depends on a weight that is learned.

    whole   the stays of all processes
    stays   those that this process learns from
    """

    whole: Sequences
    stays: Sequences
    batch: Batch
    inputs: Inputs


def _learn(network: ClinicalGRU, made: _Made, *, head: Head, beside: Beside) -> float:
    """The gradients of the mean loss of a batch, of which each process works out a share; and that loss."""
    if not len(made.stays):
        return backward(network, torch.zeros((), dtype=torch.float32), 0.0)
    loss = _loss(network, made, head=head, beside=beside)
    return backward(
        network, loss, head.loss_denominator(head.labels(made.stays, made.batch)) if processes()[1] > 1 else 1.0
    )


def _loss(network: ClinicalGRU, made: _Made, *, head: Head, beside: Beside) -> Tensor:
    _, stays, batch, inputs = made
    logits, ahead = network.with_forecast(inputs, batch)
    said = logits[..., : head.n_outputs]
    loss = beside.taught(head.loss(said, head.labels(stays, batch)), said, stays, batch)
    return loss + beside.loss(logits[..., head.n_outputs :], ahead, stays, batch)


def _clipped(network: ClinicalGRU, largest: float) -> bool:
    """Whether the gradients are finite; they are clipped then."""
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients, foreach=False)
    if not torch.isfinite(norm):
        return False
    torch.nn.utils.clip_grads_with_norm_(network.parameters(), largest, norm, foreach=False)
    return True


def _running_mean(mean: Tensor, now: Tensor, steps: Tensor, *, part: float) -> Tensor:
    """The running mean after one more step; it forgets faster at first, lest it remember where training began."""
    count = int(steps)
    return torch.lerp(now, mean, min(part, (1 + count) / (10 + count)))


def bucketed(steps: np.ndarray, batch_size: int, chance: np.random.Generator) -> list[np.ndarray]:
    """Batches of stays of like length, in random order: shuffled, sorted within pools of 16 batches, cut."""
    order = chance.permutation(len(steps))
    pool = 16 * batch_size
    pools = [order[i : i + pool] for i in range(0, len(order), pool)]
    batches = [
        by_length[i : i + batch_size]
        for part in pools
        for by_length in [part[np.argsort(-steps[part], kind="stable")]]
        for i in range(0, len(part), batch_size)
    ]
    return [batches[i] for i in chance.permutation(len(batches))]


def _groups(network: ClinicalGRU, plan: Plan) -> list[dict[str, object]]:
    """What each variable has of its own learns faster, and matrices alone decay.

    Each number of an embedding is touched by one feature only; at the common rate they would hardly bend before the
    readout overfits. In cross-validation inside PhysioNet 2012 set a, ten times the rate gave +.006 AUROC.
    """
    fast = {"embedding": plan.embedding_rate, "by_variable": OWN_RATE}
    groups = [
        {"params": list(part.parameters()), "weight_decay": plan.weight_decay, "rate": rate}
        for name, rate in fast.items()
        for part in [getattr(network, name)]
        if part is not None
    ]
    others = [weight for name, weight in network.named_parameters() if name.partition(".")[0] not in fast]
    matrices = [weight for weight in others if weight.ndim >= 2]
    single = [weight for weight in others if weight.ndim < 2]
    return [
        *groups,
        {"params": matrices, "weight_decay": plan.weight_decay, "rate": 1.0},
        {"params": single, "weight_decay": 0.0, "rate": 1.0},
    ]


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, done: float) -> None:
    """Learning rate after this part of all steps: a linear rise, then half a cosine down to a hundredth."""
    rise = min(1.0, done / plan.warm_up) if plan.warm_up else 1.0
    fall = 0.505 + 0.495 * math.cos(math.pi * max(0.0, done - plan.warm_up) / (1 - plan.warm_up))
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * plan.learning_rate * rise * fall

"""Training of the networks of an estimator: of one, of one for each fold, and again with stays without outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.estimators.arguments import training_config
from clinicalgru.model.estimators.fitted_model import HeldOut
from clinicalgru.model.estimators.self_training import with_unlabelled
from clinicalgru.model.estimators.validation_split import BATCH_SIZES
from clinicalgru.model.training.auxiliary_losses import AuxiliaryLosses, AuxiliaryTargets
from clinicalgru.model.training.device import placed, resolve_device
from clinicalgru.model.training.distillation import Teacher
from clinicalgru.model.training.progress import Callback
from clinicalgru.model.training.state import TrainingConfig
from clinicalgru.model.training.train_folds import Fold, train_folds
from clinicalgru.model.training.training import train


def train_networks(
    model: Any,
    stays: Sequences,
    validation: Sequences | None,
    *,
    fold: np.ndarray | None,
    auxiliary: pd.DataFrame | None,
    unlabelled: Sequences | None,
    verbose: bool,
    callbacks: Sequence[Callback],
    checkpoint_path: Path | None,
    resume_from: Path | None,
) -> list[HeldOut]:
    """Train the networks of an estimator; its network_ and history_ are those of the last ones.

    Parameters
    ----------
    model : GRUEstimator
        A blank copy with its head, changed in place.
    stays, validation : Sequences
        Training stays, and those that stop training; None with folds.
    fold : ndarray of int, shape (stay,), or None
        Fold of each training stay, where each in turn stops training.
    auxiliary : DataFrame or None
        Auxiliary outcomes.
    unlabelled : Sequences or None
        Stays without outcome, as of `usable_unlabelled`.
    verbose, callbacks, checkpoint_path, resume_from
        As of `GRUEstimator.fit`.

    Returns
    -------
    list of HeldOut
        The stays that stopped training, and the network that they stopped: one, or one for each fold.
    """
    further = None if auxiliary is None or auxiliary.columns.empty else AuxiliaryTargets.fit(auxiliary, stays)
    shared: dict[str, Any] = {"verbose": verbose, "callbacks": callbacks, "further": further}
    shared |= {"checkpoint_path": checkpoint_path, "resume_from": resume_from}
    config = training_config(model, stays)
    taught = {"weight": model.distillation, "random_state": model.random_state_, "verbose": verbose}
    teachers = Teacher.of_networks(stays, model.head_, fold, **taught)
    losses = [AuxiliaryLosses(teacher=one, distillation=model.distillation) for one in teachers]
    if fold is None:
        assert validation is not None
        parts = [Fold(stays, validation, losses[0])]
    else:
        parts = [Fold(stays[fold != k], stays[fold == k], loss) for k, loss in enumerate(losses)]
    held_out = _train(model, stays, parts, config=config, **shared)
    if unlabelled is None:
        return held_out
    parts = [with_unlabelled(model, part, one, unlabelled) for part, one in zip(parts, held_out, strict=True)]
    if model.batch_size is None:  # no longer few
        config = replace(config, batch_size=BATCH_SIZES[1])
    return _train(model, parts[0].stays, parts, config=config, **shared)


def _train(
    model: Any,
    stays: Sequences,
    parts: list[Fold],
    *,
    config: TrainingConfig,
    further: AuxiliaryTargets | None,
    verbose: bool,
    callbacks: Sequence[Callback],
    checkpoint_path: Path | None,
    resume_from: Path | None,
) -> list[HeldOut]:
    """Train a network for each part, all from the same weights, which inputs of these stays are scaled for."""
    network = placed(model._network(stays, further), resolve_device(model.device))
    forecast = model._forecast(network) if model.forecast_weight else None
    targets = {"targets": further, "auxiliary_weight": model.auxiliary_weight}
    targets |= {"forecast": forecast, "forecast_weight": model.forecast_weight}
    parts = [part._replace(auxiliary=replace(part.auxiliary, **targets)) for part in parts]
    shared: dict[str, Any] = {"head": model.head_, "config": config, "verbose": verbose, "callbacks": callbacks}
    if len(parts) > 1:
        model.history_, copies = train_folds(network, parts, **shared)
        model.network_ = model._trained(network.cpu(), stays)
        members = zip(copies, parts, strict=True)
        return [HeldOut(model._trained(copy.cpu(), one.validation), one.validation) for copy, one in members]
    one = parts[0]
    shared |= {"checkpoint_path": checkpoint_path, "resume_from": resume_from}
    model.history_ = train(network, one.stays, model._checked(one.validation), auxiliary=one.auxiliary, **shared)
    model.network_ = model._trained(network.cpu(), one.validation)
    return [HeldOut(model.network_, one.validation)]

"""Self-training: stays without an outcome are given a risk, from which a second network learns."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from clinicalgru.data.sequences.concat import concat
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.estimators.fitted_model import HeldOut
from clinicalgru.model.fit_state import check_stays
from clinicalgru.model.training.auxiliary_losses import AuxiliaryLosses
from clinicalgru.model.training.train_folds import Fold

WEIGHT_OF_NETWORK = 2 / 3  # of the log-odds; the rest is that of the boosted trees
EXTREME = 1e-4  # risks of the trees are taken as no lower, and as no higher than 1 minus this


def usable_unlabelled(model: Any, unlabelled: Any, stays: Sequences, validation: Sequences | None) -> Sequences:
    """Give the stays without outcome that a network can learn from.

    Parameters
    ----------
    model : GRUEstimator
        With its head.
    unlabelled : object
        What the user passed.
    stays, validation : Sequences
        Stays with outcomes.

    Returns
    -------
    Sequences
        Stays of other patients that last to the prediction time, with the variables and the task of `stays`, and
        identifiers of their own.

    Raises
    ------
    ArgumentError
        If they are no stays, of another window, all of known patients, or the outcome is not binary.
    """
    unlabelled = check_stays("unlabelled", unlabelled)
    if not model.head_.supports_distillation or model.head_.per_step:
        fix = "Leave unlabelled out; pretrain(...) learns from stays without outcome for each kind of task."
        raise ArgumentError("a task with a binary outcome for unlabelled", stays.task.task_type, fix)
    theirs, ours = unlabelled.task.window_hours, stays.task.window_hours
    if (theirs, unlabelled.task.anchor) != (ours, stays.task.anchor):
        fix = "Select them with task.without_outcome()."
        raise ArgumentError(f"unlabelled stays of the window {ours}", f"of the window {theirs}", fix)
    known = [*stays.patient, *([] if validation is None else validation.patient)]
    seen = (unlabelled.n_measurements > 0) & (unlabelled.end_hours >= ours[1])  # it lasts to the prediction time
    others = unlabelled[seen & ~np.isin(unlabelled.patient.astype(str), np.array(known).astype(str))]
    if not len(others):
        got = "none of another patient, with a measurement, that lasts to the prediction time"
        raise ArgumentError("unlabelled stays of other patients", got, "Leave unlabelled out.")
    names = np.array([f"unlabelled {number}" for number in range(len(others))], dtype=object)
    others = others.with_variables(stays.variables).with_static_variables(stays.static_variables)
    return replace(others, task=stays.task, outcome=np.full(len(others), np.nan), stay=names)


def with_unlabelled(model: Any, part: Fold, held_out: HeldOut, unlabelled: Sequences) -> Fold:
    """Add stays without outcome to the stays of one network, with the risk that a first network and trees give them.

    Parameters
    ----------
    model : GRUEstimator
        Being fitted.
    part : Fold
        The stays of the network.
    held_out : HeldOut
        The first network, which was trained on them.
    unlabelled : Sequences
        As of `usable_unlabelled`.

    Returns
    -------
    Fold
        The stays of the second network. Neither the first one nor the trees learned from the validation stays, so that
        these calibrate the second one too.

    References
    ----------
    Scudder 1965, Probability of error of some adaptive pattern-recognition machines. Xie et al. 2020, Self-training
    with noisy student (soft labels; the student is trained with dropout).
    """
    first = copy(model)
    first.network_, first.calibrator_ = held_out.network, None
    trees = SummaryBaseline("boosted trees", random_state=model.random_state_).fit(part.stays)
    network_risk = first._predicted(unlabelled).numpy().astype(float)
    trees_risk = trees.predict_proba(unlabelled)[:, 1].clip(EXTREME, 1 - EXTREME)
    log_odds = WEIGHT_OF_NETWORK * logit(network_risk) + (1 - WEIGHT_OF_NETWORK) * logit(trees_risk)
    risk = expit(log_odds)
    losses: AuxiliaryLosses = part.auxiliary
    teacher = None if losses.teacher is None else losses.teacher.with_stays(unlabelled, risk)
    stays = concat(part.stays, replace(unlabelled, outcome=risk))
    return Fold(stays, part.validation, replace(losses, teacher=teacher))

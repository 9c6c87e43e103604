"""Knowledge distillation: out-of-fold risks of boosted trees as soft labels of the network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.logistic import logit
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.training.distributed import is_main_process
from clinicalgru.model.training.folds import cross_fit, patient_folds
from clinicalgru.model.training.progress import announce

N_FOLDS = 5
MIN_EVENTS = 20  # stays with the event, and stays without it; from fewer, boosted trees learn too little


@dataclass(frozen=True, eq=False)
class Teacher:
    """Soft labels of the training stays: risks from boosted trees that were trained on the stays of other patients.

    An outcome is 0 or 1; a risk also says how close it was. With soft labels the network overfits later. Validation,
    calibration and test stays are not used, and predictions do not need the trees.

    Parameters
    ----------
    stay_id : pandas.Index
        Identifier of each training stay.
    risk : Tensor of float32, shape (stay,) or (step,)
        Calibrated out-of-fold risk of each stay, or after each time step of each stay, stay after stay.
    step_key : ndarray, shape (step,), or None
        Of risks after time steps: stay and hour as one ascending number.

    Notes
    -----
    Deviation from the paper: the teacher is another type of model, and its risks are out of fold. Risks of stays that
    it was trained on would only repeat the outcome. They are calibrated on these outcomes before they teach: the trees'
    are too low on average, and a network that learns from them would be too.

    References
    ----------
    Hinton et al. 2015, Distilling the knowledge in a neural network.
    """

    stay_id: pd.Index
    risk: Tensor
    step_key: np.ndarray | None = None

    @classmethod
    def of_networks(
        cls, stays: Sequences, head: Head, fold: np.ndarray | None, *, weight: float, random_state: int, verbose: bool
    ) -> list[Self | None]:
        """Give the teacher of each network that is trained: of each fold, or of the one network.

        Parameters
        ----------
        stays : Sequences
            The training stays.
        head : Head
            The head of the networks.
        fold : ndarray of int, shape (stay,), or None
            Fold of each stay; None: one network is trained on all stays.
        weight : float
            Weight of distillation; 0: no teachers.
        random_state : int
            Seed of the folds and the trees.
        verbose : bool
            Whether to announce that trees are fitted.

        Returns
        -------
        list of Teacher or None
            As of `fit` and `fit_folds`.
        """
        if not weight or not head.supports_distillation:
            return [None] * (1 if fold is None else int(fold.max()) + 1)
        announce("boosted trees are fitted for distillation", verbose=verbose and is_main_process())
        if fold is None:
            return [cls.fit(stays, head, random_state=random_state)]
        return cls.fit_folds(stays, head, fold, random_state=random_state)

    @classmethod
    def fit(cls, stays: Sequences, head: Head, *, random_state: int) -> Self | None:
        """Cross-fit boosted trees on training stays.

        Parameters
        ----------
        stays : Sequences
            The training stays.
        head : Head
            The head of the network that is trained.
        random_state : int
            Seed of the folds and the trees.

        Returns
        -------
        Teacher or None
            None where the head does not support distillation, or fewer than 20 stays have the event or do not have it.
        """
        if not _enough_events(stays, head):
            return None
        event = head.strata(stays) == 1
        fold = patient_folds(stays.patient, event.astype(float), n_folds=N_FOLDS, random_state=random_state)
        trees = [_trees(head, random_state=random_state) for _ in range(N_FOLDS)]
        with threadpool_limits(1, user_api="openmp"):  # several threads are slow where another process uses a core
            risk = cross_fit(trees, stays, fold)
        return cls._of_risk(risk, stays, head)

    @classmethod
    def fit_folds(cls, stays: Sequences, head: Head, fold: np.ndarray, *, random_state: int) -> list[Self | None]:
        """Give each fold the teacher of all other folds, for networks that are trained on all folds but one.

        Parameters
        ----------
        stays : Sequences
            The stays of all folds.
        head : Head
            The head of the networks: one risk for each stay, or after each time step.
        fold : ndarray of int, shape (stay,)
            The fold of each stay, from 0.
        random_state : int
            Seed of the trees.

        Returns
        -------
        list of Teacher or None
            The teacher of the stays outside of fold 0, 1, ...; none of its trees was trained on that fold. None as in
            `fit`.

        Notes
        -----
        Trees that leave out the folds j and k give the risks of j to the teacher without k, and those of k to the
        teacher without j: 10 fits for 5 folds instead of 25.
        """
        n_folds = int(fold.max()) + 1
        parts = [stays[fold != k] for k in range(n_folds)]
        if not any(_enough_events(part, head) for part in parts):
            return [None] * n_folds
        of_row = np.repeat(fold, stays.n_steps) if head.per_step else fold  # the fold of each risk
        risk = np.full((n_folds, len(of_row)), np.nan)  # each risk, as the network without that fold is taught
        with threadpool_limits(1, user_api="openmp"):
            for one, other in combinations(range(n_folds), 2):
                trees = _trees(head, random_state=random_state).fit(stays[(fold != one) & (fold != other)])
                for without, taught in ((one, other), (other, one)):
                    risk[without, of_row == taught] = trees.predict_proba(stays[fold == taught])[:, 1]
        return [
            cls._of_risk(risk[k, of_row != k], part, head) if _enough_events(part, head) else None
            for k, part in enumerate(parts)
        ]

    @classmethod
    def _of_risk(cls, risk: np.ndarray, stays: Sequences, head: Head) -> Self:
        """A teacher of these out-of-fold risks, calibrated."""
        risk = _calibrated(risk, stays, head)
        step_key = None
        if head.per_step:
            risk = expit(logit(risk) + head.log_odds_offset)  # as the network predicts while it is trained
            step_stay = np.repeat(np.arange(len(stays)), stays.n_steps)
            step_key = _step_key(step_stay, stays.hours[stays.is_new_step], stays)
        return cls(pd.Index(stays.stay.astype(str)), torch.from_numpy(risk).float(), step_key)

    def with_stays(self, stays: Sequences, risk: np.ndarray) -> Self:
        """Give a teacher of further stays.

        Parameters
        ----------
        stays : Sequences
            Stays that it does not know.
        risk : ndarray, shape (stay,)
            Their risks.

        Returns
        -------
        Teacher
            Of one risk for each stay.
        """
        stay_id = self.stay_id.append(pd.Index(stays.stay.astype(str)))
        return type(self)(stay_id, torch.cat([self.risk, torch.from_numpy(risk).float()]))

    def soft_labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The risk of each prediction of a batch.

        Parameters
        ----------
        stays : Sequences
            Training stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor of float32, shape (point,)
        """
        stay = self.stay_id.get_indexer(pd.Index(stays.stay[batch.order].astype(str)))[batch.point_stay.numpy()]
        if self.step_key is None:
            return self.risk[torch.from_numpy(stay)]
        position = np.searchsorted(self.step_key, _step_key(stay, batch.point_hours.numpy(), stays))
        return self.risk[torch.from_numpy(position)]

    def loss(self, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """Mean log loss of all members against the soft labels.

        Parameters
        ----------
        logits : Tensor, shape (member, point, 1)
            Outputs of the network.
        stays : Sequences
            Training stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape ()
        """
        labels = self.soft_labels(stays, batch).expand(logits.shape[:2])
        return F.binary_cross_entropy_with_logits(logits[..., 0], labels)


def _enough_events(stays: Sequences, head: Head) -> bool:
    """Whether the head supports distillation, and enough stays have the event and do not have it."""
    if not head.supports_distillation:
        return False
    event = head.strata(stays) == 1
    return bool(min(event.sum(), (~event).sum()) >= MIN_EVENTS)


def _calibrated(risk: np.ndarray, stays: Sequences, head: Head) -> np.ndarray:
    """Out-of-fold risks, calibrated on the outcomes of these stays."""
    pairs = head.calibration_pairs(stays, risk)
    try:
        return head.calibrator_from(*pairs).predict(risk)
    except ArgumentError:  # risks that run against the outcome: nothing was learned, and no line mends that
        return risk


def _trees(head: Head, *, random_state: int) -> EarlyWarningTrees | SummaryBaseline:
    """Boosted trees that predict what the head predicts."""
    if head.per_step:
        return EarlyWarningTrees(random_state=random_state)
    return SummaryBaseline("boosted trees", random_state=random_state)


def _step_key(stay: np.ndarray, hours: np.ndarray, stays: Sequences) -> np.ndarray:
    """Stay and hour as one number, ascending over the time steps of all stays."""
    first, last = stays.task.window_hours
    return np.asarray(stay * (last - first + 1.0) + (hours - first))

"""A teacher: boosted trees whose risks of training stays, new to them, tell the network more than an outcome can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.logistic import logit, sigmoid
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.training.folds import cross_fitted, patient_folds

FOLDS = 5
RAREST = 20  # outcomes and stays without, at least: from fewer, trees learn nothing worth passing on
KINDS = ("binary", "early_warning")  # of tasks


@dataclass(frozen=True, eq=False)
class Teacher:
    """What boosted trees on the summaries think of each training stay, or step, learned from other patients' stays.

    An outcome is yes or no; a risk also says how near it was. Learning from both, the network overfits later. No tune,
    calibration or test stay is involved, and no prediction needs the trees.

    stays  stay_id of each training stay
    risk   (stay,) out-of-fold risk; or (step,) after each step of each stay, stay after stay
    at     (step,) where it is of steps: position of the stay and hour, as one ascending number; else None

    Source: distillation, Hinton et al. 2015. DIFF: the teacher is another kind of model, and its risks are out of fold:
    those of stays it had learned from would only repeat the outcome.
    """

    stays: pd.Index
    risk: Tensor
    at: np.ndarray | None = None

    @classmethod
    def learn(cls, stays: Sequences, *, random_state: int) -> Self | None:
        """A teacher from these stays; none where the outcome, or stays without, are too rare, or of another kind."""
        if stays.task.task_type not in KINDS:
            return None
        by_step = stays.task.every_step
        came = np.isfinite(stays.outcome) if by_step else stays.outcome == 1
        if min(came.sum(), (~came).sum()) < RAREST:
            return None
        fold = patient_folds(stays.patient, came.astype(float), folds=FOLDS, random_state=random_state)
        trees = [
            EarlyWarningTrees(random_state=random_state)
            if by_step
            else SummaryBaseline("boosted trees", random_state=random_state)
            for _ in range(FOLDS)
        ]
        with threadpool_limits(
            1, user_api="openmp"
        ):  # several threads wait for each other where another process holds a core
            risk = cross_fitted(trees, stays, fold)
        if by_step:
            risk = sigmoid(
                logit(risk) + EarlyWarning.fit_targets(stays).log_odds_offset
            )  # as the network says it while it learns
        steps = np.repeat(np.arange(len(stays)), stays.n_steps)
        at = _place(steps, stays.hours[stays.is_new_step], stays) if by_step else None
        return cls(pd.Index(stays.stay.astype(str)), torch.from_numpy(risk).float(), at)

    def risks(self, stays: Sequences, batch: Batch) -> Tensor:
        """(point,) what the teacher thinks of each point of a batch of these stays."""
        place = self.stays.get_indexer(pd.Index(stays.stay[batch.order].astype(str)))[batch.point_stay.numpy()]
        if self.at is not None:
            place = np.searchsorted(self.at, _place(place, batch.point_hours.numpy(), stays))
        return self.risk[torch.from_numpy(place)]

    def loss(self, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """Mean log loss of every member against the teacher's risk. logits (member, point, 1)."""
        return F.binary_cross_entropy_with_logits(logits[..., 0], self.risks(stays, batch).expand(logits.shape[:2]))


def _place(stay: np.ndarray, hours: np.ndarray, stays: Sequences) -> np.ndarray:
    """One number of position and hour, ascending over steps that stand stay after stay."""
    first, last = stays.task.window_hours
    return np.asarray(stay * (last - first + 1.0) + (hours - first))

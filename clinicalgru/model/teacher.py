"""A teacher: boosted trees whose risks of training stays, new to them, tell the network more than an outcome can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences import Sequences
from clinicalgru.model.baseline import SummaryBaseline
from clinicalgru.model.batch import Batch
from clinicalgru.model.folds import cross_fitted, patient_folds

FOLDS = 5
RAREST = 20  # outcomes and stays without, at least: from fewer, trees learn nothing worth passing on


@dataclass(frozen=True, eq=False)
class Teacher:
    """What boosted trees on the summaries think of each training stay, learned from other patients' stays.

    An outcome is yes or no; a risk also says how near it was. Learning from both, the network overfits later. No tune,
    calibration or test stay is involved, and no prediction needs the trees.

    stays  stay_id of each training stay
    risk   (stay,) out-of-fold risk

    Source: distillation, Hinton et al. 2015. DIFF: the teacher is another kind of model, and its risks are out of fold:
    those of stays it had learned from would only repeat the outcome.
    """

    stays: pd.Index
    risk: Tensor

    @classmethod
    def learn(cls, stays: Sequences, *, seed: int) -> Self | None:
        """A teacher from these stays with outcomes of 0 and 1; none where either is too rare."""
        if min((stays.outcome == 0).sum(), (stays.outcome == 1).sum()) < RAREST:
            return None
        fold = patient_folds(stays.patient, stays.outcome, folds=FOLDS, seed=seed)
        trees = [SummaryBaseline("boosted trees", seed=seed) for _ in range(FOLDS)]
        with threadpool_limits(1):  # several threads wait for each other where another process holds a core
            risk = cross_fitted(trees, stays, fold)
        return cls(pd.Index(stays.stay.astype(str)), torch.from_numpy(risk).float())

    def loss(self, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """Mean log loss of every member against the teacher's risk. logits (member, stay, 1)."""
        place = self.stays.get_indexer(pd.Index(stays.stay[batch.order].astype(str)))
        risk = self.risk[torch.from_numpy(place)]
        return F.binary_cross_entropy_with_logits(logits[..., 0], risk.expand(logits.shape[:2]))

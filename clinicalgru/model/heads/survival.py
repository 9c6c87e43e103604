"""When? The head that gives discrete hazards, with stays that were followed to different times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.heads.classification import refuse_unknown
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

INTERVALS = 20


@dataclass(frozen=True)
class Survival:
    """When will it happen? A hazard for each interval after the prediction; likelihood with censoring; mean survival.

    cuts      (interval,) hours after the prediction at which each interval ends, at equal ranks of the events'
    horizons  hours after the prediction at which a risk is reported

    A stay counts in an interval that it was followed to the end of, or in which the event came.
    Source: Gensheimer and Narasimhan 2019, nnet-survival; Kvamme and Borgan 2021, LogisticHazard.

    >>> head = Survival((24.0, 48.0), (48.0,))
    >>> head.loss(torch.zeros(1, 1, 2), torch.tensor([[30.0, 1.0]])).item()  # survived one interval, not the second
    1.3862943649291992
    """

    cuts: tuple[float, ...]
    horizons: tuple[float, ...]
    every_step: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return len(self.cuts)

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        refuse_unknown(stays.outcome, "stays")
        hours = stays.outcome[stays.outcome[:, 1] == 1, 0]
        if len(hours) < 2:
            came, fix = f"{len(hours)} with the event", "Take more stays, or a longer horizon."
            raise TrainingError("stays with the event among the stays", came, fix)
        cuts = np.unique(np.quantile(hours, np.linspace(0, 1, INTERVALS + 1)[1:]))
        quartiles = tuple(np.unique(np.quantile(hours, [0.25, 0.5, 0.75])).tolist())
        return cls(tuple(cuts.tolist()), stays.task.survival_horizons_hours or quartiles)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(tuple(content["cuts"]), tuple(content["horizons"]))

    def check(self, stays: Sequences, name: str) -> None:
        refuse_unknown(stays.outcome, name)
        hours, event = stays.outcome.T
        if (hours <= 0).any():
            fix = "Use select(events, task), which leaves stays with an earlier outcome out and counts them."
            raise TrainingError(f"hours above 0 in the {name}", f"{int((hours <= 0).sum())} others", fix)
        if not (event == 1).any():
            raise TrainingError(f"stays with the event among the {name}", "none", "Split with another seed.")

    def start(self, stays: Sequences) -> Tensor | None:
        came, counts = self._counts(torch.from_numpy(stays.outcome).float())
        return torch.logit((came.sum(dim=0) + 0.5) / (counts.sum(dim=0) + 1))

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        came, counts = self._counts(target)
        losses = F.binary_cross_entropy_with_logits(logits, came.expand(logits.shape), reduction="none")
        return (losses * counts).sum() / (logits.shape[0] * self.counted(target).clamp_min(1))

    def counted(self, target: Tensor) -> Tensor:
        """How many stays count in any interval."""
        return self._counts(target)[1].amax(dim=1).sum()

    def intervals(self, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(stay, 2) outcomes -> (stay, interval) 1 where the event came; 1 where the interval counts."""
        came, counts = self._counts(torch.from_numpy(outcome).float())
        return came.numpy(), counts.numpy()

    def _counts(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """(stay, interval) 1 where the event came; 1 where the interval counts."""
        cuts = torch.tensor(self.cuts, dtype=target.dtype)
        hours, event = target[:, :1], target[:, 1:]
        before = torch.cat([cuts.new_zeros(1), cuts[:-1]])
        came = event * (hours > before) * (hours <= cuts)
        return came, came + (hours >= cuts) * (1 - came)

    def mixed(self, logits: Tensor) -> Tensor:
        survival = F.logsigmoid(-logits.double()).cumsum(dim=2).exp().mean(dim=0, keepdim=True)
        before = torch.cat([torch.ones_like(survival[..., :1]), survival[..., :-1]], dim=2)
        return torch.logit((1 - survival / before.clamp_min(1e-300)).clamp(1e-12, 1 - 1e-12))

    def predict(self, mixed: Tensor) -> Tensor:
        """(point, interval) probability that it has not happened by the end of each interval."""
        return F.logsigmoid(-mixed[0]).cumsum(dim=1).exp()

    def at(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """(stay, interval) of `predict` -> (stay, hour) survival; the hazard is constant within an interval.

        Beyond the last interval nothing is known: survival stays what it is there.

        >>> Survival((24.0, 48.0), (48.0,)).at(np.array([[0.5, 0.25]]), np.array([0.0, 24.0, 36.0])).round(3)
        array([[1.   , 0.5  , 0.354]])
        """
        logs, above, part = self._between(survival, hours)
        return np.asarray(np.exp(logs[:, above - 1] + part * (logs[:, above] - logs[:, above - 1])))

    def at_own(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """(stay, interval) of `predict`, each stay at its own hour (stay,) -> (stay,) survival; as of `at`.

        >>> head, survival = Survival((24.0, 48.0), (48.0,)), np.array([[0.5, 0.25], [0.5, 0.25]])
        >>> head.at_own(survival, np.array([24.0, 36.0])).round(3)
        array([0.5  , 0.354])
        """
        logs, above, part = self._between(survival, hours)
        row = np.arange(len(logs))
        return np.asarray(np.exp(logs[row, above - 1] + part * (logs[row, above] - logs[row, above - 1])))

    def _between(self, survival: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logarithms from hour 0 on, the column at or above each hour, and how far it is from the one before."""
        logs = np.log(np.maximum(np.concatenate([np.ones((len(survival), 1)), survival], axis=1), 1e-300))
        cuts = np.concatenate([[0.0], self.cuts])
        above = np.searchsorted(cuts, hours, side="left").clip(1, len(cuts) - 1)
        return logs, above, np.clip((hours - cuts[above - 1]) / (cuts[above] - cuts[above - 1]), 0, 1)

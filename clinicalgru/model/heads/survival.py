"""Head for the time to an event: discrete hazards, with censored stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.calibrators import Calibrator, SurvivalCalibrator
from clinicalgru.model.heads.explanation_target import (
    ExplanationTarget,
    Target,
    event_log_odds,
    event_log_survival,
    target_horizon,
)
from clinicalgru.model.heads.hazards import mean_survival_logits
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.targets.survival_intervals import SurvivalIntervals


@dataclass(frozen=True)
class Survival(SurvivalIntervals, Head):
    """The time to an event: a hazard for each interval, likelihood with censoring, mean survival of the members.

    Parameters
    ----------
    cuts : tuple of float
        Hours after the prediction at which each interval ends, at equally spaced quantiles of the event times.
    horizons : tuple of float
        Hours after the prediction at which a risk is reported.

    Notes
    -----
    A stay counts in an interval if it was followed up to the end of it, or if the event occurred in it.

    References
    ----------
    Gensheimer and Narasimhan 2019, nnet-survival. Kvamme and Borgan 2021, LogisticHazard.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.heads.survival import Survival
    >>> head = Survival((24.0, 48.0), (48.0,))
    >>> head.loss(torch.zeros(1, 1, 2), torch.tensor([[30.0, 1.0]])).item()  # survived one interval, not the second
    1.3862943649291992
    """

    calibrator_class = SurvivalCalibrator
    default_output: ClassVar[int] = -1

    @property
    def n_outputs(self) -> int:
        """One logit of the hazard for each interval."""
        return len(self.cuts)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The horizons, such as "within 48 hours"."""
        return tuple(_horizon_name(hours) for hours in self.horizons)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """A risk for each horizon."""
        return tuple(f"risk_{hours:g}h" for hours in self.horizons)

    @property
    def targets(self) -> tuple[float, ...]:
        """The horizons; any other number of hours up to the last event of the training stays is accepted too."""
        return self.horizons

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """Intervals that hold equally many events; horizons of the task, or else the quartiles of the event times."""
        return cls.from_stays(stays)

    def to_dict(self) -> dict[str, Any]:
        """Cuts and horizons."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(tuple(content["cuts"]), tuple(content["horizons"]))

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown outcomes, times of 0 or less, and stays without any event."""
        self.check_outcomes(stays, name)

    def initial_bias(self, stays: Sequences) -> Tensor | None:
        """The hazards of all stays together, as in a life table."""
        events, at_risk = self._events_at_risk(torch.from_numpy(stays.outcome).float())
        return torch.logit((events.sum(dim=0) + 0.5) / (at_risk.sum(dim=0) + 1))

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """Hours of follow-up and whether the event occurred, for each stay of the batch: (stay, 2)."""
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean negative log likelihood over members and stays that count in any interval."""
        events, at_risk = self._events_at_risk(labels)
        losses = F.binary_cross_entropy_with_logits(logits, events.expand(logits.shape), reduction="none")
        return (losses * at_risk).sum() / (logits.shape[0] * self._n_at_risk(labels).clamp_min(1))

    def loss_denominator(self, labels: Tensor) -> float:
        """The number of stays that count in any interval."""
        return float(self._n_at_risk(labels))

    def _n_at_risk(self, labels: Tensor) -> Tensor:
        return self._events_at_risk(labels)[1].amax(dim=1).sum()

    def _events_at_risk(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        events, at_risk = self.events_at_risk(labels.numpy())
        return torch.from_numpy(events), torch.from_numpy(at_risk)

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Logits of the hazards of the mean survival of the members."""
        return mean_survival_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """Survival at the end of each interval, of shape (stay, interval)."""
        return F.logsigmoid(-aggregated[0]).cumsum(dim=1).exp()

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of the event within a number of hours."""
        return self.member_targets([self], target, calibrator)[0]

    def member_targets(
        self, heads: Sequence[Any], target: Target = None, calibrator: Calibrator | None = None
    ) -> list[ExplanationTarget]:
        """The calibrated log-odds of the event within a number of hours, from the mean survival of the networks."""
        hours = target_horizon(target, self.horizons, self.cuts[-1])
        pool = partial(event_log_odds, calibrator=calibrator)
        picks = [partial(event_log_survival, cuts=head.cuts, hours=hours) for head in heads]
        return [ExplanationTarget(pick, pool, name=_horizon_name(hours)) for pick in picks]

    def calibration_pairs(self, stays: Sequences, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each stay has the event, and its survival then; censored stays count to the end of follow-up."""
        hours, event = stays.outcome.T
        last = self.cuts[-1]  # nothing is predicted beyond it
        return event * (hours <= last), self.survival_at_own_time(prediction, np.minimum(hours, last))

    def calibration_events(self, labels: np.ndarray, *_: np.ndarray) -> dict[str, tuple[float, float]]:
        """Stays with the event; those without it need not be many."""
        return {"the event": (float(labels.sum()), np.inf)}

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """Whether the event occurred."""
        return stays.outcome[:, 1]

    @classmethod
    def pooled(cls, heads: Sequence[Any]) -> Survival:
        """The mean survival of several networks."""
        return PooledSurvival.of(heads)


@dataclass(frozen=True)
class PooledSurvival(Survival):
    """The mean survival of several networks, each with intervals of its own.

    A prediction holds the survival at the end of all intervals of all networks.

    Parameters
    ----------
    cuts : tuple of float
        All ends of intervals of the networks, in hours after the prediction, ascending.
    horizons : tuple of float
        Hours after the prediction at which a risk is reported.
    heads : tuple of Survival
        One for each network.

    References
    ----------
    Lakshminarayanan et al. 2017, deep ensembles (uniformly weighted mixture).

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.model.heads.survival import PooledSurvival, Survival
    >>> head = PooledSurvival.of([Survival((24.0, 48.0), (48.0,)), Survival((48.0,), (48.0,))])
    >>> head.survival_at(head.pool([np.array([[0.5, 0.25]]), np.array([[0.75]])]), np.array([0.0, 48.0]))
    array([[1. , 0.5]])
    """

    heads: tuple[Survival, ...] = ()

    @classmethod
    def of(cls, heads: Sequence[Survival]) -> Self:
        """The mean survival of these heads.

        Parameters
        ----------
        heads : sequence of Survival
            One for each network.

        Returns
        -------
        PooledSurvival
            Its horizons are those of the task, or the medians of those that the networks have learned.
        """
        cuts = np.unique(np.concatenate([head.cuts for head in heads]))
        horizons = [np.quantile(head.horizons, np.linspace(0, 1, len(heads[0].horizons))) for head in heads]
        same = len({head.horizons for head in heads}) == 1
        middle = heads[0].horizons if same else tuple(np.median(horizons, axis=0).tolist())
        return cls(tuple(cuts.tolist()), middle, tuple(heads))

    def to_dict(self) -> dict[str, Any]:
        """Nothing: it is made from the heads of the networks."""
        return {}

    def pool(self, predictions: Sequence[np.ndarray]) -> np.ndarray:
        """The survival at the end of all intervals of all networks, side by side."""
        return np.concatenate(predictions, axis=1)

    def survival_at(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Mean survival at some hours; see `SurvivalIntervals.survival_at`."""
        return np.mean([head.survival_at(part, hours) for head, part in self._parts(survival)], axis=0)

    def survival_at_own_time(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Mean survival of each stay at its own hour; see `SurvivalIntervals.survival_at_own_time`."""
        return np.mean([head.survival_at_own_time(part, hours) for head, part in self._parts(survival)], axis=0)

    def _parts(self, survival: np.ndarray) -> Iterator[tuple[Survival, np.ndarray]]:
        sizes = np.cumsum([len(head.cuts) for head in self.heads])[:-1]
        return zip(self.heads, np.split(survival, sizes, axis=1), strict=True)


def _horizon_name(hours: float) -> str:
    return f"within {hours:g} hours"

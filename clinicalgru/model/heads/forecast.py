"""What will be measured next? The head that gives, after each step, a distribution of each variable's next value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.network.batch import Batch, looked_up
from clinicalgru.model.network.layers import QuantileScale
from clinicalgru.model.network.network import ClinicalGRU

NARROWEST, WIDEST = -4.0, 2.0  # of the logarithm of the spread, in normal scores
LIGHTEST = 1e-9  # weight of a batch in which nothing is measured next


@dataclass(frozen=True, eq=False)
class Forecast:
    """What will the next step show? For each variable a Laplace distribution in normal scores; likelihood over what was
    measured; members as a mixture.

    scale     of the network: from values to normal scores
    weight    of each variable in the likelihood; (): all alike. One of weight 0 stays at its start
    widening  of the spread of each variable, as it was calibrated; (): as the network says it

    The network says how far the median of the next score lies from the one last seen (0, the training median, where
    none was), and the logarithm of the spread, the mean distance from that median. Source: masked likelihood of next
    observations, De Brouwer et al. 2019 (GRU-ODE-Bayes). DIFF: Laplace, not normal: measurements jump, and of the last
    value carried forward a median is the harder baseline to beat.
    """

    scale: QuantileScale
    weight: tuple[float, ...] = ()
    widening: tuple[float, ...] = ()
    every_step: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        return 2 * len(self.scale.knots)

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        return cls(QuantileScale(len(stays.variables)))  # the network's own, once there is one, takes its place

    def to_dict(self) -> dict[str, Any]:
        return {"widening": list(self.widening)}

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(network.scales.value, widening=tuple(content["widening"]))

    def check(self, stays: Sequences, name: str) -> None:
        if not (stays.n_steps > 1).any():
            raise TrainingError(f"stays with two steps or more among the {name}", "none", "Take a longer window.")

    def start(self, stays: Sequences) -> Tensor | None:
        return None

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        """(point, 2, variable) as of `by_row`, at the points."""
        return self.by_row(batch)[batch.point_row]

    def by_row(self, batch: Batch) -> Tensor:
        """(row, 2, variable) score measured at the next step of the stay, NaN where none was; and the last seen."""
        return torch.stack([next_scores(self.scale, batch), last_scores(self.scale, batch)], dim=1)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted mean negative log likelihood of what was measured next. logits (member, row, 2 variables)."""
        change, spread = _split(logits)
        came = (target[:, 0] - target[:, 1]).nan_to_num()
        surprise = (came - change).abs() / spread + spread.log()
        counts = self._counts(target)
        return (surprise * counts).sum() / (len(logits) * counts.sum().clamp_min(LIGHTEST)) + math.log(2)

    def counted(self, target: Tensor) -> float:
        """The weight of what was measured next, which the loss is a mean over."""
        return float(self._counts(target).sum())

    def _counts(self, target: Tensor) -> Tensor:
        """(row, variable) weight of each next score; 0 where none was measured."""
        return ~target[:, 0].isnan() * target.new_tensor(self.weight or (1.0,))

    def mixed(self, logits: Tensor) -> Tensor:
        """The mixture as one distribution: the mean of the medians, and the mixture's mean distance from it."""
        change, spread = _split(logits.double())
        middle = change.mean(dim=0, keepdim=True)
        apart = (change - middle).abs()
        distance = (apart + spread * torch.exp(-apart / spread)).mean(dim=0, keepdim=True)
        return torch.cat([middle, distance.log()], dim=2)

    def predict(self, mixed: Tensor) -> Tensor:
        """(row, 2, variable) how far the median of the next score lies from the last one, and the spread."""
        change, spread = _split(mixed[0])
        widening = spread.new_tensor(self.widening or (1.0,))
        return torch.stack([change, spread * widening], dim=1)


def last_scores(scale: QuantileScale, batch: Batch) -> Tensor:
    """(row, variable) score of the value last seen at each step; 0, the median, where there was none."""
    return looked_up(scale.at(batch.value, batch.variable), batch.carried)


def next_scores(scale: QuantileScale, batch: Batch) -> Tensor:
    """(row, variable) score measured at the next step of the stay; NaN where nothing was, or there is no such step."""
    measured = torch.where(batch.observed > 0, last_scores(scale, batch), torch.nan)
    place, there = next_rows(batch)
    return torch.where(there[:, None], measured[place], torch.nan)


def next_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """(row,) the row of the next step of the same stay, and whether there is one."""
    sizes = torch.tensor(batch.sizes, dtype=torch.long)
    later = torch.cat([sizes[1:], sizes.new_zeros(1)]) if len(sizes) else sizes
    rows = torch.arange(len(batch.hours))
    number = rows - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    there = number < torch.repeat_interleave(later, sizes)
    return torch.where(there, rows + torch.repeat_interleave(sizes, sizes), rows), there


def _split(logits: Tensor) -> tuple[Tensor, Tensor]:
    change, spread = logits.chunk(2, dim=-1)
    return change, spread.clamp(NARROWEST, WIDEST).exp()

"""Head for a number: a distribution over bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.model.features.pooled_values import pooled_values, rounded_outward
from clinicalgru.model.heads.classification import mean_class_logits
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target, mean_of_bins, refuse_target
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.targets.warning_labels import refuse_unknown

N_BINS = 20
MIN_WEIGHT = 1e-30  # of one side of an edge, relative to the likeliest bin
NEIGHBOURS = 6  # outcomes on each side of an edge whose mean it is


@dataclass(frozen=True)
class Regression(Head):
    """The distribution of a number over bins: log loss below each edge, and the mean probabilities of the members.

    Parameters
    ----------
    edges : tuple of float
        Edges of the bins, ascending: means of the training outcomes around them, and simple numbers outside of all.
    means : tuple of float
        Mean training outcome of each bin, of 11 patients or more.

    Notes
    -----
    An extreme training outcome changes its own bin only. The loss knows the order of the bins: a neighbouring bin is
    less wrong than a distant one. It is a proper scoring rule; see docs/decisions/25.

    References
    ----------
    Foresi and Peracchi 1995, "The conditional distribution of excess returns" (distribution regression). Stewart et al.
    2023, "Regression as classification".

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.heads.regression import Regression
    >>> head = Regression((0.0, 1.0, 3.0), (0.5, 2.0))
    >>> head.loss(torch.zeros(4, 2, 2), torch.tensor([0.2, 9.0])).item()
    0.6931471824645996
    """

    edges: tuple[float, ...]
    means: tuple[float, ...]

    @property
    def n_outputs(self) -> int:
        """One logit for each bin."""
        return len(self.means)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The mean."""
        return ("mean",)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Mean, median, and the ends of the interval."""
        return ("mean", "low", "median", "high")

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """The bins hold about equally many training outcomes, of 11 patients or more."""
        refuse_unknown(stays.outcome, "training stays")
        if not np.isfinite(stays.outcome).all() or len(np.unique(stays.outcome)) < 2:
            got = "infinite ones" if not np.isfinite(stays.outcome).all() else "one value only"
            raise TrainingError("finite outcomes that differ among the training stays", got, "Check the outcome.")
        pooled = pooled_values(stays.outcome, stays.patient, n_groups=N_BINS, equal=True)
        pooled = pooled if not np.isnan(pooled).any() else np.full(len(pooled), stays.outcome.mean())
        means, n_of_bin = np.unique(pooled, return_counts=True)
        ascending, ends = np.sort(stays.outcome), np.cumsum(n_of_bin)[:-1]
        inner = [float(ascending[max(0, end - NEIGHBOURS) : end + NEIGHBOURS].mean()) for end in ends]
        low, high = rounded_outward(ascending[0], ascending[-1])
        edges = np.unique([low, *inner, high])
        return cls(tuple(edges.tolist()), tuple(means.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Edges and means."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(tuple(content["edges"]), tuple(content["means"]))

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown outcomes."""
        refuse_unknown(stays.outcome, name)

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The outcome of each stay of the batch."""
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean log loss of being below an edge, over members, stays and inner edges; 0 of a single bin."""
        inner = torch.tensor(self.edges[1:-1], dtype=labels.dtype, device=labels.device)
        weight = torch.exp(logits - logits.amax(dim=-1, keepdim=True))
        below, above = weight.cumsum(dim=-1)[..., :-1], weight.flip(-1).cumsum(dim=-1).flip(-1)[..., 1:]
        true_side = torch.where(labels[:, None] <= inner, below, above)
        losses = weight.sum(dim=-1, keepdim=True).log() - true_side.clamp_min(MIN_WEIGHT).log()
        return losses.sum(dim=-1).mean() / max(1, len(inner))

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Logarithms of the mean bin probabilities of the members."""
        return mean_class_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """The probability of each bin, of shape (stay, bin)."""
        return torch.softmax(aggregated[0], dim=1)

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The mean, in the unit of the outcome."""
        refuse_target(target)
        return ExplanationTarget(
            partial(mean_of_bins, means=self.means), unit="outcome", scale=float(np.std(self.means))
        )

    @classmethod
    def pooled(cls, heads: Sequence[Any]) -> Regression:
        """The mixture of the distributions of several networks."""
        return PooledRegression.of(heads)

    def mean(self, probability: np.ndarray) -> np.ndarray:
        """The mean of each distribution.

        Parameters
        ----------
        probability : ndarray, shape (stay, bin)
            From `predict`.

        Returns
        -------
        ndarray, shape (stay,)
            In the unit of the outcome.
        """
        return np.asarray(probability @ np.asarray(self.means))

    def quantiles(self, probability: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Quantiles of each distribution; the density is constant within a bin.

        Parameters
        ----------
        probability : ndarray, shape (stay, bin)
            From `predict`.
        levels : ndarray, shape (level,)
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (stay, level)
            In the unit of the outcome.

        Examples
        --------
        >>> import numpy as np
        >>> from clinicalgru.model.heads.regression import Regression
        >>> Regression((0.0, 1.0, 3.0), (0.5, 2.0)).quantiles(np.array([[0.5, 0.5]]), np.array([0.25, 0.75]))
        array([[0.5, 2. ]])
        """
        below = np.concatenate([np.zeros((len(probability), 1)), np.cumsum(probability, axis=1)], axis=1)
        below[:, -1] = 1.0
        edges = np.asarray(self.edges)
        upper = (below[:, None, :] < levels[None, :, None]).sum(axis=2).clip(1, len(edges) - 1)  # upper edge of the bin
        low, high = (np.take_along_axis(below, upper - back, axis=1) for back in (1, 0))
        fraction = (levels - low) / np.maximum(high - low, 1e-300)
        return edges[upper - 1] + np.clip(fraction, 0, 1) * (edges[upper] - edges[upper - 1])

    def below(self, probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """The probability of less than an outcome: the cumulative distribution function.

        Parameters
        ----------
        probability : ndarray, shape (stay, bin)
            From `predict`.
        outcome : ndarray, shape (stay,)
            In the unit of the outcome.

        Returns
        -------
        ndarray, shape (stay,)

        Examples
        --------
        >>> import numpy as np
        >>> from clinicalgru.model.heads.regression import Regression
        >>> Regression((0.0, 1.0, 3.0), (0.5, 2.0)).below(np.array([[0.5, 0.5]]), np.array([2.0]))
        array([0.75])
        """
        edges = np.asarray(self.edges)
        bins = _bin(edges, outcome)
        fraction = np.clip((outcome - edges[bins]) / np.maximum(edges[bins + 1] - edges[bins], 1e-300), 0, 1)
        stay = np.arange(len(outcome))
        return np.cumsum(probability, axis=1)[stay, bins] - probability[stay, bins] * (1 - fraction)


@dataclass(frozen=True)
class PooledRegression(Regression):
    """The mixture of the distributions of several networks, each over its own bins, with equal weights.

    A prediction holds the probabilities of all bins of all networks.

    Parameters
    ----------
    edges : tuple of float
        All edges of the networks, ascending.
    means : tuple of float
        Means of the bins of one network after the other.
    heads : tuple of Regression
        One for each network.

    References
    ----------
    Lakshminarayanan et al. 2017, deep ensembles (uniformly weighted mixture).

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.model.heads.regression import PooledRegression, Regression
    >>> head = PooledRegression.of([Regression((0.0, 1.0), (0.5,)), Regression((1.0, 3.0), (2.0,))])
    >>> both = head.pool([np.array([[1.0]]), np.array([[1.0]])])
    >>> head.mean(both), head.quantiles(both, np.array([0.25, 0.75]))
    (array([1.25]), array([[0.5, 2. ]]))
    """

    heads: tuple[Regression, ...] = ()

    @classmethod
    def of(cls, heads: Sequence[Regression]) -> Self:
        """The mixture of the distributions of these heads.

        Parameters
        ----------
        heads : sequence of Regression
            One for each network.

        Returns
        -------
        PooledRegression
        """
        edges = np.unique(np.concatenate([head.edges for head in heads]))
        return cls(tuple(edges.tolist()), tuple(mean for head in heads for mean in head.means), tuple(heads))

    def to_dict(self) -> dict[str, Any]:
        """Nothing: it is made from the heads of the networks."""
        return {}

    def pool(self, predictions: Sequence[np.ndarray]) -> np.ndarray:
        """The probabilities of all bins of all networks, side by side."""
        return np.concatenate(predictions, axis=1) / len(predictions)

    def quantiles(self, probability: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Quantiles of each mixture; see `Regression.quantiles`."""
        return super().quantiles(self._between_edges(probability), levels)

    def below(self, probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """The probability of less than an outcome; see `Regression.below`."""
        return super().below(self._between_edges(probability), outcome)

    def _between_edges(self, probability: np.ndarray) -> np.ndarray:
        """The probability between all edges: within a bin of a network it is spread evenly."""
        sizes = np.cumsum([len(head.means) for head in self.heads])[:-1]
        below = np.zeros((len(probability), len(self.edges)))
        for head, part in zip(self.heads, np.split(probability, sizes, axis=1), strict=True):
            corners = np.eye(len(head.edges))
            weights = np.stack([np.interp(self.edges, head.edges, corner) for corner in corners])
            below += np.concatenate([np.zeros((len(part), 1)), np.cumsum(part, axis=1)], axis=1) @ weights
        return np.diff(below, axis=1).clip(0)


def _bin(edges: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """The bin of each outcome: above its lower edge, up to the upper one; the outermost bins have no outer limit."""
    return np.searchsorted(edges[1:-1], outcome, side="left")

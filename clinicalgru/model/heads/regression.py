"""How much? The head that gives a whole distribution of a number, by bins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.heads.classification import MultiClass, refuse_unknown
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

BINS = 20


@dataclass(frozen=True)
class Regression:
    """How much? The probability of each bin of the outcome; log loss; the mean probabilities of the members.

    edges  (bin + 1,) ascending, at equal ranks of the training outcomes; equal edges are one
    means  (bin,) mean training outcome of each bin

    A few absurd outcomes move their own bin only. Source: regression by classification, Stewart et al. 2023.

    >>> head = Regression((0.0, 1.0, 3.0), (0.5, 2.0))
    >>> head.loss(torch.zeros(4, 2, 2), torch.tensor([0.2, 9.0])).item()
    0.6931471824645996
    """

    edges: tuple[float, ...]
    means: tuple[float, ...]
    every_step: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return len(self.means)

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        refuse_unknown(stays.outcome, "stays")
        if not np.isfinite(stays.outcome).all() or len(np.unique(stays.outcome)) < 2:
            raise TrainingError("finite outcomes that differ among the stays", "others", "Look at the outcome.")
        edges = np.unique(np.quantile(stays.outcome, np.linspace(0, 1, BINS + 1)))
        which = _bin(edges, stays.outcome)
        filled = np.bincount(which, minlength=len(edges) - 1) > 0
        edges = np.concatenate([edges[:1], edges[1:][filled]])
        which = _bin(edges, stays.outcome)
        means = np.bincount(which, stays.outcome) / np.bincount(which)
        return cls(tuple(edges.tolist()), tuple(means.tolist()))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(tuple(content["edges"]), tuple(content["means"]))

    def check(self, stays: Sequences, name: str) -> None:
        refuse_unknown(stays.outcome, name)

    def start(self, stays: Sequences) -> Tensor | None:
        return None

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        inner = torch.tensor(self.edges[1:-1], dtype=target.dtype)
        return MultiClass(self.means).loss(logits, torch.searchsorted(inner, target.contiguous()))

    def mixed(self, logits: Tensor) -> Tensor:
        return MultiClass(self.means).mixed(logits)

    def predict(self, mixed: Tensor) -> Tensor:
        return MultiClass(self.means).predict(mixed)

    def mean(self, probability: np.ndarray) -> np.ndarray:
        """(stay, bin) probabilities -> (stay,) mean."""
        return np.asarray(probability @ np.asarray(self.means))

    def quantiles(self, probability: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """(stay, bin) probabilities -> (stay, level) quantiles; outcomes are spread evenly within a bin.

        >>> Regression((0.0, 1.0, 3.0), (0.5, 2.0)).quantiles(np.array([[0.5, 0.5]]), np.array([0.25, 0.75]))
        array([[0.5, 2. ]])
        """
        below = np.concatenate([np.zeros((len(probability), 1)), np.cumsum(probability, axis=1)], axis=1)
        below[:, -1] = 1.0
        edges = np.asarray(self.edges)
        above = (below[:, None, :] < levels[None, :, None]).sum(axis=2).clip(1, len(edges) - 1)  # the edge above each
        low, high = (np.take_along_axis(below, above - back, axis=1) for back in (1, 0))
        part = (levels - low) / np.maximum(high - low, 1e-300)
        return edges[above - 1] + np.clip(part, 0, 1) * (edges[above] - edges[above - 1])

    def below(self, probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """(stay, bin) probabilities and (stay,) outcomes -> (stay,) the probability of less than the outcome.

        >>> Regression((0.0, 1.0, 3.0), (0.5, 2.0)).below(np.array([[0.5, 0.5]]), np.array([2.0]))
        array([0.75])
        """
        edges = np.asarray(self.edges)
        which = _bin(edges, outcome)
        part = np.clip((outcome - edges[which]) / np.maximum(edges[which + 1] - edges[which], 1e-300), 0, 1)
        inside = probability[np.arange(len(outcome)), which]
        return np.cumsum(probability, axis=1)[np.arange(len(outcome)), which] - inside * (1 - part)


def _bin(edges: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """(stay,) the bin of each outcome: above its lower edge, up to the upper; the outermost reach on."""
    return np.searchsorted(edges[1:-1], outcome, side="left")

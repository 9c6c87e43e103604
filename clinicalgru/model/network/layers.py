"""The layers of the network: scaling by quantiles, decay, embeddings of numbers and codes, and many members in one."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.generator import Dropout, linear, normal

SMALLEST_DECAY = 80.0  # exp(-80): above float32's zero, so that a decay stays positive


class QuantileScale(nn.Module):
    """Each number as the normal score of its rank among the training values; linear between the knots.

    knots   (feature, knot) ascending quantiles of the training values; buffers, saved with the weights
    scores  (feature, knot) their normal scores; equal knots share the score of their middle rank, so that the scale
            stays continuous where one value is frequent

    A value beyond what training saw gets the outermost score: one absurd value cannot take over.

    >>> scale = QuantileScale(1, knots=5)
    >>> scale.learn(0, np.arange(101.0))
    >>> scale(torch.tensor([[50.0]])).abs().item() < 1e-3
    True
    """

    def __init__(self, features: int, *, knots: int = 65) -> None:
        super().__init__()
        self.register_buffer("knots", torch.zeros(features, knots, dtype=torch.float32))
        self.register_buffer(
            "scores", torch.zeros(features, knots, dtype=torch.float32)
        )  # never learned: each value scores 0
        self.knots: Tensor
        self.scores: Tensor

    def learn(self, feature: int, known: np.ndarray) -> None:
        """Remember one feature's training values; without any, each later value scores 0."""
        if len(known) == 0:
            return
        ranks = np.linspace(0, 1, self.knots.shape[1])
        knots = np.quantile(known.astype(np.float64), ranks).astype(np.float32)
        _, which, count = np.unique(knots, return_inverse=True, return_counts=True)
        middle = (np.bincount(which, ranks) / count)[which].clip(0.002, 0.998)
        self.knots[feature] = torch.from_numpy(knots)
        self.scores[feature] = math.sqrt(2) * torch.erfinv(torch.from_numpy(2 * middle - 1))

    def forward(self, values: Tensor) -> Tensor:
        """(stay, feature) -> scores of the same shape; NaN stays NaN."""
        columns = values.t().double().contiguous()
        first = self.knots.shape[1] * torch.arange(len(columns), device=values.device)[:, None]
        return self._between(columns, torch.searchsorted(self.knots.double(), columns), first).t()

    def at(self, values: Tensor, feature: Tensor) -> Tensor:
        """Scores of single values, each of the feature named beside it; both of any one shape."""
        # a feature is the upper half of a whole number, a value the lower one: one search serves all features
        line = (torch.arange(len(self.knots), device=values.device)[:, None] << 32) + _rank_bits(self.knots)
        first = feature * self.knots.shape[1]
        above = torch.searchsorted(line.flatten(), (feature << 32) + _rank_bits(values)) - first
        return self._between(values.double(), above, first)

    def _between(self, values: Tensor, above: Tensor, first: Tensor) -> Tensor:
        """Scores of values whose next knot above is this one of their feature, whose first knot stands there."""
        above = above.clamp(1, self.knots.shape[1] - 1) + first
        knots, scores = self.knots.double().flatten(), self.scores.double().flatten()
        low, high = knots[above - 1], knots[above]
        part = ((values - low) / (high - low).clamp_min(1e-300)).clamp(0, 1)
        return torch.lerp(scores[above - 1], scores[above], part).float()


def _rank_bits(values: Tensor) -> Tensor:
    """Whole numbers from -2^31 to 2^31 in the order of the float32 values; those of NaN are the highest or lowest."""
    bits = values.float().contiguous().view(torch.int32).long()
    return torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


class Decay(nn.Module):
    """How much of something is kept after a gap: exp(-max(0, w . gap + b)), in (0, 1].

    Source: Che et al. 2018, Eq. 3. DIFF: w is kept at or above zero (softplus), so that no gap can strengthen a memory.

    >>> decay = Decay(3, 2)
    >>> near, far = decay(torch.ones(1, 3)), decay(torch.full((1, 3), 100.0))
    >>> bool((far <= near).all())
    True
    """

    def __init__(self, inputs: int, outputs: int, *, diagonal: bool = False, start: float = 0.01) -> None:
        super().__init__()
        shape = (outputs,) if diagonal else (outputs, inputs)
        raw = math.log(math.expm1(start if diagonal else start / max(inputs, 1)))
        self.raw = nn.Parameter(torch.full(shape, raw, dtype=torch.float32) + 0.1 * normal(*shape))
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=torch.float32))
        self.diagonal = diagonal

    def forward(self, gap_hours: Tensor) -> Tensor:
        """(row, inputs) hours -> (row, outputs)."""
        weight, bias = -F.softplus(self.raw), -self.bias
        fading = torch.addcmul(bias, gap_hours, weight) if self.diagonal else F.linear(gap_hours, weight, bias)
        return torch.exp(F.hardtanh(fading, -SMALLEST_DECAY, 0.0))


class NumberEmbedding(nn.Module):
    """Each number as a few: a line, bent at the training quantiles; an unknown number has an embedding of its own.

    Source: Gorishniy et al. 2022, piecewise-linear encoding after a linear embedding. DIFF: the bins start at random,
    not at zero, and are cut at equal ranks of the normal scores that `QuantileScale` gives.
    """

    def __init__(self, features: int, *, bins: int = 8, size: int = 4) -> None:
        super().__init__()
        self.line = nn.Parameter(normal(features, size) / math.sqrt(size))
        self.bent = nn.Parameter(normal(features, bins, size) / math.sqrt(size))
        self.unknown = nn.Parameter(torch.zeros(features, size, dtype=torch.float32))
        ranks = torch.linspace(0, 1, bins + 1, dtype=torch.float32)[1:-1]
        edges = math.sqrt(2) * torch.erfinv(2 * ranks - 1)
        self.register_buffer(
            "edges", nn.functional.pad(nn.functional.pad(edges, (1, 0), value=-3.0), (0, 1), value=3.0)
        )
        self.edges: Tensor

    def forward(self, scores: Tensor, known: Tensor) -> Tensor:
        """scores, known (stay, feature), known in [0, 1] -> (stay, feature x size)."""
        low, high = self.edges[:-1, None], self.edges[1:, None]
        scores, known = scores.t()[:, None], known.t()[:, None]  # the stays last: long rows are quick
        bins = ((scores - low) / (high - low)).clamp(0, 1)
        basis = torch.cat([torch.cat([scores, bins], dim=1) * known, 1 - known], dim=1)
        weight = torch.cat([self.line[:, None], self.bent, self.unknown[:, None]], dim=1)
        return torch.bmm(weight.transpose(1, 2), basis).flatten(0, 1).t()


class OwnSummaries(nn.Module):
    """Two numbers of each variable, straight from the embedded summaries of that variable alone; 0 at the start.

    A readout that mixes all variables needs long to find out which numbers are whose: in forecasts of 1,200 other stays
    of PhysioNet 2012 set a, after 10 epochs, errors were 1.01 of those of the last value; starting from that, and with
    this layer, .95.

    >>> OwnSummaries(3, size=4)(torch.zeros(5, 3 * 10 * 4)).shape
    torch.Size([5, 6])
    """

    def __init__(self, variables: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(variables, len(SUMMARIES) * size, 2, dtype=torch.float32))

    def forward(self, embedded: Tensor) -> Tensor:
        """(point, feature x size), of which the summaries come first -> (point, 2 x variable): first one of each."""
        variables, width, _ = self.weight.shape
        own = embedded[:, : variables * width].unflatten(1, (variables, width))
        return torch.einsum("pvw,vwo->pov", own, self.weight).flatten(1)


class VariableEmbedding(nn.Module):
    """Each variable as a few numbers of its own, made of its value, whether it is new, and its gap, before any mixing.

    Source: Gorishniy et al. 2022 for the value. DIFF: mask and logarithm of the gap enter the same embedding.
    """

    def __init__(self, variables: int, *, size: int = 4) -> None:
        super().__init__()
        self.width = variables * size
        self.value = NumberEmbedding(variables, size=size)
        self.beside = nn.Parameter(normal(3, variables, size) / math.sqrt(size))  # new, log gap, constant

    def forward(self, scores: Tensor, observed: Tensor, gap_hours: Tensor) -> Tensor:
        """scores, observed, gap_hours (row, variable) -> (row, variable x size)."""
        new, gap, constant = self.beside
        beside = observed[..., None] * new + torch.log1p(gap_hours)[..., None] * gap + constant
        return F.relu(self.value(scores, torch.ones_like(scores)) + beside.flatten(1))


class CodeBag(nn.Module):
    """The coded events of each step as one vector: the sum of their embeddings; a step without any has 0.

    >>> CodeBag(7).width
    32
    """

    def __init__(self, codes: int, *, size: int = 32) -> None:
        super().__init__()
        self.width = size
        self.table = nn.Parameter(normal(codes, size) / math.sqrt(size))

    def forward(self, batch: Batch) -> Tensor:
        """(row, size)."""
        return self.table.new_zeros(len(batch.hours), self.width).index_add(0, batch.code_row, self.table[batch.code])

    def so_far(self, batch: Batch) -> Tensor:
        """(point, size) the sum over the codes that the stay has had up to the point, each counted once."""
        new = batch.code_new[:, None] * self.table[batch.code]
        rows, valid = batch.grid()
        bag = self.table.new_zeros(len(batch.hours) + 1, self.width).index_add(0, batch.code_row, new)
        known = bag[rows].cumsum(dim=1)  # row -1 is the one added: empty
        step = (
            batch.step[batch.point_row] if batch.every_step else valid.sum(dim=1).sub(1).clamp_min(0)[batch.point_stay]
        )
        return known[batch.point_stay, step]


class Members(nn.Module):
    """Many cheap members that share one net: each scales the inputs in its own way and has its own last layer.

    Source: Gorishniy et al. 2024, TabM-mini.
    """

    def __init__(self, inputs: int, *, hidden: int, members: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.Parameter(normal(members, 1, inputs))
        self.shared = nn.Sequential(linear(inputs, hidden), nn.ReLU(), Dropout(dropout))
        self.second = nn.Sequential(linear(hidden, hidden), nn.ReLU(), Dropout(dropout))
        self.last = nn.Parameter(normal(members, hidden, outputs) / math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs, dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """(point, inputs) -> (member, point, output)."""
        hidden = self.second(self.shared(inputs * self.own))
        return torch.baddbmm(self.bias, hidden, self.last)

"""Layers of the network: quantile scaling and decay."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.features.pooled_values import pooled_by_number
from clinicalgru.model.network.generator import normal, sizes_only
from clinicalgru.model.network.native_library import library_for, pointer

MAX_DECAY_EXPONENT = 80.0  # exp(-80) is above the smallest float32, so that a decay stays above 0


class QuantileScaler(nn.Module):
    """Numbers as the normal scores of their ranks among the training values; linear between the knots.

    Parameters
    ----------
    features, knots : int
        Number of features, and of quantiles that are kept of each.

    Attributes
    ----------
    knots : Tensor, shape (feature, knot)
        Quantiles of the training values, ascending. A buffer, saved with the weights. Each is a mean of values of 11
        patients or more.
    scores : Tensor, shape (feature, knot)
        Their normal scores. Equal knots share the score of their middle rank.

    Notes
    -----
    A value beyond the training values has the outermost score, so that one extreme value has little influence. A
    feature that fewer than 11 training patients have has a score of 0.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from clinicalgru.model.network.layers import QuantileScaler
    >>> scaler = QuantileScaler(1, knots=5)
    >>> scaler.fit(0, np.arange(101.0))
    >>> scaler(torch.tensor([[50.0]])).abs().item() < 0.1
    True
    """

    def __init__(self, features: int, *, knots: int = 65) -> None:
        super().__init__()
        self.register_buffer("knots", torch.zeros(features, knots, dtype=torch.float32))
        self.register_buffer("scores", torch.zeros(features, knots, dtype=torch.float32))
        self.knots: Tensor
        self.scores: Tensor

    def fit(self, feature: int, values: np.ndarray, patients: np.ndarray | None = None) -> None:
        """Learn the quantiles of one feature.

        Parameters
        ----------
        feature : int
            Position of the feature.
        values : ndarray, shape (value,)
            Training values, all known.
        patients : ndarray of int, shape (value,), optional
            Patient of each value, numbered from 0; fewer than 11 patients teach nothing. None: each value is of another
            patient.
        """
        ranks = np.linspace(0, 1, self.knots.shape[1])
        patients = np.arange(len(values)) if patients is None else patients
        pooled = pooled_by_number(np.asarray(values, dtype=np.float64), patients, n_groups=len(ranks) - 1)
        if not len(pooled) or np.isnan(pooled[0]):
            return
        ascending = np.sort(pooled)
        self.set_knots(feature, np.interp(ranks * (len(pooled) - 1), np.arange(len(pooled)), ascending))

    def set_knots(self, feature: int, knots: np.ndarray) -> None:
        """Set the quantiles of one feature, and their scores.

        Parameters
        ----------
        feature : int
            Position of the feature.
        knots : ndarray, shape (knot,)
            Quantiles at equally spaced ranks from 0 to 1.
        """
        ranks, knots = np.linspace(0, 1, len(knots)), knots.astype(np.float32)
        group = np.cumsum(np.append(False, knots[1:] != knots[:-1]))
        middle = (np.bincount(group, ranks) / np.bincount(group))[group].clip(0.002, 0.998)
        self.knots[feature] = torch.from_numpy(knots)
        self.scores[feature] = math.sqrt(2) * torch.erfinv(torch.from_numpy(2 * middle - 1))

    def forward(self, values: Tensor) -> Tensor:
        """Scores of a table of values.

        Parameters
        ----------
        values : Tensor, shape (stay, feature)

        Returns
        -------
        Tensor of float32, shape (stay, feature); NaN stays NaN
        """
        return self._interpolate(values, None)

    def at(self, values: Tensor, feature: Tensor) -> Tensor:
        """Scores of single values.

        Parameters
        ----------
        values : Tensor
            Values.
        feature : Tensor of int64
            The feature of each, of the same shape.

        Returns
        -------
        Tensor of float32, of that shape
        """
        return self._interpolate(values, feature)

    def _interpolate(self, values: Tensor, feature: Tensor | None) -> Tensor:
        """Scores of values, each of the feature that is given, or else of that of its column."""
        library = None if values.requires_grad else library_for((values, self.knots, self.scores))
        if library is not None:
            return _native_scores(library, values, feature, self.knots, self.scores)
        if feature is None:
            return self._interpolate(values.t().contiguous(), _columns(values).t()).t()
        knots, scores = self.knots.flatten(), self.scores.double().flatten()
        n_knots = self.knots.shape[1]
        low = _interval(knots, feature.flatten() * n_knots, values.flatten(), n_knots)
        knots = knots.double()
        start, end = knots.index_select(0, low), knots.index_select(0, low + 1)
        fraction = ((values.double().flatten() - start) / (end - start).clamp_min(1e-300)).clamp(0, 1)
        scored = torch.lerp(scores.index_select(0, low), scores.index_select(0, low + 1), fraction)
        return scored.float().unflatten(0, values.shape)


def _columns(values: Tensor) -> Tensor:
    """The number of the column of each value of a table."""
    return torch.arange(values.shape[1], device=values.device).expand(values.shape)


def _native_scores(
    library: ctypes.CDLL, values: Tensor, feature: Tensor | None, knots: Tensor, scores: Tensor
) -> Tensor:
    """`QuantileScaler._interpolate` in C: one pass over the values."""
    values, result = values.contiguous(), torch.empty(values.shape, dtype=torch.float32)
    feature = feature if feature is None else feature.to(torch.int64).contiguous()
    columns = values.shape[-1] if feature is None else 1
    sizes = map(ctypes.c_long, (columns, knots.shape[1]))
    arrays = map(pointer, (values, knots.contiguous(), scores.contiguous(), result))
    library.quantile_scores(ctypes.c_long(values.numel()), pointer(feature), *sizes, *arrays)
    return result


def _interval(knots: Tensor, first: Tensor, values: Tensor, n_knots: int) -> Tensor:
    """Position of the knot at which the interval of each value begins, among the `n_knots` from position `first`.

    A binary search for all values at once: `torch.searchsorted` searches one by one, and takes twice as long. Positions
    of 32 bits take less time to move than those of 64.
    """
    low, left = first.to(torch.int32, copy=True), n_knots - 1  # intervals that are left to choose from
    while left > 1:
        half = left // 2
        low.add_(knots.index_select(0, low + half) < values, alpha=half)
        left -= half
    return low


class Decay(nn.Module):
    """Decay over a time gap: exp(-max(0, w . delta + b)), in (0, 1].

    Parameters
    ----------
    inputs, outputs : int
        Number of time gaps, and of decays.
    diagonal : bool
        Whether each decay has a time gap of its own; else it depends on all of them.
    initial_rate : float
        Decay rate per hour before training.

    Notes
    -----
    Deviation from the paper: w is kept at or above zero (softplus), so that a longer gap never raises the decay.

    References
    ----------
    Che et al. 2018, Eq. 3.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.layers import Decay
    >>> decay = Decay(3, 2)
    >>> short, long = decay(torch.ones(1, 3)), decay(torch.full((1, 3), 100.0))
    >>> bool((long <= short).all())
    True
    """

    def __init__(self, inputs: int, outputs: int, *, diagonal: bool = False, initial_rate: float = 0.01) -> None:
        super().__init__()
        shape = (outputs,) if diagonal else (outputs, inputs)
        raw = math.log(math.expm1(initial_rate if diagonal else initial_rate / max(inputs, 1)))
        drawn = normal(*shape)
        self.raw = nn.Parameter(drawn if sizes_only() else torch.full(shape, raw, dtype=torch.float32) + 0.1 * drawn)
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=torch.float32))
        self.diagonal = diagonal

    def forward(self, delta_hours: Tensor) -> Tensor:
        """Decays over time gaps.

        Parameters
        ----------
        delta_hours : Tensor, shape (row, inputs), in hours

        Returns
        -------
        Tensor, shape (row, outputs)
        """
        weight, bias = self.exponent_weights()
        exponent = torch.addcmul(bias, delta_hours, weight) if self.diagonal else F.linear(delta_hours, weight, bias)
        return torch.exp(F.hardtanh(exponent, -MAX_DECAY_EXPONENT, 0.0))

    def exponent_weights(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the exponent, before it is limited to -80 to 0.

        Returns
        -------
        weight : Tensor, shape (outputs, inputs), or (outputs,) if diagonal
            Not above 0.
        bias : Tensor, shape (outputs,)
        """
        return -F.softplus(self.raw), -self.bias

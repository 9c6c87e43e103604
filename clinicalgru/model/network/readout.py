"""The readout: an implicit ensemble of perceptrons, and which inputs each member sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.generator import Dropout, linear, normal


def members_see(spec: NetworkSpec) -> tuple[Tensor, Tensor]:
    """Which members of the readout see the sequence, and which the summaries.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and options of the network.

    Returns
    -------
    sequence, summaries : Tensor of bool, shape (member,)
    """
    first_half = torch.arange(spec.ensemble_size, device="cpu") < (spec.ensemble_size + 1) // 2
    both, neither = torch.ones_like(first_half), torch.zeros_like(first_half)
    return {
        "joint": (both, both),
        "separate": (first_half, ~first_half),
        "sequence": (both, neither),
        "summaries": (neither, both),
    }[spec.readout_inputs]


class BatchEnsembleMLP(nn.Module):
    """An implicit ensemble of perceptrons: members scale the inputs, share two layers, and differ in the last.

    Parameters
    ----------
    inputs, hidden, members, outputs : int
        Sizes of the input and hidden layers, number of members, and number of outputs of each.
    dropout : float
        Dropout probability after each hidden layer.

    References
    ----------
    Gorishniy et al. 2024, TabM-mini. Wen et al. 2020, BatchEnsemble.
    """

    def __init__(self, inputs: int, *, hidden: int, members: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.input_scale = nn.Parameter(normal(members, 1, inputs))
        self.first = nn.Sequential(linear(inputs, hidden), nn.ReLU(), Dropout(dropout))
        self.second = nn.Sequential(linear(hidden, hidden), nn.ReLU(), Dropout(dropout))
        self.last = nn.Parameter(normal(members, hidden, outputs, divisor=math.sqrt(hidden)))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs, dtype=torch.float32))

    def forward(self, inputs: Tensor, visible: Tensor | None = None) -> Tensor:
        """Outputs of all members.

        Parameters
        ----------
        inputs : Tensor, shape (point, inputs)
        visible : Tensor, shape (member, 1, inputs), or None
            1 for inputs that a member sees, else 0. None: each member sees all.

        Returns
        -------
        Tensor, shape (member, point, output)
        """
        scale = self.input_scale if visible is None else self.input_scale * visible
        hidden = self.second(self._first(inputs, scale) if self.training else self.first(inputs * scale))
        return torch.baddbmm(self.bias, hidden, self.last)

    def _first(self, inputs: Tensor, scale: Tensor) -> Tensor:
        """The first layer by weights of each member instead of inputs of each: faster where there are many points."""
        shared, bias = self.first[0].weight, self.first[0].bias
        assert isinstance(shared, Tensor)
        assert isinstance(bias, Tensor)
        weight = shared * scale
        hidden = nn.functional.linear(inputs, weight.flatten(0, 1), bias.repeat(len(weight)))
        return self.first[2](self.first[1](hidden.unflatten(1, (len(weight), -1)).transpose(0, 1)))

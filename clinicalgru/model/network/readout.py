"""The readout: an implicit ensemble of perceptrons, or two of them, and which inputs each member sees."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
        "apart": (first_half, ~first_half),
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

    def parts(self) -> Iterator[tuple[str, BatchEnsembleMLP, Tensor | None]]:
        """The perceptrons that share no weights: itself.

        Yields
        ------
        prefix : str
            What the names of its weights start with, within the readout.
        readout : BatchEnsembleMLP
        columns : None
            It sees all columns of the inputs.
        """
        yield "", self, None

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


class ReadoutsApart(nn.Module):
    """Two implicit ensembles that share no weights, one for each part of the members, and of columns of its own.

    Parameters
    ----------
    inputs : int
        Number of inputs.
    sequence, summaries : range
        Columns that come from the sequence, and from the summaries; each part sees those of the other not.
    hidden, members, outputs : int
        Sizes of the hidden layers, number of members of both parts together, and number of outputs of each.
    dropout : float
        Dropout probability after each hidden layer.

    Notes
    -----
    The loss of a member depends on the weights of its own part only, so that neither part can stop the other from
    learning.
    """

    def __init__(
        self,
        inputs: int,
        sequence: range,
        summaries: range,
        *,
        hidden: int,
        members: int,
        outputs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"hidden": hidden, "outputs": outputs}
        columns = [[n for n in range(inputs) if n not in hidden_columns] for hidden_columns in (summaries, sequence)]
        self.sequence = BatchEnsembleMLP(len(columns[0]), members=members - members // 2, dropout=dropout, **sizes)
        self.summaries = BatchEnsembleMLP(len(columns[1]), members=members // 2, dropout=dropout, **sizes)
        self.register_buffer("of_sequence", torch.tensor(columns[0]), persistent=False)
        self.register_buffer("of_summaries", torch.tensor(columns[1]), persistent=False)
        self.of_sequence: Tensor
        self.of_summaries: Tensor

    def parts(self) -> Iterator[tuple[str, BatchEnsembleMLP, Tensor]]:
        """The two perceptrons that share no weights.

        Yields
        ------
        prefix : str
            What the names of its weights start with, within the readout.
        readout : BatchEnsembleMLP
        columns : Tensor of int64
            The columns of the inputs that it sees.
        """
        yield "sequence.", self.sequence, self.of_sequence
        yield "summaries.", self.summaries, self.of_summaries

    def forward(self, inputs: Tensor, visible: Tensor | None = None) -> Tensor:
        """Outputs of all members.

        Parameters
        ----------
        inputs : Tensor, shape (point, inputs)
        visible : None
            Each part has columns of its own.

        Returns
        -------
        Tensor, shape (member, point, output)
        """
        parts = (readout(inputs.index_select(1, columns)) for _, readout, columns in self.parts())
        return torch.cat(list(parts))

"""The loss of the validation stays after each epoch; their batches are made once if there are few."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.model.training.cuts import fixed_cuts
from clinicalgru.model.training.inference import iterate_batches, losses_of_batches
from clinicalgru.model.training.state import TrainingConfig
from clinicalgru.model.training.torch_settings import torch_defaults

MAX_CELLS = 2**22  # time steps times variables whose batches are kept from epoch to epoch: some 70 MB

Scaled = tuple[Inputs, Batch, Tensor]


class ValidationLoss:
    """The loss of the validation stays, and with its weight that of copies of them that end earlier.

    Parameters
    ----------
    stays : Sequences
        Validation stays.
    head : Head
        The head of the network.
    config : TrainingConfig
        Number and weight of the copies.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, NetworkConfig, Task, read_events, select, simulate
    >>> from clinicalgru.model.training.state import TrainingConfig
    >>> from clinicalgru.model.training.validation_loss import ValidationLoss
    >>> stays = select(read_events(simulate(40)), Task.load("in_hospital_mortality"))
    >>> network, head = GRUClassifier(NetworkConfig(hidden_size=4)).init_network(stays)
    >>> loss = ValidationLoss(stays, head=head, config=TrainingConfig())
    >>> loss(network) == loss(network) > 0
    True
    """

    def __init__(self, stays: Sequences, *, head: Head, config: TrainingConfig) -> None:
        self.stays, self.head, self.cut_weight = stays, head, config.cut_weight
        self._parts = [stays]
        if config.n_cuts and head.supports_cuts:
            self._parts.append(fixed_cuts(stays, n_cuts=config.n_cuts, random_state=config.random_state))
        cells = sum(int(part.n_steps.sum()) for part in self._parts) * len(stays.variables)
        self._kept: list[list[Scaled]] | None = [[] for _ in self._parts] if cells <= MAX_CELLS else None

    def __call__(self, network: ClinicalGRU) -> float:
        """The loss of a network.

        Parameters
        ----------
        network : ClinicalGRU
            With the scaler of all epochs before.

        Returns
        -------
        float
        """
        return self.losses(network)[0]

    @torch_defaults(grad=False)
    def losses(self, network: ClinicalGRU) -> list[float]:
        """The losses of a network, and of each part of its readout, if parts share no weights.

        Parameters
        ----------
        network : ClinicalGRU
            With the scaler of all epochs before.

        Returns
        -------
        list of float
            The loss of all members first.
        """
        parts = [self._batches(network, number) for number in range(len(self._parts))]
        found = [losses_of_batches(network, batches, self.head) for batches in parts]
        if len(found) == 1:
            return found[0]
        weight = self.cut_weight
        return [(whole + weight * cut) / (1 + weight) for whole, cut in zip(*found, strict=True)]

    def _batches(self, network: ClinicalGRU, number: int) -> Iterator[Scaled]:
        """The batches of one part, from the epoch before where they are kept."""
        if self._kept is not None and self._kept[number]:
            yield from self._kept[number]
            return
        for part, batch, _ in iterate_batches(network, self._parts[number], head=self.head):
            scaled = network.scaler(batch), batch, self.head.labels(part, batch)
            if self._kept is not None:
                self._kept[number].append(scaled)
            yield scaled

"""PretrainedEncoder: the weights of self-supervised training, and how a network starts from them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import format_count
from clinicalgru.errors import ArgumentError, VariableMismatch
from clinicalgru.model.network.column_names import Axes, column_names, copy_by_name
from clinicalgru.model.network.config import OPTION_NAMES, NetworkConfig
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.seen_patients import SeenPatients

SHARED_OPTIONS = (
    "hidden_size",
    "cell",
    "reset",
    "gate",
    "feedback_delay_hours",
    "n_layers",
    "bidirectional",
    "layer_norm",
    "convolution",
    "attention",
    "encoder",
)  # of the network: these decide what the weights of the encoder mean
OUTPUTS = ("last", "bias")  # of the readout: each task learns its own
OWN = (
    *(f"readout.{part}{name}" for part in ("", "sequence.", "summaries.") for name in OUTPUTS),
    "forecast.",
    "by_variable.",
)


@dataclass(frozen=True, eq=False)
class PretrainedEncoder:
    """Weights of self-supervised training, from which any GRU estimator starts (`GRUClassifier(pretrained=...)`).

    `clinicalgru.pretrain` gives it; `save` and `load` keep it as a bundle of its own.

    Parameters
    ----------
    network : ClinicalGRU
        The trained network, with its scaling. Not changed by those that start from it.
    variables, static_variables : tuple of Variable
        Variables and static covariates of the stays that it was trained on.
    trained_on : mapping
        Source and counts of these stays; small counts of real patients are None.
    history : list of dict
        Epoch, train_loss and val_loss of each epoch.
    seen_patients : SeenPatients
        Salted hashes of the patients of these stays.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("next_measurements"))
    >>> encoder = cg.pretrain(stays, network=cg.NetworkConfig(hidden_size=8), max_epochs=1, verbose=False)
    >>> encoder.network_config.hidden_size
    8
    """

    network: ClinicalGRU
    variables: tuple[Variable, ...]
    static_variables: tuple[Variable, ...]
    trained_on: Mapping[str, Any]
    history: list[dict[str, float]]
    seen_patients: SeenPatients

    def __sklearn_clone__(self) -> Self:
        """Give the encoder itself: it never changes, so that copies of an estimator share it."""
        return self

    def __repr__(self) -> str:
        stays = format_count(self.trained_on["stays"])
        return f"PretrainedEncoder({len(self.variables)} variables, {stays} stays)"

    @property
    def network_config(self) -> NetworkConfig:
        """Options of its network; an estimator with `network=None` has the same ones."""
        options = {name: getattr(self.network.spec, name) for name in OPTION_NAMES}
        return NetworkConfig(**options | {"clinical_indices": None})

    def check_network(self, network: NetworkConfig) -> None:
        """Raise unless a network has the same encoder.

        Parameters
        ----------
        network : NetworkConfig
            Options of the network that is to start from it.

        Raises
        ------
        ArgumentError
            With the options that differ.
        """
        ours, theirs = self.network_config.to_dict(), network.to_dict()
        differing = [name for name in SHARED_OPTIONS if ours[name] != theirs[name]]
        if differing:
            expected = f"a network as the pretrained one: {_options(ours, differing)}"
            fix = "Leave network out, or call pretrain with this network."
            raise ArgumentError(expected, _options(theirs, differing), fix)

    def initialise(self, network: ClinicalGRU, stays: Sequences) -> None:
        """Copy scaling and weights to a network, where variables, covariates, codes and indices have the same name.

        Inputs that the encoder does not know keep their scaling from these stays and their random initial weights. So
        do the outputs, and layers of the readout of another size.

        Parameters
        ----------
        network : ClinicalGRU
            Changed in place; with fitted scaling.
        stays : Sequences
            Its training stays.

        Raises
        ------
        VariableMismatch
            If a variable of the same name has another unit, or no variable has the name of one of the encoder's.
        """
        self._check_units(stays)
        given = column_names(self.network, self.variables, self.static_variables)
        to = column_names(network, stays.variables, stays.static_variables)
        theirs = self.network.state_dict()
        for part in ("value", "summary", "static"):
            arrays = (f"scaler.{part}.knots", f"scaler.{part}.scores")
            names = _with_spread(given[arrays[0]][0], theirs[arrays[1]])
            given |= {array: {0: names} for array in arrays}
        for name, target in network.state_dict().items():
            if name in theirs and not name.startswith(OWN) and _comparable(target, theirs[name], to.get(name, {})):
                copy_by_name(target, theirs[name], to=to.get(name, {}), given=given.get(name, {}))

    def _check_units(self, stays: Sequences) -> None:
        ours = {variable.name: variable.unit for variable in (*self.variables, *self.static_variables)}
        theirs = {variable.name: variable.unit for variable in (*stays.variables, *stays.static_variables)}
        differing = sorted(name for name in {*ours} & {*theirs} if ours[name] != theirs[name])
        if differing:
            one = differing[0]
            fix = "Read both extracts with the same data dictionary."
            raise VariableMismatch(f"{one} in {ours[one] or 'no unit'}", f"{theirs[one] or 'no unit'}", fix)
        if not {one.name for one in self.variables} & {one.name for one in stays.variables}:
            expected = f"a variable among the {len(self.variables)} of the pretrained encoder"
            raise VariableMismatch(expected, f"{len(stays.variables)} of other names", "Leave pretrained out.")


def _options(options: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={options[name]!r}" for name in names)


def _with_spread(names: Sequence[Hashable], scores: Tensor) -> list[Hashable]:
    """Give the names of features of two values or more; scaling that was learned of no or one value is not reused."""
    varies = (scores != scores[:, :1]).any(dim=1).tolist()
    return [name if of_two else object() for name, of_two in zip(names, varies, strict=True)]


def _comparable(target: Tensor, source: Tensor, named: Axes) -> bool:
    """Give whether two arrays have the same axes, of the same size but for the named ones."""
    if target.ndim != source.ndim:
        return False
    return all(axis in named or target.shape[axis] == source.shape[axis] for axis in range(target.ndim))

"""Names of the inputs along the axes of a network's arrays, so that networks of other variables can share weights."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.rolling import ROLLING
from clinicalgru.model.network.network import N_CLOCK, ClinicalGRU

Axes = dict[int, list[Hashable]]  # names along some axes of an array
ENCODER, ATTENTION = "encoder.", "attention."


def column_names(network: ClinicalGRU, variables: Sequence[Variable], static: Sequence[Variable]) -> dict[str, Axes]:
    """Give the names along each axis that depends on variables, static covariates or codes.

    Parameters
    ----------
    network : ClinicalGRU
        The network.
    variables, static : sequence of Variable
        Series variables and static covariates, in the order of the network's inputs.

    Returns
    -------
    dict of str to dict
        By the name of an array in `state_dict`: names by axis. Arrays without such an axis are left out.
    """
    spec, ours = network.spec, [one.name for one in variables]
    codes: list[Hashable] = [("code", code) for code in spec.code_vocabulary]
    features: list[Hashable] = [(name, summary) for name in ours for summary in SUMMARIES]
    features += [("index", formula) for formula in spec.clinical_indices]
    windows = [(hours, statistic) for hours in spec.rolling_hours for statistic in ROLLING]
    features += [(name, *window) for name in ours for window in windows]
    gaps: list[Hashable] = [*ours, *["codes"][: bool(codes)]]
    return {
        **_scalers(ours, features, static),
        **_encoder(network, ours, codes, gaps),
        **{f"embedding.{name}": {0: features} for name in ("line", "bins", "unknown")},
        **({"codes.table": {0: codes}} if codes else {}),
        **_readout(network, features, static),
    }


def _scalers(ours: Sequence[str], features: list[Hashable], static: Sequence[Variable]) -> dict[str, Axes]:
    names: dict[str, list[Hashable]] = {"value": [*ours], "summary": features, "static": [one.name for one in static]}
    return {f"scaler.{part}.{array}": {0: of} for part, of in names.items() for array in ("knots", "scores")}


def _encoder(network: ClinicalGRU, ours: Sequence[str], codes: list[Hashable], gaps: list[Hashable]) -> dict[str, Axes]:
    """Names of the inputs of a time step, and of the time gaps of each layer."""
    steps = network.encoder.steps
    inputs: list[Hashable] = [(part, name) for part in ("value", "mask") for name in ours]
    if steps.embedding is not None:
        inputs = [(name, number) for name in ours for number in range(steps.embedding.width // max(len(ours), 1))]
    if steps.codes is not None:
        inputs += [("codes", number) for number in range(steps.codes.width)]
    names: dict[str, Axes] = {f"encoder.steps.value_decay.{array}": {0: [*ours]} for array in ("raw", "bias")}
    names |= {f"encoder.steps.embedding.value.{array}": {0: [*ours]} for array in ("line", "bins", "unknown")}
    names |= {"encoder.steps.embedding.covariates": {1: [*ours]}, "encoder.steps.codes.table": {0: codes}}
    for direction in ("forward_layers", "backward_layers"):
        for number in range(len(getattr(network.encoder, direction))):
            layer = f"encoder.{direction}.{number}"
            names |= {f"{layer}.{array}": {1: gaps} for array in ("state_decay.raw", "time_gate.weight")}
            if number == 0 and network.encoder.convolution is None:
                names[f"{layer}.project.weight"] = {1: inputs}
    if network.encoder.convolution is not None:
        taps = range(network.encoder.convolution.kernels[0])
        names["encoder.convolution.layers.0.weight"] = {1: [(tap, one) for tap in taps for one in inputs]}
    return {name: axes for name, axes in names.items() if name in network.state_dict()}


def _readout(network: ClinicalGRU, features: list[Hashable], static: Sequence[Variable]) -> dict[str, Axes]:
    """Names of the inputs of the readout: states, static covariates, embedded summaries, codes, and the hour."""
    spec, size = network.spec, network.embedding.line.shape[1]
    names: list[Hashable] = [("state", number) for number in range(network.attention.width + spec.width)]
    for one in static:
        names += [("static", one.name, column) for column in ("known", *(one.categories or ("score",)))]
    names += [(feature, number) for feature in features for number in range(size)]
    names += [("codes", number) for number in range(network.codes.width if network.codes is not None else 0)]
    names += [("clock", number) for number in range(N_CLOCK if spec.window_hours else 0)]
    found: dict[str, Axes] = {}
    for prefix, _, columns in network.readout.parts():
        seen = names if columns is None else [names[column] for column in columns.tolist()]
        found |= {f"readout.{prefix}input_scale": {2: seen}, f"readout.{prefix}first.0.weight": {1: seen}}
    return found


def copy_by_name(target: Tensor, source: Tensor, *, to: Axes, given: Axes) -> None:
    """Copy the entries of an array whose names along the named axes are in both; the others are left as they are.

    Parameters
    ----------
    target : Tensor
        Changed in place.
    source : Tensor
        Array with as many axes.
    to, given : dict of int to list
        Names along some axes of target and source, of the same axes.

    Examples
    --------
    >>> target = torch.zeros(1, 3)
    >>> copy_by_name(target, torch.tensor([[1.0, 2.0]]), to={1: ["a", "b", "c"]}, given={1: ["c", "a"]})
    >>> target
    tensor([[2., 0., 1.]])
    """
    ours, theirs = [], []
    for axis, (size, other) in enumerate(zip(target.shape, source.shape, strict=True)):
        position = {name: number for number, name in enumerate(given.get(axis, range(other)))}
        pairs = [(n, position[name]) for n, name in enumerate(to.get(axis, range(size))) if name in position]
        shape = [-1 if other_axis == axis else 1 for other_axis in range(target.ndim)]
        ours.append(torch.tensor([pair[0] for pair in pairs], dtype=torch.long).view(shape))
        theirs.append(torch.tensor([pair[1] for pair in pairs], dtype=torch.long).view(shape))
    with torch.no_grad():
        target[tuple(ours)] = source[tuple(theirs)].to(target)

"""Contributions of many stays, against the average of training stays or a stay in which nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinicalgru.checks import check_choice, check_number
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import end_batch
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.attribution.joint_paths import JointPaths, origins
from clinicalgru.explain.attribution.population import PopulationReference, reference_hours
from clinicalgru.explain.attribution.quadrature import Attribution, integrate, mean_attribution
from clinicalgru.explain.prepared import PreparedStays, prepare_stays
from clinicalgru.explain.targets import Explainable, MemberNetwork, first_estimator
from clinicalgru.model.heads.classification import MultiClass, MultiLabel
from clinicalgru.model.heads.explanation_target import Target
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.network.batch import Batch

TOLERANCE = 1e-3  # log-odds that contributions may leave unexplained
BATCH_SIZE = 64  # stays
MIN_STAYS = 20  # fewer are no average
MAX_TARGETS = 8  # of a model of many outcomes, whose averages a bundle keeps
REFERENCES = ("average", "nothing")


def averages(model: Explainable) -> dict[str, dict[str, Any]]:
    """Give the averages of the training stays of all targets, as a manifest holds them.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.

    Returns
    -------
    dict of str to dict
        By name of the target; empty for a forecaster, and where there are too few training stays.
    """
    if model.reference_stays_ is None:
        kept = model.averages_ if model.averages_calibrator_ is model.calibrator_ else {}
        return {name: dict(average) for name, average in kept.items()}
    head = first_estimator(model).head_
    if isinstance(head, Forecast) or not len(model.reference_stays_):
        return {}
    others = head.label_names if isinstance(head, MultiLabel) else head.classes if isinstance(head, MultiClass) else ()
    found = {}
    for target in (None, *others[:MAX_TARGETS]):
        prepared = prepare_stays(model, model.reference_stays_, target=target)
        found[prepared.target.name] = average_reference(prepared)
    return {name: average.to_dict() for name, average in found.items() if average is not None}


def contributions(
    model: Explainable,
    stays: Sequences,
    *,
    target: Target = None,
    reference: str = "average",
    tolerance: float = TOLERANCE,
) -> Attribution:
    """Compute the contributions of all measurements of many stays, each explained at its end.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stays : Sequences
        Each with a measurement.
    target, reference, tolerance
        See `explain`.

    Returns
    -------
    Attribution
        In the order of the stays.

    Raises
    ------
    ArgumentError
        If a stay has no measurement, or the model cannot be explained.
    VariableMismatch
        If the variables are not those of the model.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> from clinicalgru.explain.attribution.contributions import contributions
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> contributions(model, stays[:2]).parts.shape == (3, len(stays[:2].value))
    True
    """
    check_number("tolerance", tolerance, minimum=0, open_minimum=True)
    check_choice("reference", reference, REFERENCES)
    prepared = prepare_stays(model, stays, target=target)
    return from_reference(attribute_members(prepared, tolerance=tolerance), prepared, reference=reference)[0]


def from_reference(attribution: Attribution, prepared: PreparedStays, *, reference: str) -> tuple[Attribution, bool]:
    """Turn contributions against an empty stay into those against a reference.

    Parameters
    ----------
    attribution : Attribution
        Contributions of the prepared stays.
    prepared : PreparedStays
        The stays and networks.
    reference : str
        "average" or "nothing".

    Returns
    -------
    attribution : Attribution
    is_average : bool
        Whether they are against the average of training stays, which an older bundle may lack.
    """
    average = average_reference(prepared) if reference == "average" else None
    return (attribution, False) if average is None else (average.center(prepared.stays, attribution), True)


def average_reference(prepared: PreparedStays) -> PopulationReference | None:
    """Give the average of the training stays for a target; computed at the first call, and kept by the model.

    Parameters
    ----------
    prepared : PreparedStays
        Stays and networks of a model.

    Returns
    -------
    PopulationReference or None
        None where the model has no sample of its training stays, as after pickling.
    """
    model, target = prepared.model, prepared.target
    kept = model.averages_.get(target.name) if model.averages_calibrator_ is model.calibrator_ else None
    if kept is not None:
        return PopulationReference.from_dict(kept)
    if model.reference_stays_ is None:
        return None
    any_hour = all(one.head.per_step or one.network.spec.window_hours for one in prepared.networks)
    found = []
    for hours in reference_hours(model.reference_stays_, any_hour=any_hour):
        stays = model.reference_stays_.truncate_at(hours)
        sample = prepared.with_stays(stays[model.has_observations(stays) & (stays.n_measurements > 0)])
        if len(sample.stays) >= MIN_STAYS:
            found.append((sample.stays, attribute_members(sample)))
    average = PopulationReference.of(found, unit=target.unit) if found else None
    if model.averages_calibrator_ is not model.calibrator_:
        model.averages_, model.averages_calibrator_ = {}, model.calibrator_
    if average is not None:
        model.averages_ = {**model.averages_, target.name: average.to_dict()}
    return average


def attribute_members(prepared: PreparedStays, *, tolerance: float = TOLERANCE) -> Attribution:
    """Compute contributions to prepared stays against an empty stay, as the mean over the networks.

    Parameters
    ----------
    prepared : PreparedStays
        The stays and networks.
    tolerance : float
        Largest completeness gap of a stay.

    Returns
    -------
    Attribution
    """
    stays, pairs = prepared.stays, prepared.by_network()
    parts, static, coded = np.zeros((3, len(stays.value))), np.zeros(stays.static.shape), np.zeros(len(stays.code))
    by_stay, by_length = np.zeros((4, len(stays))), np.argsort(-stays.n_steps, kind="stable")
    with prepared.computing(grad=True):
        for index in np.array_split(by_length, max(1, len(by_length) // BATCH_SIZE)):  # stays of like length together
            paths = [IntegrationPaths(member, own[index]) for member, own in pairs]
            found = attribute_paths(paths, stays[index], tolerance)
            parts[:, concat_ranges(stays.starts, index)[0]] = found.parts
            coded[concat_ranges(stays.code_starts, index)[0]] = found.coded
            static[index] = found.static
            by_stay[:, index] = found.reference, found.number, found.residual, found.n_points
    return Attribution(parts, static, coded, *by_stay)


def paths_of_stay(member: MemberNetwork, own: Sequences) -> tuple[IntegrationPaths, Batch | None]:
    """Paths of one stay, and its batch with a prediction after each time step, which is summarised once for both.

    Parameters
    ----------
    member : MemberNetwork
        The network.
    own : Sequences
        One stay, with the coded events that the network knows.

    Returns
    -------
    paths : IntegrationPaths
    batch : Batch or None
        None for a network that is not causal.
    """
    network, step_batch, batch = member.network, None, None
    if network.spec.is_causal:
        step_batch = network.make_batch(own, per_step=True)
        if not network.spec.rolling_hours:  # what is inside a window changes with the hour
            batch = end_batch(own, step_batch, clinical_indices=network.spec.clinical_indices)
    return IntegrationPaths(member, own, batch=batch), step_batch


def attribute_paths(paths: Sequence[IntegrationPaths], stays: Sequences, tolerance: float) -> Attribution:
    """Attribute the number of some stays by all networks together, in the order of the stays.

    Parameters
    ----------
    paths : sequence of IntegrationPaths
        One per network.
    stays : Sequences
        The stays.
    tolerance : float
        Largest completeness gap.

    Returns
    -------
    Attribution
    """
    if len(paths) > 1 and paths[0].member.target.pool is not None:
        return integrate(JointPaths(paths, stays), tolerance=tolerance)
    return mean_attribution([_in_order(integrate(path, tolerance=tolerance), path, stays) for path in paths])


def _in_order(attribution: Attribution, path: IntegrationPaths, stays: Sequences) -> Attribution:
    """The attribution by one network in the order of the stays; coded events that it does not know get 0."""
    measurement, coded_event = origins(path, stays)
    parts, coded = np.zeros((3, len(stays.value))), np.zeros(len(stays.code))
    parts[:, measurement], coded[coded_event] = attribution.parts, attribution.coded
    back = np.argsort(path.order)
    by_stay = ("reference", "number", "residual", "n_points")
    return Attribution(parts, attribution.static[back], coded, *(getattr(attribution, name)[back] for name in by_stay))

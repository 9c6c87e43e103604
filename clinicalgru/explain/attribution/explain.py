"""Explanation of one stay: integrated gradients, redistributed to the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import end_batch
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.attribution.joint_paths import JointPaths, origins
from clinicalgru.explain.attribution.quadrature import Attribution, integrate, mean_attribution
from clinicalgru.explain.prepared import PreparedStays, prepare_stay, prepare_stays
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.risk_trajectory import (
    combine_trajectories,
    count_heads,
    half_lives,
    mean_attention,
    trajectory_of,
    trajectory_verdicts,
)
from clinicalgru.explain.targets import Explainable, MemberNetwork, to_risk
from clinicalgru.model.estimators.on_device import on_device
from clinicalgru.model.heads.explanation_target import Target
from clinicalgru.model.network.batch import Batch

TOLERANCE = 1e-3  # log-odds that contributions may leave unexplained
BATCH_SIZE = 64  # stays


def explain(
    model: Explainable,
    stay: Sequences,
    *,
    target: Target = None,
    at_hours: float | None = None,
    tolerance: float = TOLERANCE,
    show_id: bool = False,
    device: str | None = None,
) -> Explanation:
    """Attribute the risk of one stay to its measurements, static covariates and coded events.

    Each measurement's contribution has three parts: by its value, by having been measured, and by its timing.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted, with a risk or a number to explain; of a `GRUForecaster` see `explain_forecast`.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    target : str, float or None
        A label, a class (its value), or a horizon in hours after the prediction. None: the only output, the first
        label, the last class or the longest horizon.
    at_hours : float or None
        Explain the risk as it was at this hour since the index time. None: at the end of the stay.
    tolerance : float
        Largest completeness gap, in log-odds; for a regression as a fraction of the standard deviation of the outcome.
    show_id : bool
        Label the result with the identifier of the stay.
    device : {"auto", "cpu", "cuda", "mps"} or None
        Where the network computes. None: as for predictions.

    Returns
    -------
    Explanation
        Contributions sum to logit(risk) - logit(reference_risk), up to the completeness gap. The reference is a stay of
        the same hours without measurements, static covariates and coded events.

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement by then, the model has no such target, or it cannot be explained; if
        there is no such device.
    VariableMismatch
        If the variables of the stay are not those of the model.

    Notes
    -----
    The integration path is straight in the inputs of the network: normal scores, masks, time gaps, embedded summaries,
    static covariates and coded events. Attributions to derived inputs (carried values, time gaps, summaries) are
    redistributed to the measurements they were computed from.

    References
    ----------
    Integrated gradients: Sundararajan et al. 2017.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> from scipy.special import logit
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> explanation = cg.explain(model, stays[[0]])
    >>> difference = logit(explanation.risk) - logit(explanation.reference_risk)
    >>> bool(abs(difference - explanation.by_variable()["contribution"].sum()) <= 1e-3)
    True
    """
    check_number("tolerance", tolerance, minimum=0, open_minimum=True)
    check_instance("show_id", show_id, bool, np.bool_)
    prepared = prepare_stay(on_device(model, device), stay, caller="explain", target=target, at_hours=at_hours)
    return explain_prepared(prepared, tolerance=tolerance, show_id=show_id)


def explain_prepared(prepared: PreparedStays, *, tolerance: float = TOLERANCE, show_id: bool = False) -> Explanation:
    """Explain a stay that was prepared already; see `explain`.

    Parameters
    ----------
    prepared : PreparedStays
        One stay.
    tolerance : float
        Largest completeness gap.
    show_id : bool
        Label the result with the identifier of the stay.

    Returns
    -------
    Explanation
    """
    stay, target = prepared.stays, prepared.target
    with prepared.computing(grad=True):
        pairs = prepared.by_network()
        paths, batches = zip(*(_paths_of_stay(member, own) for member, own in pairs), strict=True)
        attribution = _attribute(paths, stay, tolerance)
        trajectories = [
            trajectory_of(member, own, batch=batch, end_logits=path.end_logits)
            for (member, own), path, batch in zip(pairs, paths, batches, strict=True)
        ]
        networks = [member.network for member in prepared.networks]
        half_life = half_lives(networks, [variable.name for variable in stay.variables])
    trajectory, note = trajectory_verdicts(combine_trajectories(trajectories, target), prepared.networks)
    return Explanation(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=(*prepared.variables, *prepared.static_variables),
        risk=float(to_risk(target, attribution.number[0])),
        reference_risk=float(to_risk(target, attribution.reference[0])),
        measurements=_measurement_table(stay, attribution.parts),
        static=_static_table(stay, attribution.static[0]),
        completeness_gap=float(attribution.residual[0]),
        risk_trajectory=trajectory,
        attention=mean_attention(trajectories),
        provenance=prepared.provenance,
        coded_events=_coded_table(stay, attribution.coded),
        target_text=target.name,
        unit=target.unit,
        n_networks=len(prepared.networks),
        n_heads=count_heads(trajectories),
        half_life=half_life,
        trajectory_note=note,
    )


def contributions(
    model: Explainable, stays: Sequences, *, target: Target = None, tolerance: float = TOLERANCE
) -> Attribution:
    """Compute the contributions of all measurements of many stays, each explained at its end.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stays : Sequences
        Each with a measurement.
    target, tolerance
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
    >>> from clinicalgru.explain.attribution.explain import contributions
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> contributions(model, stays[:2]).parts.shape == (3, len(stays[:2].value))
    True
    """
    check_number("tolerance", tolerance, minimum=0, open_minimum=True)
    return attribute_members(prepare_stays(model, stays, target=target), tolerance=tolerance)


def attribute_members(prepared: PreparedStays, *, tolerance: float = TOLERANCE) -> Attribution:
    """Compute the contributions to prepared stays, as the mean over the networks; see `contributions`.

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
            found = _attribute(paths, stays[index], tolerance)
            parts[:, concat_ranges(stays.starts, index)[0]] = found.parts
            coded[concat_ranges(stays.code_starts, index)[0]] = found.coded
            static[index] = found.static
            by_stay[:, index] = found.reference, found.number, found.residual, found.n_points
    return Attribution(parts, static, coded, *by_stay)


def _paths_of_stay(member: MemberNetwork, own: Sequences) -> tuple[IntegrationPaths, Batch | None]:
    """Paths of one stay, and its batch with a prediction after each time step, which is summarised once for both."""
    network, step_batch, batch = member.network, None, None
    if network.spec.is_causal:
        step_batch = network.make_batch(own, per_step=True)
        batch = end_batch(own, step_batch, clinical_indices=network.spec.clinical_indices)
    return IntegrationPaths(member, own, batch=batch), step_batch


def _attribute(paths: Sequence[IntegrationPaths], stays: Sequences, tolerance: float) -> Attribution:
    """Attribution of stays by all networks together, in the order of the stays."""
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


def _static_table(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.categories)[int(value)]) if variable.categories and not np.isnan(value) else float(value)
        for variable, value in zip(stay.static_variables, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.static_variables]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})


def _measurement_table(stay: Sequences, parts: np.ndarray) -> pd.DataFrame:
    names = np.array([variable.name for variable in stay.variables], dtype=object)
    columns = {"hours": stay.hours, "variable": names[stay.variable], "value": stay.value}
    by_part = dict(zip(("by_value", "by_measured", "by_timing"), parts, strict=True))
    return pd.DataFrame(columns | by_part | {"contribution": parts.sum(axis=0)})


def _coded_table(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    names = np.array(stay.code_vocabulary, dtype=object)[stay.code]
    return pd.DataFrame({"hours": stay.code_hours, "code": names, "contribution": contribution})

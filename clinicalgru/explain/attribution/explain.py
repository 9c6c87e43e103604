"""Explanation of one stay: integrated gradients, redistributed to the measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import end_batch
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.attribution.quadrature import Attribution, integrate, mean_attribution
from clinicalgru.explain.prepared import PreparedStays, prepare_stay, prepare_stays
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.risk_trajectory import (
    Trajectory,
    combine_trajectories,
    count_heads,
    half_lives,
    mean_attention,
    trajectory_of,
)
from clinicalgru.explain.targets import Explainable, MemberNetwork, to_risk
from clinicalgru.model.heads.explanation_target import Target

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

    Returns
    -------
    Explanation
        Contributions sum to logit(risk) - logit(reference_risk), up to the completeness gap. The reference is a stay of
        the same hours without measurements, static covariates and coded events.

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement by then, the model has no such target, or it cannot be explained.
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
    prepared = prepare_stay(model, stay, caller="explain", target=target, at_hours=at_hours)
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
        explained = [_explain_member(member, own, stay, tolerance) for member, own in prepared.by_network()]
        networks = [member.network for member in prepared.networks]
        half_life = half_lives(networks, [variable.name for variable in stay.variables])
    attribution = mean_attribution([attribution for attribution, _ in explained])
    trajectories = [trajectory for _, trajectory in explained]
    return Explanation(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=(*prepared.variables, *prepared.static_variables),
        risk=float(to_risk(target, attribution.number[0])),
        reference_risk=float(to_risk(target, attribution.reference[0])),
        measurements=_measurement_table(stay, attribution.parts),
        static=_static_table(stay, attribution.static[0]),
        completeness_gap=float(attribution.residual[0]),
        risk_trajectory=combine_trajectories(trajectories, target),
        attention=mean_attention(trajectories),
        provenance=prepared.provenance,
        coded_events=_coded_table(stay, attribution.coded),
        target_text=target.name,
        unit=target.unit,
        n_networks=len(prepared.networks),
        n_heads=count_heads(trajectories),
        half_life=half_life,
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
    with prepared.computing(grad=True):
        return mean_attribution(
            [_attribute(member, own, prepared.stays, tolerance) for member, own in prepared.by_network()]
        )


def _explain_member(
    member: MemberNetwork, own: Sequences, stay: Sequences, tolerance: float
) -> tuple[Attribution, Trajectory]:
    """Attribution and trajectory of one stay by one network; the stay is summarised once."""
    network, step_batch, batch = member.network, None, None
    if network.spec.is_causal:
        step_batch = network.make_batch(own, per_step=True)
        batch = end_batch(own, step_batch, clinical_indices=network.spec.clinical_indices)
    paths = IntegrationPaths(member, own, batch=batch)
    attribution = integrate(paths, tolerance=tolerance)
    coded = np.zeros(len(stay.code))
    coded[member.knows_event(stay)] = attribution.coded
    trajectory = trajectory_of(member, own, batch=step_batch, end_logits=paths.end_logits)
    return replace(attribution, coded=coded), trajectory


def _attribute(member: MemberNetwork, own: Sequences, stays: Sequences, tolerance: float) -> Attribution:
    """Attribution of many stays by one network, stays of like length together."""
    coded, own_coded = np.zeros(len(stays.code)), np.zeros(len(own.code))
    parts, static = np.zeros((3, len(stays.value))), np.zeros(stays.static.shape)
    by_stay = np.zeros((4, len(stays)))
    by_length = np.argsort(-stays.n_steps, kind="stable")
    for batch in np.array_split(by_length, max(1, len(by_length) // BATCH_SIZE)):
        paths = IntegrationPaths(member, own[batch])
        attribution, index = integrate(paths, tolerance=tolerance), batch[paths.order]
        parts[:, concat_ranges(own.starts, index)[0]] = attribution.parts
        own_coded[concat_ranges(own.code_starts, index)[0]] = attribution.coded
        static[index] = attribution.static
        by_stay[:, index] = attribution.reference, attribution.number, attribution.residual, attribution.n_points
    coded[member.knows_event(stays)] = own_coded
    return Attribution(parts, static, coded, *by_stay)


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

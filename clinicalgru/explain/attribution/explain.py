"""Explanation of one stay: integrated gradients, redistributed to the measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.risk_groups import HIGHEST
from clinicalgru.explain.attribution.contributions import (
    REFERENCES,
    TOLERANCE,
    attribute_paths,
    from_reference,
    paths_of_stay,
)
from clinicalgru.explain.attribution.quadrature import Attribution
from clinicalgru.explain.prepared import PreparedStays, prepare_stay, stay_label
from clinicalgru.explain.result import AVERAGE, NOTHING, OTHER_CODES, Explanation
from clinicalgru.explain.risk_trajectory import (
    combine_trajectories,
    count_heads,
    half_lives,
    mean_attention,
    trajectory_of,
    trajectory_verdicts,
)
from clinicalgru.explain.targets import Explainable, to_risk
from clinicalgru.model.estimators.on_device import on_device
from clinicalgru.model.heads.explanation_target import Target
from clinicalgru.model.prediction_sets import at_prediction_time, set_of_output


def explain(
    model: Explainable,
    stay: Sequences,
    *,
    target: Target = None,
    at_hours: float | None = None,
    reference: str = "average",
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
    reference : {"average", "nothing"}
        What contributions are counted from: the average of training stays at the same hours, or a stay of the same
        hours without measurements, static covariates and coded events.
    tolerance : float
        Largest completeness gap, in log-odds; for a regression as a fraction of the standard deviation of the outcome.
    show_id : bool
        Label the result with the identifiers of the stay and its patient.
    device : {"auto", "cpu", "cuda", "mps"} or None
        Where the network computes. None: as for predictions.

    Returns
    -------
    Explanation
        Contributions sum to logit(risk) - logit(reference_risk), up to the completeness gap. `reference_text` names the
        reference: "nothing measured" also where the model keeps no average, as after pickling.

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement by then, the model has no such target, or it cannot be explained; if
        there is no such device.
    VariableMismatch
        If the variables of the stay are not those of the model.

    Notes
    -----
    The average is that of some training stays, whose contributions are computed against an empty stay, as those of the
    stay are, and subtracted. What a variable contributes on average is divided among its measurements. Of a variable
    that was not measured it is listed in `absent`, with the opposite sign. The average is weighted such that its
    risk is the mean risk of these stays.

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
    check_choice("reference", reference, REFERENCES)
    check_instance("show_id", show_id, bool, np.bool_)
    prepared = prepare_stay(on_device(model, device), stay, caller="explain", target=target, at_hours=at_hours)
    explanation = explain_prepared(prepared, reference=reference, tolerance=tolerance, show_id=show_id)
    explanation = replace(explanation, marks=_marks(stay, float(prepared.stays.end_hours[0])))
    if prepared.networks[0].head.per_step:
        groups = model.risk_groups_.get(HIGHEST)
        standing = None if groups is None else replace(groups.standing(explanation.risk), of_highest=True)
        return replace(explanation, standing=standing)
    at_end = at_prediction_time(prepared.stays).all()
    return _with_uncertainty(explanation, model, prepared) if at_end else explanation


def _with_uncertainty(explanation: Explanation, model: Explainable, prepared: PreparedStays) -> Explanation:
    """What is known of such a risk at the prediction time, and holds nowhere else."""
    groups = model.risk_groups_.get(prepared.target.name)
    curve, risk = model.instability_, explanation.risk
    return replace(
        explanation,
        standing=None if groups is None else groups.standing(risk),
        prediction_set=set_of_output(model, prepared.stays, risk, prepared.target.name),
        refit_range=None if curve is None else curve.at(risk),
    )


def explain_prepared(
    prepared: PreparedStays, *, reference: str = "average", tolerance: float = TOLERANCE, show_id: bool = False
) -> Explanation:
    """Explain a stay that was prepared already; see `explain`.

    Parameters
    ----------
    prepared : PreparedStays
        One stay.
    reference : {"average", "nothing"}
        See `explain`.
    tolerance : float
        Largest completeness gap.
    show_id : bool
        Label the result with the identifiers of the stay and its patient.

    Returns
    -------
    Explanation
    """
    stay, target = prepared.stays, prepared.target
    with prepared.computing(grad=True):
        pairs = prepared.by_network()
        paths, batches = zip(*(paths_of_stay(member, own) for member, own in pairs), strict=True)
        attribution = attribute_paths(paths, stay, tolerance)
        trajectories = [
            trajectory_of(member, own, batch=batch, end_logits=path.end_logits)
            for (member, own), path, batch in zip(pairs, paths, batches, strict=True)
        ]
        networks = [member.network for member in prepared.networks]
        attribution, is_average = from_reference(attribution, prepared, reference=reference)
        half_life = half_lives(networks, [variable.name for variable in stay.variables])
    trajectory, note = trajectory_verdicts(combine_trajectories(trajectories, target), prepared.networks)
    return Explanation(
        stay_label=stay_label(stay, show_id=bool(show_id)),
        variables=(*prepared.variables, *prepared.static_variables),
        risk=float(to_risk(target, attribution.number[0])),
        reference_risk=float(to_risk(target, attribution.reference[0])),
        measurements=_measurement_table(stay, attribution.parts),
        static=_static_table(stay, attribution.static[0]),
        absent=_absent_table(stay, attribution),
        completeness_gap=float(attribution.residual[0]),
        risk_trajectory=trajectory,
        attention=mean_attention(trajectories),
        provenance=prepared.provenance,
        coded_events=_coded_table(stay, attribution.coded),
        target_text=target.name or _horizon_text(prepared),
        outputs=_all_outputs(prepared),
        alert_threshold=getattr(prepared.model, "threshold_", None) if prepared.networks[0].head.per_step else None,
        unit=target.unit,
        n_networks=len(prepared.networks),
        n_heads=count_heads(trajectories),
        half_life=half_life,
        trajectory_note=note,
        reference_text=AVERAGE if is_average else NOTHING,
        zero_time=_zero_time(stay),
        show_id=bool(show_id),
    )


def _horizon_text(prepared: PreparedStays) -> str:
    """The hours within which an early warning expects the event."""
    horizon = prepared.model.task_.horizon_hours if prepared.networks[0].head.per_step else None
    return "" if horizon is None else f"within {horizon:g} hours"


def _all_outputs(prepared: PreparedStays) -> pd.DataFrame:
    """The risks of all classes, labels or horizons at the end of the stay; none where the model has one output."""
    head = prepared.networks[0].head
    names = list(head.output_names)
    if len(names) < 2 or head.per_step:
        return pd.DataFrame({"output": [], "risk": []})
    return pd.DataFrame({"output": names, "risk": prepared.model.score_rows(prepared.stays)[0]})


def _zero_time(stay: Sequences) -> pd.Timestamp | None:
    """Date and time of hour 0 of one stay; None where the extract has no dates."""
    if not stay.has_dates:
        return None
    return pd.Timestamp(int(stay.index_time[0]), unit="us") - pd.Timedelta(hours=float(stay.end_hours[0]))


def _marks(stay: Sequences, end: float) -> pd.DataFrame:
    """Coded events of one stay from hour 0 on: what was given or done then, whether or not the model uses it."""
    table = pd.DataFrame({"hours": stay.code_hours, "label": np.array(stay.code_vocabulary, dtype=object)[stay.code]})
    return table[table["hours"].between(0, end)].drop_duplicates(ignore_index=True)


def _static_table(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.categories)[int(value)]) if variable.categories and not np.isnan(value) else float(value)
        for variable, value in zip(stay.static_variables, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.static_variables]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})


def _absent_table(stay: Sequences, attribution: Attribution) -> pd.DataFrame:
    """What variables that were not measured, and all coded events that did not occur, contribute."""
    if attribution.absent is None or attribution.absent_codes is None:
        return pd.DataFrame({"variable": [], "contribution": []})
    names = [variable.name for variable in stay.variables]
    table = pd.DataFrame({"variable": names, "contribution": attribution.absent[0]})
    table = table[~np.isin(np.arange(len(names)), stay.variable)]
    if len(stay.code_vocabulary):
        table.loc[len(names)] = [OTHER_CODES, attribution.absent_codes[0]]
    return table.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)


def _measurement_table(stay: Sequences, parts: np.ndarray) -> pd.DataFrame:
    names = np.array([variable.name for variable in stay.variables], dtype=object)
    columns = {"hours": stay.hours, "variable": names[stay.variable], "value": stay.value}
    by_part = dict(zip(("by_value", "by_measured", "by_timing"), parts, strict=True))
    return pd.DataFrame(columns | by_part | {"contribution": parts.sum(axis=0)})


def _coded_table(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    names = np.array(stay.code_vocabulary, dtype=object)[stay.code]
    return pd.DataFrame({"hours": stay.code_hours, "code": names, "contribution": contribution})

"""Where the risk came from: integrated gradients from "nothing measured", given back to the measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.sequences import Sequences, ranges
from clinicalgru.disclosure import said
from clinicalgru.explain.asked import Asked, Output, asked_of, checked, looked_at, until
from clinicalgru.explain.path import Lines
from clinicalgru.explain.quadrature import Integrated, integrated
from clinicalgru.explain.removal import numbers
from clinicalgru.explain.result import Explanation
from clinicalgru.model.attention import Attended
from clinicalgru.model.estimator import GRUEstimator
from clinicalgru.model.network import ClinicalGRU
from clinicalgru.model.training import threads

GAP = 1e-3  # log-odds that contributions may leave unexplained
TOGETHER = 64  # stays


def explain(
    model: GRUEstimator,
    stay: Sequences,
    *,
    output: Output = None,
    hours: float | None = None,
    tolerance: float = GAP,
    identify: bool = False,
) -> Explanation:
    """Contribution of each measurement of one stay to its risk, split into value, being measured, and timing.

    stay       sequences of one stay: test[[0]]
    output     which label, which class (its value), or which horizon (hours after the prediction), where a model gives
               several; None: the first label, the last class, the longest horizon
    hours      explain the risk as it was at this hour since the anchor; None: at the end of the stay
    tolerance  the path is looked at in more places until the completeness gap is no larger: log-odds, or, of a
               regression, a part of the outcome's spread
    identify   name the stay by its identifier

    Contributions sum to logit(risk) - logit(baseline), but for the printed gap. The path runs in the network's inputs:
    scores, observed, gaps, embedded summaries, descriptors, coded events. What a carried value, a gap or a summary did
    is given back to the measurement it comes from. Refused: other than one stay, a stay without measurements, other
    variables than the model's, an output the model does not have.

    Source: integrated gradients, Sundararajan et al. 2017.
    """
    stay, asked = looked_at(model, stay, hours=hours, name="explain"), asked_of(model, output)
    with threads(model.threads):
        found = integrated(Lines(model.network_, asked, stay), tolerance=tolerance)
        moved, attention = _course(model.network_, asked, stay, float(found.top[0]))
    by_value, by_measured, by_timing = found.parts
    measurements = stay.to_frame()[["hours", "variable", "value"]].assign(
        by_value=by_value, by_measured=by_measured, by_timing=by_timing, contribution=found.parts.sum(axis=0)
    )
    names = np.array(stay.vocabulary, dtype=object)[stay.code]
    return Explanation(
        stay_label=f"stay {stay.stay[0]}" if identify else "stay",
        variables=(*model.variables_, *model.statics_),
        risk=float(asked.risk(found.top[0])),
        baseline=float(asked.risk(found.bottom[0])),
        measurements=measurements,
        static=_static_frame(stay, found.static[0]),
        completeness_gap=float(found.gap[0]),
        course=moved,
        attention=attention,
        model=provenance(model),
        codes=pd.DataFrame({"hours": stay.code_hours, "code": names, "contribution": found.coded}),
        about=asked.about,
        scale=asked.scale,
    )


def contributions(
    model: GRUEstimator, stays: Sequences, *, output: Output = None, tolerance: float = GAP
) -> Integrated:
    """Contributions of all measurements of these stays, many stays at once, in their order.

    stays    (stay,)  each with measurements, of the model's variables; looked at at their ends
    output, tolerance  as of `explain`
    returns  parts (3, fact) by value, by being measured, by timing; static (stay, static); coded (coded event,)
    """
    asked, stays = asked_of(model, output), checked(model, stays)
    parts, static, coded = np.zeros((3, len(stays.value))), np.zeros(stays.static.shape), np.zeros(len(stays.code))
    by_stay = np.zeros((4, len(stays)))
    by_length = np.argsort(-stays.steps, kind="stable")
    with threads(model.threads):
        for index in np.array_split(by_length, max(1, len(by_length) // TOGETHER)):
            lines = Lines(model.network_, asked, stays[index])
            found, index = integrated(lines, tolerance=tolerance), index[lines.order]
            parts[:, ranges(stays.starts, index)[0]] = found.parts
            coded[ranges(stays.code_starts, index)[0]] = found.coded
            static[index] = found.static
            by_stay[:, index] = found.bottom, found.top, found.gap, found.places
    return Integrated(parts, static, coded, *by_stay)


def course(model: GRUEstimator, stay: Sequences, *, output: Output = None) -> pd.DataFrame:
    """Risk of the stay from what was known up to each of its hours, the last at the prediction time: hours, risk."""
    stay, asked = looked_at(model, stay, hours=None, name="course"), asked_of(model, output)
    with threads(model.threads):
        return _course(model.network_, asked, stay, float(numbers(model.network_, asked, stay)[0]))[0]


def provenance(model: GRUEstimator) -> dict[str, str]:
    """Where a model comes from, in words for a page."""
    trained = model.trained_on_
    return {
        "outcome": " or ".join(model.task_.outcomes),
        "task": model.task_.title or model.task_.name,
        "trained_on": f"{trained['source']}, {said(trained['stays'])} stays, {said(trained['patients'])} patients",
        "simulated": "yes" if trained["simulated"] else "no",
    }


def _course(network: ClinicalGRU, asked: Asked, stay: Sequences, top: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How the risk moved up to the number at the end, and what the end attends to: hours, weight."""
    hours, end = np.unique(stay.hours), float(stay.end_hours[0])
    after, attended = after_each_step(network, asked, stay)
    moved = np.append(after[hours < end], top)
    return pd.DataFrame({"hours": np.append(hours[hours < end], end), "risk": asked.risk(moved)}), attended


@torch.no_grad()
def after_each_step(network: ClinicalGRU, asked: Asked, stay: Sequences) -> tuple[np.ndarray, pd.DataFrame]:
    """(hour,) the number after each distinct hour of the measurements of one stay; and what the last step attends to.

    One causal pass; a network that also reads backwards, or in strides, is asked about each prefix.
    """
    network.eval()
    batch = network.batch(stay, every_step=True)
    if not network.shape.causal:
        batch = network.batch(until(stay, np.unique(stay.hours)))
    logits, looked = network.logits(network.scales(batch), batch)
    found = asked(logits).numpy()
    if network.shape.causal:
        return found, _attended(network, stay, looked)
    whole = network.batch(stay)
    _, looked = network.logits(network.scales(whole), whole)
    return np.asarray(found[np.argsort(batch.order)]), _attended(network, stay, looked)


def _attended(network: ClinicalGRU, stay: Sequences, looked: Attended) -> pd.DataFrame:
    weight = looked.weight[0, -1].numpy()
    hours = np.unique(np.concatenate([stay.hours, stay.code_hours] if network.shape.codes else [stay.hours]))
    exact = len(hours) == len(weight)  # strides leave fewer
    return pd.DataFrame({"hours": hours if exact else looked.hours[0].numpy(), "weight": weight})


def _static_frame(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.levels)[int(value)]) if variable.levels and not np.isnan(value) else float(value)
        for variable, value in zip(stay.statics, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.statics]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})

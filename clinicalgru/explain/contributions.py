"""Where the risk came from: integrated gradients from "nothing measured", given back to the measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.data.sequences import Sequences, ranges
from clinicalgru.disclosure import said
from clinicalgru.explain.asked import Output, asked_of, checked, looked_at
from clinicalgru.explain.course import course_of, half_lives
from clinicalgru.explain.path import Lines
from clinicalgru.explain.quadrature import Integrated, integrated
from clinicalgru.explain.result import Explanation
from clinicalgru.model.estimator import GRUEstimator
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
        lines = Lines(model.network_, asked, stay)
        found = integrated(lines, tolerance=tolerance)
        moved, attention, members = course_of(model.network_, asked, stay, at_end=lines.at_end)
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
        members=members,
        half_life=half_lives(model),
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
    """Risk of the stay from what was known up to each of its hours, the last at the prediction time.

    returns  hours, risk; of a network of several members also low, high: the 5th and 95th percentile of their risks
    """
    stay, asked = looked_at(model, stay, hours=None, name="course"), asked_of(model, output)
    with threads(model.threads):
        return course_of(model.network_, asked, stay)[0]


def provenance(model: GRUEstimator) -> dict[str, str]:
    """Where a model comes from, in words for a page."""
    trained = model.trained_on_
    return {
        "outcome": " or ".join(model.task_.outcomes),
        "task": model.task_.title or model.task_.name,
        "trained_on": f"{trained['source']}, {said(trained['stays'])} stays, {said(trained['patients'])} patients",
        "simulated": "yes" if trained["simulated"] else "no",
    }


def _static_frame(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.levels)[int(value)]) if variable.levels and not np.isnan(value) else float(value)
        for variable, value in zip(stay.statics, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.statics]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})

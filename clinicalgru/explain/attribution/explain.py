"""Where the risk came from: integrated gradients from "nothing measured", given back to the measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import format_count
from clinicalgru.explain.attribution.batch_copies import at_the_end
from clinicalgru.explain.attribution.integration_path import Lines
from clinicalgru.explain.attribution.quadrature import Integrated, integrated, mean_of
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.risk_trajectory import Followed, attention_of, course_of, followed, half_lives, members_of
from clinicalgru.explain.targets import Output
from clinicalgru.explain.voices import Explained, Voice, checked, first, looked_at, voices
from clinicalgru.model.training.torch_settings import threads

GAP = 1e-3  # log-odds that contributions may leave unexplained
TOGETHER = 64  # stays


def explain(
    model: Explained,
    stay: Sequences,
    *,
    target: Output = None,
    at_hours: float | None = None,
    tolerance: float = GAP,
    show_id: bool = False,
) -> Explanation:
    """Contribution of each measurement of one stay to its risk, split into value, being measured, and timing.

    stay       sequences of one stay: test[[0]]
    target     which label, which class (its value), or which horizon (hours after the prediction), where a model gives
               several; None: the first label, the last class, the longest horizon
    at_hours   explain the risk as it was at this hour since the anchor; None: at the end of the stay
    tolerance  the path is looked at in more places until the completeness gap is no larger: log-odds, or, of a
               regression, a part of the outcome's spread
    show_id   name the stay by its identifier

    Contributions sum to logit(risk) - logit(reference_risk), but for the printed gap. The path runs in the network's inputs:
    scores, observed, gaps, embedded summaries, descriptors, coded events. What a carried value, a gap or a summary did
    is given back to the measurement it comes from. Refused: other than one stay, a stay without measurements, other
    variables than the model's, an output the model does not have.

    Source: integrated gradients, Sundararajan et al. 2017.

    >>> why = cg.explain(model, test[[0]])  # of a fitted model, and a stay that it has not seen
    >>> rise = np.log(why.risk / (1 - why.risk)) - np.log(why.reference_risk / (1 - why.reference_risk))
    >>> total = why.measurements["contribution"].sum() + why.static["contribution"].sum()
    >>> bool(abs(rise - total) <= 1e-3)
    True
    """
    stay, asking = looked_at(model, stay, hours=at_hours, name="explain"), voices(model, target)
    with threads(first(model).n_threads):
        each = [_explained(voice, stay, tolerance) for voice in asking]
    found, courses, asked = mean_of([one for one, _ in each]), [one for _, one in each], asking[0].asked
    return Explanation(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=(*model.variables_, *model.static_variables_),
        risk=float(asked.risk(found.top[0])),
        reference_risk=float(asked.risk(found.bottom[0])),
        measurements=_measured_frame(stay, found.parts),
        static=_static_frame(stay, found.static[0]),
        completeness_gap=float(found.gap[0]),
        risk_trajectory=course_of(courses, asked),
        attention=attention_of(courses),
        provenance=provenance(model),
        coded_events=_coded_frame(stay, found.coded),
        target_text=asked.about,
        unit=asked.scale,
        n_networks=len(asking),
        n_heads=members_of(courses),
        half_life=half_lives([voice.network for voice in asking], [one.name for one in stay.variables]),
    )


def contributions(model: Explained, stays: Sequences, *, target: Output = None, tolerance: float = GAP) -> Integrated:
    """Contributions of all measurements of these stays, many stays at once, in their order.

    stays    (stay,)  each with measurements, of the model's variables; looked at at their ends
    target, tolerance  as of `explain`
    returns  parts (3, fact) by value, by being measured, by timing; static (stay, static); coded (coded event,)

    >>> contributions(model, test[:3]).parts.shape == (3, len(test[:3].value))
    True
    """
    stays = checked(model, stays)
    with threads(first(model).n_threads):
        return contributed(voices(model, target), stays, tolerance=tolerance)


def contributed(asking: tuple[Voice, ...], stays: Sequences, *, tolerance: float = GAP) -> Integrated:
    """Contributions to what these voices say together; see `contributions`."""
    return mean_of([_contributed(voice, stays, tolerance) for voice in asking])


def risk_trajectory(model: Explained, stay: Sequences, *, target: Output = None) -> pd.DataFrame:
    """Risk of the stay from what was known up to each of its hours, the last at the prediction time.

    returns  hours, risk; of several members also low, high: the 5th and 95th percentile of their risks

    >>> risk_trajectory(model, test[[0]]).columns.tolist()
    ['hours', 'risk', 'low', 'high']
    """
    stay, asking = looked_at(model, stay, hours=None, name="risk_trajectory"), voices(model, target)
    with threads(first(model).n_threads):
        return course_of([followed(voice, stay) for voice in asking], asking[0].asked)


def provenance(model: Explained) -> dict[str, str]:
    """Where a model comes from, in words for a page."""
    trained = model.trained_on_
    outcomes = " or ".join(model.task_.outcomes)
    return ({"outcome": outcomes} if outcomes else {}) | {
        "task": model.task_.title or model.task_.name,
        "trained_on": f"{trained['source']}, {format_count(trained['stays'])} stays, {format_count(trained['patients'])} patients",
        "simulated": "yes" if trained["simulated"] else "no",
    }


def _static_frame(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.categories)[int(value)]) if variable.categories and not np.isnan(value) else float(value)
        for variable, value in zip(stay.static_variables, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.static_variables]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})


def _measured_frame(stay: Sequences, parts: np.ndarray) -> pd.DataFrame:
    names = np.array([variable.name for variable in stay.variables], dtype=object)
    by_value, by_measured, by_timing = parts
    return pd.DataFrame(
        {
            "hours": stay.hours,
            "variable": names[stay.variable],
            "value": stay.value,
            "by_value": by_value,
            "by_measured": by_measured,
            "by_timing": by_timing,
            "contribution": parts.sum(axis=0),
        }
    )


def _coded_frame(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    names = np.array(stay.code_vocabulary, dtype=object)[stay.code]
    return pd.DataFrame({"hours": stay.code_hours, "code": names, "contribution": contribution})


def _explained(voice: Voice, stay: Sequences, tolerance: float) -> tuple[Integrated, Followed]:
    """Contributions and course of one stay as one network sees them; the stay is summarised once."""
    heard, steps, whole = voice.heard(stay), None, None
    if voice.network.spec.is_causal:
        steps = voice.network.batch(heard, every_step=True)
        whole = at_the_end(heard, steps, indices=voice.network.spec.clinical_indices)
    lines = Lines(voice, heard, batch=whole)
    found = integrated(lines, tolerance=tolerance)
    coded = np.zeros(len(stay.code))
    coded[voice.knows(stay)] = found.coded
    return replace(found, coded=coded), followed(voice, heard, batch=steps, at_end=lines.at_end)


def _contributed(voice: Voice, stays: Sequences, tolerance: float) -> Integrated:
    heard, coded = voice.heard(stays), np.zeros(len(stays.code))
    parts, static, known = np.zeros((3, len(stays.value))), np.zeros(stays.static.shape), np.zeros(len(heard.code))
    by_stay = np.zeros((4, len(stays)))
    by_length = np.argsort(-stays.n_steps, kind="stable")
    for index in np.array_split(by_length, max(1, len(by_length) // TOGETHER)):
        lines = Lines(voice, heard[index])
        found, index = integrated(lines, tolerance=tolerance), index[lines.order]
        parts[:, concat_ranges(heard.starts, index)[0]] = found.parts
        known[concat_ranges(heard.code_starts, index)[0]] = found.coded
        static[index] = found.static
        by_stay[:, index] = found.bottom, found.top, found.gap, found.places
    coded[voice.knows(stays)] = known
    return Integrated(parts, static, coded, *by_stay)

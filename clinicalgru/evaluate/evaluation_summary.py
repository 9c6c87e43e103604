"""An evaluation in a few sentences: calibration, event rates and net benefit, next to the ranking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_nested
from clinicalgru.evaluate.average_calibration import (
    accuracy_of_most_frequent,
    average_calibration,
    without_calibration,
)
from clinicalgru.evaluate.bootstrap import MIN_EVENTS
from clinicalgru.evaluate.decision_curve import TREAT_ALL
from clinicalgru.evaluate.details_text import shown_alarms
from clinicalgru.evaluate.hour_checks import TOLERATED
from clinicalgru.evaluate.metric_descriptions import SIGNIFICANT
from clinicalgru.evaluate.multiplicity import needed_for_auroc, too_few_text
from clinicalgru.evaluate.patient_overlap import overlap_sentences

CURVE_EVENTS = 100  # from fewer, the mean distance of well-calibrated risks is far from 0
IMPRECISE = 0.2  # width of the interval of an AUROC from which on the text says so


def summary_sentences(evaluation: Any, *, min_cell_size: int = MIN_CELL_SIZE, without: str = "") -> list[str]:
    """Say of an evaluation how precise it is, whether its risks fit, and what acting on them gains.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all.
    without : str
        Text shown before: its sentences are left out.

    Returns
    -------
    list of str
        Sentences; the first say whether patients are new to the models. Of other types of task, what was predicted and
        observed on average.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> outcome = np.repeat([0.0, 1.0], [450, 50])
    >>> print(summary_sentences(evaluate(outcome, np.full(500, 0.7), n_resamples=50))[0][:40])
    Risks are 7.0 times too high here (obser
    """
    return [sentence for sentence in _sentences(evaluation, min_cell_size) if sentence and sentence not in without]


def _sentences(evaluation: Any, min_cell_size: int) -> list[str]:
    """All sentences in order; empty ones where there is nothing to say."""
    overlap = overlap_sentences(evaluation.patient_overlap, evaluation.stays)
    if evaluation.task_type != "binary" or evaluation.events is None:
        alarms = alarm_sentence(shown_alarms(evaluation, min_cell_size=min_cell_size))
        return [
            *overlap,
            *average_calibration(evaluation),
            *without_calibration(evaluation),
            *_skill(evaluation),
            *accuracy_of_most_frequent(evaluation),
            *alarms,
        ]
    if evaluation.smaller_class < MIN_EVENTS:
        auroc = evaluation.metrics.query("model == @evaluation.name and metric == 'auroc'")["estimate"]
        few = too_few_text(
            evaluation.events, evaluation.stays, float(auroc.iloc[0]), patients=evaluation.class_patients
        )
        return [*overlap, f"No interval and no verdict: {few}."]
    own = evaluation.metrics.query("model == @evaluation.name").set_index("metric")
    sentences = [_imprecision(evaluation, own), _level(own), _slope(own), _distance(evaluation), _groups(evaluation)]
    return [*overlap, *sentences, _rates(evaluation, min_cell_size), _benefit(evaluation)]


def alarm_sentence(alarms: pd.DataFrame) -> list[str]:
    """Say what alarms at the threshold of an early warning mean: how many, how often right, how early.

    Parameters
    ----------
    alarms : DataFrame
        As of `Evaluation.alarms`.

    Returns
    -------
    list of str
        One sentence; none without alarms.

    Examples
    --------
    >>> alarm_sentence(pd.DataFrame())
    []
    """
    if alarms.empty or not alarms["alarms"].iloc[0]:
        return []
    row: Any = next(alarms.itertuples(index=False))
    lead = _figure(row, "median_lead_hours", ".2g")
    early = f", in half of them {lead} hours or more before it" if row.median_lead_hours >= 0 else ""
    return [
        f"Alarms from a risk of {100 * row.threshold:.2g} % on, with six hours of silence after each: "
        f"{_figure(row, 'alarms_per_100_hours', '.1f')} in 100 hours of a patient. "
        f"{_figure(row, 'ppv_per_alarm', '.0f', 100)} of 100 are right, and "
        f"{_figure(row, 'sensitivity_per_stay', '.0f', 100)} of 100 events have one in the 12 hours before{early}."
    ]


def _figure(row: Any, name: str, style: str, factor: float = 1.0) -> str:
    """A figure of alarms with its interval."""
    value, low, high = (factor * getattr(row, name + end) for end in ("", "_low", "_high"))
    return f"{value:{style}}" + ("" if low != low else f" ({low:{style}} to {high:{style}})")


def _skill(evaluation: Any) -> list[str]:
    """Whether numbers are predicted better than by the mean, or than by the last value."""
    own = evaluation.metrics.query("model == @evaluation.name").set_index("metric")["estimate"]
    sentences = []
    if own.get("r_squared", 0.0) < 0:
        sentences.append("R² is below 0: always predicting the mean would have smaller squared errors.")
    if (ratio := own.get("scaled_error")) is not None:
        size = f"{100 * abs(1 - ratio):.0f} % {'smaller' if ratio < 1 else 'larger'}"
        sentences.append(f"Errors are {size} than those of carrying the last value forward.")
    return sentences


def _interval(row: Any, digits: int = 2) -> str:
    return f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"


def _imprecision(evaluation: Any, own: pd.DataFrame) -> str:
    """Whether the interval of the AUROC is wide, and how many events would narrow it."""
    row = own.loc["auroc"]
    estimate: Any = row["estimate"]
    if not row["high"] - row["low"] > IMPRECISE:
        return ""
    what = "events" if 2 * evaluation.events <= evaluation.stays else "stays without the event"
    rarer = min(evaluation.events, evaluation.stays - evaluation.events)
    needed = needed_for_auroc(rarer, evaluation.stays, float(estimate))
    return (
        f"Imprecise: the AUROC may lie anywhere from {_interval(row)}; about {needed:,} {what} are needed for an AUROC "
        "within 0.05."
    )


def _level(own: pd.DataFrame) -> str:
    """Whether the risks are too high or too low on average."""
    row, (least, most) = own.loc["observed_expected"], TOLERATED["observed_expected"]
    ratio: Any = row["estimate"]
    if not np.isfinite(ratio):
        return "All risks are 0, but there are events; do not use them."
    if row["low"] != row["low"]:
        return ""
    shown = f"(observed : expected {ratio:.2f}, {_interval(row)})"
    if row["low"] <= 1 <= row["high"] or least <= ratio <= most:
        fits = row["low"] >= least and row["high"] <= most
        return f"On average the risks {'fit' if fits else 'may fit; the interval is wide'} {shown}."
    factor, word = (1 / max(ratio, 1e-12), "high") if ratio < 1 else (ratio, "low")
    size = f"{factor:.1f} times" if factor >= 1.95 else f"{100 * (factor - 1):.0f} %"
    return f"Risks are {size} too {word} here {shown}; recalibrate before any use."


def _slope(own: pd.DataFrame) -> str:
    """Whether the risks vary too much or too little."""
    row, (least, most) = own.loc["calibration_slope"], TOLERATED["calibration_slope"]
    if row["low"] != row["low"] or row["low"] <= 1 <= row["high"] or least <= row["estimate"] <= most:
        return ""
    spread = "too extreme: high ones too high, low ones too low" if row["estimate"] < 1 else "not extreme enough"
    return f"Risks are {spread} (calibration slope {row['estimate']:.2f}, {_interval(row)})."


def _distance(evaluation: Any) -> str:
    """Mean distance of the flexible calibration curve."""
    curve = evaluation.calibration_curve
    if curve is None:
        return ""
    is_few = evaluation.smaller_class < CURVE_EVENTS
    few = " With so few events chance alone gives a distance of some points." if is_few else ""
    return f"Predicted and observed risk are {100 * curve.ici:.1f} percentage points apart on average (ICI).{few}"


def _groups(evaluation: Any) -> str:
    """By which groups calibration differs."""
    differs = [name for name, groups in evaluation.subgroups.items() if groups.calibration_p < SIGNIFICANT]
    return f"Calibration differs between groups by {' and by '.join(differs)}." if differs else ""


def _rates(evaluation: Any, min_cell_size: int) -> str:
    """Event rate here, and in training."""
    least = evaluation.least_stays(min_cell_size)
    events = suppress_nested([evaluation.stays, evaluation.events], min_cell_size=least)[1]
    if events is None:
        return ""
    here = f"Event rate here {100 * events / evaluation.stays:.1f} %"
    if evaluation.training_rate is None:
        return f"{here}."
    return f"{here}, in training {100 * evaluation.training_rate:.1f} %."


def _benefit(evaluation: Any) -> str:
    """Net benefit at the threshold, compared with treating all and treating none."""
    if evaluation.net_benefit.empty:
        return ""
    table = evaluation.net_benefit.set_index("model")
    own, everyone = table.iloc[0], float(table.loc[TREAT_ALL, "net_benefit"])
    best = max(everyone, 0.0)
    other = "treating all" if everyone > 0 else "treating none"
    threshold = f"{100 * own['threshold']:.3g} %"
    if evaluation.training_rate is not None and np.isclose(own["threshold"], evaluation.training_rate, rtol=1e-9):
        threshold += " (the event rate in training)"
    start = f"Acting from a risk of {threshold} on has a net benefit of {own['net_benefit']:.3f}"
    rest = f"treating all has {everyone:.3f}, treating none 0"
    if own["low"] != own["low"]:
        return f"{start}; {rest}."
    verdict = "more than both"
    if own["high"] < best:
        verdict = f"less than {other}: do not use it at this threshold"
    elif own["low"] <= best:
        verdict = f"no clear gain over {other}"
    return f"{start} ({_interval(own, 3)}), {verdict}; {rest}."

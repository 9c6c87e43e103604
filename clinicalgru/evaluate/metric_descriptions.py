"""Label, direction and meaning of every metric of an evaluation, for all types of task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class MetricDescription:
    """What a metric is called and how its values read.

    Attributes
    ----------
    label : str
        Name for readers.
    direction : str
        "higher" or "lower" is better; or the value that is best, "0" or "1"; empty where none is.
    at_zero, at_half, at_one : str
        Meaning of the values 0, 0.5 and 1.
    source : str
        Reference; empty where the metric is elementary.
    """

    label: str
    direction: str
    at_zero: str
    at_half: str
    at_one: str
    source: str = ""

    @property
    def direction_text(self) -> str:
        """The direction in words: "higher is better", "1 is best", or empty."""
        if not self.direction:
            return ""
        return f"{self.direction} is {'better' if self.direction in ('higher', 'lower') else 'best'}"


METRICS: Mapping[str, MetricDescription] = MappingProxyType(
    {
        "auroc": MetricDescription(
            "AUROC",
            "higher",
            "every stay with the event ranks below every stay without it",
            "no better than chance",
            "every stay with the event ranks above every stay without it",
            "Hanley and McNeil 1982",
        ),
        "auprc": MetricDescription(
            "AUPRC",
            "higher",
            "the limit of the worst ranking; chance gives the event rate",
            "on average over recall, half of the alerts are true",
            "every stay with the event ranks above every stay without it",
            "average precision, as scikit-learn's average_precision_score",
        ),
        "brier": MetricDescription(
            "Brier score",
            "lower",
            "every risk equals its outcome",
            "worse than a constant risk of 0.5, which scores 0.25",
            "every risk is the opposite of its outcome",
            "Brier 1950",
        ),
        "log_loss": MetricDescription(
            "Log loss",
            "lower",
            "every outcome had probability 1",
            "the outcomes had probability 0.61 (geometric mean); a constant risk of 0.5 scores 0.69",
            "the outcomes had probability 0.37 (geometric mean)",
        ),
        "calibration_slope": MetricDescription(
            "Calibration slope",
            "1",
            "the risks are unrelated to the outcome",
            "the risks are too extreme: their log-odds vary twice as much as they should",
            "the risks vary as much as they should",
            "Van Calster et al. 2019",
        ),
        "calibration_intercept": MetricDescription(
            "Calibration in the large",
            "0",
            "as many events as predicted",
            "the odds of the event are 1.65 times those predicted",
            "the odds of the event are 2.72 times those predicted",
            "Van Calster et al. 2019",
        ),
        "observed_expected": MetricDescription(
            "Observed : expected",
            "1",
            "no event occurred",
            "half as many events as predicted",
            "as many events as predicted",
            "Van Calster et al. 2019",
        ),
        "accuracy": MetricDescription(
            "Accuracy", "higher", "no class is right", "half of the classes are right", "every class is right"
        ),
        "mean_absolute_error": MetricDescription(
            "Mean absolute error",
            "lower",
            "every prediction is exact",
            "predictions miss by half a unit of the outcome on average",
            "predictions miss by one unit of the outcome on average",
        ),
        "root_mean_squared_error": MetricDescription(
            "Root mean squared error",
            "lower",
            "every prediction is exact",
            "predictions miss by half a unit of the outcome (quadratic mean)",
            "predictions miss by one unit of the outcome (quadratic mean)",
        ),
        "r_squared": MetricDescription(
            "R²",
            "higher",
            "no better than the mean outcome for every stay; negative values are worse",
            "the squared error is half the variance of the outcome",
            "every prediction is exact",
        ),
        "scaled_error": MetricDescription(
            "Error relative to the last value",
            "lower",
            "every forecast is exact",
            "half the mean absolute error of the last value carried forward",
            "as large as the mean absolute error of the last value carried forward",
            "Hyndman and Koehler 2006",
        ),
        "interval_score": MetricDescription(
            "Interval score relative to the last value's error",
            "lower",
            "intervals of width 0 that hold every value",
            "half the mean absolute error of the last value carried forward",
            "as large as the mean absolute error of the last value carried forward",
            "Gneiting and Raftery 2007",
        ),
        "coverage": MetricDescription(
            "Coverage of the interval",
            "",
            "no value lies in its interval",
            "half of the values lie in their interval",
            "every value lies in its interval; a 90 % interval should give 0.9",
        ),
        "interval_width": MetricDescription(
            "Width of the interval",
            "",
            "intervals of a single value",
            "half a unit of the outcome wide on average",
            "one unit of the outcome wide on average",
        ),
        "utility": MetricDescription(
            "Utility (PhysioNet 2019)",
            "higher",
            "as good as no alert at all; negative values are worse",
            "half of the utility of the best possible alerts",
            "the best possible alerts",
            "Reyna et al. 2020",
        ),
        "event_sensitivity": MetricDescription(
            "Event sensitivity",
            "higher",
            "no event had an alert in the 12 hours before it",
            "half of the events had an alert in the 12 hours before them",
            "every event had an alert in the 12 hours before it",
        ),
        "false_alert_rate": MetricDescription(
            "False alert rate",
            "lower",
            "no stay without an event ever had an alert",
            "half of the stays without an event had an alert",
            "every stay without an event had an alert",
        ),
        "alerts_per_day": MetricDescription(
            "Alerts per patient-day", "lower", "no alert", "one alert in two days of a stay", "one alert a day"
        ),
        "alerts_per_event": MetricDescription(
            "Alerts per caught event (number needed to alert)",
            "lower",
            "not possible: a caught event has an alert",
            "not possible: a caught event has an alert",
            "every alert catches an event",
        ),
        "lead_hours": MetricDescription(
            "Lead time in hours",
            "higher",
            "alerts come with the event",
            "alerts come half an hour before the event on average",
            "alerts come one hour before the event on average",
        ),
        "concordance": MetricDescription(
            "Concordance",
            "higher",
            "later events are always predicted to be earlier",
            "no better than chance",
            "events are ordered without error",
            "Uno et al. 2011, weighted for censoring",
        ),
        "integrated_brier": MetricDescription(
            "Integrated Brier score",
            "lower",
            "every survival curve equals what happened",
            "worse than a constant survival of 0.5, which scores 0.25",
            "every survival curve is the opposite of what happened",
            "Graf et al. 1999",
        ),
    }
)  # a suffix of a metric's name says of which outcome, class, variable or hour

HEADLINES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "binary": ("auroc", "auprc", "brier", "observed_expected", "calibration_slope"),
        "multiclass": ("auroc_mean", "accuracy", "log_loss"),
        "multilabel": ("auroc_mean", "auprc_mean", "log_loss_mean"),
        "regression": ("mean_absolute_error", "root_mean_squared_error", "r_squared", "coverage"),
        "early_warning": ("utility", "event_sensitivity", "false_alert_rate", "alerts_per_day"),
        "survival": ("concordance", "integrated_brier"),
        "forecast": ("scaled_error", "interval_score", "coverage"),
    }
)  # metrics that a summary shows, by type of task; the first one is the primary metric


MIN_DAY_HOURS = 72  # from so many hours on, whole days are easier to read
SIGNIFICANT = 0.05  # a model is called better below this p value


def describe_metric(name: str) -> tuple[MetricDescription, str]:
    """Return the description of a metric, and the outcome, class, variable or hour that its name ends in.

    Parameters
    ----------
    name : str
        Name of a metric in an evaluation, such as "auroc" or "auroc_sepsis".

    Returns
    -------
    description : MetricDescription
        Of the metric; one without a direction where the name is not known.
    part : str
        The ending, empty where there is none.

    Examples
    --------
    >>> description, part = describe_metric("brier_720h")
    >>> description.label, part
    ('Brier score', '720h')
    """
    base = max((known for known in METRICS if name == known or name.startswith(f"{known}_")), key=len, default="")
    return METRICS.get(base, MetricDescription(name, "", "", "", "")), name[len(base) + 1 :] if base else ""


def format_horizon(text: str) -> str:
    """Write hours of three days or more as days where they are whole ones; other text stays as it is.

    Parameters
    ----------
    text : str
        Name of an output or of a metric.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> from clinicalgru.evaluate.metric_descriptions import format_horizon
    >>> format_horizon("within 720 hours"), format_horizon("within 100 hours"), format_horizon("Brier score, 168h")
    ('within 30 days', 'within 100 hours', 'Brier score, 7 days')
    """

    def days(match: re.Match[str]) -> str:
        hours = int(match[1])
        return f"{hours // 24:,} days" if hours >= MIN_DAY_HOURS and hours % 24 == 0 else f"{hours:,} hours"

    return re.sub(r"\b(\d+)(?: hours\b|h\b)", days, text)


def metric_label(name: str, *, direction: bool = True) -> str:
    """Return a metric as a table row names it.

    Parameters
    ----------
    name : str
        Name of a metric in an evaluation.
    direction : bool
        Whether to say which values are better.

    Returns
    -------
    str
        Label, part and direction.

    Examples
    --------
    >>> metric_label("auroc_mean"), metric_label("coverage")
    ('AUROC, mean (higher is better)', 'Coverage of the interval')
    >>> metric_label("auroc_2", direction=False), metric_label("brier_720h", direction=False)
    ('AUROC, class 2', 'Brier score, within 30 days')
    """
    description, part = describe_metric(name)
    label = f"{description.label}, {_part_text(part)}" if part else description.label
    return f"{label} ({description.direction_text})" if direction and description.direction else label


def _part_text(part: str) -> str:
    """An outcome, class, variable or hour as words."""
    if re.fullmatch(r"-?\d+(\.\d+)?", part):
        return f"class {part}"
    within = "within " if re.fullmatch(r"\d+h", part) else ""
    return f"{within}{format_horizon(part.replace('_', ' '))}"


def compare_text(metric: str, *, name: str, baseline: str, low: float, high: float, p: float = 0.0) -> str:
    """Return which of two models is better, as far as the interval of their paired difference tells.

    Parameters
    ----------
    metric : str
        Name of the metric.
    name, baseline : str
        The two models; the difference is `name` minus `baseline`.
    low, high : float
        95 % interval of the difference; NaN where it is not known.
    p : float
        P value of the difference, corrected for the number of comparisons.

    Returns
    -------
    str
        Such as "GRU better", "no clear difference", "not estimable".

    Examples
    --------
    >>> compare_text("brier", name="GRU", baseline="trees", low=0.001, high=0.004)  # lower is better
    'trees better'
    """
    direction = describe_metric(metric)[0].direction
    if direction not in ("higher", "lower"):
        return f"no verdict: {direction} is best"
    if low != low or high != high:
        return "not estimable"
    if low <= 0 <= high or not p < SIGNIFICANT:
        return "no clear difference"
    return f"{name if (low > 0) == (direction == 'higher') else baseline} better"

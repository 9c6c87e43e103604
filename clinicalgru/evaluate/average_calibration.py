"""What was predicted and observed on average, by class, label or horizon, or of a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.evaluate.hour_checks import TOLERATED
from clinicalgru.evaluate.metric_descriptions import format_horizon

MAX_SENTENCES = 6  # outputs that are named; of more, those that are furthest off
OF_CLASS = r"auroc_(?!mean$)"  # the metrics of single classes
Z = 1.959963984540054  # 97.5 % point of the normal distribution


def average_calibration(evaluation: Any) -> list[str]:
    """Say for each output whether it fits on average, with the interval of what was observed.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    list of str
        One sentence for each class, label or horizon with calibration groups.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import pandas as pd
    >>> table = pd.DataFrame({"predicted": [0.1, 0.3], "observed": [0.2, 0.4], "low": [0.16, 0.36],
    ...                       "high": [0.24, 0.44], "stays": [400, 400]})
    >>> evaluation = SimpleNamespace(calibration={"class 2": table}, is_probability=True)
    >>> average_calibration(evaluation)
    ['Class 2: too low on average, predicted 20 %, observed 30 % (27 to 33).']
    """
    rows = [(name, *_means(table)) for name, table in evaluation.calibration.items()]
    distance = [abs(predicted - observed) / max(error, 1e-12) for _, predicted, observed, error in rows]
    named = sorted(np.argsort(distance)[::-1][:MAX_SENTENCES])
    return [_sentence(*rows[place], is_probability=evaluation.is_probability) for place in named]


def without_calibration(evaluation: Any) -> list[str]:
    """Name the classes, labels or horizons whose calibration was not evaluated, and why.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    list of str
        One sentence for each reason.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> without_calibration(SimpleNamespace(without_calibration={"within 24 hours": "too few events by then"}))
    ['Calibration not evaluated, too few events by then: within 24 hours.']
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in evaluation.without_calibration.items():
        by_reason.setdefault(reason, []).append(_label(name))
    return [f"Calibration not evaluated, {reason}: {', '.join(names)}." for reason, names in by_reason.items()]


def accuracy_of_most_frequent(evaluation: Any) -> list[str]:
    """Compare the accuracy of a multiclass evaluation with that of always predicting the most frequent class.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    list of str
        One sentence; none for other types of task, or where the groups of a class are suppressed.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> accuracy_of_most_frequent(SimpleNamespace(task_type="regression"))
    []
    """
    if evaluation.task_type != "multiclass" or not evaluation.calibration:
        return []
    own = evaluation.metrics.query("model == @evaluation.name and metric == 'accuracy'")["estimate"]
    share, name = max((_means(table)[1], name) for name, table in evaluation.calibration.items())
    n_classes = evaluation.metrics.loc[evaluation.metrics["metric"].str.match(OF_CLASS), "metric"].nunique()
    is_most_frequent = share > 0.5 or len(evaluation.calibration) == n_classes
    if own.empty or not is_most_frequent:
        return []
    return [f"Accuracy {own.iloc[0]:.2f}; always predicting {name}, the most frequent, would have {share:.2f}."]


def _means(table: pd.DataFrame) -> tuple[float, float, float]:
    """Predicted and observed mean of all groups, and the standard error of the observed one."""
    weight = (table["stays"] / table["stays"].sum()).to_numpy(dtype=float)
    error = (table["high"] - table["low"]).to_numpy(dtype=float) / (2 * Z)
    predicted, observed = (float(weight @ table[name].to_numpy(dtype=float)) for name in ("predicted", "observed"))
    return predicted, observed, float(np.sqrt(np.sum((weight * error) ** 2)))


def _label(name: str) -> str:
    return format_horizon(name.replace("in_hospital", "in-hospital").replace("_", " "))


def _sentence(name: str, predicted: float, observed: float, error: float, *, is_probability: bool) -> str:
    low, high = observed - Z * error, observed + Z * error
    least, most = (ratio * predicted for ratio in TOLERATED["observed_expected"])
    if not low <= predicted <= high:
        verdict = f"too {'low' if predicted < observed else 'high'} on average"
    elif not is_probability:
        verdict = "not clearly off on average"
    elif least <= low and high <= most:
        verdict = "fits on average"
    else:
        verdict = "may fit on average; the interval is wide"
    label = _label(name)
    if is_probability:
        interval = f"{100 * max(low, 0):.0f} to {100 * min(high, 1):.0f}"
        numbers = f"predicted {100 * predicted:.0f} %, observed {100 * observed:.0f} % ({interval})"
    else:
        numbers = f"predicted {predicted:.3g}, observed {observed:.3g} ({low:.3g} to {high:.3g})"
    return f"{label[:1].upper()}{label[1:]}: {verdict}, {numbers}."

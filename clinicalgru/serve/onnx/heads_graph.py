"""From the outputs of networks to calibrated scores, as operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import MIN_PROBABILITY, LabelCalibrator, TemperatureCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.logistic import clip_probability
from clinicalgru.serve.onnx.graph import Graph, Value

TASK_TYPES = ("binary", "multiclass", "multilabel", "early_warning")


def check_task_type(task_type: str) -> None:
    """Raise where the head of a model is not exported.

    Parameters
    ----------
    task_type : str
        Type of its task.

    Raises
    ------
    ArgumentError
        If it is none of `TASK_TYPES`.
    """
    if task_type not in TASK_TYPES:
        expected = f"a GRU model, or an ensemble of them, for a task of type {', '.join(TASK_TYPES)}"
        raise ArgumentError(expected, f"one of type {task_type}", "Score it with clinicalgru score.")


def probability_of(logits: Value, task_type: str) -> Value:
    """Give the mean probability of the members of a network.

    Parameters
    ----------
    logits : Value of float32, shape (member, stay, output)
        Outputs of a network.
    task_type : str
        Type of the task.

    Returns
    -------
    Value of float64, shape (stay, output)
    """
    kind, options = ("Softmax", {"axis": 2}) if task_type == "multiclass" else ("Sigmoid", {})
    members = logits.graph.op(kind, logits.astype(np.float64), **options)
    return members.reduce("Mean", 0)


def pooled(probabilities: list[Value], task_type: str) -> Value:
    """Pool the probabilities of several networks, as `Pooling.pool` does.

    Parameters
    ----------
    probabilities : list of Value of float64, shape (stay, output)
        Those of each network.
    task_type : str
        Type of the task.

    Returns
    -------
    Value of float64, shape (stay, output)
    """
    if len(probabilities) == 1:
        return probabilities[0]
    graph = probabilities[0].graph
    if task_type != "multiclass":
        logits = [_logit(one) for one in probabilities]
        return graph.op("Sigmoid", graph.op("Sum", *logits) / float(len(logits)))
    logs = [graph.op("Log", _clipped(one)) for one in probabilities]
    return graph.op("Softmax", graph.op("Sum", *logs) / float(len(logs)), axis=1)


def calibrated(probability: Value, calibrator: Any, hours: Value | None) -> Value:
    """Calibrate probabilities.

    Parameters
    ----------
    probability : Value of float64, shape (stay, output)
        Before calibration.
    calibrator : Calibrator or None
        That of the model.
    hours : Value of float64, shape (stay,), or None
        Prediction times; None: calibration as at the end of the window.

    Returns
    -------
    Value of float64, shape (stay, output)

    Raises
    ------
    ArgumentError
        If the calibrator is of another kind.
    """
    graph = probability.graph
    if calibrator is None:
        return probability
    if isinstance(calibrator, HourCalibrator) and hours is not None:
        slope, intercept = _lines(graph, calibrator, hours)
        return graph.op("Sigmoid", intercept + slope * _logit(probability))
    if isinstance(calibrator, PlattCalibrator):
        return graph.op("Sigmoid", _logit(probability) * calibrator.slope + calibrator.intercept)
    if isinstance(calibrator, TemperatureCalibrator):
        logs = graph.op("Log", graph.op("Max", probability, np.array(MIN_PROBABILITY)))
        return graph.op("Softmax", logs * calibrator.slope, axis=1)
    if isinstance(calibrator, LabelCalibrator):
        columns = [probability.slice(i, i + 1, 1) for i in range(len(calibrator.parts))]
        pairs = zip(columns, calibrator.parts, strict=True)
        return graph.concat(1, *(calibrated(column, part, None) for column, part in pairs))
    raise ArgumentError("a calibrator that is exported", type(calibrator).__name__, "Calibrate the model again.")


def _lines(graph: Graph, calibrator: HourCalibrator, hours: Value) -> tuple[Value, Value]:
    """As `HourCalibrator.lines`, (stay, 1) each."""
    first, last = calibrator.first_hour, calibrator.last_hour
    passed = graph.op("Clip", hours.unsqueeze(1) - first, np.array(0.0), np.array(last - first))
    g = graph.op("Log", passed + 1.0) / float(np.log1p(last - first)) - 1.0
    stretch = graph.op("Exp", g * calibrator.steepness)
    shift = stretch * (calibrator.intercept - calibrator.middle) + calibrator.middle
    return stretch * calibrator.slope, shift + g * calibrator.level + g * g * calibrator.bend


def _clipped(probability: Value) -> Value:
    """As `clip_probability`."""
    low, high = clip_probability(np.array([0.0, 1.0]))
    return probability.graph.op("Clip", probability, np.array(low), np.array(high))


def _logit(probability: Value) -> Value:
    graph, one = probability.graph, _clipped(probability)
    return graph.op("Log", one / (graph.value(1.0, np.float64) - one))

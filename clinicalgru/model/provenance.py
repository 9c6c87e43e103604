"""Where a model comes from, in words: its outcome, task, training data and calibration."""

from __future__ import annotations

from typing import Any

from clinicalgru.class_names import ONE_OF
from clinicalgru.disclosure import format_count
from clinicalgru.model.estimators.training_summary import calibration_text


def provenance(model: Any) -> dict[str, str]:
    """Describe where a model comes from, for pages and explanations.

    Parameters
    ----------
    model : fitted model
        A GRU estimator, ensemble, hybrid or baseline.

    Returns
    -------
    dict of str to str
        outcome, task, hour_0 (the index time in words), trained_on, calibration and simulated ("yes" or "no"); small
        counts are suppressed.
    """
    trained = model.trained_on_
    task = model.task_
    outcomes = ONE_OF + ", ".join(task.classes.values()) if task.classes else " or ".join(task.outcome_names)
    counts = f"{format_count(trained['stays'])} stays, {format_count(trained['patients'])} patients"
    return ({"outcome": outcomes} if outcomes else {}) | {
        "task": task.title or task.name,
        "hour_0": task.anchor_words,
        "trained_on": f"{trained['source']}, {counts}",
        "calibration": calibration_text(model.calibrated_on_),
        "simulated": "yes" if trained["simulated"] else "no",
    }

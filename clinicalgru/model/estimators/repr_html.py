"""What a notebook shows of an estimator: its arguments, and what it learned from, in counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinicalgru.disclosure import format_count
from clinicalgru.html import summary_html, table


def estimator_html(name: str, arguments: Mapping[str, Any], learned: Mapping[str, Any]) -> str:
    """An estimator as a small table.

    name       its class
    arguments  as of `get_params`
    learned    its attributes, as of `vars`; those that end in an underscore are of fitting

    >>> "not fitted" in estimator_html("GRUClassifier", {"random_state": 0}, {})
    True
    """
    rows = [[argument, str(value)] for argument, value in arguments.items()]
    facts = _learned(learned) if "trained_on_" in learned else {"state": "not fitted yet"}
    return summary_html(name, facts, table("Arguments", ("Argument", "Value"), rows))


def calibrated(learned: Mapping[str, Any]) -> bool:
    """Whether probabilities were corrected, or intervals widened, on stays that training did not see."""
    widened = getattr(learned.get("head_"), "interval_scale", ())
    return bool(widened) or any(learned.get(name) is not None for name in ("calibrator_", "reach_"))


def _learned(learned: Mapping[str, Any]) -> dict[str, str]:
    trained, task = learned["trained_on_"], learned["task_"]
    history = learned.get("history_") or []
    best = min(history, key=lambda entry: entry["val_loss"], default=None)
    facts = {
        "task": task.title or task.name,
        "source": str(trained["source"]) + (" (simulated)" if trained["simulated"] else ""),
        "trained on": f"{format_count(trained['stays'])} stays of {format_count(trained['patients'])} patients",
        "variables": f"{len(learned['variables_'])}, and {len(learned['static_variables_'])} descriptors",
        "calibrated": "yes" if calibrated(learned) else "no",
    }
    if best is not None:
        facts["best epoch"] = f"{best['epoch']:.0f} of {len(history)}, loss on the tune stays {best['val_loss']:.4f}"
    return facts

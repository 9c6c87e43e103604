"""card.md: what a person should know of a model before using it."""

from __future__ import annotations

from clinicalgru.disclosure import said
from clinicalgru.model.estimators import GRUClassifier

SIMULATED = "**Trained on simulated patients. Not for use on real ones.**\n\n"


def card(model: GRUClassifier) -> str:
    """The model card, in Markdown."""
    trained, task = model.trained_on_, model.task_
    low, high = task.window_hours
    best = min(model.history_, key=lambda entry: entry["tune_loss"])
    rows = "\n".join(f"| {v.label} | {v.unit} | {_range(v.plausible)} |" for v in (*model.variables_, *model.statics_))
    return f"""# {task.title or task.name}

{SIMULATED if trained["simulated"] else ""}A time-aware GRU with attention, from clinicalgru. It estimates the
probability of `{task.outcome}` from what became known between hour {low:g} and hour {high:g} after the
{task.anchor_words}.

| trained on | |
|---|---|
| source | {trained["source"]} |
| stays, patients | {said(trained["stays"])}, {said(trained["patients"])} |
| with the outcome | {said(trained["outcomes"])}{_share(trained["outcomes"], trained["stays"])} |
| measurements | {trained["measurements"]:,} |
| best epoch | {best["epoch"]:.0f} (log loss on the tune stays {best["tune_loss"]:.4f}) |
| calibrated | {"yes, on stays that training did not see" if model.calibrator_ is not None else "no"} |

## Limits
Not a medical device. Not validated outside of its source: judge it on your own patients before any use, and again over
time. A risk is no cause: what moves it need not help the patient when changed.

## Variables
| variable | unit | plausible |
|---|---|---|
{rows}
"""


def _share(outcomes: int | None, stays: int | None) -> str:
    return "" if outcomes is None or stays is None else f" ({outcomes / stays:.1%})"


def _range(plausible: tuple[float, float] | None) -> str:
    return f"{plausible[0]:g} to {plausible[1]:g}" if plausible else ""

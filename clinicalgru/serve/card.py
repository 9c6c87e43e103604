"""card.md: what a person should know of a model before using it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinicalgru.disclosure import format_count
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.estimators.repr_html import calibrated

YES_OR_NO = ("binary", "early_warning", "survival")
ESTIMATES = {
    "binary": "the probability of `{}`",
    "multiclass": "the probability of each class of `{}`",
    "multilabel": "the probability of each of `{}`",
    "regression": "`{}`, with the interval it lies in,",
    "early_warning": "after each step the probability that `{}` is about to begin,",
    "survival": "the probability of `{}` by each horizon",
    "forecast": "what will be measured next{}",
}
SIMULATED = "**Trained on simulated patients. Not for use on real ones.**\n\n"


def card(model: Model) -> str:
    """The model card, in Markdown."""
    trained, task = model.trained_on_, model.task_
    low, high = task.window_hours
    best = min(model.history_, key=lambda entry: entry["val_loss"])
    rows = "\n".join(
        f"| {v.label} | {v.unit} | {_range(v.plausible)} |" for v in (*model.variables_, *model.static_variables_)
    )
    several = f", and {len(model.members_)} of them" if isinstance(model, GRUEnsemble) else ""
    return f"""# {task.title or task.name}

{SIMULATED if trained["simulated"] else ""}A time-aware GRU with attention{several}, from clinicalgru. It estimates
{ESTIMATES[task.task_type].format(task.outcome_words)} from what became known
between hour {low:g} and hour {high:g} after the {task.anchor_words}.

| trained on | |
|---|---|
| source | {trained["source"]} |
| stays, patients | {format_count(trained["stays"])}, {format_count(trained["patients"])} |
{_outcomes(trained) if task.task_type in YES_OR_NO else ""}| measurements | {trained["measurements"]:,} |
| best epoch | {best["epoch"]:.0f} (loss on the tune stays {best["val_loss"]:.4f}) |
| calibrated | {"yes, on stays that training did not see" if calibrated(vars(model)) else "no"} |

## Limits
Not a medical device. Not validated outside of its source: judge it on your own patients before any use, and again over
time. A risk is no cause: what moves it need not help the patient when changed.

## Variables
| variable | unit | plausible |
|---|---|---|
{rows}
"""


def _outcomes(trained: Mapping[str, Any]) -> str:
    share = _share(trained["outcomes"], trained["stays"])
    return f"| with the outcome | {format_count(trained['outcomes'])}{share} |\n"


def _share(outcomes: int | None, stays: int | None) -> str:
    return "" if outcomes is None or stays is None else f" ({outcomes / stays:.1%})"


def _range(plausible: tuple[float, float] | None) -> str:
    return f"{plausible[0]:g} to {plausible[1]:g}" if plausible else ""

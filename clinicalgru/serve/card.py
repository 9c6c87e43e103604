"""card.md: what a person should know of a model before using it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clinicalgru.class_names import class_text
from clinicalgru.disclosure import format_count
from clinicalgru.evaluate.conformal_multi import ClassConformalSets, LabelConformalSets
from clinicalgru.markdown import escape_markdown
from clinicalgru.model.baselines.base import BaselineEstimator
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.repr_html import calibrated
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.estimators.training_summary import (
    TRAINING_FOLDS,
    calibration_text,
    pretraining_text,
    unlabelled_text,
    validation_text,
)

YES_OR_NO = ("binary", "early_warning", "survival")
ESTIMATES = {
    "binary": "the probability of {}",
    "multiclass": "the probability of each class of {}",
    "multilabel": "the probability of each of {}",
    "regression": "{}, with the interval it lies in,",
    "early_warning": "after each time step the probability that {} is about to begin,",
    "survival": "the probability of {} by each horizon",
    "forecast": "what will be measured next{}",
}
SIMULATED = "**Trained on simulated patients. Not for use on real ones.**\n\n"


def card(model: FittedModel) -> str:
    """Write the model card of a fitted model.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    str
        The card, in Markdown.
    """
    trained, task = model.trained_on_, model.task_
    low, high = task.window_hours
    rows = "\n".join(
        f"| {escape_markdown(v.label)} | {escape_markdown(v.unit)} | {_range(v.plausible)} |"
        for v in (*model.variables_, *model.static_variables_)
    )
    outcome = ", ".join(_outcome_text(name, task.outcome_labels) for name in task.outcomes)
    return f"""# {escape_markdown(task.title or task.name)}

{SIMULATED if trained["simulated"] else ""}{_kind(model)}, from clinicalgru. It estimates
{ESTIMATES[task.task_type].format(outcome)} from what became known
between hour {low:g} and hour {high:g} after the {escape_markdown(task.anchor_words)}.

| trained on | |
|---|---|
| source | {escape_markdown(trained["source"])} |
| stays, patients | {format_count(trained["stays"])}, {format_count(trained["patients"])} |
{_outcomes(trained) if task.task_type in YES_OR_NO else ""}| measurements | {trained["measurements"]:,} |
{_training(trained)}{_best_epoch(model)}| calibrated | {_calibration(model)} |
{_sets(model)}{_refits(model)}{_membership(trained)}{_changes(model)}
## Limits
Not a medical device. Not validated outside its source: evaluate it on your own patients before any use, and again over
time. Predictions are not causal: changing a variable that raises the risk need not help the patient.

## Variables
| variable | unit | plausible |
|---|---|---|
{rows}
"""


def _outcome_text(name: str, labels: Mapping[str, str]) -> str:
    """The label of an outcome, or its column between backticks."""
    return escape_markdown(labels[name]) if name in labels else "`" + " ".join(name.replace("`", "'").split()) + "`"


def _kind(model: FittedModel) -> str:
    if isinstance(model, GRUEnsemble):
        return f"An ensemble of {len(model.members_)} time-aware GRUs with attention"
    if isinstance(model, Hybrid):
        baselines = " and ".join(model.baselines_)
        return f"Stacking of {len(model.ensemble_.members_)} time-aware GRUs with attention and {baselines}"
    if isinstance(model, SummaryBaseline):
        return f"A baseline: {model.method} on summaries of each variable"
    if isinstance(model, BaselineEstimator):
        return f"A baseline ({type(model).__name__})"
    return "A time-aware GRU with attention"


def _training(trained: Mapping[str, Any]) -> str:
    texts = {
        "pretrained on": pretraining_text(trained),
        "learned from": unlabelled_text(trained),
        "epochs chosen": validation_text(trained),
    }
    texts["leakage"] = trained.get("leakage", {}).get("sentence")
    return "".join(f"| {name} | {escape_markdown(text)} |\n" for name, text in texts.items() if text is not None)


def _best_epoch(model: FittedModel) -> str:
    if isinstance(model, BaselineEstimator):
        return ""
    best = min(model.history_, key=lambda entry: entry["val_loss"])
    return f"| best epoch | {best['epoch']:.0f} (validation loss {best['val_loss']:.4f}) |\n"


def _calibration(model: FittedModel) -> str:
    """Whether the model is calibrated, and on how many stays."""
    if not (isinstance(model, Hybrid) or calibrated(vars(model))):
        return "no"
    unseen = "that training did not see"
    if isinstance(model, GRUEnsemble | Hybrid):
        unseen = "each by the networks that did not see its patient"
    elif isinstance(model, BaselineEstimator):
        unseen = "predicted by a baseline that did not see them"
    elif TRAINING_FOLDS in (model.calibrated_on_ or {}):
        unseen = "each by a network that did not learn from it"
    counts = "on stays" if model.calibrated_on_ is None else calibration_text(model.calibrated_on_)
    return f"yes, {counts}, {unseen}"


def _sets(model: FittedModel) -> str:
    """At which coverage prediction sets hold, when, and how sure that is."""
    sets = model.prediction_sets_
    if sets is None:
        return ""
    few = ""
    if isinstance(sets, ClassConformalSets):
        whom, ranges = " of the patients of each class", sets.coverage_ranges()
        ranges = {class_text(name): range_ for name, range_ in ranges.items()}
        if always := [name for name in sets.classes if name not in sets.quantiles]:
            few = f"; every set holds {', '.join(map(class_text, always))}, of too few patients"
    elif isinstance(sets, LabelConformalSets):
        whom = " of the patients with, and of those without, each label"
        ranges = {f"{name}, {k}": r for name, one in sets.labels.items() for k, r in one.coverage_ranges().items()}
        if without := [name for name in sets.names if name not in sets.labels]:
            few = f"; none of {', '.join(without)}: too few patients"
    else:
        whom = " of the patients with, and of those without, the outcome" if sets.by_outcome else " of the patients"
        ranges = sets.coverage_ranges()
    within = "; ".join(f"{name} {low:.0%} to {high:.0%}" for name, (low, high) in ranges.items())
    text = f"hold the outcome of {1 - sets.alpha:.0%}{whom}, at hour {model.task_.window_hours[1]:g} only{few}"
    sure = f". By the number of calibration patients the coverage lies within: {within}"
    return f"| prediction sets | {escape_markdown(text + sure)} |\n"


def _refits(model: FittedModel) -> str:
    """How far risks move over refits, where that was measured."""
    text = refits_text(model)
    return f"| instability | {text} |\n" if text else ""


def refits_text(model: FittedModel) -> str:
    """Say how far the risks of a model move when it is developed again on bootstrap samples.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    str
        Empty where that was not measured.
    """
    curve = model.instability_
    if curve is None or not curve.mape:
        return ""
    worst = int(np.argmax(curve.mape))
    risk, low, high = (f"{100 * values[worst]:.0f}" for values in (curve.risk, curve.low, curve.high))
    return (
        f"{curve.n_refits} refits on bootstrap samples move risks by {np.mean(curve.mape):.3f} on average, most at a "
        f"risk of {risk} %, by {curve.mape[worst]:.3f} (95 % of the refits: {low} to {high} %)"
    )


def _membership(trained: Mapping[str, Any]) -> str:
    """How well training patients are recognised, where that was measured."""
    if "membership" not in trained:
        return ""
    rate, low, high = (trained["membership"][name] for name in ("true_positive_rate", "low", "high"))
    text = f"not measured: {trained['membership'].get('reason', 'too few other patients')}"
    if rate is not None:
        text = f"{rate:.1%} ({low:.1%} to {high:.1%}) of the training patients recognised at 1 % false positives"
    return f"| membership inference | {text} |\n"


def _changes(model: FittedModel) -> str:
    """What was changed after training, a row for each change."""
    return "".join(
        f"| {escape_markdown(change['what'])} | {escape_markdown(change['when'])}, {calibration_text(change)}, of "
        f"{escape_markdown(change['source'])}; before that it was model {escape_markdown(change['parent'])} |\n"
        for change in getattr(model, "changes_", [])
    )


def _outcomes(trained: Mapping[str, Any]) -> str:
    share = _share(trained["outcomes"], trained["stays"])
    return f"| with the outcome | {format_count(trained['outcomes'])}{share} |\n"


def _share(outcomes: int | None, stays: int | None) -> str:
    return "" if outcomes is None or stays is None else f" ({outcomes / stays:.1%})"


def _range(plausible: tuple[float, float] | None) -> str:
    return f"{plausible[0]:g} to {plausible[1]:g}" if plausible else ""

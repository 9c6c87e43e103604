"""HTML summary of an estimator for notebooks: the arguments that differ from the defaults, and the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sklearn.base import BaseEstimator

from clinicalgru.disclosure import format_count
from clinicalgru.html import summary_html, table
from clinicalgru.model.estimators.training_summary import (
    calibration_text,
    pretraining_text,
    unlabelled_text,
    validation_text,
)


def estimator_html(estimator: BaseEstimator) -> str:
    """Give an estimator as a small table.

    Parameters
    ----------
    estimator : GRUEstimator
        Fitted or not.

    Returns
    -------
    Markup
        Arguments that differ from the defaults, and counts of the training data.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier
    >>> "not fitted" in estimator_html(GRUClassifier())
    True
    """
    changed = changed_arguments(estimator)
    network = changed.pop("network", None)
    if isinstance(network, BaseEstimator):
        changed = {f"network__{name}": value for name, value in changed_arguments(network).items()} | changed
    rows = [[argument, str(value)] for argument, value in changed.items()]
    learned = vars(estimator)
    facts = _learned(learned) if "trained_on_" in learned else {"state": "not fitted yet"}
    title = "Arguments that differ from the defaults" if rows else "Arguments: the defaults"
    return summary_html(type(estimator).__name__, facts, table(title, ("Argument", "Value"), rows))


class ShownAsTable:
    """Shows an estimator in a notebook as a table of its arguments and of what it learned from."""

    def _repr_html_(self) -> str:
        return estimator_html(cast(BaseEstimator, self))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:  # scikit-learn's would show a diagram of one box
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def changed_arguments(estimator: BaseEstimator) -> dict[str, Any]:
    """Give the arguments of an estimator that differ from its defaults.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator.

    Returns
    -------
    dict
        Value by name.

    Examples
    --------
    >>> from clinicalgru import NetworkConfig
    >>> changed_arguments(NetworkConfig(cell="lstm"))
    {'cell': 'lstm'}
    """
    defaults = type(estimator)().get_params(deep=False)
    given = estimator.get_params(deep=False)
    return {name: value for name, value in given.items() if repr(value) != repr(defaults[name])}


def calibrated(learned: Mapping[str, Any]) -> bool:
    """Whether a model was calibrated on stays that training did not see.

    Parameters
    ----------
    learned : mapping
        Attributes of a model, as of `vars`.

    Returns
    -------
    bool
        True also where `calibrate` adjusted intervals.
    """
    widened = getattr(learned.get("head_"), "interval_scale", ())
    return bool(widened) or any(learned.get(name) is not None for name in ("calibrator_", "half_width_"))


def _calibration(learned: Mapping[str, Any]) -> str:
    """Whether and on what; a calibrator that was set by hand has no counts."""
    if not calibrated(learned):
        return "no"
    counts = learned.get("calibrated_on_")
    return "yes" if counts is None else f"yes, {calibration_text(counts)}"


def _learned(learned: Mapping[str, Any]) -> dict[str, str]:
    trained, task = learned["trained_on_"], learned["task_"]
    history = learned.get("history_") or []
    best = min(history, key=lambda entry: entry["val_loss"], default=None)
    facts = {
        "task": task.title or task.name,
        "source": str(trained["source"]) + (" (simulated)" if trained["simulated"] else ""),
        "trained on": f"{format_count(trained['stays'])} stays of {format_count(trained['patients'])} patients",
        "variables": f"{len(learned['variables_'])}, and {len(learned['static_variables_'])} static covariates",
        "calibrated": _calibration(learned),
    }
    chosen = {"pretrained on": pretraining_text(trained), "learned from": unlabelled_text(trained)}
    chosen |= {"epochs chosen": validation_text(trained)}
    facts |= {name: text for name, text in chosen.items() if text is not None}
    if best is not None:
        facts["best epoch"] = f"{best['epoch']:.0f} of {len(history)}, validation loss {best['val_loss']:.4f}"
    return facts

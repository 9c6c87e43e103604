"""Recalibration of a model for other stays: a new model with its history, never silently and never in place."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, class_patients, numbered_patients
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.logistic import logit, shift_to_mean
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.evaluate.validation import Array
from clinicalgru.explain.attribution.contributions import averages
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.stacking import Hybrid, restored_stack
from clinicalgru.model.estimators.training_summary import calibration_counts
from clinicalgru.model.patient_overlap import held_out, involved_text
from clinicalgru.model.prediction_sets import cross_fitted_sets
from clinicalgru.model.seen_patients import SeenPatients
from clinicalgru.serve.bundle import model_hash

SLOPE_EVENTS = 100  # patients with, and without, the event from which the slope is estimated too
FOLDS = 5
MAX_SEEN = 0.05  # fraction of stays with identifiers of training that are left out, as chance in another hospital
SHOWN = ("observed_expected", "calibration_slope", "brier", "log_loss")
METHODS = ("intercept", "intercept and slope")


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A recalibrated model.

    Attributes
    ----------
    model : estimator
        The new model; the one before is unchanged.
    method : str
        "intercept", or "intercept and slope".
    intercept, slope : float
        Line on the log-odds of the risks before.
    table : DataFrame
        metric, before, after. The latter is cross-validated by patient, each fifth by a line fitted on the others.
    """

    model: FittedModel
    method: str
    intercept: float
    slope: float
    table: pd.DataFrame

    @property
    def sentences(self) -> list[str]:
        """What was done, on which stays, and what the figures after it rest on."""
        done = f"Recalibrated ({self.method}): intercept {self.intercept:+.3f}, slope {self.slope:.3f}."
        left_out = (
            "Without the stays of identifiers that training, calibration or pretraining had."
            if self.model.changes_[-1]["left_out"]
            else ""
        )
        spread = (
            f"The spread of the risks is as before: a slope takes {SLOPE_EVENTS} patients with, and without, the event."
        )
        after = (
            "After: cross-validated by patient on the stays that recalibrated it. Evaluate on later ones before use."
        )
        return [sentence for sentence in (done, left_out, spread if self.slope == 1 else "", after) if sentence]

    @property
    def shown_table(self) -> pd.DataFrame:
        """Metrics by their names, before and after, as text."""
        values = self.table[["before", "after"]].map("{:.3f}".format)
        metrics = [metric_label(metric, direction=False) for metric in self.table["metric"]]
        return pd.DataFrame({"Metric": metrics, "Before": values["before"], "After": values["after"]})

    def __str__(self) -> str:
        return "\n".join([*self.sentences[:-1], self.shown_table.to_string(index=False), self.sentences[-1]])

    __repr__ = __str__


def recalibrate(model: FittedModel, stays: Sequences, *, moment: datetime | None = None) -> Recalibration:
    """Recalibrate the risks of a model for stays of another place or time, as a new model.

    Parameters
    ----------
    model : estimator
        Fitted for one binary outcome of a stay.
    stays : Sequences
        Stays with known outcomes, of patients that took no part in pretraining, training or calibrating the model.
    moment : datetime, optional
        When this is done, for the history. None: now.

    Returns
    -------
    Recalibration
        With a model whose `changes_` say what was done.

    Raises
    ------
    ArgumentError
        If the task has no such outcome, or fewer than 20 patients have, or do not have, the event.
    TrainingError
        If the patients of more than 5 % of the stays pretrained, trained, calibrated or recalibrated the model (fewer
        are left out and counted), or if higher risks go with fewer events.

    Notes
    -----
    From 20 patients with, and without, the event on the intercept is estimated, from 100 on the slope too. The ranking
    of the stays remains. Salted hashes of the patients are kept with the new model, so that `validate` and
    `compare_bundles` notice them. Checks of the calibration by hour belong to the place of training, and are left out
    of the new model. Groups of similar risk and prediction sets are learned on these stays, from the cross-validated
    risks. The instability, which is that of the risks before, is left out.

    References
    ----------
    Steyerberg et al. 2004, Stat Med 23:2567-2586, updating of predictive logistic models. Vergouwe et al. 2017, Stat
    Med 36:4529-4539, how much to update.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> ours, theirs = (cg.select(cg.read_events(cg.simulate(400, random_state=seed)), task) for seed in (1, 2))
    >>> model = cg.SummaryBaseline("logistic regression").fit(ours)
    >>> update = recalibrate(model, theirs)
    >>> update.method, update.model.changes_[0]["what"] == "recalibrated: intercept"
    ('intercept', True)
    """
    if stays.task.task_type != "binary":
        fix = "Other types of task are calibrated by model.calibrate(stays)."
        raise ArgumentError("a task with one outcome of 0 or 1", stays.task.task_type, fix)
    stays, n_left_out = _unseen(model, stays)
    outcome, risk = np.asarray(stays.outcome, dtype=float), np.asarray(model.predict_proba(stays))[:, 1]
    few = min(class_patients(outcome, numbered_patients(stays.patient, len(stays))))
    if few < MIN_EVENTS:
        got, fix = "fewer", "Wait for more stays; until then the risks of this model should not be used here."
        raise ArgumentError(f"{MIN_EVENTS} patients with, and {MIN_EVENTS} without, the event", got, fix)
    if RISK_METRICS["auroc"](outcome, risk, np.ones((1, len(risk))))[0] < 0.5:
        fix = "Recalibration cannot mend that: train a model on stays of this place."
        raise TrainingError("risks that rise with the outcome", "an AUROC below 0.5", fix)
    method = METHODS[few >= SLOPE_EVENTS]
    slope, intercept = _line(outcome, risk, method)
    after = _cross_validated(outcome, risk, np.asarray(stays.patient).astype(str), method)
    values = {
        name: [float(RISK_METRICS[name](outcome, r, np.ones((1, len(r))))[0]) for r in (risk, after)] for name in SHOWN
    }
    table = pd.DataFrame([(name, *pair) for name, pair in values.items()], columns=["metric", "before", "after"])
    changed = _changed(model, slope, intercept)
    _learn_from(changed, stays, after)
    counts = calibration_counts(stays)
    change = {
        "what": f"recalibrated: {method}",
        "when": (moment or datetime.now(UTC)).isoformat(timespec="seconds"),
        "parent": model_hash(model),
        "source": stays.source,
        **counts,
        "intercept": intercept,
        "slope": slope,
        "left_out": n_left_out,
    }
    changed.changes_ = [*getattr(model, "changes_", []), change]
    changed.calibration_patients_ = (*model.calibration_patients_, SeenPatients.of(stays))
    return Recalibration(changed, method, intercept, slope, table)


def _unseen(model: FittedModel, stays: Sequences) -> tuple[Sequences, int]:
    """The stays without those of patients of the model, and how many these are; refused where they are many."""
    new = held_out(model, stays)
    if (~new).mean() > MAX_SEEN:
        fix = (
            "Take stays of other patients, such as later ones. Where other people of another source have the same "
            "identifiers, read it with a prefix before each identifier."
        )
        expected = "stays to recalibrate on of patients that took no part in making the model"
        raise TrainingError(expected, involved_text(model, stays), fix)
    return (stays, 0) if new.all() else (stays[new], int((~new).sum()))


def _line(outcome: Array, risk: Array, method: str) -> tuple[float, float]:
    """Slope and intercept on the log-odds."""
    score = logit(risk)
    if method == METHODS[1]:
        line = PlattCalibrator.fit(outcome, risk, level_scale=np.inf)  # the level of another place may be far
        return line.slope, line.intercept
    return 1.0, shift_to_mean(score, outcome.mean())


def _cross_validated(outcome: Array, risk: Array, patient: Any, method: str) -> Array:
    """Risks of each fifth of the patients by the line of the others."""
    number = np.unique(patient, return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS
    after = risk.copy()
    for held in (fold == one for one in range(FOLDS)):
        if 0 < outcome[~held].sum() < (~held).sum():
            try:
                slope, intercept = _line(outcome[~held], risk[~held], method)
            except (ArgumentError, TrainingError):
                continue
            after[held] = expit(intercept + slope * logit(risk[held]))
    return after


def _changed(model: FittedModel, slope: float, intercept: float) -> FittedModel:
    """A copy of the model whose log-odds are slope * log-odds + intercept."""
    new: Any = copy(model)
    if isinstance(model, Hybrid):
        new.stack_ = restored_stack(slope * model.stack_.coef_, slope * model.stack_.intercept_ + intercept)
        return new
    new.calibrator_ = _composed(model.calibrator_, slope, intercept)
    if hasattr(model, "averages_"):
        kept = averages(model)
        new.reference_stays_, new.averages_calibrator_ = None, new.calibrator_
        new.averages_ = {name: _scaled(average, slope) for name, average in kept.items()}
    return new


def _learn_from(model: Any, stays: Sequences, risk: Array) -> None:
    """Learn groups of similar risk and prediction sets on these stays: those of training do not hold here."""
    model.instability_ = None  # that of the risks before
    model.prediction_sets_ = cross_fitted_sets(stays, risk, lambda *_: _Unchanged())
    if hasattr(model, "risk_groups_"):
        model.risk_groups_ = {"": RiskGroups.of(np.asarray(stays.outcome, dtype=float), risk, stays.patient)}


class _Unchanged:
    """Risks that are calibrated already."""

    def predict(self, risk: Array) -> Array:
        return risk


def _composed(before: Any, slope: float, intercept: float) -> PlattCalibrator:
    """The calibration before, followed by a line on the log-odds."""
    if before is None:
        return PlattCalibrator(slope, intercept)
    line = {"slope": slope * before.slope, "intercept": slope * before.intercept + intercept}
    if not isinstance(before, HourCalibrator):
        return PlattCalibrator(**line)
    by_hour = {"level": slope * before.level, "bend": slope * before.bend, "middle": slope * before.middle + intercept}
    return replace(before, **line, **by_hour, checks=())


def _scaled(average: Mapping[str, Any], slope: float) -> dict[str, Any]:
    """Average contributions, which are in log-odds, after the line."""
    scaled = {name: (slope * np.asarray(average[name], dtype=float)).tolist() for name in ("parts", "static", "coded")}
    return dict(average) | scaled

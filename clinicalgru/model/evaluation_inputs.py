"""What a fitted model of any type of task hands to `clinicalgru.evaluate`: its predictions with their metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import stays_of_patients
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.conformal_multi import ClassConformalSets, LabelConformalSets
from clinicalgru.evaluate.early_warning import early_warning_predictions
from clinicalgru.evaluate.forecast import forecast_predictions
from clinicalgru.evaluate.instability import InstabilityCurve
from clinicalgru.evaluate.multi_metrics import multiclass_predictions, multilabel_predictions, regression_predictions
from clinicalgru.evaluate.predictions import EMPTY, TaskPredictions, risk_predictions
from clinicalgru.evaluate.set_coverage import class_set_coverage, label_set_coverage, set_coverage
from clinicalgru.evaluate.survival import horizons_within_follow_up, require_sksurv, survival_predictions
from clinicalgru.model.ablations import fit_ablations
from clinicalgru.model.estimators.training_summary import calibration_text
from clinicalgru.model.patient_overlap import overlapping_stays
from clinicalgru.model.prediction_sets import sets_of
from clinicalgru.model.provenance import provenance
from clinicalgru.model.seen_patients import SeenPatients

Settings = Mapping[str, Any]


class EvaluationMixin:
    """Lets `clinicalgru.evaluate` evaluate a fitted model through its public predict methods.

    Estimators, ensembles and baselines inherit it. A model that predicts something else than its task asks for sets
    `evaluated_as` to that type of task.
    """

    evaluated_as: ClassVar[str | None] = None
    instability_: InstabilityCurve | None = None  # where `instability` measured it
    calibration_patients_: tuple[SeenPatients, ...] = ()  # of each calibration and recalibration
    pretraining_patients_: tuple[SeenPatients, ...] = ()  # of the encoder that training started from
    calibrated_on_: Any

    def _evaluation_inputs(self, stays: Any, *, train: Any = None, settings: Settings = EMPTY) -> TaskPredictions:
        """Predictions for stays; `settings` are those of the model that a baseline is compared with."""
        if not isinstance(stays, Sequences):
            raise ArgumentError("stays as Sequences", describe(stays), "Pass what select returned.")
        if not (train is None or isinstance(train, Sequences)):
            raise ArgumentError("train as Sequences or None", describe(train), "Pass the training stays.")
        task_type = self.evaluated_as or stays.task.task_type
        predictions = PREDICTIONS[task_type](self, stays, train, settings)
        calibrated = calibration_text(self.calibrated_on_)
        return replace(predictions, notes={**predictions.notes, "Calibration": calibrated})

    def _provenance(self) -> dict[str, str]:
        """Outcome, task, training data and calibration, in words."""
        return provenance(self)

    def _patient_overlap(self, stays: Sequences) -> dict[str, int]:
        """How many stays are of patients that trained or calibrated the model, by what they were used for."""
        return overlapping_stays(self, stays)

    def _set_coverage(
        self, stays: Any, predictions: TaskPredictions, groups: Mapping[str, Any], *, min_cell_size: int
    ) -> pd.DataFrame:
        """How many stays have their outcome in their prediction set; empty of a model without sets."""
        sets = getattr(self, "prediction_sets_", None)
        probability = predictions.risk if predictions.task_type == "binary" else predictions.probability
        if sets is None or probability is None:
            return pd.DataFrame()
        found = sets_of(self, stays, np.asarray(probability))
        options: dict[str, Any] = {"patients": stays.patient, "min_cell_size": min_cell_size}
        if isinstance(sets, ClassConformalSets):
            position = np.searchsorted(np.asarray(predictions.settings["classes"], dtype=float), stays.outcome)
            return class_set_coverage(position, found, classes=sets.classes, **options)
        if isinstance(sets, LabelConformalSets):
            return label_set_coverage(stays.outcome, found, names=stays.task.outcome_names, **options)
        return set_coverage(predictions.outcome, found, groups, **options)

    def _fit_ablations(self, train: Sequences, names: Sequence[str]) -> dict[str, Any]:
        """The same model without its sequence or its summaries, by name, fitted on these stays."""
        return fit_ablations(self, train, names=names)


def check_evaluation_packages(task_type: str) -> None:
    """Raise if a package that the evaluation of a type of task needs is not installed.

    Parameters
    ----------
    task_type : str
        Type of the task.

    Raises
    ------
    MissingPackageError
        If scikit-survival is missing for a survival task.
    """
    if task_type in REQUIRED_PACKAGES:
        REQUIRED_PACKAGES[task_type]()


def _min_cell_size_for(stays: Sequences) -> int:
    """Return how many stays may be shown: as many as surely are those of 11 patients; 0 if synthetic."""
    return 0 if stays.simulated else stays_of_patients(stays.patient.tolist())


def _of_patients(stays: Sequences) -> dict[str, Any]:
    """Patient of each stay, and how many stays may be shown."""
    return {"patients": stays.patient, "min_cell_size": _min_cell_size_for(stays)}


def _binary(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Risk of the outcome."""
    return risk_predictions(stays.outcome, model.predict_proba(stays)[:, 1], patients=stays.patient)


def _multiclass(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Probability of each class, in the order of the first model; 0 for a class that a baseline does not know."""
    own = [int(value) if value == int(value) else float(value) for value in np.asarray(model.classes_).tolist()]
    classes, probability = settings.get("classes", tuple(own)), model.predict_proba(stays)
    if own != list(classes):
        zeros = np.zeros(len(stays))
        probability = np.stack([probability[:, own.index(c)] if c in own else zeros for c in classes], axis=1)
    options: dict[str, Any] = {"names": stays.task.class_names(classes), **_of_patients(stays)}
    return multiclass_predictions(stays.outcome, probability, classes=classes, **options)


def _multilabel(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Risk of each label."""
    options: dict[str, Any] = {"labels": stays.task.outcome_names, **_of_patients(stays)}
    return multilabel_predictions(stays.outcome, model.predict_proba(stays), **options)


def _regression(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Median with its interval; a baseline without intervals predicts a number."""
    named: dict[str, Any] = {"outcome_name": stays.task.outcome_words, **_of_patients(stays)}
    if not hasattr(model, "predict_interval"):
        return regression_predictions(stays.outcome, model.predict(stays), **named)
    notes = {
        "Interval": f"nominal coverage {100 * model.coverage_:g} %",
        "Errors": "those of the median, in the unit of the outcome",
    }
    return regression_predictions(
        stays.outcome,
        model.predict_quantiles(stays, (0.5,))[:, 0],
        interval=model.predict_interval(stays),
        mean=model.predict(stays),
        notes=notes,
        **named,
    )


def _early_warning(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Hourly risks at the threshold that the model has chosen."""
    if not hasattr(model, "threshold_"):
        fix = "Call model.choose_threshold(stays) with stays used neither for training nor for evaluation."
        raise ArgumentError("a model with a threshold", f"{describe(model)} without threshold_", fix)
    known: dict[str, Any] = {"threshold": model.threshold_, "patients": stays.patient}
    return early_warning_predictions(model.predict_hourly(stays), stays.outcome, **known)


def _survival(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Survival at the horizons of the first model."""
    train_outcome = stays.outcome if train is None else train.outcome
    hours, reasons = settings.get("hours"), dict[str, str]()
    if hours is None:
        horizons = np.asarray(model.head_.horizons, dtype=float)
        hours = horizons_within_follow_up(horizons, stays.outcome, train_outcome)
        reason = OUTSIDE if np.isin(hours, horizons).all() else QUARTILES
        reasons = {f"within {hour:g} hours": reason for hour in horizons[~np.isin(horizons, hours)]}
    predictions = survival_predictions(
        stays.outcome,
        model.predict_survival(stays, hours),
        hours=hours,
        train_outcome=train_outcome,
        **_of_patients(stays),
    )
    return replace(predictions, without_calibration={**predictions.without_calibration, **reasons})


def _forecast(model: Any, stays: Sequences, train: Sequences | None, settings: Settings) -> TaskPredictions:
    """Forecast of each measurement from the step before it."""
    return forecast_predictions(model.expected(stays), n_stays=len(stays), min_cell_size=_min_cell_size_for(stays))


OUTSIDE = "outside the follow-up"
QUARTILES = "fewer than two horizons are within the follow-up, so that quartiles of the event times are taken"
REQUIRED_PACKAGES: Mapping[str, Callable[[], Any]] = MappingProxyType({"survival": require_sksurv})
PREDICTIONS: Mapping[str, Callable[[Any, Sequences, Sequences | None, Settings], TaskPredictions]] = MappingProxyType(
    {
        "binary": _binary,
        "multiclass": _multiclass,
        "multilabel": _multilabel,
        "regression": _regression,
        "early_warning": _early_warning,
        "survival": _survival,
        "forecast": _forecast,
    }
)

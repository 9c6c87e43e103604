"""The result of an evaluation, for every type of task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate import evaluation_text
from clinicalgru.evaluate.calibration_curve import CalibrationCurve
from clinicalgru.evaluate.curves import Curves
from clinicalgru.evaluate.patient_overlap import Overlap
from clinicalgru.evaluate.subgroups import Subgroups

COUNTS = ("name", "task_type", "stays", "patients", "events", "n_resamples", "dropped", "random_state")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Performance of a model on a set of stays, with 95 % intervals, next to baselines on the same stays.

    Attributes
    ----------
    name : str
        Name of the model.
    task_type : str
        "binary", "multiclass", "multilabel", "regression", "early_warning", "survival" or "forecast".
    stays, patients : int
        Number of stays and of their patients.
    events : int or None
        Stays with the event, for a binary task.
    class_patients : tuple of int or None
        Patients with the event, and patients without it, for a binary task: what intervals rest on.
    metrics : DataFrame
        model, metric, estimate, low, high; the model first, then its baselines.
    differences : DataFrame
        baseline, metric, estimate, low, high (model minus baseline, on the same resamples), p, p_adjusted (Holm's
        correction over all comparisons, half of the error for the primary metric), verdict.
    curves : mapping of str to Curves
        ROC, precision and recall, and calibration of each model, for a binary task.
    calibration : mapping of str to DataFrame
        Predicted against observed of the model by label, class or horizon, for the other types of task.
    without_calibration : mapping of str to str
        Why there are no such groups, of each other label, class or horizon.
    is_probability : bool
        Whether `calibration` is of probabilities, not of a number in its own unit.
    by_hour : DataFrame
        Of a binary outcome: performance of the model at several hours of the window, as `evaluate_by_hour` gives it.
        Empty where that was not requested.
    notes : mapping of str to str
        What else a reader has to know, such as the threshold.
    primary : str
        The primary metric.
    training_rate : float or None
        Event rate in training, for a binary task of a model that knows it.
    net_benefit : DataFrame
        Of a binary task, at one threshold: model, threshold, net_benefit, low, high, with "treat all" and "treat none".
    calibration_curve : CalibrationCurve or None
        Of a binary task: flexible calibration curve of the model with its band; None with fewer than 20 stays with, or
        without, the event.
    operating_points : DataFrame
        Of a binary task: sensitivity, specificity, PPV, NPV and alerts per 100 stays of the model at some thresholds,
        as of `operating_points`.
    subgroups : mapping of str to Subgroups
        Of a binary task: performance in groups of stays, by what divides them.
    prediction_sets : DataFrame
        Of a model with prediction sets of an outcome, of classes or labels: group, stays, coverage, low, high,
        undecided, as of `set_coverage`.
    alarms : DataFrame
        Of an early warning: alarms at some thresholds, as of `alarm_burden`, that of the model first.
    simulated : bool
        Whether the stays are those of a synthetic cohort.
    provenance : mapping of str to str
        Of a model: outcome, task, hour_0, trained_on and calibration, in words. Empty for arrays of risks.
    patient_overlap : mapping of str to mapping of str to int
        By model, the number of stays of patients that took part in making it, by what they were used for. Its figures
        are optimistic then, and the text says so. Empty where all patients are new to all models.
    min_cell_stays : int
        From so many stays on, any of them are those of at least 11 patients.
    n_resamples : int
        Bootstrap resamples drawn.
    dropped : int
        Resamples that count in no interval, since they held one outcome class only.
    random_state : int
        Seed of the resamples.
    """

    name: str
    task_type: str
    stays: int
    patients: int
    events: int | None
    metrics: pd.DataFrame
    differences: pd.DataFrame
    n_resamples: int
    dropped: int
    random_state: int
    class_patients: tuple[int, int] | None = None
    curves: Mapping[str, Curves] = field(default_factory=dict)
    calibration: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    without_calibration: Mapping[str, str] = field(default_factory=dict)
    is_probability: bool = True
    by_hour: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: Mapping[str, str] = field(default_factory=dict)
    primary: str = ""
    training_rate: float | None = None
    net_benefit: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration_curve: CalibrationCurve | None = None
    operating_points: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroups: Mapping[str, Subgroups] = field(default_factory=dict)
    prediction_sets: pd.DataFrame = field(default_factory=pd.DataFrame)
    alarms: pd.DataFrame = field(default_factory=pd.DataFrame)
    simulated: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)
    patient_overlap: Overlap = field(default_factory=dict)
    min_cell_stays: int = MIN_CELL_SIZE

    def __str__(self) -> str:
        return evaluation_text.as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return evaluation_text.as_html(self)

    @property
    def smaller_class(self) -> int | None:
        """Of a binary task, the patients with the event, or those without it, whichever are fewer.

        Returns
        -------
        int or None
            Of fewer than 20 there is no interval and no verdict.
        """
        if self.events is None:
            return None
        return min(self.events, self.stays - self.events, *(self.class_patients or ()))

    def least_stays(self, min_cell_size: int) -> int:
        """Give the smallest number of stays that may be shown, so that there are enough patients behind it.

        Parameters
        ----------
        min_cell_size : int
            Smallest number of patients that may be shown; 0 shows all.

        Returns
        -------
        int
            `min_cell_size`, or more where patients have several stays; 0 of 0, and of simulated patients.
        """
        return max(min_cell_size, self.min_cell_stays) if min_cell_size and not self.simulated else 0

    def plot(self, figure: str = "calibration", **options: Any) -> Any:
        """Draw one figure of the evaluation.

        Parameters
        ----------
        figure : str
            "calibration" or "differences"; for a binary task also "roc", "precision_recall", "calibration_curve" or
            "by hour".
        **options
            Passed on to the function that draws the figure.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.

        Raises
        ------
        ArgumentError
            If there is no figure of that name, or this evaluation has nothing to draw in it.

        Examples
        --------
        >>> from clinicalgru import evaluate
        >>> evaluation = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=20)
        >>> len(evaluation.plot("roc").data)
        2
        """
        from clinicalgru.display import plot

        return plot(self, figure, **options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the evaluation as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        **options
            ``ledger``, ``flow``, ``faithfulness``, ``provenance``, ``title`` and ``min_cell_size`` of
            `clinicalgru.view.pages.evaluation_page.evaluation_page`.

        Returns
        -------
        Path
            The file.

        Examples
        --------
        >>> from tempfile import mkdtemp
        >>> from clinicalgru import evaluate
        >>> evaluation = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=20)
        >>> evaluation.to_html(f"{mkdtemp()}/report.html", provenance={"data": "six stays"}).name
        'report.html'
        """
        from clinicalgru.display import to_html

        return to_html(self, path, **options)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns
        -------
        dict
            Numbers, text and lists; an unknown number is None.

        Examples
        --------
        >>> from clinicalgru import evaluate
        >>> evaluate([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], n_resamples=20).to_dict()["events"]
        2
        """
        curves = {
            model: {name: _columns(table) for name, table in vars(of_model).items() if isinstance(table, pd.DataFrame)}
            for model, of_model in self.curves.items()
        }
        return {name: getattr(self, name) for name in COUNTS} | {
            "metrics": _rows(self.metrics),
            "differences": _rows(self.differences),
            "curves": curves,
            "calibration": {name: _columns(table) for name, table in self.calibration.items()},
            "without_calibration": dict(self.without_calibration),
            "by_hour": _rows(self.by_hour),
            "primary": self.primary,
            "training_rate": self.training_rate,
            "net_benefit": _rows(self.net_benefit),
            "calibration_curve": _curve(self.calibration_curve),
            "operating_points": _rows(self.operating_points),
            "subgroups": {name: _subgroups(groups) for name, groups in self.subgroups.items()},
            "prediction_sets": _rows(self.prediction_sets),
            "alarms": _rows(self.alarms),
            "notes": dict(self.notes),
            "simulated": self.simulated,
            "patient_overlap": {model: dict(by_use) for model, by_use in self.patient_overlap.items()},
        }


def _without_nan(table: pd.DataFrame) -> pd.DataFrame:
    """With None for NaN, which JSON does not know."""
    return table.astype(object).where(table.notna(), None)


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return _without_nan(table).to_dict("records")


def _columns(table: pd.DataFrame) -> dict[Any, list[Any]]:
    return _without_nan(table).to_dict("list")


def _curve(curve: CalibrationCurve | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    return {"ici": curve.ici, "e50": curve.e50, "e90": curve.e90, "table": _columns(curve.table)}


def _subgroups(groups: Subgroups) -> dict[str, Any]:
    p = groups.calibration_p
    return {"table": _rows(groups.table), "calibration_p": p if p == p else None}

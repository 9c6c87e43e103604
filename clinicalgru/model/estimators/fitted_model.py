"""What all fitted GRU estimators can do: check stays, predict, score, show themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.evaluate.shrinkage import warn_of_few_events
from clinicalgru.model.estimators.repr_html import ShownAsTable
from clinicalgru.model.estimators.training_summary import calibration_counts
from clinicalgru.model.evaluation_inputs import EvaluationMixin
from clinicalgru.model.fit_state import (
    LearnedAttributes,
    check_outcome,
    check_stays,
    check_variables,
)
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.codes import has_observations, unknown_codes
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.patient_overlap import warn_of_pretraining
from clinicalgru.model.prediction_sets import Sets, cross_fitted_sets
from clinicalgru.model.reference_stays import ReferenceStays
from clinicalgru.model.scikit_learn_interface import ScikitLearnInterface
from clinicalgru.model.seen_patients import SeenPatients
from clinicalgru.model.training.device import placed, resolve_device
from clinicalgru.model.training.inference import mean_loss, predict
from clinicalgru.model.training.torch_settings import threads, torch_defaults

RISK_TASKS = ("binary", "multiclass", "multilabel")
SECTION = re.compile(r"^[A-Z][A-Za-z ]*\n-{3,}$", re.MULTILINE)  # the header of a section of a docstring


class HeldOut(NamedTuple):
    """A network, and stays that it did not learn from, though they stopped its training.

    Parameters
    ----------
    network : ClinicalGRU
        The network as it predicts.
    stays : Sequences
        The stays.
    """

    network: ClinicalGRU
    stays: Sequences


class FittedModel(
    ShownAsTable, ReferenceStays, LearnedAttributes, ScikitLearnInterface, EvaluationMixin, BaseEstimator
):
    """Base of the GRU estimators: what they do once they are fitted. `GRUEstimator` adds arguments and `fit`."""

    EXTRA_STATE: ClassVar[tuple[str, ...]] = ()  # further learned numbers, such as a threshold; a bundle holds them
    calibration_unit: ClassVar[str] = "stay"  # or "step" or "measurement"
    head_: Head
    network_: ClinicalGRU
    history_: list[dict[str, float]]
    calibrator_: Calibrator | None
    calibrated_on_: dict[str, int | None] | None = None
    risk_groups_: Mapping[str, RiskGroups] = MappingProxyType({})  # of the calibration stays, by name of the output
    prediction_sets_: Sets | None = None
    seen_patients_: SeenPatients
    n_threads: int
    device: str

    def _predicted(self, stays: Sequences) -> Tensor:
        """Give what the head predicts, of shape (prediction time, ...)."""
        stays = self._checked(stays)
        unmeasured = int((~self.has_observations(stays)).sum())
        if unmeasured:
            fix = "Leave them out: sequences[model.has_observations(sequences)]."
            raise ArgumentError("at least one measurement in each stay", f"{unmeasured} stays without any", fix)
        with threads(int(self.n_threads)):
            return predict(self._network_on_device(), stays, head=self.head_)

    def _network_on_device(self) -> ClinicalGRU:
        """Give the network where it computes."""
        return placed(self.network_, resolve_device(self.device))

    def _calibrated(self, risk: np.ndarray, hours: np.ndarray | None = None) -> np.ndarray:
        """Give predictions as the calibration corrects them, if there is one; by hour, where it depends on that."""
        if isinstance(self.calibrator_, HourCalibrator) and hours is not None:
            return self.calibrator_.predict_at(risk, hours)
        return risk if self.calibrator_ is None else self.calibrator_.predict(risk)

    def score(self, X: Sequences, y: ArrayLike | None = None) -> float:
        """Mean log-likelihood of the outcomes, before calibration; higher is better.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.

        Returns
        -------
        float
            Minus the mean loss of the head.
        """
        check_outcome(y, check_stays("X", X))
        with torch_defaults(), threads(int(self.n_threads)):
            return -mean_loss(self._network_on_device(), self._checked(X), head=self.head_)

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """Give whether the model sees anything of each stay: a measurement, or a coded event that it knows.

        Parameters
        ----------
        stays : Sequences
            Stays.

        Returns
        -------
        ndarray of bool, shape (stay,)
            False: the stay cannot be predicted.
        """
        return has_observations(check_stays("stays", stays), self.network_.spec.code_vocabulary)

    def unknown_codes(self, stays: Sequences) -> pd.DataFrame:
        """Give the coded events that the model does not know.

        Parameters
        ----------
        stays : Sequences
            Stays with coded events.

        Returns
        -------
        DataFrame
            code, events, stays; most frequent first.
        """
        return unknown_codes(check_stays("stays", stays), self.network_.spec.code_vocabulary)

    def _checked(self, stays: Sequences) -> Sequences:
        """Give the stays, if their variables, units and static covariates are the model's."""
        return check_variables(stays, self.variables_, self.static_variables_)

    def calibrate(self, stays: Sequences) -> Self:
        """Calibrate on stays that training has not seen; the ranking of the stays does not change.

        Slopes are shrunk towards 1 where few stays have the event, see `PlattCalibrator`. The stays also give
        `prediction_sets_`: split-conformal sets at the prediction time, with 90 % coverage among patients with the
        event and among those without it (of several labels: of each), or in each of several classes. Each residual is
        of a risk calibrated on other patients. With fewer than 59 patients of either kind there are none; a class with
        fewer is in every set.

        Parameters
        ----------
        stays : Sequences
            Stays with known outcomes, of other patients than the training and validation stays.

        Returns
        -------
        FittedModel
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            If training or early stopping saw the patient of any stay, an outcome is unknown, or all are alike.

        Warns
        -----
        CalibrationWarning
            If fewer than 20 stays have the event, or do not have it, or if some are of patients whose stays pretrained
            the encoder.

        Notes
        -----
        Patients of pretraining may calibrate: `pretrain` sees no outcome, so that it cannot make risks extreme on
        their stays as training does. Their inputs are known to the encoder all the same: where there are others, take
        those. `recalibrate` and `evaluate` are stricter, as they give figures of how good the risks are.

        References
        ----------
        A line on the log-odds of each risk: Platt 1999. Several classes, one temperature: Guo et al. 2017. Survival, a
        line on log(-log(survival)): Cox and Snell 1968.
        """
        scores = self._calibration_scores(self._unseen(stays))
        self._calibrate_on(scores)
        self._record_calibration(stays)
        self.risk_groups_ = self._held_out_groups(stays, scores)
        self.prediction_sets_ = self._conformal_sets(stays, scores)
        return self

    def _calibrate_in_fit(self, stays: Sequences, held_out: Sequence[HeldOut]) -> None:
        """Calibrate on stays, all of which `fit` held out of training or of a fold; not done by default."""

    def _record_calibration(self, stays: Sequences) -> None:
        """Keep the counts of the stays that calibrated the model, and hashes of their patients."""
        self.calibrated_on_, self.calibration_patients_ = calibration_counts(stays), (SeenPatients.of(stays),)

    def _unseen(self, stays: Sequences) -> Sequences:
        """Give the stays to calibrate on, if neither training nor early stopping saw any of their patients."""
        self.seen_patients_.refuse(check_stays("stays", stays), "calibrate on")
        warn_of_pretraining(self, stays, purpose="calibrate on")
        return stays

    def _calibration_scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give arrays that calibration is fitted on, a row for each `calibration_unit`; of several models, joined."""
        prediction = self._predicted(stays).numpy()
        self.head_.validate_targets(stays, "stays to calibrate on")
        return self.head_.calibration_pairs(stays, prediction)

    def _calibrate_on(self, scores: tuple[np.ndarray, ...]) -> None:
        """Fit the calibration on arrays of `_calibration_scores`, with a warning where events are few."""
        self.calibrator_ = self.head_.calibrator_from(*scores)
        warn_of_few_events(self.head_.calibration_events(*scores), stacklevel=4)

    def _held_out_groups(self, stays: Sequences, scores: tuple[np.ndarray, ...]) -> dict[str, RiskGroups]:
        """Pool the risks of stays that no part of the model has seen with their outcomes."""
        return self._group_risks(stays, scores)

    def _group_risks(self, stays: Sequences, scores: tuple[np.ndarray, ...]) -> dict[str, RiskGroups]:
        """Pool the calibrated risks of calibration stays with their outcomes; nothing where an output is no risk."""
        if self.calibration_unit != "stay" or stays.task.task_type not in RISK_TASKS:
            return {}
        labels, risk = scores[:2]
        if len(risk) != len(stays):
            return {}
        risk = self._calibrated(risk, stays.end_hours)
        if risk.ndim == 1:
            return {"": RiskGroups.of(labels, risk, stays.patient)}
        if labels.ndim == 1:  # positions of classes
            labels = (labels[:, None] == np.arange(risk.shape[1])).astype(float)
        columns = zip(self.head_.output_names, labels.T, risk.T, strict=True)
        return {name: RiskGroups.of(label, one, stays.patient) for name, label, one in columns}

    def _conformal_sets(self, stays: Sequences, scores: tuple[np.ndarray, ...]) -> Sets | None:
        """Learn the sets of outcome, classes or labels on arrays of `_calibration_scores`; None for other tasks."""
        if stays.task.task_type not in RISK_TASKS:
            return None
        return cross_fitted_sets(
            stays, scores[1], self.head_.calibrator_from, classes=getattr(self.head_, "classes", ())
        )

    @property
    def score_columns_(self) -> list[str]:
        """Columns that `clinicalgru.score` writes of each stay."""
        return list(self.head_.score_columns)

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give what `clinicalgru.score` writes of each stay.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay, column)
            One column for each of `score_columns_`.
        """
        raise NotImplementedError

    def extra_state(self) -> dict[str, float]:
        """Give those numbers of `EXTRA_STATE` that were learned.

        Returns
        -------
        dict of str to float
            Number by name.
        """
        return {name: float(getattr(self, name)) for name in self.EXTRA_STATE if name in vars(self)}


def with_parameters(docstring: str, base: str) -> str:
    """Insert the Parameters section of a base class's docstring into one that has none, before its first section.

    Parameters
    ----------
    docstring : str
        Docstring of a subclass.
    base : str
        Docstring of the base class, in numpydoc form.

    Returns
    -------
    str
        The docstring, without indentation.

    Examples
    --------
    >>> header = "Parameters" + chr(10) + "-" * 10
    >>> print(with_parameters("A subclass.", f"A base.{chr(10) * 2}{header}{chr(10)}size : int"))
    A subclass.
    <BLANKLINE>
    Parameters
    ----------
    size : int
    """
    own, shared = cleandoc(docstring), cleandoc(base)
    headers = list(SECTION.finditer(shared))
    ends = [header.start() for header in headers[1:]] + [len(shared)]
    sections = [shared[header.start() : end].strip() for header, end in zip(headers, ends, strict=True)]
    parameters = [section for section in sections if section.startswith("Parameters\n")]
    first = SECTION.search(own)
    if not parameters or "\nParameters\n---" in own:
        return own
    at = first.start() if first else len(own)
    return "\n\n".join(part for part in (own[:at].strip(), parameters[0], own[at:].strip()) if part)

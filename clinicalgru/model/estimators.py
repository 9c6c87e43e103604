"""Estimators with scikit-learn's manners: `__init__` stores, `fit` learns, what is learned ends in an underscore."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from clinicalgru.data.select import split_patients
from clinicalgru.data.sequences import Sequences
from clinicalgru.disclosure import SMALLEST_CELL, nested
from clinicalgru.errors import ArgumentError, TrainingError, VariableMismatch
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.model.heads import Binary
from clinicalgru.model.network import ClinicalGRU, Shape, static_levels
from clinicalgru.model.training import Plan, predict, seeded, threads, train

TUNE_PART = 0.15


class GRUClassifier(ClassifierMixin, BaseEstimator):
    """Risk of a binary outcome from irregular, incomplete sequences, with a time-aware GRU with attention.

    hidden_size          size of the GRU's state
    readout_size         size of the readout's hidden layers
    members              cheap members that share the readout; their mean is the risk
    dropout              in the readout and on the sequence's part of it
    measurement_dropout  part of the measurements left out of each training stay, anew each epoch
    epochs, patience     at most so many passes; stop after so many without a better loss on the tune stays
    batch_size, learning_rate, weight_decay   of AdamW
    seed                 same seed, same data, same bits on CPU
    threads              torch threads while fitting and predicting; one is fastest for steps this small

    Learned: network_, variables_, statics_, task_, history_ (one entry an epoch), calibrator_ (after `calibrate`),
    trained_on_ (how many stays, patients and outcomes, from which source, simulated or not), classes_.

    >>> from clinicalgru.data.simulate import simulate
    >>> from clinicalgru.data.sources.read import read_events
    >>> from clinicalgru.data.select import select, split_patients
    >>> from clinicalgru.data.task import Task
    >>> ward = simulate(300, seed=1)
    >>> events = read_events(ward.measurements, stays=ward.stays, outcomes=ward.outcomes)
    >>> train, test = split_patients(select(events, Task.load("in_hospital_mortality")), [0.7, 0.3], seed=0)
    >>> model = GRUClassifier(hidden_size=8, members=2, epochs=2).fit(train, progress=False)
    >>> model.predict_proba(test).shape == (len(test), 2)
    True
    """

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        readout_size: int = 128,
        members: int = 16,
        dropout: float = 0.2,
        measurement_dropout: float = 0.15,
        epochs: int = 12,
        patience: int = 4,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        weight_decay: float = 3e-4,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.hidden_size = hidden_size
        self.readout_size = readout_size
        self.members = members
        self.dropout = dropout
        self.measurement_dropout = measurement_dropout
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        stays: Sequences,
        tune: Sequences | None = None,
        *,
        progress: bool = True,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
    ) -> Self:
        """Learn from the stays; stop when the tune stays no longer gain.

        tune        other patients' stays; None: 15 % of the patients of `stays` are held back for it
        progress    show a bar (text lines without a terminal)
        checkpoint  file written after each epoch; `resume` goes on from it to the same bits
        Refused: unknown outcomes, one outcome only, a patient in both parts, sizes out of range.
        """
        self._check_arguments()
        if tune is None:
            stays, tune = _held_back(stays, seed=self.seed)
        _check_outcomes(stays, tune)
        self.variables_, self.statics_, self.task_ = stays.variables, stays.statics, stays.task
        self.classes_ = np.array([0, 1])
        self.calibrator_: PlattCalibrator | None = None
        self.trained_on_ = fingerprint(stays)
        with threads(self.threads), seeded([self.seed]):
            self.network_ = ClinicalGRU(self._shape(stays))
            self.network_.scales.learn(stays)
            self.history_ = train(
                self.network_,
                stays,
                self._checked(tune),
                head=Binary(),
                plan=self._plan(),
                progress=progress,
                checkpoint=Path(checkpoint) if checkpoint is not None else None,
                resume=Path(resume) if resume is not None else None,
            )
        return self

    def calibrate(self, stays: Sequences) -> Self:
        """Fit the calibration (Platt 1999, keeps the order) on stays that training has not seen."""
        _check_outcomes(stays)
        self.calibrator_ = PlattCalibrator.fit(stays.outcome, self._raw_risk(stays))
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, 2) probability of no and of the outcome, in the order of the stays.

        Refused: other variables or units than the model's, a stay without any measurement (score gives such a stay a
        status; `sequences[sequences.counts > 0]` leaves it out).
        """
        risk = self._raw_risk(stays)
        if self.calibrator_ is not None:
            risk = self.calibrator_.predict(risk)
        return np.stack([1 - risk, risk], axis=1)

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay,) 1 where the outcome is likelier than not."""
        return (self.predict_proba(stays)[:, 1] >= 0.5).astype(int)

    def _raw_risk(self, stays: Sequences) -> np.ndarray:
        stays = self._checked(stays)
        unmeasured = int((stays.counts == 0).sum())
        if unmeasured:
            fix = "Leave them out: sequences[sequences.counts > 0]."
            raise ArgumentError("at least one measurement in each stay", f"{unmeasured} stays without any", fix)
        with threads(self.threads):
            return predict(self.network_, stays, head=Binary()).numpy()

    def _checked(self, stays: Sequences) -> Sequences:
        """The stays, if they are of the model's variables, units and descriptors."""
        if not hasattr(self, "variables_"):
            raise NotFittedError("Expected a fitted model; got one that is not. Call fit first.")
        ours = [(v.name, v.unit) for v in (*self.variables_, *self.statics_)]
        theirs = [(v.name, v.unit) for v in (*stays.variables, *stays.statics)]
        if ours != theirs:
            missing = sorted({name for name, _ in ours} - {name for name, _ in theirs})
            came = f"{len(theirs)}; missing: {', '.join(missing) or 'none, but order, units or extra ones differ'}"
            fix = "Use sequences.with_variables(model.variables_).with_statics(model.statics_)."
            raise VariableMismatch(f"the model's {len(ours)} variables and descriptors", came, fix)
        return stays

    def _check_arguments(self) -> None:
        for name in ("hidden_size", "readout_size", "members", "epochs", "patience", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} of 1 or more", f"{getattr(self, name)}", "Correct it.")
        for name in ("dropout", "measurement_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"{name} from 0 to below 1", f"{getattr(self, name)}", "Correct it.")

    def _shape(self, stays: Sequences) -> Shape:
        return Shape(
            variables=len(stays.variables),
            statics=static_levels(stays.statics),
            hidden_size=self.hidden_size,
            readout_size=self.readout_size,
            members=self.members,
            dropout=self.dropout,
        )

    def _plan(self) -> Plan:
        shared = {field.name for field in fields(Plan)} & set(self.get_params())
        return Plan(**{name: getattr(self, name) for name in shared})


def _held_back(stays: Sequences, *, seed: int) -> tuple[Sequences, ...]:
    """Stays to learn from and to stop by; what is on disk stays on disk."""
    if not stays.mapped:
        return split_patients(stays, [1 - TUNE_PART, TUNE_PART], seed=seed)
    with TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True) as folder:  # open maps outlive it
        return split_patients(stays, [1 - TUNE_PART, TUNE_PART], seed=seed, folder=folder)


def fingerprint(stays: Sequences) -> dict[str, Any]:
    """From which data a model was trained, in counts only; a small one of real patients is None: it is written."""
    smallest = 0 if stays.simulated else SMALLEST_CELL
    patients = nested([len(stays), len(np.unique(stays.patient.astype(str)))], smallest=smallest)[1]
    count, outcomes = nested([len(stays), int(stays.outcome.sum())], smallest=smallest)
    return {
        "source": stays.source,
        "simulated": stays.simulated,
        "stays": count,
        "patients": patients,
        "outcomes": outcomes,
        "measurements": len(stays.value),
    }


def _check_outcomes(stays: Sequences, tune: Sequences | None = None) -> None:
    for part, name in ((stays, "stays"), (tune, "tune stays")):
        if part is None:
            continue
        unknown = int(np.isnan(part.outcome).sum())
        if unknown:
            fix = "Use select(events, task), which leaves them out and counts them."
            raise TrainingError(f"known outcomes in the {name}", f"{unknown} unknown", fix)
        if len(np.unique(part.outcome)) < 2:
            raise TrainingError(f"both outcomes among the {name}", "one", "Take more stays or split with another seed.")
    if tune is not None and set(stays.patient) & set(tune.patient):
        both = len(set(stays.patient) & set(tune.patient))
        raise TrainingError("each patient in one part", f"{both} patients in both", "Use split_patients.")

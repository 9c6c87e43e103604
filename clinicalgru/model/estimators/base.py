"""What all estimators share: arguments, fitting, and the checks before both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients
from clinicalgru.errors import ArgumentError, TrainingError, VariableMismatch
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.model.estimators.repr_html import estimator_html
from clinicalgru.model.estimators.training_summary import fingerprint
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.codes import MIN_CODE_STAYS, unknown_codes, vocabulary, with_anything
from clinicalgru.model.network.config import OPTIONS, Shape, check_shape
from clinicalgru.model.network.network import ClinicalGRU, static_levels
from clinicalgru.model.training.auxiliary_losses import Auxiliary, Beside
from clinicalgru.model.training.distillation import KINDS, Teacher
from clinicalgru.model.training.distributed import leads
from clinicalgru.model.training.inference import predict
from clinicalgru.model.training.progress import Watcher, announce
from clinicalgru.model.training.state import Plan
from clinicalgru.model.training.torch_settings import seeded, threads, torch_defaults
from clinicalgru.model.training.training import train

VALIDATION_FRACTION = 0.15


class GRUEstimator(BaseEstimator):
    """A time-aware GRU with attention for irregular, incomplete sequences; each estimator says what it is asked.

    hidden_size          size of the GRU's state
    readout_size         size of the readout's hidden layers
    members              cheap members that share the readout; what they say together is the prediction
    dropout              in the readout, on the sequence's part of it, and between layers
    cell                 "gru", "lstm" or "rnn"
    reset                a GRU's reset gate: "after" the recurrent product (PyTorch) or "before" it (Cho et al. 2014)
    gate                 "time": the update gate of a GRU, or the forget gate of an LSTM, sees the gaps
    feedback_delay_hours          the state so many hours ago comes back, weighted by a gate (Erichson et al. 2022)
    layers               recurrent layers, one upon the other
    bidirectional        each layer also reads the stay from its end
    layer_norm           each layer's states are normalised
    recurrent_dropout    part of the state that the recurrent products do not see, one mask for each stay
    convolution          strides of causal convolutions over the steps, before the recurrence, such as (5, 5)
    attention            "additive", "multihead" or None: the last state alone
    encoder              "values", or "per_variable": each variable is embedded before any mixing
    indices              clinical indices beside the summaries of the variables, such as "pao2 last / fio2 last"; None:
                         those of data_schemas/indices.yaml that the variables allow; (): none
    codes                whether coded events (diagnoses, procedures, drugs) are looked at. Off unless asked for: codes
                         are often given after the fact and dated back, and would tell the outcome
    min_code_stays           a code is known from so many training stays on; fewer would say too much of somebody
    measurement_dropout  part of the measurements left out of each training stay, anew each epoch
    max_steps_per_stay          of a task that asks after each step: so many steps of each stay, by chance, that an epoch asks
                         at most, in a part of the time; None = all. Of a forecast the chance is higher before what is
                         seldom measured
    epochs, patience     at most so many passes; stop after so many without a better loss on the tune stays
    batch_size, learning_rate, weight_decay   of AdamW
    distillation         part of what the network of a binary outcome, or an early warning, learns from that is not the
                         outcome, but the risk that boosted trees give the stay, or step, out of fold; see `Teacher`.
                         Takes five fits of the trees; 0 = none
    forecast_weight      of a further loss while training: what is measured after each step; 0 = it is not asked
    auxiliary_weight     of the loss of the auxiliary outcomes that `fit` is given, if any
    random_state                 same seed, same data, same bits on CPU
    threads              torch threads while fitting and predicting; one is fastest for steps this small

    Learned: network_, head_, variables_, static_variables_, task_, history_ (one entry an epoch), calibrator_ (after
    `calibrate`), trained_on_ (how many stays, patients and outcomes, from which source, simulated or not).
    """

    HEADS: ClassVar[Mapping[str, type[Head]]] = MappingProxyType({})  # by the kind of task
    NUMBERS: ClassVar[tuple[str, ...]] = ()  # further learned numbers, such as a threshold; a bundle holds them

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        readout_size: int = 128,
        members: int = 4,
        dropout: float = 0.2,
        cell: str = "gru",
        reset: str = "after",
        gate: str | None = None,
        feedback_delay_hours: float | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        convolution: Sequence[int] = (),
        attention: str | None = "additive",
        encoder: str = "values",
        indices: Sequence[str] | None = None,
        codes: bool = False,
        min_code_stays: int = MIN_CODE_STAYS,
        measurement_dropout: float = 0.15,
        max_steps_per_stay: int | None = 8,
        epochs: int = 20,
        patience: int = 6,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        weight_decay: float = 3e-4,
        distillation: float = 0.7,
        forecast_weight: float = 0.0,
        auxiliary_weight: float = 0.6,
        random_state: int = 0,
        threads: int = 1,
    ) -> None:
        self.hidden_size = hidden_size
        self.readout_size = readout_size
        self.members = members
        self.dropout = dropout
        self.cell = cell
        self.reset = reset
        self.gate = gate
        self.feedback_delay_hours = feedback_delay_hours
        self.layers = layers
        self.bidirectional = bidirectional
        self.layer_norm = layer_norm
        self.recurrent_dropout = recurrent_dropout
        self.convolution = convolution
        self.attention = attention
        self.encoder = encoder
        self.indices = indices
        self.codes = codes
        self.min_code_stays = min_code_stays
        self.measurement_dropout = measurement_dropout
        self.max_steps_per_stay = max_steps_per_stay
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.distillation = distillation
        self.forecast_weight = forecast_weight
        self.auxiliary_weight = auxiliary_weight
        self.random_state = random_state
        self.threads = threads

    def fit(
        self,
        stays: Sequences,
        tune: Sequences | None = None,
        *,
        auxiliary: pd.DataFrame | None = None,
        progress: bool | Watcher = True,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
    ) -> Self:
        """Learn from the stays; stop when the tune stays no longer gain.

        tune        other patients' stays; None: 15 % of the patients of `stays` are held back for it
        auxiliary   further outcomes that training stays teach the network, and no prediction needs: numbers, index
                    stay_id, such as `Events.further_outcomes` gives; unknown where empty, or without a row
        progress    show a bar (text lines without a terminal); or what is told instead, such as a TrainingView
        checkpoint  file written after each epoch; `resume` goes on from it to the same bits
        Refused: a task of another kind, outcomes that cannot be learned from, a patient in both parts, no tune stays,
        sizes out of range.
        """
        self._check_arguments()
        if tune is None:
            stays, tune = _held_back(stays, random_state=self.random_state)
        head = self._learned_head(stays, tune)
        self.variables_, self.static_variables_, self.task_ = stays.variables, stays.static_variables, stays.task
        self.head_ = head
        self.calibrator_: Calibrator | None = None
        for name in self.numbers():  # they were those of other risks
            delattr(self, name)
        self.trained_on_ = fingerprint(stays)
        with torch_defaults(), threads(self.threads), seeded([self.random_state]):
            further = None if auxiliary is None or auxiliary.columns.empty else Auxiliary.learn(auxiliary, stays)
            self.network_ = self._network(stays, further)
            forecast = Forecast(self.network_.scales.value) if self.forecast_weight else None
            teacher = self._teacher(stays, progress)
            beside = Beside(further, self.auxiliary_weight, forecast, self.forecast_weight, teacher, self.distillation)
            self.history_ = train(
                self.network_,
                stays,
                self._checked(tune),
                head=self.head_,
                plan=self._plan(),
                beside=beside,
                progress=progress,
                checkpoint=Path(checkpoint) if checkpoint is not None else None,
                resume=Path(resume) if resume is not None else None,
            )
            self.network_ = self._trained(self.network_, tune)
        return self

    def _trained(self, network: ClinicalGRU, tune: Sequences) -> ClinicalGRU:
        """The network as it predicts, once it was trained and stopped by the tune stays."""
        return network.alone(self.head_.n_outputs)

    def _teacher(self, stays: Sequences, progress: bool | Watcher) -> Teacher | None:
        if not self.distillation or stays.task.task_type not in KINDS:
            return None
        announce("boosted trees, the network's teacher, learn first", shown=progress if leads() else False)
        return Teacher.learn(stays, random_state=self.random_state)

    def _repr_html_(self) -> str:
        return estimator_html(type(self).__name__, self.get_params(), vars(self))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:  # scikit-learn's would show a diagram of one box
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _learned_head(self, stays: Sequences, tune: Sequences) -> Head:
        """What these stays are asked, once both parts can be learned from."""
        if not len(tune) or not len(stays):
            raise TrainingError("stays to learn from and tune stays", "none", "Split with split_patients.")
        head = self._head(stays)
        for part, name in ((stays, "stays"), (tune, "tune stays")):
            head.validate_targets(part, name)
        both = len(set(stays.patient) & set(tune.patient))
        if both:
            raise TrainingError("each patient in one part", f"{both} patients in both", "Use split_patients.")
        return head

    def _head(self, stays: Sequences) -> Head:
        """The head for the stays' task; refused where it is of another kind."""
        if stays.task.task_type not in self.HEADS:
            kinds, fix = " or ".join(self.HEADS), "Use the estimator of that kind of task."
            raise TrainingError(f"a task of the kind {kinds} for {type(self).__name__}", stays.task.task_type, fix)
        return self.HEADS[stays.task.task_type].fit_targets(stays)

    def _predicted(self, stays: Sequences) -> Tensor:
        """(point, ...) what the head predicts. Refused: other variables or units, a stay without any measurement."""
        stays = self._checked(stays)
        unmeasured = int((~self.has_observations(stays)).sum())
        if unmeasured:
            fix = "Leave them out: sequences[model.sees(sequences)]."
            raise ArgumentError("at least one measurement in each stay", f"{unmeasured} stays without any", fix)
        with threads(self.threads):
            return predict(self.network_, stays, head=self.head_)

    def _calibrated(self, risk: np.ndarray) -> np.ndarray:
        """What was predicted, once `calibrate` was called as it corrects it."""
        return risk if self.calibrator_ is None else self.calibrator_.predict(risk)

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """(stay,) whether the fitted model sees anything of the stay: a measurement, or a coded event that it knows."""
        return with_anything(stays, self.network_.shape.codes)

    def unknown_codes(self, stays: Sequences) -> pd.DataFrame:
        """The coded events of these stays that the fitted model does not see: code, events, stays; most first."""
        return unknown_codes(stays, self.network_.shape.codes)

    def _checked(self, stays: Sequences) -> Sequences:
        """The stays, if they are of the model's variables, units and descriptors."""
        if not hasattr(self, "variables_"):
            raise NotFittedError("Expected a fitted model; got one that is not. Call fit first.")
        ours = [(v.name, v.unit) for v in (*self.variables_, *self.static_variables_)]
        theirs = [(v.name, v.unit) for v in (*stays.variables, *stays.static_variables)]
        if ours != theirs:
            missing = sorted({name for name, _ in ours} - {name for name, _ in theirs})
            came = f"{len(theirs)}; missing: {', '.join(missing) or 'none, but order, units or extra ones differ'}"
            fix = "Use sequences.with_variables(model.variables_).with_static_variables(model.static_variables_)."
            raise VariableMismatch(f"the model's {len(ours)} variables and descriptors", came, fix)
        return stays

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay."""
        return ["risk"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, column) what `score` writes of each stay; each estimator says what."""
        raise NotImplementedError

    def numbers(self) -> dict[str, float]:
        """Those of NUMBERS that were learned."""
        return {name: float(getattr(self, name)) for name in self.NUMBERS if name in vars(self)}

    def _check_arguments(self) -> None:
        counts = ("epochs", "patience", "batch_size", "min_code_stays", "threads")
        for name in counts if self.max_steps_per_stay is None else (*counts, "max_steps_per_stay"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} of 1 or more", f"{getattr(self, name)}", "Correct it.")
        for name in ("learning_rate", "weight_decay", "forecast_weight", "auxiliary_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(f"{name} of 0 or more", f"{getattr(self, name)}", "Correct it.")
        for name in ("measurement_dropout", "distillation"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"{name} from 0 to below 1", f"{getattr(self, name)}", "Correct it.")

    def init_network(self, stays: Sequences) -> ClinicalGRU:
        """A network for these stays before any training; head_ is learned. For sweeps, which never call `fit`."""
        self._check_arguments()
        self.head_ = self._head(stays)
        self.head_.validate_targets(stays, "stays")
        return self._network(stays, None).train()

    def _network(self, stays: Sequences, auxiliary: Auxiliary | None) -> ClinicalGRU:
        """The network before training: it knows how the stays are spread, and answers as the head starts."""
        outputs = self.head_.n_outputs + (auxiliary.outputs if auxiliary is not None else 0)
        network = ClinicalGRU(self._shape(stays, outputs=outputs))
        network.scales.learn(stays)
        start = self.head_.initial_bias(stays)
        if start is not None:
            with torch.no_grad():
                network.readout.bias[..., : len(start)].add_(start)
        return network

    def _shape(self, stays: Sequences, *, outputs: int) -> Shape:
        shape = Shape(
            variables=len(stays.variables),
            static_variables=static_levels(stays.static_variables),
            outputs=outputs,
            forecasts=2 * len(stays.variables) if self.forecast_weight else 0,
            codes=vocabulary(stays, at_least=self.min_code_stays) if self.codes else (),
            indices=indices_of(stays) if self.indices is None else tuple(self.indices),
            **{name: getattr(self, name) for name in OPTIONS} | {"convolution": tuple(self.convolution)},
        )
        check_shape(shape, every_step=self.head_.per_step)
        return shape

    def _plan(self) -> Plan:
        shared = {field.name for field in fields(Plan)} & set(self.get_params())
        return Plan(**{name: getattr(self, name) for name in shared})


def _held_back(stays: Sequences, *, random_state: int) -> tuple[Sequences, ...]:
    """Stays to learn from and to stop by; what is on disk stays on disk."""
    if not stays.mapped:
        return split_patients(stays, [1 - VALIDATION_FRACTION, VALIDATION_FRACTION], random_state=random_state)
    with TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True) as folder:  # open maps outlive it
        return split_patients(
            stays, [1 - VALIDATION_FRACTION, VALIDATION_FRACTION], random_state=random_state, folder=folder
        )

"""pretrain: self-supervised training of the encoder on stays with or without outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task_fields import TASK_TYPES
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.untrained_network import known_when_predicted, network_spec
from clinicalgru.model.fit_state import RandomState
from clinicalgru.model.heads.next_step import NextStep
from clinicalgru.model.network.codes import MIN_CODE_STAYS
from clinicalgru.model.network.config import NetworkConfig
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.auxiliary_losses import AuxiliaryTargets
from clinicalgru.model.training.progress import Callback


class _NextStepModel(GRUEstimator):
    """The network while it is pretrained: readout and encoder both predict the next time step."""

    HEADS = MappingProxyType(dict.fromkeys(TASK_TYPES, NextStep))

    def _network(self, stays: Sequences, auxiliary: AuxiliaryTargets | None) -> ClinicalGRU:
        outputs = self.head_.n_outputs
        network = ClinicalGRU(replace(network_spec(self, stays, outputs=outputs), forecasts=outputs))
        network.scaler.fit(stays, known_when_predicted(self))
        self.head_ = self._forecast(network)
        return network

    def _forecast(self, network: ClinicalGRU) -> NextStep:
        return NextStep(network.scaler.value)

    def _trained(self, network: ClinicalGRU, validation: Sequences) -> ClinicalGRU:
        return network.eval()


def pretrain(
    sequences: Sequences,
    *,
    validation: Sequences | None = None,
    network: NetworkConfig | None = None,
    max_epochs: int = 20,
    patience: int = 4,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float = 3e-4,
    measurement_dropout: float = 0.15,
    max_steps_per_stay: int | None = 8,
    use_codes: bool = False,
    min_code_stays: int = MIN_CODE_STAYS,
    random_state: RandomState = 0,
    n_threads: int = 1,
    device: str = "auto",
    verbose: bool = True,
    callbacks: Sequence[Callback] = (),
) -> PretrainedEncoder:
    """Train the encoder on stays with or without outcomes, to predict the next time step of each stay.

    It learns what is measured next, when, and how much: the readout and the states of the encoder both predict it. The
    outcomes of the stays are not used. Every GRU estimator can start from the result, also for other variables, tasks
    and windows: `GRUClassifier(pretrained=encoder)`.

    Parameters
    ----------
    sequences : Sequences
        Stays of any task. `select(events, task.without_outcome())` gives stays whose outcome is unknown too. Leave out
        the patients whom models are to be evaluated on.
    validation : Sequences or None
        Stays of other patients for early stopping. None: 15 % of the patients are held back.
    network : NetworkConfig or None
        Architecture; estimators that start from the encoder have the same one.
    max_epochs, patience, batch_size, learning_rate, weight_decay, measurement_dropout, max_steps_per_stay, use_codes, \
min_code_stays, random_state, n_threads, device
        See `GRUClassifier`. The random time steps of each stay are those that the readout predicts from; the encoder
        predicts from all.
    verbose : bool
        Whether to show a progress bar, or text lines without a terminal.
    callbacks : sequence of Callback
        As of `GRUClassifier.fit`.

    Returns
    -------
    PretrainedEncoder
        The weights of the best epoch.

    Raises
    ------
    ClinicalGRUError
        For arguments that cannot be used, stays that all have one time step, or a patient in both parts.

    References
    ----------
    McDermott et al. 2021, A comprehensive EHR timeseries pre-training benchmark. Tipirneni and Reddy 2022, STraTS
    (forecasting as self-supervision for sparse series).

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events, task = cg.read_events(cg.simulate(150)), cg.Task.load("in_hospital_mortality")
    >>> encoder = cg.pretrain(
    ...     cg.select(events, task.without_outcome()),
    ...     network=cg.NetworkConfig(hidden_size=8),
    ...     max_epochs=1,
    ...     verbose=False,
    ... )
    >>> stays = cg.select(events, task)
    >>> model = cg.GRUClassifier(pretrained=encoder, max_epochs=1, distillation=0.0).fit(stays, verbose=False)
    >>> model.network_.spec.hidden_size
    8
    """
    model = _NextStepModel(
        network,
        max_epochs=max_epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        measurement_dropout=measurement_dropout,
        max_steps_per_stay=max_steps_per_stay,
        n_cuts=0,
        distillation=0.0,
        forecast_weight=1.0,
        use_codes=use_codes,
        min_code_stays=min_code_stays,
        random_state=random_state,
        n_threads=n_threads,
        device=device,
    )
    model.fit(sequences, validation=validation, verbose=verbose, callbacks=callbacks)
    summary = {name: value for name, value in model.trained_on_.items() if name not in ("outcomes", "validation")}
    return PretrainedEncoder(
        model.network_, model.variables_, model.static_variables_, summary, model.history_, model.seen_patients_
    )

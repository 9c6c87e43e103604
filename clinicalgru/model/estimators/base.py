"""GRUEstimator: arguments, fit and checks that all GRU estimators share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.model.estimators.arguments import checked_arguments, checked_path, written_arguments
from clinicalgru.model.estimators.fitted_model import FittedModel, HeldOut, with_parameters
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.self_training import usable_unlabelled
from clinicalgru.model.estimators.train_networks import train_networks
from clinicalgru.model.estimators.training_summary import training_summary, validation_summary
from clinicalgru.model.estimators.untrained_network import untrained_network
from clinicalgru.model.estimators.validation_split import check_parts, own_parts
from clinicalgru.model.fit_state import RandomState, adopt, blank_copy, check_outcome, check_stays, draw_seed
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.codes import MIN_CODE_STAYS
from clinicalgru.model.network.config import NetworkConfig
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.reference_stays import sample_stays
from clinicalgru.model.seen_patients import SeenPatients
from clinicalgru.model.training.auxiliary_losses import AuxiliaryTargets
from clinicalgru.model.training.distributed import rank_and_world_size
from clinicalgru.model.training.prediction_hours import scaled_at
from clinicalgru.model.training.progress import Callback, check_callbacks
from clinicalgru.model.training.torch_settings import seeded, threads, torch_defaults


class GRUEstimator(FittedModel):
    """Base of the GRU estimators: a time-aware GRU with attention for irregular, incomplete sequences.

    Parameters
    ----------
    network : NetworkConfig or None, default=None
        Architecture. None: a `NetworkConfig` with its defaults. Its options are nested parameters, such as
        `network__cell` in `set_params` and in a grid search.
    max_epochs : int, default=20
        Largest number of epochs.
    patience : int, default=6
        Number of epochs without a lower validation loss after which training stops.
    batch_size : int or None, default=None
        Number of stays in a batch. None: 64, or 16 with fewer than 200 training stays of the rarest class or event.
    learning_rate : float, default=2e-3
        Highest learning rate of AdamW (Loshchilov and Hutter 2019), after a linear warm-up; cosine decay follows.
    weight_decay : float, default=3e-4
        Decoupled weight decay of AdamW; biases are not decayed.
    measurement_dropout : float, default=0.15
        Fraction of the measurements that each training stay loses at random, drawn anew in each epoch.
    max_steps_per_stay : int or None, default=8
        For tasks that predict after each time step: the loss of an epoch uses at most so many random time steps of
        each stay. None: all. A forecast draws time steps more often before rarely measured variables.
    label_smoothing : float, default=0.0
        For early warnings: rate per hour at which the label falls with the hours to the onset (0.2 in the paper).
    hazards : bool, default=False
        For early warnings: whether a hazard is learned for each hour of the horizon (at most 48), not one risk.
    alarm_priority : float, default=0.0
        With `hazards`: rate per hour at which an onset in a later hour counts less in the risk.
    n_cuts : int, default=2
        For outcomes, classes and labels of a stay: number of random hours of the window at which an epoch predicts each
        training stay, in addition to its end. The hour is then an input. 0: only the end is learned.
    cut_weight : float, default=1.0
        Weight of the loss at these hours, relative to that at the end of the window.
    distillation : float, default=0.7
        For binary outcomes and early warnings: weight in [0, 1) of the loss against out-of-fold risks of boosted trees
        (Hinton et al. 2015), which takes five fits of the trees. 0 disables it.
    forecast_weight : float, default=0.0
        Weight of an auxiliary loss: the forecast of the measurements after each time step.
    auxiliary_weight : float, default=0.6
        Weight of the loss of the auxiliary outcomes that `fit` is given, if any.
    use_codes : bool, default=False
        Whether coded events are inputs. Codes that are assigned later and dated back would reveal the outcome.
    min_code_stays : int, default=10
        Number of training stays from which on a code is known; rarer codes could identify a patient.
    pretrained : PretrainedEncoder or None, default=None
        Weights that training starts from, by names of variables; see `pretrain`. With `network=None` the network has
        the options of the pretrained one. A loaded model has None: its weights are in the bundle.
    min_validation_events : int, default=30
        Without `validation`: with fewer stays of the rarest class, or with the event, among the 15 % held back, 5
        networks train on all folds but one each, stop by it, and their weights are averaged. 0: never.
    random_state : int, RandomState, Generator or None, default=0
        Seed. The same seed and data give the same bits on a CPU. None: a new seed for each fit.
    n_threads : int, default=1
        Number of torch threads while fitting and predicting; one is fastest for time steps this small.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        Where fitting, predictions and explanations compute. "auto": "cuda" where there is such a device, else "cpu".

    Attributes
    ----------
    network_ : ClinicalGRU
        The trained network.
    head_ : Head
        The output head, with what it learned of the training outcomes.
    variables_, static_variables_ : tuple of Variable
        Variables and static covariates of the training stays.
    task_ : Task
        Task of the training stays.
    history_ : list of dict
        One entry for each epoch: epoch, train_loss, val_loss.
    calibrator_ : Calibrator or None
        Calibration, after `calibrate`; of `GRUClassifier` after `fit` too.
    calibrated_on_ : dict or None
        Counts of stays, patients and outcomes that calibrated it; small counts of real patients are None.
    seen_patients_ : SeenPatients
        Salted hashes of the patients of training and validation stays, which `calibrate` refuses.
    random_state_ : int
        Seed that was used.
    trained_on_ : dict
        Source, whether simulated, and counts of the training data; pretrained_on likewise of a pretrained encoder.
    """

    HEADS: ClassVar[Mapping[str, type[Head]]] = MappingProxyType({})  # by task type
    SPEC_OPTIONS: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # of the network, by the type of the task

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the parameters in the docstring of a subclass that has the same ones and lists none."""
        super().__init_subclass__(**kwargs)
        if cls.__init__ is GRUEstimator.__init__ and vars(cls).get("__doc__") and GRUEstimator.__doc__:
            cls.__doc__ = with_parameters(str(cls.__doc__), GRUEstimator.__doc__)

    def __init__(
        self,
        network: NetworkConfig | None = None,
        *,
        max_epochs: int = 20,
        patience: int = 6,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 3e-4,
        measurement_dropout: float = 0.15,
        max_steps_per_stay: int | None = 8,
        label_smoothing: float = 0.0,
        hazards: bool = False,
        alarm_priority: float = 0.0,
        n_cuts: int = 2,
        cut_weight: float = 1.0,
        distillation: float = 0.7,
        forecast_weight: float = 0.0,
        auxiliary_weight: float = 0.6,
        use_codes: bool = False,
        min_code_stays: int = MIN_CODE_STAYS,
        pretrained: PretrainedEncoder | None = None,
        min_validation_events: int = 30,
        random_state: RandomState = 0,
        n_threads: int = 1,
        device: str = "auto",
    ) -> None:
        self.network = network
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.measurement_dropout = measurement_dropout
        self.max_steps_per_stay = max_steps_per_stay
        self.label_smoothing = label_smoothing
        self.hazards = hazards
        self.alarm_priority = alarm_priority
        self.n_cuts = n_cuts
        self.cut_weight = cut_weight
        self.distillation = distillation
        self.forecast_weight = forecast_weight
        self.auxiliary_weight = auxiliary_weight
        self.use_codes = use_codes
        self.min_code_stays = min_code_stays
        self.pretrained = pretrained
        self.min_validation_events = min_validation_events
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of the network as `network__cell`, also where `network` is None.

        Parameters
        ----------
        **params
            Value by name.

        Returns
        -------
        GRUEstimator
            The estimator itself.
        """
        nested = any(name.startswith("network__") for name in params)
        if nested and params.get("network", self.network) is None:
            params = params | {"network": NetworkConfig()}
        super().set_params(**params)
        return self

    def fit(
        self,
        X: Sequences,
        y: ArrayLike | None = None,
        *,
        validation: Sequences | None = None,
        groups: ArrayLike | None = None,
        auxiliary: pd.DataFrame | None = None,
        unlabelled: Sequences | None = None,
        verbose: bool = True,
        callbacks: Sequence[Callback] = (),
        checkpoint_path: str | Path | None = None,
        resume_from: str | Path | None = None,
    ) -> Self:
        """Train on the stays; stop when the validation loss no longer falls.

        Nothing is assigned until training has succeeded. An interruption (Ctrl-C, the stop button) after the first
        epoch keeps the best weights so far, with a warning; an earlier one, or an error, leaves the estimator
        unchanged.

        Parameters
        ----------
        X : Sequences
            Training stays; they hold the outcome.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        validation : Sequences or None
            Stays of other patients for early stopping. None: 15 % of the patients of `X` are held back, or with few
            outcomes each of 5 folds in turn, see `min_validation_events`. `GRUClassifier` is calibrated on them too,
            where 20 or more are not of the most frequent class; stays that are passed here do not calibrate it.
        groups : array-like of shape (n_stays,) or None
            Groups, such as hospitals, that are not divided when validation stays are held back.
        auxiliary : DataFrame or None
            Auxiliary outcomes of the training stays, for multi-task learning: numbers, with stay_id as index, such as
            `Events.auxiliary_targets` gives. NaN, or no row: not known. Predictions do not need them.
        unlabelled : Sequences or None
            For binary outcomes: stays without outcome, such as those of `task.without_outcome()`. A first network and
            boosted trees give each a risk, which a second network learns too (self-training). Stays of the patients of
            `X` and `validation`, and stays that end before the prediction time, are left out. Training takes more than
            twice as long.
        verbose : bool
            Whether to show a progress bar, or text lines without a terminal.
        callbacks : sequence of Callback
            Objects that are called after each batch and each epoch, such as a `TrainingView`.
        checkpoint_path : path or None
            File that is written after each epoch.
        resume_from : path or None
            Such a file: training continues from it and ends with the same bits as without the interruption.

        Returns
        -------
        GRUEstimator
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            For arguments that cannot be used, a task of another type, outcomes that cannot be learned from, a patient
            in both training and validation stays.

        Warns
        -----
        CalibrationWarning
            If risks fall where the outcome rises among the stays that would calibrate the model; it is kept as it is.
        """
        X = check_stays("X", X)
        check_outcome(y, X)
        check_instance("verbose", verbose, bool)
        check_instance("auxiliary", auxiliary, pd.DataFrame, type(None), fix="Pass events.auxiliary_targets(task).")
        one = checkpoint_path is not None or resume_from is not None or rank_and_world_size()[1] > 1
        if one and unlabelled is not None:
            fix = "Leave checkpoint_path and resume_from out, and train in one process."
            raise ArgumentError("unlabelled for training in one go", "checkpoints or several processes", fix)
        learner, callbacks = blank_copy(self), check_callbacks(callbacks)
        learner.__dict__.update(checked_arguments(self))
        learner.random_state_ = draw_seed(self.random_state)
        fold, calibrates = None, validation is None
        if validation is None:
            few, seed = 0 if one else learner.min_validation_events, learner.random_state_
            X, validation, fold = own_parts(X, groups, min_validation_events=few, random_state=seed)
        paths = {"checkpoint_path": checkpoint_path, "resume_from": resume_from}
        held_out = learner._learn(
            X,
            None if fold is not None else check_stays("validation", validation),
            fold=fold,
            auxiliary=auxiliary,
            unlabelled=unlabelled,
            verbose=verbose,
            callbacks=callbacks,
            **{name: checked_path(name, path) for name, path in paths.items()},
        )
        if calibrates:
            learner._calibrate_in_fit(X if validation is None else validation, held_out)
        adopt(self, learner)
        return self

    def _learn(
        self,
        stays: Sequences,
        validation: Sequences | None,
        *,
        fold: np.ndarray | None,
        unlabelled: Sequences | None,
        **how: Any,
    ) -> list[HeldOut]:
        """Train this blank copy of an estimator; give the stays that stopped training, and what they stopped."""
        self.head_ = self._head(stays)
        if validation is not None:
            check_parts(self.head_, stays, validation)
        if unlabelled is not None:
            unlabelled = usable_unlabelled(self, unlabelled, stays, validation)
        self.variables_, self.static_variables_, self.task_ = stays.variables, stays.static_variables, stays.task
        self.calibrator_, self.calibrated_on_, self.reference_stays_ = None, None, sample_stays(stays)
        self.trained_on_ = training_summary(stays, self.pretrained, unlabelled) | validation_summary(validation, fold)
        self.trained_on_ |= scaled_at(self.pretrained)
        self.seen_patients_ = SeenPatients.of(*(part for part in (stays, validation, unlabelled) if part is not None))
        self.pretraining_patients_ = () if self.pretrained is None else (self.pretrained.seen_patients,)
        with torch_defaults(), threads(self.n_threads), seeded([self.random_state_]):
            return train_networks(self, stays, validation, fold=fold, unlabelled=unlabelled, **how)

    def _forecast(self, network: ClinicalGRU) -> Forecast:
        """Give the head of the auxiliary forecast after each time step."""
        return Forecast(network.scaler.value)

    def _trained(self, network: ClinicalGRU, validation: Sequences) -> ClinicalGRU:
        """Give the network as it predicts, once it was trained."""
        return network.without_auxiliary(self.head_.n_outputs)

    def _head(self, stays: Sequences) -> Head:
        """Give the head for the stays' task, or raise where the task is of another type."""
        if stays.task.task_type not in self.HEADS:
            kinds, fix = " or ".join(self.HEADS), "Use the estimator of that kind of task."
            raise TrainingError(f"a task of the kind {kinds} for {type(self).__name__}", stays.task.task_type, fix)
        return self.HEADS[stays.task.task_type].fit_targets(stays)

    def arguments_dict(self) -> dict[str, Any]:
        """Give the arguments as a manifest holds them.

        Returns
        -------
        dict
            Python numbers and text by name; the network is a dict, or None.
        """
        return written_arguments(self)

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """Give an unfitted estimator with the arguments of a manifest.

        Parameters
        ----------
        arguments : mapping
            As `arguments_dict` gives them.

        Returns
        -------
        GRUEstimator
            The estimator.
        """
        network = arguments.get("network")
        return cls(**dict(arguments) | {"network": None if network is None else NetworkConfig(**network)})

    def init_network(self, stays: Sequences) -> tuple[ClinicalGRU, Head]:
        """Give an untrained network for these stays, and its head, for sweeps without `fit`.

        Parameters
        ----------
        stays : Sequences
            Training stays; they hold the outcome.

        Returns
        -------
        tuple of ClinicalGRU and Head
            The network, in training mode, and the head.

        Raises
        ------
        ClinicalGRUError
            For arguments that cannot be used, a task of another type, or outcomes that cannot be learned from.
        """
        blank = blank_copy(self)
        blank.__dict__.update(checked_arguments(self))
        blank.head_ = blank._head(stays)
        blank.head_.validate_targets(stays, "stays")
        return blank._network(stays, None).train(), blank.head_

    def _network(self, stays: Sequences, auxiliary: AuxiliaryTargets | None) -> ClinicalGRU:
        return untrained_network(self, stays, auxiliary)

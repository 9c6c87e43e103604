"""Hyperparameter search over the validation loss, with Optuna (extra `tune`)."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.base import clone

from clinicalgru.checks import check_instance, check_number, to_python
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError, describe
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.network.config import NetworkConfig
from clinicalgru.model.training.nonfinite_loss import NonFiniteLoss
from clinicalgru.optional_packages import import_optional

if TYPE_CHECKING:
    import optuna

Range = tuple[float, float] | Sequence[Any]
SPACE: Mapping[str, Range] = MappingProxyType(
    {
        "learning_rate": (5e-4, 1e-2),
        "network__hidden_size": [32, 64, 128],
        "network__dropout": (0.0, 0.5),
        "measurement_dropout": (0.0, 0.4),
        "weight_decay": (1e-5, 1e-2),
    }
)


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of a hyperparameter search.

    Attributes
    ----------
    estimator : GRUEstimator
        The estimator with the best parameters, not fitted.
    best_params_ : dict
        The best parameters by name, for `set_params`.
    best_score_ : float
        Minus the lowest validation loss, so that higher is better. It was selected among many and is optimistic.
    trials : DataFrame
        One row for each trial, in order: its parameters, val_loss, n_epochs, pruned.
    """

    estimator: GRUEstimator
    best_params_: dict[str, Any]
    best_score_: float
    trials: pd.DataFrame

    def __repr__(self) -> str:
        return f"SearchResult(best_score_={self.best_score_:.4f}, {len(self.trials)} trials, {self.best_params_})"


def tune(
    estimator: GRUEstimator,
    stays: Sequences,
    validation: Sequences,
    *,
    space: Mapping[str, Range] = SPACE,
    n_trials: int = 20,
    timeout: float | None = None,
    random_state: int = 0,
) -> SearchResult:
    """Search for the parameters with the lowest validation loss; trials that fall behind are stopped early.

    Parameters
    ----------
    estimator : GRUEstimator
        Any of the GRU estimators; it is not changed.
    stays : Sequences
        Training stays.
    validation : Sequences
        Validation stays, of other patients.
    space : mapping
        Parameter by name: (low, high) for a range, or a list of choices. A range is logarithmic where high is 10 times
        low or more, and of whole numbers where both are. Parameters of the network are written `network__hidden_size`.
    n_trials : int
        Number of trials; fewer where `timeout` ends the search first.
    timeout : float or None
        Seconds after which no further trial starts.
    random_state : int
        Seed of the search.

    Returns
    -------
    SearchResult
        Its `estimator` is not fitted yet. Evaluate it on other stays: the validation loss was minimised.

    Raises
    ------
    ArgumentError
        For parameters that the estimator does not have, or a space that cannot be searched.
    MissingPackageError
        Without Optuna.
    TrainingError
        If no trial had a finite loss, and for whatever `fit` refuses.

    References
    ----------
    Tree-structured Parzen estimator with median pruning: Akiba et al. 2019, Optuna.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, tune
    >>> search = lambda train, validation: tune(GRUClassifier(), train, validation, n_trials=10)
    """
    _check(estimator, space, n_trials, timeout)
    optuna = import_optional("optuna", extra="tune")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler, pruner = optuna.samplers.TPESampler(seed=random_state), optuna.pruners.MedianPruner(n_warmup_steps=2)
        study = optuna.create_study(sampler=sampler, pruner=pruner)
        study.optimize(
            lambda trial: _trial_loss(trial, estimator, stays, validation, space), n_trials=n_trials, timeout=timeout
        )
    finally:
        optuna.logging.set_verbosity(before)
    if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
        raise TrainingError("a trial with a finite loss", "none", "Lower the learning rates of space=.")
    best = clone(estimator).set_params(**study.best_params)
    return SearchResult(best, dict(study.best_params), -float(study.best_value), _table(study))


def _check(estimator: Any, space: Any, n_trials: Any, timeout: Any) -> None:
    check_instance("estimator", estimator, GRUEstimator, fix="Pass GRUClassifier(), or another GRU estimator.")
    check_number("n_trials", n_trials, minimum=1, whole=True)
    check_number("timeout", timeout, minimum=0, open_minimum=True, optional=True)
    if not isinstance(space, Mapping) or not space:
        fix = 'Write space={"learning_rate": (1e-4, 1e-2)}.'
        raise ArgumentError("space as parameters to search", describe(space), fix)
    network = [f"network__{name}" for name in NetworkConfig().get_params()]
    known = [*estimator.get_params(deep=False), *network]
    unknown = sorted(set(space) - set(known))
    if unknown:
        raise ArgumentError(f"parameters among {', '.join(known)}", f"{unknown}", "Correct space=.")
    for name, given in space.items():
        is_range = isinstance(given, tuple) and len(given) == 2
        if is_range and all(isinstance(bound, numbers.Real) for bound in given) and given[0] <= given[1]:
            continue
        if isinstance(given, tuple | str) or not isinstance(given, Sequence) or not given:
            fix = "Write (low, high) for a range, or a list of choices."
            raise ArgumentError(f"a range or choices for {name}", f"{given}", fix)


class _Pruner:
    """Callback that reports the validation loss to a trial, and ends the trial where it falls behind."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """Do nothing."""

    def on_epoch_end(self, entry: dict[str, float], *, best: int) -> None:
        """Report the loss of an epoch."""
        import optuna

        self.trial.report(entry["val_loss"], int(entry["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _trial_loss(
    trial: optuna.Trial, estimator: GRUEstimator, stays: Sequences, validation: Sequences, space: Mapping[str, Range]
) -> float:
    import optuna

    candidate = clone(estimator).set_params(**{name: _suggest(trial, name, given) for name, given in space.items()})
    try:
        candidate.fit(stays, validation=validation, verbose=False, callbacks=(_Pruner(trial),))
    except NonFiniteLoss:
        raise optuna.TrialPruned from None
    return min(entry["val_loss"] for entry in candidate.history_)


def _suggest(trial: optuna.Trial, name: str, given: Range) -> Any:
    if not isinstance(given, tuple):
        return trial.suggest_categorical(name, list(map(to_python, given)))
    low, high = to_python(given)
    log = low > 0 and high >= 10 * low
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)


def _table(study: optuna.Study) -> pd.DataFrame:
    rows = [
        trial.params
        | {
            "val_loss": min(trial.intermediate_values.values(), default=float("nan")),
            "n_epochs": len(trial.intermediate_values),
            "pruned": trial.value is None,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)

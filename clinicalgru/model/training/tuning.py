"""A search for good arguments over the tune stays, with Optuna (extra `tune`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.base import clone

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.training.nonfinite_loss import BrokenLoss

if TYPE_CHECKING:
    import optuna

Range = tuple[float, float] | Sequence[Any]
SPACE: Mapping[str, Range] = MappingProxyType(
    {
        "learning_rate": (5e-4, 1e-2),
        "hidden_size": [32, 64, 128],
        "dropout": (0.0, 0.5),
        "measurement_dropout": (0.0, 0.4),
        "weight_decay": (1e-5, 1e-2),
    }
)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    best    the estimator with the best arguments, not fitted
    loss    of the tune stays, at its best epoch
    trials  one row a trial: its arguments, loss, epochs, whether it was pruned; in the order they were tried
    """

    best: GRUEstimator
    loss: float
    trials: pd.DataFrame

    def __repr__(self) -> str:
        return f"Tuned(loss {self.loss:.4f} after {len(self.trials)} trials, {self.best!r})"


def tune(
    estimator: GRUEstimator,
    stays: Sequences,
    tune: Sequences,
    *,
    space: Mapping[str, Range] = SPACE,
    trials: int = 20,
    seconds: float | None = None,
    random_state: int = 0,
) -> Tuned:
    """Try arguments that promise a low loss on the tune stays; stop those that fall behind.

    space    argument: (low, high) for a range, on a log scale where high is 10 times low or more, whole where both
             are; or a list of choices
    trials   how many; fewer where `seconds` end first
    returns  a `Tuned`; fit its best on all stays to learn from. The loss it reports was chosen among many: judge on
             other stays

    Refused: arguments that the estimator does not have, whatever `fit` refuses, no Optuna.
    Source: tree-structured Parzen estimator with median pruning, Akiba et al. 2019.
    """
    unknown = sorted(set(space) - set(estimator.get_params()))
    if unknown or not space or trials < 1:
        known = ", ".join(estimator.get_params())
        raise ArgumentError(f"arguments among {known}", f"{unknown or 'none'}", "Correct space=, and ask for trials.")
    try:
        import optuna
    except ImportError:
        raise ArgumentError("the package optuna", "none", "pip install 'clinicalgru[tune]'.") from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler, pruner = (
            optuna.samplers.TPESampler(seed=random_state),
            optuna.pruners.MedianPruner(n_warmup_steps=2),
        )
        study = optuna.create_study(sampler=sampler, pruner=pruner)
        study.optimize(lambda trial: _tried(trial, estimator, stays, tune, space), n_trials=trials, timeout=seconds)
    finally:
        optuna.logging.set_verbosity(before)
    done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not done:
        raise TrainingError("a trial with a finite loss", "none", "Lower the learning rates of space=.")
    return Tuned(clone(estimator).set_params(**study.best_params), float(study.best_value), _table(study))


class _Pruner:
    """Tells a trial how it does after each epoch, and ends it where it falls behind."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def step(self, part: float, loss: float) -> None:
        """A batch is done."""

    def epoch_done(self, entry: dict[str, float], *, best: int) -> None:
        """An epoch is done, with these losses."""
        import optuna

        self.trial.report(entry["val_loss"], int(entry["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _tried(
    trial: optuna.Trial, estimator: GRUEstimator, stays: Sequences, tune: Sequences, space: Mapping[str, Range]
) -> float:
    import optuna

    one = clone(estimator).set_params(**{name: _suggested(trial, name, given) for name, given in space.items()})
    try:
        one.fit(stays, tune, progress=_Pruner(trial))
    except BrokenLoss:
        raise optuna.TrialPruned from None
    return min(entry["val_loss"] for entry in one.history_)


def _suggested(trial: optuna.Trial, name: str, given: Range) -> Any:
    if not isinstance(given, tuple):
        return trial.suggest_categorical(name, list(given))
    low, high = given
    log = low > 0 and high >= 10 * low
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)


def _table(study: optuna.Study) -> pd.DataFrame:
    rows = [
        trial.params
        | {
            "loss": min(trial.intermediate_values.values(), default=float("nan")),
            "epochs": len(trial.intermediate_values),
            "pruned": trial.value is None,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)

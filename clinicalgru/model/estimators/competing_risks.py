"""Competing risks: cause-specific survival models as one model of the cumulative incidence of each event."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe

MIN_SURVIVAL = 1e-12


class CompetingRisks:
    """Cumulative incidence of competing events from one survival model for each of them.

    Each model learns the hazard of its own event; the others end the follow-up, as censoring does (cause-specific
    hazards). Together they give how often each event occurs as the first, which is what can be observed.

    Parameters
    ----------
    models : mapping of str to estimator
        Fitted models with `predict_survival`, such as `GRUSurvival`, by name of the event; two or more, with the same
        variables and window.

    Raises
    ------
    ArgumentError
        If these are fewer than two such models, or they see other variables or hours.

    Notes
    -----
    Hazards are constant between the ends of the intervals of all models, where the incidence is exact. Calibrate each
    model on its own event; `incidence_calibration` then compares the incidence with Aalen and Johansen's.

    References
    ----------
    Prentice et al. 1978, Biometrics 34:541-554, cause-specific hazards. Putter et al. 2007, Stat Med 26:2389-2430.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import clinicalgru as cg
    >>> task = SimpleNamespace(window_hours=(0.0, 48.0), task_type="survival")
    >>> def constant(rate):
    ...     return SimpleNamespace(
    ...         predict_survival=lambda stays, hours: np.exp(-rate * np.asarray(hours))[None],
    ...         head_=SimpleNamespace(cuts=(1.0,)), task_=task, variables_=(), static_variables_=(),
    ...     )
    >>> model = cg.CompetingRisks({"death": constant(0.1), "discharge": constant(0.3)})
    >>> model.predict_incidence(None, [1.0]).round(4).tolist()  # 0.1 / 0.4 * (1 - exp(-0.4)), ...
    [[[0.0824], [0.2473]]]
    """

    def __init__(self, models: Mapping[str, Any]) -> None:
        fix = "Pass {'death': model, 'discharge': another}."
        if not isinstance(models, Mapping) or len(models) < 2:
            raise ArgumentError("two or more models by name of the event", describe(models), fix)
        for model in models.values():
            if not hasattr(model, "predict_survival") or getattr(model, "task_", None) is None:
                raise ArgumentError("fitted models of survival tasks", describe(model), fix)
        seen = [(one.task_.window_hours, one.variables_, one.static_variables_) for one in models.values()]
        if any(one != seen[0] for one in seen):
            raise ArgumentError("models of the same variables and window", "others", "Train them on the same stays.")
        self.models = dict(models)

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events, in the order of `predict_incidence`.

        Returns
        -------
        tuple of str
        """
        return tuple(self.models)

    def predict_incidence(self, stays: Sequences, hours: ArrayLike) -> np.ndarray:
        """Predict the probability that each event has occurred, as the first, by some hours after the prediction time.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the models, and at least one measurement each.
        hours : array-like of float, shape (hour,)
            Hours of 0 or more.

        Returns
        -------
        ndarray, shape (stay, event, hour)
            Probabilities; with that of no event yet they sum to 1.

        Raises
        ------
        ArgumentError
            For negative hours, or something else than a list of hours.
        """
        at = np.asarray(hours, dtype=float)
        if at.ndim != 1 or not len(at) or not (np.isfinite(at) & (at >= 0)).all():
            raise ArgumentError("a list of hours of 0 or more", f"shape {at.shape}", "Pass [168, 720].")
        ends = np.concatenate([np.asarray(one.head_.cuts, dtype=float) for one in self.models.values()])
        grid = np.unique(np.concatenate([[0.0], at, ends[ends < at.max()]]))
        survival = np.stack([one.predict_survival(stays, grid) for one in self.models.values()], axis=1)
        hazard = -np.diff(np.log(np.maximum(survival, MIN_SURVIVAL)), axis=2)  # of each interval
        total = hazard.sum(axis=1, keepdims=True)
        left = np.exp(-np.concatenate([np.zeros_like(total[..., :1]), np.cumsum(total, axis=2)], axis=2))
        share = np.divide(hazard, total, out=np.zeros_like(hazard), where=total > 0)
        steps = share * (left[..., :-1] - left[..., 1:])
        incidence = np.concatenate([np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=2)], axis=2)
        return np.asarray(incidence[..., np.searchsorted(grid, at)])

    def predict_event_free(self, stays: Sequences, hours: ArrayLike) -> np.ndarray:
        """Predict the probability that none of the events has occurred by some hours.

        Parameters
        ----------
        stays : Sequences
            As for `predict_incidence`.
        hours : array-like of float, shape (hour,)
            Hours of 0 or more.

        Returns
        -------
        ndarray, shape (stay, hour)
            Probabilities.
        """
        return np.asarray(1 - self.predict_incidence(stays, hours).sum(axis=1))


def common_stays(stays: Mapping[str, Sequences]) -> dict[str, Sequences]:
    """Give the stays that the tasks of all events select, in one order.

    Parameters
    ----------
    stays : mapping of str to Sequences
        Stays of the survival task of each event, from one extract.

    Returns
    -------
    dict of str to Sequences
        The same stays for each event, with the outcomes of its task.

    Raises
    ------
    ArgumentError
        If the tasks have no stay in common.
    """
    shared = functools.reduce(np.intersect1d, [one.stay.astype(str) for one in stays.values()])
    if not len(shared):
        raise ArgumentError("stays that the tasks of all events select", "none", "Check the tasks.")
    return {event: one[pd.Index(one.stay.astype(str)).get_indexer(shared)] for event, one in stays.items()}

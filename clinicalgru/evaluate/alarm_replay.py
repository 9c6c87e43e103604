"""Alarms that an early warning would have given, stay by stay, and their burden at all thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.alarm_burden import alarm_burden, spaced_alarms
from clinicalgru.evaluate.validation import Array

N_THRESHOLDS = 40


class _Stays(Protocol):
    """Stays with the hour of their event, infinite where there is none."""

    outcome: Any


class _HourlyModel(Protocol):
    """A fitted early warning."""

    task_: Any
    threshold_: float

    def predict_hourly(self, stays: _Stays) -> pd.DataFrame:
        """Predict stay, hours and risk.

        Parameters
        ----------
        stays : Sequences
            Stays.

        Returns
        -------
        DataFrame
            One row for each stay and hour.
        """
        ...


@dataclass(frozen=True, eq=False)
class AlarmReplay:
    """Hourly risks of stays up to the event, with the alarms that a threshold gives.

    Attributes
    ----------
    hourly : DataFrame
        stay (position), hours, risk, alarm (whether there is one at this hour).
    onset_hours : ndarray of float, shape (stay,)
        Hour of the event; infinite where there is none.
    threshold, silence_hours, horizon_hours : float
        Risk from which there is an alarm; hours without another one after it; hours within which the event must follow
        for an alarm to be right.
    """

    hourly: pd.DataFrame
    onset_hours: Array
    threshold: float
    silence_hours: float
    horizon_hours: float

    @property
    def burden(self) -> pd.DataFrame:
        """What `alarm_burden` returns of these stays, at the quantiles of the hourly risks."""
        stay, hours, risk = (self.hourly[name].to_numpy() for name in ("stay", "hours", "risk"))
        thresholds = np.unique(np.append(np.quantile(risk, np.linspace(0, 0.999, N_THRESHOLDS)), self.threshold))
        onset = self.onset_hours[stay]
        return alarm_burden(
            stay, hours, risk, np.where(np.isfinite(onset), onset, np.nan), thresholds=thresholds.tolist(),
            silence_hours=self.silence_hours, horizon_hours=self.horizon_hours, n_resamples=0,
        )  # fmt: skip

    def plot(self, name: str = "stays", **options: Any) -> Any:
        """Draw the alarms with Plotly.

        Parameters
        ----------
        name : {"stays", "burden"}
            Risk, threshold, alarms and event of some stays; or the fraction of events with an alarm against alarms.
        **options
            Passed on to the function that draws it, such as ``stays=[3, 8]``.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.

        Raises
        ------
        ArgumentError
            If there is no figure of that name.
        """
        return display.plot(self, name, **options)

    def __repr__(self) -> str:
        events = int(np.isfinite(self.onset_hours).sum())
        alarms = int(self.hourly["alarm"].sum())
        return f"AlarmReplay({len(self.onset_hours):,} stays, {events:,} events, {alarms:,} alarms)"


def replay_alarms(
    model: _HourlyModel, stays: _Stays, *, threshold: float | None = None, silence_hours: float = 6.0
) -> AlarmReplay:
    """Replay the alarms that an early warning would have given in past stays, each up to its event.

    Parameters
    ----------
    model : GRUEarlyWarning
        Fitted.
    stays : Sequences
        Stays that training has not seen.
    threshold : float, optional
        Risk from which there is an alarm; None: that of the model.
    silence_hours : float
        Hours after an alarm in which the same stay gives no other one.

    Returns
    -------
    AlarmReplay
        Draw it with `plot("stays")` and `plot("burden")`.

    Raises
    ------
    ArgumentError
        If the model predicts no hourly risk or has no threshold, or a number is out of range.

    References
    ----------
    Hyland et al. 2020, Nat Med 26:364-373, alarms with a silence after each.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0, sepsis=0.5))
    >>> stays = cg.select(events, cg.Task.load("early_sepsis_2019"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)
    >>> model = cg.GRUEarlyWarning(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> replay = cg.replay_alarms(model, stays, threshold=0.1)
    >>> bool((replay.hourly["hours"] <= replay.onset_hours[replay.hourly["stay"]]).all())
    True
    """
    if not hasattr(model, "predict_hourly"):
        raise ArgumentError("a GRUEarlyWarning", describe(model), "Pass a model of an early warning.")
    if threshold is None and not hasattr(model, "threshold_"):
        fix = "Call model.choose_threshold(stays), or pass threshold=."
        raise ArgumentError("a threshold", "a model without one", fix)
    check_number("threshold", threshold, minimum=0, maximum=1, optional=True)
    check_number("silence_hours", silence_hours, minimum=0)
    level = float(model.threshold_ if threshold is None else threshold)
    hourly, onset = model.predict_hourly(stays), np.asarray(stays.outcome, dtype=float)
    hourly = hourly[hourly["hours"].to_numpy() <= onset[hourly["stay"].to_numpy()]].reset_index(drop=True)
    stay, at, risk = hourly["stay"].to_numpy(), hourly["hours"].to_numpy(dtype=float), hourly["risk"].to_numpy()
    alarm = spaced_alarms(stay, at, risk >= level, silence_hours)
    return AlarmReplay(hourly.assign(alarm=alarm), onset, level, silence_hours, float(model.task_.horizon_hours))

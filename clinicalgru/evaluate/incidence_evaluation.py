"""Evaluation of predicted incidence of competing events: calibration, discrimination and accuracy at some hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, is_small
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, class_patients, numbered_patients
from clinicalgru.evaluate.competing_risks import (
    HIGH,
    LOW,
    checked_events,
    cumulative_incidence,
    followed_weights,
    incidence_calibration,
    incidence_curves,
    resampling_weights,
)
from clinicalgru.evaluate.metrics import auroc
from clinicalgru.evaluate.validation import Array

METRICS = ("observed_expected", "auc", "brier")
LABELS = {"observed_expected": "Observed : expected", "auc": "AUC", "brier": "Brier score"}


@dataclass(frozen=True, eq=False)
class IncidenceEvaluation:
    """How well the incidence of competing events was predicted.

    Attributes
    ----------
    events : tuple of str
        Names of the events.
    stays, patients : int
        Number of stays and of their patients.
    counts : mapping of str to int
        Stays with each event as the first, and without any within their follow-up ("none").
    incidence : DataFrame
        event, hours, predicted (mean), observed (Aalen and Johansen), low, high.
    metrics : DataFrame
        event, hours, metric (observed_expected, auc, brier), estimate, low, high. NaN with fewer than 20 stays with, or
        without, the event by then.
    calibration : mapping of str to DataFrame
        By event, at the last of the hours: as of `incidence_calibration`.
    min_cell_size : int
        Smallest count that is shown.
    simulated : bool
        Whether the stays are those of a synthetic cohort.
    warnings : tuple of str
        Which figures are optimistic, since patients of these stays trained or calibrated a model.
    """

    events: tuple[str, ...]
    stays: int
    patients: int
    counts: Mapping[str, int]
    incidence: pd.DataFrame
    metrics: pd.DataFrame
    calibration: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    min_cell_size: int = MIN_CELL_SIZE
    simulated: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def shown_counts(self) -> str:
        """Stays with each event, or without any, in words; small counts are suppressed together."""
        hidden = any(is_small(float(count), self.min_cell_size) for count in self.counts.values())
        shown = {name: "suppressed" if hidden else format_count(count) for name, count in self.counts.items()}
        return ", ".join(f"{name} {count}" for name, count in shown.items())

    @property
    def sentences(self) -> tuple[str, ...]:
        """Warnings, and what the figures say of each event at the last of the hours."""
        events = (_sentence(event, rows) for event, rows in _last(self.metrics).groupby("event", sort=False))
        return (*self.warnings, *events)

    def wide(self) -> pd.DataFrame:
        """Give one row for each event and hour, as text.

        Returns
        -------
        DataFrame
            event, hours, predicted, observed, and each metric with its interval.
        """
        keys = ["event", "hours"]
        texts = self.metrics.assign(text=[_cell(*row) for row in self.metrics[["estimate", "low", "high"]].to_numpy()])
        metrics = texts.pivot(index=keys, columns="metric", values="text")[list(METRICS)].rename(columns=LABELS)
        own = self.incidence.assign(
            Predicted=self.incidence["predicted"].map("{:.3f}".format),
            Observed=[_cell(*row) for row in self.incidence[["observed", "low", "high"]].to_numpy()],
        )
        table = own[[*keys, "Predicted", "Observed"]].merge(metrics.reset_index(), on=keys)
        return table.assign(hours=table["hours"].map("{:g}".format))

    def __str__(self) -> str:
        head = f"Competing events in {self.stays:,} stays of {self.patients:,} patients: {self.shown_counts}."
        return "\n".join([head, *self.sentences, "", self.wide().to_string(index=False)])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Give all that is shown as JSON can hold it.

        Returns
        -------
        dict
            Tables as lists of rows.
        """
        rows = {name: _rows(getattr(self, name)) for name in ("incidence", "metrics")}
        groups = {name: _rows(table) for name, table in self.calibration.items()}
        return (
            {"stays": self.stays, "patients": self.patients, "sentences": list(self.sentences)}
            | rows
            | {"calibration": groups}
        )

    def plot(self, figure: str = "incidence") -> Any:
        """Draw predicted and observed incidence.

        Parameters
        ----------
        figure : {"incidence", "calibration"}
            Over the hours, or in groups of similar prediction at the last of them.

        Returns
        -------
        plotly.graph_objects.Figure
            One colour for each event.

        Raises
        ------
        ArgumentError
            If there is no figure of that name.
        """
        from clinicalgru.display import plot

        return plot(self, figure)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the evaluation as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        **options
            provenance: mapping of what the page is about.

        Returns
        -------
        Path
            The file.
        """
        from clinicalgru.display import to_html

        return to_html(self, path, **options)


def evaluate_incidence(
    hours: ArrayLike,
    cause: ArrayLike,
    predicted: ArrayLike,
    *,
    events: Sequence[str],
    at_hours: Sequence[float],
    patients: Any = None,
    min_cell_size: int = MIN_CELL_SIZE,
    simulated: bool = False,
    n_resamples: int = 200,
    random_state: int = 0,
) -> IncidenceEvaluation:
    """Evaluate predicted incidence of competing events against what occurred.

    Parameters
    ----------
    hours, cause : array-like, shape (n_stays,)
        As of `cumulative_incidence`: hours to the first event, and its number (1 is the first of `events`), or 0 at the
        end of follow-up.
    predicted : array-like, shape (n_stays, n_events, n_hours)
        As of `CompetingRisks.predict_incidence`.
    events : sequence of str
        Names of the events.
    at_hours : sequence of float
        Hours of the predictions, ascending.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    min_cell_size : int
        Smallest count that is shown; 0 shows all.
    simulated : bool
        Whether the stays are synthetic; all counts are shown then.
    n_resamples, random_state : int
        Bootstrap resamples of the patients for the 95 % intervals, and their seed.

    Returns
    -------
    IncidenceEvaluation
        Print it, or use its methods `plot`, `to_html` and `to_dict`.

    Raises
    ------
    ArgumentError
        If the shapes do not fit, or the arguments cannot be used.

    Notes
    -----
    The observed incidence is Aalen and Johansen's. Of an AUC at some hours, cases have the event by then; all others
    who are known to have had none, or another one, are controls. AUC and Brier score weigh stays by the inverse
    probability of being followed so long (Kaplan-Meier of the censoring), which is not estimated anew in resamples.

    References
    ----------
    Blanche et al. 2013, Stat Med 32:5381-5397, time-dependent AUC with competing risks, definition 2. van Geloven et
    al. 2022, "Validation of prediction models in the presence of competing risks", BMJ 377:e069249.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.uniform(0.1, 0.9, 600)
    >>> cause = np.where(rng.random(600) < risk, 1, 2)
    >>> predicted = np.stack([risk, 1 - risk], axis=1)[:, :, None]
    >>> result = evaluate_incidence(np.full(600, 5.0), cause, predicted, events=("death", "home"), at_hours=[6.0])
    >>> result.metrics.query("metric == 'auc'")["estimate"].round(2).tolist()
    [0.78, 0.78]
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    time, event, at = checked_events(hours, cause, at_hours)
    risk = np.asarray(predicted, dtype=float)
    shape = (len(time), len(events), len(at))
    if risk.shape != shape or not ((risk >= 0) & (risk <= 1)).all():
        fix = "Pass what predict_incidence gave for these stays and hours."
        raise ArgumentError(f"probabilities of shape {shape}", f"shape {risk.shape}, or others", fix)
    if event.max() > len(events):
        raise ArgumentError(f"causes 0 to {len(events)}", "larger ones", "Name each event.")
    least = 0 if simulated else min_cell_size
    patient = numbered_patients(patients, len(time))
    draws: dict[str, Any] = {"n_resamples": n_resamples, "random_state": random_state, "patients": patient}
    observed = cumulative_incidence(time, event, at_hours=at.tolist(), **draws)
    weights = resampling_weights(patient, n_resamples, random_state)
    tables, metrics, groups = [], [], {}
    for number, name in enumerate(map(str, events)):
        own = observed[observed["cause"] == number + 1]
        if own.empty:
            raise ArgumentError(f"stays with {name} as the first event", "none", "Leave that event out.")
        means = risk[:, number].mean(axis=0)
        table = pd.DataFrame({"event": name, "hours": at, "predicted": means})
        tables.append(
            table.assign(observed=own["incidence"].to_numpy(), low=own["low"].to_numpy(), high=own["high"].to_numpy())
        )
        for position, hour in enumerate(at.tolist()):
            rows = _metrics(time, event, risk[:, number, position], number + 1, hour, weights, patient)
            metrics.append(rows.assign(event=name, hours=hour))
        limits: dict[str, Any] = {"of_cause": number + 1, "at_hours": float(at[-1]), "min_cell_size": least}
        groups[name] = incidence_calibration(time, event, risk[:, number, -1], **limits, **draws)
    counts = {name: int((event == number + 1).sum()) for number, name in enumerate(map(str, events))}
    return IncidenceEvaluation(
        events=tuple(map(str, events)),
        stays=len(time),
        patients=int(patient.max()) + 1,
        counts=counts | {"none": int((event == 0).sum())},
        incidence=pd.concat(tables, ignore_index=True),
        metrics=pd.concat(metrics, ignore_index=True)[["event", "hours", "metric", "estimate", "low", "high"]],
        calibration=groups,
        min_cell_size=least,
        simulated=simulated,
    )


def first_event(outcomes: Mapping[str, ArrayLike]) -> tuple[Array, NDArray[np.int64]]:
    """Find the first of several events from the outcome of a survival task of each.

    Parameters
    ----------
    outcomes : mapping of str to array-like of shape (n_stays, 2)
        By event, of the same stays: hours to the event or to the end of its follow-up, and whether it occurred.

    Returns
    -------
    hours : ndarray, shape (n_stays,)
        Hours to the first event, or to the first end of follow-up.
    cause : ndarray of int, shape (n_stays,)
        1 for the first of the events, ...; 0 where follow-up ended before any. At one instant an event counts.

    Examples
    --------
    >>> first_event({"death": [[5.0, 1], [9.0, 0]], "home": [[5.0, 0], [7.0, 1]]})
    (array([5., 7.]), array([1, 2]))
    """
    pairs = np.stack([np.asarray(one, dtype=float) for one in outcomes.values()])
    hours, occurred = pairs[..., 0], pairs[..., 1] == 1
    first = hours.min(axis=0)
    is_first = (hours == first) & occurred
    return first, np.where(is_first.any(axis=0), is_first.argmax(axis=0) + 1, 0)


def _metrics(
    time: Array,
    event: NDArray[np.int64],
    risk: Array,
    of: int,
    hour: float,
    weights: Array,
    patient: NDArray[np.int64],
) -> pd.DataFrame:
    """Each metric of one event at one hour, with the percentiles of the resamples."""
    case = ((event == of) & (time <= hour)).astype(float)
    known = followed_weights(time, event, hour)
    few = min(class_patients(case[known > 0], patient[known > 0])) < MIN_EVENTS
    drawn = weights * known
    expected = weights @ risk / weights.sum(axis=1)
    observed = incidence_curves(time, event, np.array([hour]), of, weights)[:, 0]
    values = {
        "observed_expected": observed / expected,
        "auc": auroc(case, risk, drawn),
        "brier": (drawn @ (case - risk) ** 2) / weights.sum(axis=1),
    }
    rows = [(name, value[0], *np.nanpercentile(value[1:], [LOW, HIGH])) for name, value in values.items()]
    table = pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])
    if few or np.isnan(observed[0]):
        table[["estimate", "low", "high"]] = np.nan
    return table


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["hours"] == table["hours"].max()]


def _sentence(event: Any, rows: pd.DataFrame) -> str:
    """What observed : expected and AUC of one event say."""
    hour, values = rows["hours"].iloc[0], rows[["estimate", "low", "high"]].to_numpy(float).tolist()
    by_metric = dict(zip(rows["metric"], values, strict=True))
    ratio, low, high = by_metric["observed_expected"]
    auc, least, most = by_metric["auc"]
    if np.isnan(auc):
        return f"{event} by hour {hour:g}: too few stays with, or without, it to say."
    fit = "as often as predicted"
    if not low <= 1 <= high:
        fit = "more often than predicted" if low > 1 else "less often than predicted"
    ranks = "ranks the stays" if least > 0.5 else "was not shown to rank the stays"
    return (
        f"{event} by hour {hour:g} occurred {fit} (observed : expected {ratio:.2f}, {low:.2f} to {high:.2f}); "
        f"the prediction {ranks} (AUC {auc:.2f}, {least:.2f} to {most:.2f})."
    )


def _cell(estimate: float, low: float, high: float) -> str:
    return "-" if np.isnan(estimate) else f"{estimate:.3f} ({low:.3f} to {high:.3f})"


def _rows(table: pd.DataFrame) -> list[Any]:
    return table.astype(object).where(table.notna(), None).to_dict("records")

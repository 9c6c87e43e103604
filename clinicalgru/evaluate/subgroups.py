"""Performance in groups of stays, with intervals; small groups suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, gammaincc

from clinicalgru.checks import check_choice, check_number
from clinicalgru.disclosure import MIN_CELL_SIZE, suppress
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.bootstrap import (
    MIN_EVENTS,
    bootstrap_metrics,
    class_patients,
    interval_table,
    numbered_patients,
)
from clinicalgru.evaluate.details_text import calibration_text
from clinicalgru.evaluate.logistic import fit_logistic, logit
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.validation import Array, check_aligned, validate_outcome, validate_risk

ALL, UNKNOWN = "all", "unknown"


@dataclass(frozen=True, eq=False)
class Subgroups:
    """Performance in groups of stays.

    Attributes
    ----------
    table : DataFrame
        group, stays, events, metric, estimate, low, high; the group "all" first. NA is suppressed, or undefined such as
        an AUROC in a group without events.
    calibration_p : float
        P value of equal calibration (intercept and slope) in the groups with 20 patients or more with, and without,
        the event; NaN with fewer than two such groups. In an evaluation, after Holm's correction for its groupings.
    """

    table: pd.DataFrame
    calibration_p: float = float("nan")

    def __str__(self) -> str:
        text = self.table.round(3).to_string(index=False)
        return text if np.isnan(self.calibration_p) else f"{text}\n\n{calibration_text(self.calibration_p)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.table.round(3).to_html(index=False, escape=True, border=0))

    def plot(self, metric: str = "auroc") -> Any:
        """Draw one metric in each group with its 95 % interval.

        Parameters
        ----------
        metric : str
            One of the metrics of the table.

        Returns
        -------
        plotly.graph_objects.Figure
            One mark per group; the dotted line is the value of all stays.

        Raises
        ------
        ArgumentError
            If the table has no such metric.

        Examples
        --------
        >>> groups = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], list("aabb"), min_cell_size=0, n_resamples=5)
        >>> groups.plot("brier").layout.xaxis.title.text
        'Brier score'
        """
        from clinicalgru.display import plot

        return plot(self, "forest", metric=metric)


def subgroups(
    outcome: ArrayLike,
    risk: ArrayLike,
    groups: Any,
    *,
    patients: Any = None,
    metrics: Sequence[str] = ("auroc", "observed_expected", "brier"),
    min_cell_size: int = MIN_CELL_SIZE,
    n_resamples: int = 500,
    random_state: int = 0,
) -> Subgroups:
    """Evaluate risks in each group of stays.

    Parameters
    ----------
    outcome, risk : array-like, shape (n_stays,)
        As for `evaluate`.
    groups : array-like, shape (n_stays,)
        Label of each stay; missing ones form the group "unknown". Categories keep their order.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    metrics : sequence of str
        Names among auroc, auprc, brier, log_loss, calibration_slope, calibration_intercept, observed_expected.
    min_cell_size : int
        Groups with 1 to below this many stays with, or without, the event are suppressed, with what would reveal their
        counts; 0 shows all. The row "all" stays, unless its own counts are small.
    n_resamples : int
        Number of bootstrap resamples of the patients of a group for the 95 % intervals.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    Subgroups
        One row per group and metric.

    Raises
    ------
    ArgumentError
        As for `evaluate`; also if the number of labels differs or a metric is unknown.

    Examples
    --------
    >>> groups = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], ["a", "a", "b", "b"], metrics=["auroc"],
    ...                    min_cell_size=0, n_resamples=10)
    >>> groups.table[["group", "estimate"]].to_dict("list")
    {'group': ['all', 'a', 'b'], 'estimate': [0.75, 1.0, 0.0]}
    """
    check_number("min_cell_size", min_cell_size, minimum=0, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    for metric in metrics:
        check_choice("metrics", metric, RISK_METRICS)
    true = validate_outcome(outcome)
    checked = validate_risk(risk, stays=len(true))
    label = _labels(groups, stays=len(true))
    patient = numbered_patients(patients, len(true))
    check_aligned(outcome=outcome, risk=risk, groups=groups, patients=patients)
    draws = {"n_resamples": n_resamples, "random_state": random_state}
    tables = []
    for group, (stays, events) in _counts(true, label, min_cell_size).items():
        inside = np.ones(len(label), dtype=bool) if group == ALL else (label == group).to_numpy()
        if events is None and min_cell_size:
            values = pd.DataFrame({"metric": list(metrics), "estimate": np.nan, "low": np.nan, "high": np.nan})
        else:
            values = _metrics(true[inside], checked[inside], patient[inside], metrics, **draws)
        tables.append(values.assign(group=group, stays=stays, events=events))
    table = pd.concat(tables, ignore_index=True).astype({"stays": "Int64", "events": "Int64"})
    columns = ["group", "stays", "events", "metric", "estimate", "low", "high"]
    shown = label.where(label.isin(table.dropna(subset="stays")["group"]))
    return Subgroups(table[columns], equal_calibration_p(true, checked, shown, patients=patient))


def with_overall(groups: Subgroups, overall: pd.DataFrame) -> Subgroups:
    """Give the row of all stays the intervals that were computed for them already: one number has one interval.

    Parameters
    ----------
    groups : Subgroups
        Of some stays.
    overall : DataFrame
        metric, low, high of all these stays.

    Returns
    -------
    Subgroups
        The same where a metric is not in `overall`.

    Examples
    --------
    >>> groups = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], ["a", "a", "b", "b"], metrics=["auroc"],
    ...                    min_cell_size=0, n_resamples=10)
    >>> overall = pd.DataFrame({"metric": ["auroc"], "low": [0.6], "high": [0.9]})
    >>> with_overall(groups, overall).table.loc[0, ["low", "high"]].astype(float).tolist()
    [0.6, 0.9]
    """
    table, known = groups.table.copy(), overall.set_index("metric")[["low", "high"]]
    rows = (table["group"] == ALL) & table["metric"].isin(known.index) & table["estimate"].notna()
    table.loc[rows, ["low", "high"]] = known.loc[table.loc[rows, "metric"]].to_numpy()
    return replace(groups, table=table)


def equal_calibration_p(outcome: Array, risk: Array, label: pd.Series, *, patients: Any = None) -> float:
    """Test whether groups have the same calibration intercept and slope.

    Parameters
    ----------
    outcome, risk : ndarray, shape (n_stays,)
        0 or 1; between 0 and 1.
    label : Series, shape (n_stays,)
        Group of each stay; missing ones are left out.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.

    Returns
    -------
    float
        P value of a score test whose variance is that between patients. NaN with fewer than two groups of 20 patients
        or more with, and without, the event.

    References
    ----------
    Steyerberg 2019, "Clinical Prediction Models", chapter 15. Rotnitzky and Jewell 1990, Biometrika 77:485-497, and
    Boos 1992, Am Stat 46:327-333, score tests that hold for several observations of one patient.

    Examples
    --------
    >>> import numpy as np
    >>> label = pd.Series(np.repeat(["a", "b"], 2000))
    >>> risk = np.random.default_rng(0).random(4000)
    >>> outcome = (np.random.default_rng(1).random(4000) < np.where(label == "a", risk, risk / 2)).astype(float)
    >>> equal_calibration_p(outcome, risk, label) < 0.001
    True
    """
    patient = numbered_patients(patients, len(outcome))
    members = [np.flatnonzero(label == group) for group in label.dropna().unique()]
    members = [rows for rows in members if min(class_patients(outcome[rows], patient[rows])) >= MIN_EVENTS]
    if len(members) < 2:
        return float("nan")
    rows, group = np.concatenate(members), np.repeat(np.arange(len(members)), [len(one) for one in members])
    score = logit(risk[rows])
    features = np.stack([np.ones_like(score), (score - score.mean()) / max(float(score.std()), 1e-12)])
    fitted = expit(fit_logistic(outcome[rows], features, np.ones((1, len(rows))))[0] @ features)
    if np.isnan(fitted).any():
        return float("nan")
    contributions = _score_contributions(outcome[rows] - fitted, fitted * (1 - fitted), features, group)
    of_patient = pd.DataFrame(contributions.T).groupby(patient[rows]).sum().to_numpy()
    total, variance = of_patient.sum(axis=0), of_patient.T @ of_patient
    freedom = int(np.linalg.matrix_rank(variance, hermitian=True))
    return float(gammaincc(freedom / 2, total @ np.linalg.pinv(variance, hermitian=True) @ total / 2))


def _score_contributions(residual: Array, weight: Array, features: Array, group: Any) -> Array:
    """(2 x (groups - 1), stay) to the score of an intercept and a slope of each group but the first.

    The part that the common intercept and slope explain is taken out, as these are estimated.
    """
    information, score = (features * weight) @ features.T, features * residual
    common = np.linalg.pinv(information, hermitian=True) @ score
    inside = [group == number for number in range(1, int(group.max()) + 1)]
    return np.concatenate([score * one - ((features * (weight * one)) @ features.T) @ common for one in inside])


def _labels(groups: Any, *, stays: int) -> pd.Series:
    """Labels as text, in the order of categories where there are any."""
    if not hasattr(groups, "__len__") or isinstance(groups, str | pd.DataFrame):
        raise ArgumentError("groups as one column", describe(groups), "Pass one label for every stay.")
    if len(groups) != stays:
        raise ArgumentError(f"a group for each of {stays:,} stays", f"{len(groups):,}", "Pass one for every stay.")
    label = pd.Series(groups).reset_index(drop=True)
    named = label.astype(object).where(label.notna(), UNKNOWN).map(str)
    if not isinstance(label.dtype, pd.CategoricalDtype):
        return named
    order = [str(category) for category in label.cat.categories if str(category) in set(named)]
    return named.astype(pd.CategoricalDtype([*order, *({UNKNOWN} & set(named) - set(order))], ordered=True))


def _counts(outcome: Array, label: pd.Series, min_cell_size: int) -> dict[str, tuple[int | None, int | None]]:
    """Stays and events of all stays and of each group; None where suppressed."""
    table = pd.crosstab(label, outcome).reindex(columns=[0.0, 1.0], fill_value=0).set_axis(["others", "events"], axis=1)
    shown = pd.concat([table.sum().to_frame(ALL).T, table]) if len(table) > 1 else table.rename(lambda _: ALL)
    if min_cell_size:
        suppressed = pd.DataFrame(suppress(table, min_cell_size=min_cell_size, total=ALL, keep_total=True))
        shown = suppressed.loc[[ALL, *table.index]] if len(table) > 1 else suppressed.rename(lambda _: ALL)
    counts: dict[str, tuple[int | None, int | None]] = {}
    for group, row in shown[["others", "events"]].to_dict("index").items():
        known = not any(pd.isna(count) for count in row.values())
        counts[str(group)] = (int(sum(row.values())), int(row["events"])) if known else (None, None)
    return counts


def _metrics(
    outcome: Array, risk: Array, patient: Any, metrics: Sequence[str], *, n_resamples: int, random_state: int
) -> pd.DataFrame:
    """Metrics of one group with their intervals."""
    of_group = {"risk": lambda weights: {name: RISK_METRICS[name](outcome, risk, weights) for name in metrics}}
    numbers = pd.factorize(patient)[0]
    estimates, replicates, _ = bootstrap_metrics(of_group, numbers, n_resamples=n_resamples, random_state=random_state)
    count = min(class_patients(outcome, numbers))
    return interval_table(estimates["risk"], replicates["risk"], n_resamples=n_resamples, class_counts=count)

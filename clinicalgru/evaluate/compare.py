"""Two risks of the same stays: paired differences by bootstrap, and of the AUROC by DeLong's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, class_patients, numbered_patients
from clinicalgru.evaluate.delong import delong
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.evaluate.evaluation_text import heading
from clinicalgru.evaluate.metric_descriptions import compare_text, metric_label
from clinicalgru.evaluate.patient_overlap import overlap_sentences, patient_overlap, warn_of_overlap
from clinicalgru.evaluate.validation import check_aligned, validate_outcome, validate_risk
from clinicalgru.html import tag

COLUMNS = ["metric", "method", "first", "second", "difference", "low", "high", "p", "p_adjusted", "verdict"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two risks on the same stays.

    Attributes
    ----------
    table : DataFrame
        metric, method ("bootstrap" or "DeLong"), first, second, difference, low, high, p, p_adjusted (Holm), verdict.
        The p value of DeLong's test is of one comparison and is not adjusted.
    names : tuple of str
        Names of the two.
    text : str
        Counts of stays, patients and events.
    warnings : tuple of str
        Which of the two are optimistic, since patients of these stays trained or calibrated them.
    """

    table: pd.DataFrame
    names: tuple[str, str]
    text: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        first, second = self.names
        shown = self.table.assign(metric=[metric_label(metric) for metric in self.table["metric"]])
        shown = shown.rename(columns={"first": first, "second": second})
        p_values: Any = dict.fromkeys(("p", "p_adjusted"), _format_p)
        with_digits = shown.to_string(index=False, float_format="{:.4f}".format, formatters=p_values, na_rep="-")
        head = "\n".join([self.text, *self.warnings])
        return f"{head}\n\n{with_digits}\n\nDifference: {first} minus {second}, with its 95 % interval."

    __repr__ = __str__

    def _repr_html_(self) -> str:
        warned = "".join(str(tag("p", one)) for one in self.warnings)
        p_values: Any = dict.fromkeys(("p", "p_adjusted"), _format_p)
        shown = self.table.to_html(index=False, border=0, float_format="{:.4f}".format, formatters=p_values, na_rep="-")
        return warned + str(shown)


def _format_p(p: float) -> str:
    return "-" if np.isnan(p) else "<0.0001" if p < 5e-5 else f"{p:.4f}"


def compare(
    first: Any,
    second: Any,
    stays: Any,
    /,
    *,
    patients: Any = None,
    names: tuple[str, str] = ("first", "second"),
    primary: str = "auroc",
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Comparison:
    """Compare two risks of a binary outcome on the same stays.

    Parameters
    ----------
    first, second : fitted estimator, or array-like of shape (n_stays,)
        Models, or risks between 0 and 1 from any source.
    stays : Sequences, or array-like of shape (n_stays,)
        Stays with known outcomes; or outcomes, 0 or 1, where both risks are arrays.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: those of the stays; for outcomes, each stay is another patient.
    names : tuple of str
        Names of the two.
    primary : str
        The primary metric; see `evaluate`.
    n_resamples : int
        Number of bootstrap resamples of the patients.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    Comparison
        Print it. No interval and no verdict with fewer than 20 stays with, or without, the event.

    Raises
    ------
    ArgumentError
        If the task has no binary outcome, or risks and outcomes do not fit each other.

    Warns
    -----
    DataWarning
        If patients of these stays trained or calibrated one of the models.

    References
    ----------
    DeLong et al. 1988; Obuchowski 1997, for patients with several stays; Holm 1979.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> outcome = rng.random(400) < 0.3
    >>> good, bad = outcome * 0.2 + rng.random(400) * 0.6, rng.random(400)
    >>> compare(good, bad, outcome, n_resamples=100).table["verdict"].iloc[0]
    'first better'
    """
    check_instance("names", names, tuple, list)
    if len(names) != 2 or names[0] == names[1]:
        raise ArgumentError("two different names", f"{len(names)} names", 'Pass names=("GRU", "trees").')
    label = (str(names[0]), str(names[1]))
    outcome = getattr(stays, "outcome", stays)
    if hasattr(stays, "task") and stays.task.task_type != "binary":
        fix = "Use evaluate(model, stays, baselines={...})."
        raise ArgumentError("a task with one outcome of 0 or 1", stays.task.task_type, fix)
    patients = getattr(stays, "patient", None) if patients is None else patients
    check_aligned(outcome=outcome, first=first, second=second, patients=patients)
    true = validate_outcome(outcome)
    risks = [
        validate_risk(_risk(one, stays), stays=len(true), name=name)
        for one, name in zip((first, second), label, strict=True)
    ]
    evaluation = evaluate(
        true,
        risks[0],
        baselines={label[1]: risks[1]},
        patients=patients,
        name=label[0],
        primary=primary,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    values = evaluation.metrics.pivot(index="metric", columns="model", values="estimate")
    table = evaluation.differences.drop(columns="baseline").rename(columns={"estimate": "difference"})
    table = table.assign(
        method="bootstrap",
        first=values[label[0]][table["metric"]].to_numpy(),
        second=values[label[1]][table["metric"]].to_numpy(),
    )
    exact = _delong_row(true, risks, numbered_patients(patients, len(true)), label, str(table["verdict"].iloc[0]))
    table = pd.concat([table.iloc[:1], exact, table.iloc[1:]], ignore_index=True)
    overlap = patient_overlap(dict(zip(label, (first, second), strict=True)), stays)
    warn_of_overlap(overlap, len(true))
    return Comparison(table[COLUMNS], label, heading(evaluation), tuple(overlap_sentences(overlap, len(true))))


def _risk(one: Any, stays: Any) -> Any:
    """Risks of a model, or those that were passed."""
    if not hasattr(one, "predict_proba"):
        return one
    if not hasattr(stays, "task"):
        raise ArgumentError("stays as Sequences where models are compared", "outcomes", "Pass what select returned.")
    return np.asarray(one.predict_proba(stays))[:, 1]


def _delong_row(true: Any, risks: list[Any], patient: Any, names: tuple[str, str], few: str) -> pd.DataFrame:
    """DeLong's test as a row of the table."""
    if min(class_patients(true, patient)) < MIN_EVENTS:
        areas = {"low": np.nan, "high": np.nan, "p": np.nan, "verdict": few}
        return pd.DataFrame([{"metric": "auroc", "method": "DeLong", "difference": np.nan} | areas])
    result = delong(true, risks[0], risks[1], patient)
    low, high = result.interval
    verdict = compare_text("auroc", name=names[0], baseline=names[1], low=low, high=high, p=result.p)
    row = {"first": result.first, "second": result.second, "difference": result.difference, "low": low, "high": high}
    return pd.DataFrame([{"metric": "auroc", "method": "DeLong", **row, "p": result.p, "verdict": verdict}])

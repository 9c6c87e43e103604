"""The judgement: every metric with its interval, and the paired differences from the baselines, whoever wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate import table
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples, percentile_interval
from clinicalgru.evaluate.curves import Curves, curves
from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.evaluate.validation import Array, checked_outcome, checked_risk

Figures = dict[str, dict[str, Array]]  # model, metric: (resample,)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a model's risks are, with 95 % intervals, next to its baselines on the same stays.

    metrics      model, metric, estimate, low, high; the model first, then its baselines
    differences  baseline, metric, estimate, low, high (model minus baseline, on the same resamples), verdict
    curves       of each model: ROC, precision and recall, calibration
    n_resamples    drawn; of these `dropped` held one outcome class only and count in no interval
    """

    name: str
    stays: int
    patients: int
    events: int
    metrics: pd.DataFrame
    differences: pd.DataFrame
    curves: Mapping[str, Curves]
    n_resamples: int
    dropped: int
    random_state: int

    def __str__(self) -> str:
        differences = [] if self.differences.empty else [table.differences_table(self).to_string()]
        parts = [table.heading(self), table.metrics_table(self).to_string(), *differences, table.note(self)]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        return table.as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON can hold; an unknown number is None."""
        return {
            "name": self.name,
            "stays": self.stays,
            "patients": self.patients,
            "events": self.events,
            "n_resamples": self.n_resamples,
            "dropped": self.dropped,
            "random_state": self.random_state,
            "metrics": _plain(self.metrics).to_dict("records"),
            "differences": _plain(self.differences).to_dict("records"),
            "curves": {
                model: {curve: _plain(frame).to_dict("list") for curve, frame in vars(of_model).items()}
                for model, of_model in self.curves.items()
            },
        }


def evaluate(
    outcome: ArrayLike,
    risk: ArrayLike,
    *,
    patients: Any = None,
    baselines: Mapping[str, ArrayLike] | None = None,
    name: str = "GRU",
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Evaluation:
    """Judge risks against what happened, with 95 % percentile intervals from a bootstrap over patients.

    outcome    (stay,)  0 or 1, both present
    risk       (stay,)  between 0 and 1, in the same order
    patients   (stay,)  who each stay belongs to; None takes every stay for another patient
    baselines     name: (stay,), risks of other models for the same stays; compared on the same resamples
    n_resamples  how many times the patients are drawn
    random_state       the same seed gives the same intervals
    returns    an `Evaluation`; print it

    Refused: unknown or impossible outcomes and risks, other lengths, one outcome class only, a baseline of the same name.
    Source: paired percentile bootstrap, Efron and Tibshirani 1993; clusters drawn whole, Field and Welsh 2007.

    >>> judged = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=200)
    >>> judged.metrics.query("metric == 'auroc'")["estimate"].round(3).tolist()
    [0.889]
    """
    outcome = checked_outcome(outcome)
    risks = _checked_risks(risk, baselines or {}, name=name, stays=len(outcome))
    if n_resamples < 1:
        raise ArgumentError("at least one resample", f"{n_resamples}", "Use 1,000 or more for an interval to report.")
    patient = numbered_patients(patients, len(outcome))
    estimates = _figures(outcome, risks, np.ones((1, len(outcome))))
    replicates, dropped = _replicates(outcome, risks, patient, n_resamples=n_resamples, random_state=random_state)
    return Evaluation(
        name=name,
        stays=len(outcome),
        patients=int(patient.max()) + 1,
        events=int(outcome.sum()),
        metrics=_metrics(estimates, replicates),
        differences=_differences(estimates, replicates, name=name),
        curves=MappingProxyType({model: curves(outcome, of_model) for model, of_model in risks.items()}),
        n_resamples=n_resamples,
        dropped=dropped,
        random_state=random_state,
    )


def verdict(name: str, baseline: str, *, metric: str, low: float, high: float) -> str:
    """Who does better, as far as the interval of the paired difference (name minus baseline) tells.

    >>> verdict("GRU", "trees", metric="brier", low=0.001, high=0.004)  # a lower Brier score is better
    'trees better'
    """
    best = METRICS[metric].best
    if best not in ("higher", "lower"):
        return f"no verdict: {best} is best"
    if np.isnan(low) or np.isnan(high):
        return "not estimable"
    if low <= 0 <= high:
        return "no clear difference"
    return f"{name if (low > 0) == (best == 'higher') else baseline} better"


def _checked_risks(risk: ArrayLike, baselines: Mapping[str, ArrayLike], *, name: str, stays: int) -> dict[str, Array]:
    if name in baselines:
        raise ArgumentError(
            "a name of its own for each model", f"{name!r} twice", "Rename the baseline, or pass name=..."
        )
    checked = {name: checked_risk(risk, stays=stays)}
    return checked | {
        baseline: checked_risk(of, stays=stays, name=f"risk of {baseline}") for baseline, of in baselines.items()
    }


def _figures(outcome: Array, risks: Mapping[str, Array], weights: Array) -> Figures:
    return {
        model: {metric: METRICS[metric].function(outcome, risk, weights) for metric in METRICS}
        for model, risk in risks.items()
    }


def _replicates(
    outcome: Array, risks: Mapping[str, Array], patient: NDArray[np.int64], *, n_resamples: int, random_state: int
) -> tuple[Figures, int]:
    """Figures of every resample that holds both outcomes, and how many did not."""
    blocks, kept = [], 0
    for weights in patient_resamples(patient, n_resamples=n_resamples, random_state=random_state):
        events = weights @ outcome
        both = (events > 0) & (events < weights.sum(axis=1))
        kept += int(both.sum())
        blocks.append(_figures(outcome, risks, weights[both]))
    joined = {
        model: {metric: np.concatenate([block[model][metric] for block in blocks]) for metric in METRICS}
        for model in risks
    }
    return joined, n_resamples - kept


def _metrics(estimates: Figures, replicates: Figures) -> pd.DataFrame:
    rows = [
        (model, metric, float(of_model[metric][0]), *percentile_interval(replicates[model][metric]))
        for model, of_model in estimates.items()
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=["model", "metric", "estimate", "low", "high"])


def _differences(estimates: Figures, replicates: Figures, *, name: str) -> pd.DataFrame:
    rows = []
    for baseline in list(estimates)[1:]:
        for metric in METRICS:
            estimate = float(estimates[name][metric][0] - estimates[baseline][metric][0])
            low, high = percentile_interval(replicates[name][metric] - replicates[baseline][metric])
            rows.append(
                (baseline, metric, estimate, low, high, verdict(name, baseline, metric=metric, low=low, high=high))
            )
    return pd.DataFrame(rows, columns=["baseline", "metric", "estimate", "low", "high", "verdict"])


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """With None for NaN, which JSON does not know."""
    return frame.astype(object).where(frame.notna(), None)

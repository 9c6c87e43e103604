"""The judgement: every metric with its interval, and the paired differences from the rivals, whoever wins."""

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
    """How good a model's risks are, with 95 % intervals, next to its rivals on the same stays.

    metrics      model, metric, estimate, low, high; the model first, then its rivals
    differences  rival, metric, estimate, low, high (model minus rival, on the same resamples), verdict
    curves       of each model: ROC, precision and recall, calibration
    resamples    drawn; of these `dropped` held one outcome class only and count in no interval
    """

    name: str
    stays: int
    patients: int
    events: int
    metrics: pd.DataFrame
    differences: pd.DataFrame
    curves: Mapping[str, Curves]
    resamples: int
    dropped: int
    seed: int

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
            "resamples": self.resamples,
            "dropped": self.dropped,
            "seed": self.seed,
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
    rivals: Mapping[str, ArrayLike] | None = None,
    name: str = "GRU",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge risks against what happened, with 95 % percentile intervals from a bootstrap over patients.

    outcome    (stay,)  0 or 1, both present
    risk       (stay,)  between 0 and 1, in the same order
    patients   (stay,)  who each stay belongs to; None takes every stay for another patient
    rivals     name: (stay,), risks of other models for the same stays; compared on the same resamples
    resamples  how many times the patients are drawn
    seed       the same seed gives the same intervals
    returns    an `Evaluation`; print it

    Refused: unknown or impossible outcomes and risks, other lengths, one outcome class only, a rival of the same name.
    Source: paired percentile bootstrap, Efron and Tibshirani 1993; clusters drawn whole, Field and Welsh 2007.

    >>> judged = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], resamples=200)
    >>> judged.metrics.query("metric == 'auroc'")["estimate"].round(3).tolist()
    [0.889]
    """
    outcome = checked_outcome(outcome)
    risks = _checked_risks(risk, rivals or {}, name=name, stays=len(outcome))
    if resamples < 1:
        raise ArgumentError("at least one resample", f"{resamples}", "Use 1,000 or more for an interval to report.")
    patient = numbered_patients(patients, len(outcome))
    estimates = _figures(outcome, risks, np.ones((1, len(outcome))))
    replicates, dropped = _replicates(outcome, risks, patient, resamples=resamples, seed=seed)
    return Evaluation(
        name=name,
        stays=len(outcome),
        patients=int(patient.max()) + 1,
        events=int(outcome.sum()),
        metrics=_metrics(estimates, replicates),
        differences=_differences(estimates, replicates, name=name),
        curves=MappingProxyType({model: curves(outcome, of_model) for model, of_model in risks.items()}),
        resamples=resamples,
        dropped=dropped,
        seed=seed,
    )


def verdict(name: str, rival: str, *, metric: str, low: float, high: float) -> str:
    """Who does better, as far as the interval of the paired difference (name minus rival) tells.

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
    return f"{name if (low > 0) == (best == 'higher') else rival} better"


def _checked_risks(risk: ArrayLike, rivals: Mapping[str, ArrayLike], *, name: str, stays: int) -> dict[str, Array]:
    if name in rivals:
        raise ArgumentError("a name of its own for each model", f"{name!r} twice", "Rename the rival, or pass name=...")
    checked = {name: checked_risk(risk, stays=stays)}
    return checked | {rival: checked_risk(of, stays=stays, name=f"risk of {rival}") for rival, of in rivals.items()}


def _figures(outcome: Array, risks: Mapping[str, Array], weights: Array) -> Figures:
    return {
        model: {metric: METRICS[metric].function(outcome, risk, weights) for metric in METRICS}
        for model, risk in risks.items()
    }


def _replicates(
    outcome: Array, risks: Mapping[str, Array], patient: NDArray[np.int64], *, resamples: int, seed: int
) -> tuple[Figures, int]:
    """Figures of every resample that holds both outcomes, and how many did not."""
    blocks, kept = [], 0
    for weights in patient_resamples(patient, resamples=resamples, seed=seed):
        events = weights @ outcome
        both = (events > 0) & (events < weights.sum(axis=1))
        kept += int(both.sum())
        blocks.append(_figures(outcome, risks, weights[both]))
    joined = {
        model: {metric: np.concatenate([block[model][metric] for block in blocks]) for metric in METRICS}
        for model in risks
    }
    return joined, resamples - kept


def _metrics(estimates: Figures, replicates: Figures) -> pd.DataFrame:
    rows = [
        (model, metric, float(of_model[metric][0]), *percentile_interval(replicates[model][metric]))
        for model, of_model in estimates.items()
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=["model", "metric", "estimate", "low", "high"])


def _differences(estimates: Figures, replicates: Figures, *, name: str) -> pd.DataFrame:
    rows = []
    for rival in list(estimates)[1:]:
        for metric in METRICS:
            estimate = float(estimates[name][metric][0] - estimates[rival][metric][0])
            low, high = percentile_interval(replicates[name][metric] - replicates[rival][metric])
            rows.append((rival, metric, estimate, low, high, verdict(name, rival, metric=metric, low=low, high=high)))
    return pd.DataFrame(rows, columns=["rival", "metric", "estimate", "low", "high", "verdict"])


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """With None for NaN, which JSON does not know."""
    return frame.astype(object).where(frame.notna(), None)

"""The judgement of answers that are no single risk: metrics of their kind, and paired differences from baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.evaluate.bootstrap import numbered_patients, percentile_interval
from clinicalgru.evaluate.multi_metrics import Figures, replicates
from clinicalgru.evaluate.validation import Array
from clinicalgru.html import join, table, tag

NOTHING: Mapping[str, str] = MappingProxyType({})
METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "accuracy": ("Accuracy", "higher"),
        "log_loss": ("Log loss", "lower"),
        "auroc": ("AUROC", "higher"),
        "auprc": ("AUPRC", "higher"),
        "mean_absolute_error": ("Mean absolute error", "lower"),
        "root_mean_squared_error": ("Root mean squared error", "lower"),
        "r_squared": ("Explained variance", "higher"),
        "scaled_error": ("Error, of that of the last value", "lower"),
        "interval_score": ("Interval score, of the last value's error", "lower"),
        "coverage": ("Coverage of the interval", ""),
        "interval_width": ("Width of the interval", ""),
        "utility": ("Utility of the warnings", "higher"),
        "warned": ("Warned in time, of those with an onset", "higher"),
        "falsely_warned": ("Ever warned, of those without an onset", "lower"),
        "alarms_per_day": ("Alarms in 24 hours of a stay", "lower"),
        "alarms_per_warned": ("Alarms for each stay warned in time", "lower"),
        "lead_hours": ("Hours from warning to onset", "higher"),
        "concordance": ("Concordance", "higher"),
        "integrated_brier": ("Integrated Brier score", "lower"),
        "brier": ("Brier score", "lower"),
    }
)  # what it is, and what is better; an ending says of which outcome, class or hour


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good a model's answers are, with 95 % intervals, next to its baselines on the same stays.

    kind         of the task
    metrics      model, metric, estimate, low, high; the model first, then its baselines
    differences  baseline, metric, estimate, low, high (model minus baseline, on the same resamples), verdict; of metrics that
                 are the better the higher, or the lower, they are
    groups       by outcome, class or hour: predicted, observed, low, high, stays of groups of like predictions
    facts        what else one has to know, such as the threshold
    n_resamples    of the patients
    """

    name: str
    kind: str
    stays: int
    patients: int
    metrics: pd.DataFrame
    differences: pd.DataFrame
    n_resamples: int
    random_state: int
    groups: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def heading(self, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
        """Whom the judgement rests on; a count that is, or gives away, one of 1 to 10 is withheld."""
        stays, patients = suppress_nested([self.stays, self.patients], min_cell_size=min_cell_size)
        return f"{format_count(stays)} stays" + ("" if patients is None else f" of {patients:,} patients")

    def note(self) -> str:
        """How the intervals came about, and what else one has to know."""
        drawn = f"In brackets: 95 % interval, {self.n_resamples:,} resamples of patients; seed {self.random_state}."
        return " ".join([drawn, *(f"{name}: {fact}." for name, fact in self.facts.items())])

    def metrics_table(self) -> pd.DataFrame:
        """One row per metric, one column per model."""
        frame = self.metrics.assign(cell=_cells(self.metrics, signed=False))
        wide = frame.pivot(index="metric", columns="model", values="cell")
        wide = wide.loc[self.metrics["metric"].unique(), self.metrics["model"].unique()]
        return wide.rename(index=named).rename_axis(index=None, columns=None).fillna("-")

    def differences_table(self) -> pd.DataFrame:
        """One row per baseline and metric: the model minus the baseline, and who does better."""
        frame = self.differences
        pairs = zip(frame["baseline"], frame["metric"], strict=True)
        rows = [f"{self.name} - {baseline}, {named(metric, best=False)}" for baseline, metric in pairs]
        cells = {"difference": _cells(frame, signed=True), "verdict": frame["verdict"].to_list()}
        return pd.DataFrame(cells, index=rows)

    def __str__(self) -> str:
        apart = [] if self.differences.empty else [self.differences_table().to_string()]
        return "\n\n".join([self.heading(), self.metrics_table().to_string(), *apart, self.note()])

    def _repr_html_(self) -> str:
        tables = [self.metrics_table(), *([] if self.differences.empty else [self.differences_table()])]
        shown = [
            table("", ["", *map(str, one.columns)], [[str(name), *row] for name, *row in one.itertuples()])
            for one in tables
        ]
        return str(join(tag("p", self.heading()), *shown, tag("p", self.note())))

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON can hold; an unknown number is None."""
        whole = {
            name: getattr(self, name) for name in ("name", "kind", "stays", "patients", "n_resamples", "random_state")
        }
        frames = {"metrics": self.metrics, "differences": self.differences}
        return whole | {name: _plain(frame) for name, frame in frames.items()} | {"facts": dict(self.facts)}


def judge(
    models: Mapping[str, Figures],
    stays: int,
    *,
    kind: str,
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
    groups: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    facts: Mapping[str, str] = NOTHING,
) -> Judgement:
    """A model, the first, and its baselines on the same stays and the same resamples of their patients.

    models   name: from weights (resample, stay) to the figures (resample,) of each metric
    patients (stay,) who each stay belongs to; None takes every stay for another patient

    >>> from clinicalgru.evaluate.multi_metrics import all_of, regression_metrics
    >>> good, bad = (all_of(regression_metrics([1.0, 2, 3], [1.0, 2, by])) for by in (3, 1))
    >>> judge({"ours": good, "theirs": bad}, 3, kind="regression", n_resamples=50).differences["verdict"][0]
    'no clear difference'
    """
    plain, drawn = replicates(
        list(models.values()), stays, patients=patients, n_resamples=n_resamples, random_state=random_state
    )
    first, *baselines = models
    metrics = [
        (model, metric, plain[place][metric], *percentile_interval(drawn[place][metric]))
        for place, model in enumerate(models)
        for metric in plain[place]
    ]
    apart = [
        _apart(
            baseline, metric, plain[0][metric] - plain[place][metric], drawn[0][metric] - drawn[place][metric], first
        )
        for place, baseline in enumerate(baselines, start=1)
        for metric in plain[0]
        if metric in plain[place] and about(metric)[2]
    ]
    columns = ["metric", "estimate", "low", "high"]
    return Judgement(
        name=first,
        kind=kind,
        stays=stays,
        patients=int(numbered_patients(patients, stays).max()) + 1,
        metrics=pd.DataFrame(metrics, columns=["model", *columns]),
        differences=pd.DataFrame(apart, columns=["baseline", *columns, "verdict"]),
        n_resamples=n_resamples,
        random_state=random_state,
        groups=groups,
        facts=facts,
    )


def about(metric: str) -> tuple[str, str, str]:
    """What a metric is, of which outcome, class or hour, and whether higher or lower is better; "" where neither.

    >>> about("auroc_sepsis"), about("brier_720h")[:2]
    (('AUROC', 'sepsis', 'higher'), ('Brier score', '720h'))
    """
    base = max((name for name in METRICS if metric == name or metric.startswith(f"{name}_")), key=len, default="")
    label, best = METRICS.get(base, (metric, ""))
    return label, metric[len(base) + 1 :] if base else "", best


def named(metric: str, *, best: bool = True) -> str:
    """A metric as it is written.

    >>> named("auroc_mean"), named("coverage")
    ('AUROC, mean (higher is better)', 'Coverage of the interval')
    """
    label, of, better = about(metric)
    whole = f"{label}, {of.replace('_', ' ')}" if of else label
    return f"{whole} ({better} is better)" if best and better else whole


def _apart(
    baseline: str, metric: str, estimate: float, drawn: Array, name: str
) -> tuple[str, str, float, float, float, str]:
    low, high = percentile_interval(drawn)
    best = about(metric)[2]
    if np.isnan(low) or np.isnan(high):
        verdict = "not estimable"
    elif low <= 0 <= high:
        verdict = "no clear difference"
    else:
        verdict = f"{name if (low > 0) == (best == 'higher') else baseline} better"
    return baseline, metric, estimate, low, high, verdict


def _cells(frame: pd.DataFrame, *, signed: bool) -> list[str]:
    sign = "+" if signed else ""
    return [
        "-" if np.isnan(estimate) else f"{estimate:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
        for estimate, low, high in frame[["estimate", "low", "high"]].itertuples(index=False)
    ]


def _plain(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows with None for NaN, which JSON does not know."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")

"""Subgroups: the same judgement in each group of stays, with intervals, and small groups withheld."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.disclosure import MIN_CELL_SIZE, suppress
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples, percentile_interval
from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.evaluate.validation import Array, checked_outcome, checked_risk

UNKNOWN = "not known"


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
) -> pd.DataFrame:
    """How good the risks are in each group of stays.

    outcome, risk  (stay,)  as for `evaluate`
    groups         (stay,)  a label for each stay; missing ones make the group "not known"; categories keep their order
    patients       (stay,)  who each stay belongs to; None takes every stay for another patient
    metrics        names of METRICS
    min_cell_size  groups with 1 to below this many stays with, or without, the event are withheld, and so is what would
                   give their counts away; 0 shows all
    n_resamples      how many times the patients of a group are drawn for the 95 % intervals
    returns        group, stays, events, metric, estimate, low, high; NA = withheld, or undefined as in a group without
                   events. The first group holds all stays

    Refused: what `evaluate` refuses, another number of labels, an unknown metric.

    >>> table = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], ["a", "a", "b", "b"], metrics=["auroc"],
    ...                   min_cell_size=0, n_resamples=10)
    >>> table[["group", "estimate"]].to_dict("list")
    {'group': ['all', 'a', 'b'], 'estimate': [0.75, 1.0, 0.0]}
    """
    outcome = checked_outcome(outcome)
    risk = checked_risk(risk, stays=len(outcome))
    label = _labels(groups, stays=len(outcome))
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise ArgumentError(f"metrics among {', '.join(METRICS)}", ", ".join(unknown), "Choose from these names.")
    patient = numbered_patients(patients, len(outcome))
    counts = _counts(outcome, label, min_cell_size)
    tables = []
    for group, (stays, events) in counts.items():
        inside = np.ones(len(label), dtype=bool) if group == "all" else (label == group).to_numpy()
        own = pd.DataFrame({"metric": list(metrics), "estimate": np.nan, "low": np.nan, "high": np.nan})
        if events is not None or not min_cell_size:
            drawn = pd.factorize(patient[inside])[0]
            own = _judged(
                outcome[inside], risk[inside], drawn, metrics, n_resamples=n_resamples, random_state=random_state
            )
        tables.append(own.assign(group=group, stays=stays, events=events))
    table = pd.concat(tables, ignore_index=True).astype({"stays": "Int64", "events": "Int64"})
    return table[["group", "stays", "events", "metric", "estimate", "low", "high"]]


def _labels(groups: Any, *, stays: int) -> pd.Series:
    if len(groups) != stays:
        raise ArgumentError(f"a group for each of {stays:,} stays", f"{len(groups):,}", "Pass one for every stay.")
    label = pd.Series(groups).reset_index(drop=True)
    named = label.astype(object).where(label.notna(), UNKNOWN).map(str)
    if not isinstance(label.dtype, pd.CategoricalDtype):
        return named
    order = [str(one) for one in label.cat.categories if str(one) in set(named)]
    return named.astype(pd.CategoricalDtype([*order, *({UNKNOWN} & set(named) - set(order))], ordered=True))


def _counts(outcome: Array, label: pd.Series, min_cell_size: int) -> dict[str, tuple[int | None, int | None]]:
    """Stays and events of all and of each group; None where withheld."""
    table = pd.crosstab(label, outcome).reindex(columns=[0.0, 1.0], fill_value=0).set_axis(["others", "events"], axis=1)
    shown = pd.concat([table.sum().to_frame("all").T, table]) if len(table) > 1 else table.rename(lambda _: "all")
    if min_cell_size:
        kept = pd.DataFrame(suppress(table, min_cell_size=min_cell_size, total="all"))
        shown = kept.loc[["all", *table.index]] if len(table) > 1 else kept.rename(lambda _: "all")
    whole: dict[str, tuple[int | None, int | None]] = {}
    for group, row in shown[["others", "events"]].to_dict("index").items():
        known = not any(pd.isna(count) for count in row.values())
        whole[str(group)] = (int(sum(row.values())), int(row["events"])) if known else (None, None)
    return whole


def _judged(
    outcome: Array, risk: Array, patient: Any, metrics: Sequence[str], *, n_resamples: int, random_state: int
) -> pd.DataFrame:
    once, rows = np.ones((1, len(outcome))), []
    for metric in metrics:
        function = METRICS[metric].function
        draws = patient_resamples(patient, n_resamples=n_resamples, random_state=random_state)
        replicates = np.concatenate([function(outcome, risk, weights) for weights in draws])
        rows.append((metric, float(function(outcome, risk, once)[0]), *percentile_interval(replicates)))
    return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])

"""Operating points, alarms and groups of an evaluation as tables of text, with small counts suppressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.evaluate.bootstrap import MIN_EVENTS
from clinicalgru.evaluate.metric_descriptions import SIGNIFICANT, metric_label
from clinicalgru.evaluate.operating_points import ALERTS

POINT_LABELS = {
    "threshold": "Threshold",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    ALERTS: "Alerts per 100 stays",
}
ALARM_LABELS = {
    "alarms_per_100_hours": "Alarms per 100 hours",
    "ppv_per_alarm": "PPV per alarm",
    "sensitivity_per_stay": "Sensitivity per stay with the event",
    "false_alarms_per_event": "False alarms per event",
    "median_lead_hours": "Median lead time, hours",
}
ALARM_FRACTIONS = ("ppv_per_alarm", "sensitivity_per_stay")
POINTS = "Operating points: what acting from a risk on means here"
TOO_FEW = "too few events"
SUPPRESSED = "suppressed"  # with other figures, it would show that few stays were, or were not, acted upon
WHY_SUPPRESSED = (
    "suppressed: from that risk on, so few stays with, or without, the event lie above, below or between two rows that "
    "the figures would count single patients. More stays, or a threshold further from the others, have figures; who "
    "may see small counts writes the page with min_cell_size=0"
)
SETS = "Prediction sets: stays whose outcome lies in their set, at the prediction time"
ALARMS = "Alarm burden: one alarm, then six hours of silence; right if the event follows within 12 hours"


def cell(estimate: float, low: float, high: float, style: str) -> str:
    """Format an estimate with its interval.

    Parameters
    ----------
    estimate, low, high : float
        NaN where unknown.
    style : str
        Format of a number, such as ".3f".

    Returns
    -------
    str
        "-" where the estimate is unknown.

    Examples
    --------
    >>> cell(0.5, 0.4, 0.6, ".2f"), cell(0.5, float("nan"), float("nan"), ".2f")
    ('0.50 (0.40 to 0.60)', '0.50 (no interval)')
    """
    if np.isnan(estimate):
        return "-"
    interval = "no interval" if np.isnan(low) else f"{low:{style}} to {high:{style}}"
    return f"{estimate:{style}} ({interval})"


def cells(rows: pd.DataFrame, style: str) -> list[str]:
    """Format the estimates of rows with their intervals.

    Parameters
    ----------
    rows : DataFrame
        Columns estimate, low, high.
    style : str
        Format of a number.

    Returns
    -------
    list of str
        One text for each row.
    """
    values: Any = rows[["estimate", "low", "high"]].itertuples(index=False)
    return [cell(estimate, low, high, style) for estimate, low, high in values]


def detail_tables(evaluation: Any, *, min_cell_size: int = MIN_CELL_SIZE) -> dict[str, pd.DataFrame]:
    """Return operating points, alarms and groups as text.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.
    min_cell_size : int
        Of operating points that would show that fewer stays were, or were not, acted upon no figures are given, but
        that they are suppressed, in one row where it is all of them; 0 shows all.

    Returns
    -------
    dict of str to DataFrame
        By caption.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru import evaluate
    >>> evaluation = evaluate(np.tile([0.0, 1.0], 60), np.linspace(0.1, 0.9, 120), n_resamples=20)
    >>> "risk >= 0.5" in detail_tables(evaluation)[POINTS].index
    True
    """
    least = evaluation.least_stays(min_cell_size)
    tables = {}
    if not evaluation.operating_points.empty:
        shown = _shown_points(evaluation, least)["point"].unique().tolist()
        tables[POINTS] = _points(evaluation.operating_points, shown=shown) if shown else _all_suppressed(POINT_LABELS)
    if not evaluation.alarms.empty:
        at = shown_alarms(evaluation, min_cell_size=min_cell_size)["threshold"].tolist()
        tables[ALARMS] = _alarms(evaluation.alarms, shown=at) if at else _all_suppressed(ALARM_LABELS)
    if not evaluation.prediction_sets.empty:
        tables[SETS] = _sets(evaluation.prediction_sets)
    for name, groups in evaluation.subgroups.items():
        tested = calibration_text(groups.calibration_p, n_tests=len(evaluation.subgroups))
        tables[f"By {name}. {tested}"] = _groups(groups.table)
    return tables


def captioned_tables(evaluation: Any, *, min_cell_size: int = MIN_CELL_SIZE) -> dict[str, pd.DataFrame]:
    """Return the tables of `detail_tables`, with the reason in the caption where thresholds are suppressed.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.
    min_cell_size : int
        As for `detail_tables`.

    Returns
    -------
    dict of str to DataFrame
        By caption.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru import evaluate
    >>> few = evaluate(np.repeat([0.0, 1.0], [195, 5]), np.linspace(0.01, 0.9, 200), n_resamples=5)
    >>> ["suppressed:" in caption for caption in captioned_tables(few)]
    [True]
    """
    tables = detail_tables(evaluation, min_cell_size=min_cell_size)
    return {
        f"{caption} ({WHY_SUPPRESSED})" if caption in (POINTS, ALARMS) and _any_suppressed(shown) else caption: shown
        for caption, shown in tables.items()
    }


def _any_suppressed(table: pd.DataFrame) -> bool:
    return bool((table == SUPPRESSED).to_numpy().any())


def shown_alarms(evaluation: Any, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
    """Return the alarms at the thresholds at which neither they nor their differences from others are few.

    Parameters
    ----------
    evaluation : Evaluation
        Of an early warning; others have no alarms.
    min_cell_size : int
        Smallest count, and smallest difference of two counts, that may be shown; 0 shows all.

    Returns
    -------
    DataFrame
        Rows of `Evaluation.alarms`, the threshold of the model first.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> counted = pd.DataFrame({"alarms": [90, 95, 130, 3]})
    >>> shown_alarms(SimpleNamespace(alarms=counted, simulated=False))["alarms"].tolist()
    [90, 130]
    """
    alarms, least = evaluation.alarms, 0 if evaluation.simulated else min_cell_size
    taken: list[int] = [0]
    for count in alarms["alarms"] if len(alarms) else ():
        taken += [] if any(is_small(abs(count - other), least) for other in taken) else [int(count)]
    return alarms[alarms["alarms"].isin(taken)] if len(alarms) else alarms


def calibration_text(p: float, *, n_tests: int = 1) -> str:
    """Say whether calibration differs between groups.

    Parameters
    ----------
    p : float
        P value of equal calibration; NaN where it was not tested.
    n_tests : int
        Number of groupings that the p value is corrected for.

    Returns
    -------
    str
        A sentence.

    Examples
    --------
    >>> calibration_text(0.0004)
    'Calibration differs between the groups (p < 0.001, score test by patient).'
    """
    if np.isnan(p):
        return "Too few groups with 20 patients with, and without, the event to test whether calibration differs."
    differs = "differs" if p < SIGNIFICANT else "does not clearly differ"
    shown = f"= {p:.3f}" if p >= 0.001 else "< 0.001"
    test = "score test by patient" + ("" if n_tests == 1 else f", Holm's correction for {n_tests} groupings")
    return f"Calibration {differs} between the groups (p {shown}, {test})."


def _shown_points(evaluation: Any, min_cell_size: int) -> pd.DataFrame:
    """Points of which no count, and no difference between the counts of two, is small; the most important first."""
    table = evaluation.operating_points
    wide = table.pivot(index="point", columns="metric", values="estimate").loc[table["point"].unique()]
    events, others = evaluation.events, evaluation.stays - evaluation.events
    wide["caught"] = (wide["sensitivity"] * events).round()
    wide["false"] = ((1 - wide["specificity"]) * others).round()
    stated = evaluation.net_benefit["threshold"].iloc[0] if len(evaluation.net_benefit) else np.nan
    by_threshold = wide.index.str.startswith("risk")
    wide["order"] = np.where(wide["threshold"] == stated, 0, np.where(by_threshold, 2, 1))
    taken, kept = [(0.0, 0.0), (float(events), float(others))], []
    for point, row in wide.dropna(subset=["caught", "false"]).sort_values("order", kind="stable").iterrows():
        at = (float(row["caught"]), float(row["false"]))
        if not any(is_small(abs(a - b), min_cell_size) for one in taken for a, b in zip(at, one, strict=True)):
            taken.append(at)
            kept.append(point)
    return table[table["point"].isin(kept)]


def _points(points: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """One row per point, one column per measure; a threshold that was given has no interval."""
    rows: Any = points.itertuples(index=False)
    texts = [
        _threshold(row)
        if row.metric == "threshold"
        else cell(row.estimate, row.low, row.high, ".1f" if row.metric == ALERTS else ".2f")
        for row in rows
    ]
    wide = points.assign(cell=texts).pivot(index="point", columns="metric", values="cell")
    wide = wide.loc[points["point"].unique(), list(POINT_LABELS)]
    wide.loc[~wide.index.isin(shown)] = SUPPRESSED
    return wide.rename(columns=POINT_LABELS).rename_axis(index=None, columns=None)


def _all_suppressed(labels: Mapping[str, str]) -> pd.DataFrame:
    """One row in place of all: no threshold is named, as one of them may be the rate of few events."""
    return pd.DataFrame(SUPPRESSED, index=["all thresholds"], columns=list(labels.values()))


def _threshold(row: Any) -> str:
    """A risk in percent, with its interval where it was estimated and not given."""
    low, high = (f"{100 * value:.3g}" for value in (row.low, row.high))
    interval = "" if row.point.startswith("risk") or np.isnan(row.low) else f" ({low} to {high})"
    return f"{100 * row.estimate:.3g}{interval} %"


def _sets(sets: pd.DataFrame) -> pd.DataFrame:
    counts = ["suppressed" if pd.isna(count) else f"{count:,}" for count in sets["stays"]]
    undecided = ["-" if np.isnan(value) else f"{value:.2f}" for value in sets["undecided"]]
    coverage = cells(sets.rename(columns={"coverage": "estimate"}), ".3f")
    return pd.DataFrame({"stays": counts, "Coverage": coverage, "Undecided": undecided}, index=list(sets["group"]))


def _alarms(alarms: pd.DataFrame, shown: list[float]) -> pd.DataFrame:
    ends = {name: [f"{name}_low", f"{name}_high"] for name in ALARM_LABELS}
    texts = pd.DataFrame({name: _figures(alarms, name, columns) for name, columns in ends.items()})
    texts[~alarms["threshold"].isin(shown).to_numpy()] = SUPPRESSED
    texts.index = pd.Index([f"risk >= {threshold:.2g}" for threshold in alarms["threshold"]])
    return texts.rename(columns=ALARM_LABELS)


def _figures(alarms: pd.DataFrame, name: str, ends: list[str]) -> list[str]:
    decimals = ".2f" if name in ALARM_FRACTIONS else ".1f"
    return cells(alarms[[name, *ends]].set_axis(["estimate", "low", "high"], axis=1), decimals)


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    """One row per group: stays, events, and each metric with its interval; no metric of too few events."""
    others = table["stays"] - table["events"]
    is_few = (table[["events"]].assign(others=others).min(axis=1) < MIN_EVENTS).fillna(False).astype(bool)
    texts = table.assign(cell=np.where(is_few, TOO_FEW, cells(table, ".3f")))
    wide = texts.pivot(index="group", columns="metric", values="cell")
    wide = wide.loc[table["group"].unique(), table["metric"].unique()]
    wide = wide.rename(columns=lambda metric: metric_label(metric, direction=False))
    counts = table.drop_duplicates("group").set_index("group")[["stays", "events"]]
    shown = counts.map(lambda count: "suppressed" if pd.isna(count) else f"{count:,}")
    return pd.concat([shown, wide], axis=1).rename_axis(index=None, columns=None)

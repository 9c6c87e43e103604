"""An evaluation as text, and as HTML tables for a notebook."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.evaluate.details_text import captioned_tables, cells
from clinicalgru.evaluate.evaluation_summary import summary_sentences
from clinicalgru.evaluate.hour_checks import calibration_verdict
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.html import join, table, tag


def heading(evaluation: Any, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """Return the counts of stays, patients and events; small counts, and what reveals one, are suppressed.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all. Those of simulated patients are all shown.

    Returns
    -------
    str
        Such as "900 stays of 400 patients, 120 with the event (13.3 %)".
    """
    min_cell_size = 0 if evaluation.simulated else min_cell_size
    stays, patients = suppress_nested([evaluation.stays, evaluation.patients], min_cell_size=min_cell_size)
    text = ("a suppressed number of stays" if stays is None else f"{stays:,} stays") + (
        "" if patients is None else f" of {patients:,} patients"
    )
    if evaluation.events is None:
        return text
    least = evaluation.least_stays(min_cell_size)
    events = suppress_nested([evaluation.stays, evaluation.events], min_cell_size=least)[1]
    rate = "" if stays is None or events is None else f" ({100 * events / stays:.1f} %)"
    number = "a suppressed number" if events is None else format_count(events)
    return f"{text}, {number} with the event{rate}"


def note(evaluation: Any) -> str:
    """Return how the intervals were computed, and what else a reader has to know.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    str
        Some sentences.
    """
    dropped = f", {evaluation.dropped:,} of them dropped: one outcome only" if evaluation.dropped else ""
    tests = int(evaluation.differences["p_adjusted"].notna().sum()) if not evaluation.differences.empty else 0
    holm = f" Verdicts: Holm's correction for {tests} comparisons, half of the error for {_primary(evaluation)}."
    drawn = f"In brackets: 95 % interval, {evaluation.n_resamples:,} resamples of patients{dropped}"
    notes = (f"{name}: {text}." for name, text in evaluation.notes.items())
    return " ".join([f"{drawn}; random_state {evaluation.random_state}.{holm if tests > 1 else ''}", *notes])


def _primary(evaluation: Any) -> str:
    return f"the primary metric ({metric_label(evaluation.primary, direction=False)})"


def metrics_table(evaluation: Any) -> pd.DataFrame:
    """Return one row per metric and one column per model, as text: "0.861 (0.842 to 0.879)".

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    DataFrame
        Text.
    """
    metrics = evaluation.metrics.assign(cell=cells(evaluation.metrics, ".3f"))
    wide = metrics.pivot(index="metric", columns="model", values="cell")
    wide = wide.loc[metrics["metric"].unique(), metrics["model"].unique()]
    return wide.rename(index=metric_label).rename_axis(index=None, columns=None).fillna("-")


def differences_table(evaluation: Any) -> pd.DataFrame:
    """Return one row per baseline and metric, as text: model minus baseline, and which is better.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    DataFrame
        Columns difference and verdict.
    """
    differences = evaluation.differences
    pairs = zip(differences["baseline"], differences["metric"], strict=True)
    rows = [f"{evaluation.name} - {baseline}, {metric_label(metric, direction=False)}" for baseline, metric in pairs]
    columns = {"difference": cells(differences, "+.4f"), "verdict": differences["verdict"].to_list()}
    return pd.DataFrame(columns, index=rows)


def hours_table(evaluation: Any) -> pd.DataFrame:
    """Return one row per hour and one column per metric, as text; and whether the risks are calibrated at that hour.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`, with `by_hour`.

    Returns
    -------
    DataFrame
        Columns by metric, and calibrated: "yes" where the intervals of observed : expected and of the slope lie within
        0.9 to 1.1 and 0.85 to 1.15; "no" where one does not and leaves out 1; else "unclear".
    """
    by_hour = evaluation.by_hour.assign(cell=cells(evaluation.by_hour, ".3f"))
    wide = by_hour.pivot(index="hours", columns="metric", values="cell")[by_hour["metric"].unique()]
    calibrated = pd.Series({hour: _calibrated(rows) for hour, rows in by_hour.groupby("hours")})
    wide = wide.rename(columns=lambda metric: metric_label(metric, direction=False)).assign(calibrated=calibrated)
    return wide.set_axis([f"hour {hour:g}" for hour in wide.index]).rename_axis(index=None, columns=None)


def _calibrated(rows: pd.DataFrame) -> str:
    """Whether the risks of one hour are calibrated, as far as the intervals show."""
    ends = rows.set_index("metric")[["low", "high"]]
    return calibration_verdict({str(name): (float(low), float(high)) for name, low, high in ends.itertuples()})


def as_text(evaluation: Any, *, without: str = "") -> str:
    """Return heading, summary, tables and note as plain text.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.
    without : str
        Text shown before: its sentences are left out of the summary.

    Returns
    -------
    str
        Lines.
    """
    tables = [shown.to_string() for shown in _tables(evaluation)]
    tables += [f"{caption}\n{shown.to_string()}" for caption, shown in captioned_tables(evaluation).items()]
    summary = [" ".join(sentences)] if (sentences := summary_sentences(evaluation, without=without)) else []
    return "\n\n".join([heading(evaluation), *summary, *tables, note(evaluation)])


def as_html(evaluation: Any) -> str:
    """Return heading, summary, tables and note as HTML, every name escaped.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `evaluate`.

    Returns
    -------
    str
        HTML without style or script.
    """
    named = [("", shown) for shown in _tables(evaluation)] + [*captioned_tables(evaluation).items()]
    tables = [
        table(caption, ["", *map(str, shown.columns)], [[str(name), *row] for name, *row in shown.itertuples()])
        for caption, shown in named
    ]
    summary = [tag("p", " ".join(sentences))] if (sentences := summary_sentences(evaluation)) else []
    return str(join(tag("p", heading(evaluation)), *summary, *tables, tag("p", note(evaluation))))


def _tables(evaluation: Any) -> list[pd.DataFrame]:
    """Metrics, differences where there are baselines, and performance by hour where it was evaluated."""
    differences = [] if evaluation.differences.empty else [differences_table(evaluation)]
    hours = [] if evaluation.by_hour.empty else [hours_table(evaluation)]
    return [metrics_table(evaluation), *differences, *hours]

"""An evaluation as a table to read: plain text, or HTML in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.evaluate.metrics import METRICS

if TYPE_CHECKING:
    from clinicalgru.evaluate.evaluation import Evaluation


def heading(evaluation: Evaluation, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """Whom the judgement rests on; a count that is, or gives away, one of 1 to 10 is withheld."""
    stays, events = suppress_nested([evaluation.stays, evaluation.events], min_cell_size=min_cell_size)
    patients = suppress_nested([evaluation.stays, evaluation.patients], min_cell_size=min_cell_size)[1]
    share = "" if stays is None or events is None else f" ({100 * events / stays:.1f} %)"
    of = "" if patients is None else f" of {patients:,} patients"
    return f"{format_count(stays)} stays{of}, {format_count(events)} with the event{share}"


def note(evaluation: Evaluation) -> str:
    """How the intervals came about."""
    dropped = f", {evaluation.dropped:,} of them left out: one outcome only" if evaluation.dropped else ""
    return f"In brackets: 95 % interval, {evaluation.n_resamples:,} resamples of patients{dropped}; seed {evaluation.random_state}."


def metrics_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row per metric, one column per model: "0.861 (0.842-0.879)"."""
    frame = evaluation.metrics
    cells = [_with_interval(*row) for row in frame[["estimate", "low", "high"]].itertuples(index=False)]
    wide = frame.assign(cell=cells).pivot(index="metric", columns="model", values="cell")
    wide = wide.loc[list(METRICS), list(evaluation.curves)].rename_axis(index=None, columns=None)
    return wide.rename(index={metric: f"{about.label} ({_best(about.best)})" for metric, about in METRICS.items()})


def differences_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row per baseline and metric: the model minus the baseline, and who does better."""
    name, frame = evaluation.name, evaluation.differences
    cells = [
        f"{estimate:+.4f} ({low:+.4f} to {high:+.4f})" for _, _, estimate, low, high, _ in frame.itertuples(index=False)
    ]
    rows = [
        f"{name} - {baseline}, {METRICS[metric].label}"
        for baseline, metric in zip(frame["baseline"], frame["metric"], strict=True)
    ]
    return pd.DataFrame({"difference": cells, "verdict": frame["verdict"].to_list()}, index=rows)


def as_html(evaluation: Evaluation) -> str:
    """Both tables as HTML, names escaped."""
    tables = [metrics_table(evaluation)]
    if not evaluation.differences.empty:
        tables.append(differences_table(evaluation))
    body = "".join(frame.to_html(escape=True, border=0) for frame in tables)
    return f"<p>{escape(heading(evaluation))}</p>{body}<p>{escape(note(evaluation))}</p>"


def _best(best: str) -> str:
    return f"{best} is better" if best in ("higher", "lower") else f"{best} is best"


def _with_interval(estimate: float, low: float, high: float) -> str:
    between = " to " if low < 0 else "-"
    return f"{estimate:.3f} ({low:.3f}{between}{high:.3f})"

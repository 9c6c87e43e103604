"""How good survival predictions are, with stays that were followed to different times (extra `survival`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.multi_metrics import Figures, tabled
from clinicalgru.evaluate.validation import Array


def evaluate_survival(
    outcome: ArrayLike,
    survival: ArrayLike,
    *,
    hours: ArrayLike,
    followed: ArrayLike,
    patients: Any = None,
    n_resamples: int = 200,
    random_state: int = 0,
) -> pd.DataFrame:
    """Concordance, integrated Brier score, and Brier score at each time: metric, estimate, low, high.

    outcome   (stay, 2)     hours to the event or to the end of follow-up, and 1 where the event came
    survival  (stay, hour)  probability that the event has not come by each of `hours`
    hours     (hour,)       ascending, two or more, within the follow-up of these stays
    followed  (any, 2)      likewise of the training stays: from them the chance to be followed so long is estimated
    returns   concordance   weighted for censoring (Uno et al. 2011) up to the last of the hours, of minus the area
                            under the survival: 0.5 is chance
              integrated_brier, brier_<hours>h   (Graf et al. 1999): 0 is perfect

    Censored stays are taken as like the others: where death and transplant compete, and one ends the follow-up for the
    other, that is not so, and the risks are those in a world without the other.
    Refused: other shapes, hours beyond the follow-up, no scikit-survival.
    """
    figures = survival_figures(outcome, survival, hours=hours, followed=followed)
    return tabled(
        figures, len(np.asarray(outcome)), patients=patients, n_resamples=n_resamples, random_state=random_state
    )


def survival_figures(outcome: ArrayLike, survival: ArrayLike, *, hours: ArrayLike, followed: ArrayLike) -> Figures:
    """The metrics of `evaluate_survival` by name, computed together."""
    measures = needed()
    times = np.asarray(hours, dtype=float)
    seen, known = (np.asarray(table, dtype=float) for table in (outcome, followed))
    curves = np.asarray(survival, dtype=float)
    if seen.ndim != 2 or seen.shape[1] != 2 or curves.shape != (len(seen), len(times)) or len(times) < 2:
        came = f"{seen.shape} and {curves.shape} for {len(times)} hours"
        raise ArgumentError(
            "outcomes (stay, 2) and survival (stay, hour)", came, "Pass predict_survival(stays, hours)."
        )
    latest = min(seen[:, 0].max(), known[:, 0].max())
    if (np.diff(times) <= 0).any() or times[0] < seen[:, 0].min() or times[-1] >= latest:
        fix = f"Choose ascending hours from {seen[:, 0].min():g} to below {latest:g}."
        raise ArgumentError("hours within the follow-up", f"{times[0]:g} to {times[-1]:g}", fix)
    seen = _until(seen, known[:, 0].max())
    train, names = _table(known), ["concordance", "integrated_brier", *[f"brier_{time:g}h" for time in times]]

    def figures(weights: Array) -> dict[str, Array]:
        rows = np.array([_resampled(measures, train, seen, curves, times, row) for row in weights])
        return dict(zip(names, rows.T, strict=True))

    return figures


def _until(seen: Array, end: float) -> Array:
    """Outcomes as they stood when the training stays' follow-up ended: of chances to be followed later none knows."""
    hours, event = seen.T
    return np.column_stack([np.minimum(hours, end), np.where(hours < end, event, 0.0)])


def needed() -> Any:
    """The metrics of scikit-survival. Refused: it is not installed."""
    try:
        from sksurv import metrics
    except ImportError:
        raise ArgumentError("the package scikit-survival", "none", "pip install 'clinicalgru[survival]'.") from None
    return metrics


def _table(outcome: Array) -> Any:
    from sksurv.util import Surv

    return Surv.from_arrays(event=outcome[:, 1] == 1, time=outcome[:, 0])


def _resampled(measures: Any, train: Any, seen: Array, curves: Array, times: Array, weights: Array) -> list[float]:
    index = np.repeat(np.arange(len(seen)), weights.astype(int))
    inside = seen[index, 0].min() <= times[0] and times[-1] < seen[index, 0].max()
    if not inside or not (seen[index, 1] == 1).any():
        return [float("nan")] * (2 + len(times))
    return _figures(measures, train, seen[index], curves[index], times)


def _figures(measures: Any, train: Any, seen: Array, curves: Array, times: Array) -> list[float]:
    table = _table(seen)
    expected = -np.trapezoid(curves, times, axis=1)
    concordance = measures.concordance_index_ipcw(train, table, expected, tau=times[-1])[0]
    brier = measures.brier_score(train, table, curves, times)[1]
    integrated = np.trapezoid(brier, times) / (times[-1] - times[0])
    return [float(concordance), float(integrated), *brier.tolist()]

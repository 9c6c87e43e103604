"""Operating points: what acting from a risk on means, and the risk from which a wanted performance is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_choice, check_number
from clinicalgru.evaluate.bootstrap import bootstrap_metrics, class_patients, interval_table, numbered_patients
from clinicalgru.evaluate.metrics import cumulative_counts
from clinicalgru.evaluate.validation import Array, check_aligned, validate_outcome, validate_risk

ALERTS = "alerts_per_100"
MEASURES = ("sensitivity", "specificity", "ppv", "npv", ALERTS)
COLUMNS = ["point", "metric", "estimate", "low", "high"]
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
NONE_WANTED: Mapping[str, float] = MappingProxyType({})
HIGHEST = ("sensitivity", "npv")  # the highest threshold that reaches the wanted value; of the others the lowest


def operating_points(
    outcome: ArrayLike,
    risk: ArrayLike,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    wanted: Mapping[str, float] = NONE_WANTED,
    patients: Any = None,
    n_resamples: int = 300,
    random_state: int = 0,
) -> pd.DataFrame:
    """Compute sensitivity, specificity, PPV, NPV and alerts at thresholds, and the thresholds for wanted values.

    Parameters
    ----------
    outcome, risk : array-like, shape (n_stays,)
        As for `evaluate`.
    thresholds : sequence of float
        Risks from which on a stay is acted upon, 0 to 1.
    wanted : mapping of str to float
        Wanted value by measure, such as ``{"sensitivity": 0.8}`` or ``{"alerts_per_100": 10}``. Of sensitivity and NPV
        the highest threshold is given that reaches it; of specificity, PPV and alerts the lowest one.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    n_resamples : int
        Number of bootstrap resamples of the patients for the 95 % intervals.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    DataFrame
        point ("risk >= 0.2", "sensitivity >= 0.8"), metric (threshold, sensitivity, specificity, ppv, npv,
        alerts_per_100), estimate, low, high. alerts_per_100: stays acted upon, of 100. NaN where undefined, or where no
        threshold reaches the wanted value. In each resample the threshold for a wanted value is chosen anew.

    Raises
    ------
    ArgumentError
        As for `evaluate`; also if a threshold or wanted value is out of range.

    Notes
    -----
    A threshold chosen on the stays on which it is evaluated looks better than it is; the intervals do not show that.
    There is no interval with fewer than 20 stays in the denominator.

    References
    ----------
    Altman and Bland 1994, BMJ 308:1552 and 309:102, diagnostic tests.

    Examples
    --------
    >>> table = operating_points([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], thresholds=[0.3],
    ...                          wanted={"sensitivity": 0.6}, n_resamples=5)
    >>> table.pivot(index="point", columns="metric", values="estimate")[["threshold", "sensitivity", "ppv"]].values
    array([[0.3       , 1.        , 0.75      ],
           [0.8       , 0.66666667, 1.        ]])
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    for threshold in thresholds:
        check_number("thresholds", threshold, minimum=0, maximum=1)
    for measure, value in wanted.items():
        check_choice("wanted", measure, MEASURES)
        check_number(f"wanted[{measure!r}]", value, minimum=0, maximum=100 if measure == ALERTS else 1)
    true = validate_outcome(outcome)
    checked = validate_risk(risk, stays=len(true))
    check_aligned(outcome=outcome, risk=risk, patients=patients)
    patient = numbered_patients(patients, len(true))
    points = {f"risk >= {at:g}": _Point(true, checked, patient, "threshold", float(at)) for at in thresholds}
    points |= {
        _name(measure, value): _Point(true, checked, patient, measure, value) for measure, value in wanted.items()
    }
    estimates, replicates, _ = bootstrap_metrics(
        {name: point.metrics for name, point in points.items()},
        patient,
        n_resamples=int(n_resamples),
        random_state=int(random_state),
    )
    tables = [
        interval_table(
            values,
            replicates[name],
            n_resamples=int(n_resamples),
            class_counts=points[name].counts(values["threshold"]),
        ).assign(point=name)
        for name, values in estimates.items()
    ]
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def _name(measure: str, value: float) -> str:
    return f"{measure} {'<=' if measure == ALERTS else '>='} {value:g}"


@dataclass(frozen=True, eq=False)
class _Point:
    """One point: a threshold, or the value of a measure that is wanted."""

    outcome: Array
    risk: Array
    patient: NDArray[np.int64]
    measure: str
    value: float

    def metrics(self, weights: Array) -> dict[str, Array]:
        """Threshold and measures in each resample."""
        if self.measure == "threshold":
            acted = (self.risk >= self.value).astype(float)
            columns = np.stack([acted * self.outcome, acted, self.outcome, np.ones_like(acted)], axis=1)
            return {"threshold": np.full(len(weights), self.value)} | _measures(*(weights @ columns).T)
        events, flagged = cumulative_counts(self.outcome, self.risk, weights)
        place = self._place(_measures(events, flagged, events[:, -1:], flagged[:, -1:])[self.measure])
        row, unknown = np.arange(len(weights)), place < 0
        values = _measures(events[row, place], flagged[row, place], events[:, -1], flagged[:, -1])
        values = {"threshold": np.unique(self.risk)[::-1][place]} | values
        return {name: np.where(unknown, np.nan, one) for name, one in values.items()}

    def _place(self, values: Array) -> Array:
        """Position of the chosen risk among the distinct ones, from the highest down; -1 where none will do."""
        reached = values <= self.value if self.measure == ALERTS else values >= self.value
        if self.measure in HIGHEST:
            place = reached.argmax(axis=1)
        else:
            place = reached.shape[1] - 1 - reached[:, ::-1].argmax(axis=1)
        return np.where(reached.any(axis=1), place, -1)

    def counts(self, threshold: float) -> dict[str, int]:
        """Patients in the denominator of each measure, and for the others those of the smaller outcome class."""
        events, others = class_patients(self.outcome, self.patient)
        flagged, rest = class_patients((self.risk >= threshold).astype(float), self.patient)
        known = {"sensitivity": events, "specificity": others, "ppv": flagged, "npv": rest}
        return known | {"": min(events, others)}


def _measures(events: Array, flagged: Array, all_events: Array, stays: Array) -> dict[str, Array]:
    """Measures from the stays acted upon, and those of them with the event."""
    missed, others = all_events - events, stays - all_events
    return {
        "sensitivity": _ratio(events, all_events),
        "specificity": _ratio(others - (flagged - events), others),
        "ppv": _ratio(events, flagged),
        "npv": _ratio(stays - flagged - missed, stays - flagged),
        ALERTS: 100 * _ratio(flagged, stays),
    }


def _ratio(numerator: Array, denominator: Array) -> Array:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)

"""What matters to a model over a whole cohort, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples
from clinicalgru.explain.attribution.explain import contributions
from clinicalgru.explain.voices import Explained
from clinicalgru.html import summary_html, table


@dataclass(frozen=True, eq=False)
class Importance:
    """Mean absolute contribution of each variable and descriptor to the log-odds of a stay.

    table      variable, mean_abs, low, high (95 %), mean_signed (mean contribution), fraction_measured (of the stays);
               strongest first
    variables  of the model
    n_stays, n_patients, n_resamples, random_state
    max_completeness_error  the largest completeness gap of any stay, in log-odds
    """

    table: pd.DataFrame
    variables: tuple[Variable, ...]
    n_stays: int
    n_patients: int
    n_resamples: int
    random_state: int
    max_completeness_error: float

    def __str__(self) -> str:
        lines = [f"mean absolute contribution to the log-odds of {self.n_stays:,} stays (95 % interval, by patient)"]
        lines += [
            f"  {row.variable:<28}{row.mean_abs:7.3f} ({row.low:.3f}-{row.high:.3f})" for row in self.table.itertuples()
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        label = {variable.name: variable.label for variable in self.variables}
        rows = [
            [label[str(row.variable)], f"{row.mean_abs:.3f} ({row.low:.3f}-{row.high:.3f})", f"{row.mean_signed:+.3f}"]
            for row in self.table.itertuples()
        ]
        head = ("Variable", "Mean absolute contribution", "Mean contribution")
        facts = {
            "stays": f"{self.n_stays:,}",
            "largest completeness gap": f"{self.max_completeness_error:.5f} log-odds",
        }
        return summary_html("What matters to the model", facts, table("In log-odds", head, rows))


def importance(model: Explained, sequences: Sequences, *, n_resamples: int = 1000, random_state: int = 0) -> Importance:
    """Mean absolute contribution of each variable over a cohort, with 95 % intervals by resampling patients.

    sequences  (stay,) each with measurements, of the model's variables
    n_resamples  of the patients, with all their stays
    returns    an `Importance`

    A variable's contribution to a stay is the sum over its measurements, 0 where it was not measured. Refused: fewer
    than 11 patients unless simulated, other variables than the model's, a stay without measurements.

    >>> cg.importance(model, test[:12], n_resamples=50).table.columns.tolist()
    ['variable', 'mean_abs', 'low', 'high', 'mean_signed', 'fraction_measured']
    """
    patient = _enough_patients(sequences)
    found = contributions(model, sequences)
    by_stay = _by_variable(sequences, found.parts.sum(axis=0), found.static)
    low, high = _interval(np.abs(by_stay), patient, n_resamples=n_resamples, random_state=random_state)
    known = np.concatenate([_measured(sequences), ~np.isnan(sequences.static)], axis=1)
    shown = pd.DataFrame(
        {
            "variable": [variable.name for variable in (*model.variables_, *model.static_variables_)],
            "mean_abs": np.abs(by_stay).mean(axis=0),
            "low": low,
            "high": high,
            "mean_signed": by_stay.mean(axis=0),
            "fraction_measured": known.mean(axis=0),
        }
    )
    return Importance(
        table=shown.sort_values("mean_abs", ascending=False, kind="stable", ignore_index=True),
        variables=(*model.variables_, *model.static_variables_),
        n_stays=len(sequences),
        n_patients=int(patient.max()) + 1,
        n_resamples=n_resamples,
        random_state=random_state,
        max_completeness_error=float(np.abs(found.gap).max()),
    )


def _enough_patients(sequences: Sequences) -> np.ndarray:
    """(stay,) the number of its patient."""
    patient = numbered_patients(sequences.patient, len(sequences))
    patients = int(patient.max(initial=-1)) + 1
    if patients == 0 or (is_small(patients) and not sequences.simulated):
        fix = "Of so few nothing is published; explain them one by one."
        raise ArgumentError(f"stays of at least {MIN_CELL_SIZE} patients", "fewer", fix)
    return patient


def _by_variable(sequences: Sequences, contribution: np.ndarray, static: np.ndarray) -> np.ndarray:
    """(stay, variable and static)."""
    summed = np.zeros((len(sequences), len(sequences.variables)))
    np.add.at(summed, (sequences.stay_of_measurement, sequences.variable), contribution)
    return np.concatenate([summed, static], axis=1)


def _measured(sequences: Sequences) -> np.ndarray:
    measured = np.zeros((len(sequences), len(sequences.variables)), dtype=bool)
    measured[sequences.stay_of_measurement, sequences.variable] = True
    return measured


def _interval(
    size: np.ndarray, patient: np.ndarray, *, n_resamples: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """(column,) 2.5 % and 97.5 % points of the mean over resampled patients."""
    drawn = [
        weight @ size / weight.sum(axis=1, keepdims=True)
        for weight in patient_resamples(patient, n_resamples=n_resamples, random_state=random_state)
    ]
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)

"""Importance of each variable to a model over a cohort, with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples
from clinicalgru.explain.attribution.contributions import attribute_members, from_reference
from clinicalgru.explain.attribution.quadrature import Attribution
from clinicalgru.explain.prepared import prepare_stays
from clinicalgru.explain.targets import Explainable
from clinicalgru.html import summary_html, table


@dataclass(frozen=True, eq=False)
class Importance:
    """Mean absolute contribution of each variable and static covariate to the log-odds of a stay.

    Attributes
    ----------
    table : DataFrame
        variable, mean_abs (mean absolute contribution), low and high (95 % interval), mean_signed (mean contribution),
        fraction_measured (of the stays); the largest mean_abs first.
    variables : tuple of Variable
        Series variables and static covariates of the model.
    n_stays, n_patients : int
        Size of the cohort.
    n_resamples, random_state : int
        Of the bootstrap.
    max_completeness_error : float
        Largest absolute completeness gap of a stay, in log-odds.
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

    __repr__ = __str__

    def _repr_html_(self) -> str:
        label = {variable.name: variable.label for variable in self.variables}
        rows = [
            [label[str(row.variable)], f"{row.mean_abs:.3f} ({row.low:.3f}-{row.high:.3f})", f"{row.mean_signed:+.3f}"]
            for row in self.table.itertuples()
        ]
        head = ("Variable", "Mean absolute contribution", "Mean contribution")
        gap = f"{self.max_completeness_error:.5f} log-odds"
        lines = {"stays": f"{self.n_stays:,}", "largest completeness gap": gap}
        return summary_html("Importance of variables", lines, table("In log-odds", head, rows))


def importance(
    model: Explainable, sequences: Sequences, *, n_resamples: int = 1000, random_state: int = 0
) -> Importance:
    """Compute the mean absolute contribution of each variable over a cohort, with 95 % bootstrap intervals.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    sequences : Sequences
        The stays of the cohort, each with a measurement.
    n_resamples : int
        Bootstrap resamples of the patients, each with all stays.
    random_state : int
        Seed of the bootstrap.

    Returns
    -------
    Importance
        A variable's contribution to a stay is the sum over its measurements, or of its absence, against the average of
        training stays; see `explain`.

    Raises
    ------
    ArgumentError
        If a stay has no measurement, there are fewer than 11 real patients, or the model cannot be explained.
    VariableMismatch
        If the variables are not those of the model.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> cg.importance(model, stays[:4], n_resamples=50).table.columns.tolist()
    ['variable', 'mean_abs', 'low', 'high', 'mean_signed', 'fraction_measured']
    """
    check_instance("sequences", sequences, Sequences)
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    patient = patient_numbers(sequences)
    prepared = prepare_stays(model, sequences)
    attribution = from_reference(attribute_members(prepared), prepared, reference="average")[0]
    by_stay = contributions_by_variable(sequences, attribution)
    low, high = _interval(np.abs(by_stay), patient, n_resamples=int(n_resamples), random_state=int(random_state))
    measured = np.concatenate([_measured(sequences), ~np.isnan(sequences.static)], axis=1)
    variables = (*prepared.variables, *prepared.static_variables)
    ranking = pd.DataFrame(
        {
            "variable": [variable.name for variable in variables],
            "mean_abs": np.abs(by_stay).mean(axis=0),
            "low": low,
            "high": high,
            "mean_signed": by_stay.mean(axis=0),
            "fraction_measured": measured.mean(axis=0),
        }
    )
    return Importance(
        table=ranking.sort_values("mean_abs", ascending=False, kind="stable", ignore_index=True),
        variables=variables,
        n_stays=len(sequences),
        n_patients=int(patient.max()) + 1,
        n_resamples=int(n_resamples),
        random_state=int(random_state),
        max_completeness_error=float(np.abs(attribution.residual).max()),
    )


def patient_numbers(sequences: Sequences) -> np.ndarray:
    """Number the patients of a cohort, or raise where it has too few real ones.

    Parameters
    ----------
    sequences : Sequences
        The stays.

    Returns
    -------
    ndarray of int, shape (stay,)
        The number of its patient.

    Raises
    ------
    ArgumentError
        If there is no stay, or fewer than 11 real patients.
    """
    patient = numbered_patients(sequences.patient, len(sequences))
    n_patients = int(patient.max(initial=-1)) + 1
    if n_patients == 0 or (is_small(n_patients) and not sequences.simulated):
        got = "0 stays" if n_patients == 0 else "fewer"
        fix = "Pass more stays; single stays are explained by explain."
        raise ArgumentError(f"stays of at least {MIN_CELL_SIZE} patients", got, fix)
    return patient


def contributions_by_variable(sequences: Sequences, attribution: Attribution) -> np.ndarray:
    """Sum contributions by variable.

    Parameters
    ----------
    sequences : Sequences
        The stays.
    attribution : Attribution
        Their contributions.

    Returns
    -------
    ndarray, shape (stay, variable and static covariate)
    """
    summed = np.zeros((len(sequences), len(sequences.variables)))
    np.add.at(summed, (sequences.stay_of_measurement, sequences.variable), attribution.parts.sum(axis=0))
    summed += 0 if attribution.absent is None else attribution.absent
    return np.concatenate([summed, attribution.static], axis=1)


def _measured(sequences: Sequences) -> np.ndarray:
    """(stay, variable) whether it was measured."""
    measured = np.zeros((len(sequences), len(sequences.variables)), dtype=bool)
    measured[sequences.stay_of_measurement, sequences.variable] = True
    return measured


def _interval(
    size: np.ndarray, patient: np.ndarray, *, n_resamples: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """(column,) 2.5 % and 97.5 % points of the mean over resampled patients."""
    means = [
        weight @ size / weight.sum(axis=1, keepdims=True)
        for weight in patient_resamples(patient, n_resamples=n_resamples, random_state=random_state)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)

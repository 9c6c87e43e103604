"""Compare the stays that are scored with those that the model learned from; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import binom

from clinicalgru.data.audit.unit_check import check_units
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.data.ingest.column_names import STAYS
from clinicalgru.data.reading import STATIC, TABLES
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.model.input_profile import StayInputs, measurement_amount, stay_inputs

ALPHA = 1e-3  # false alarms of all comparisons of shares together
MIN_SHARE = 0.05  # of the training stays, from which on a variable is expected
SEPARATE = 3  # more variables with the same difference share a line
RARER = 0.5  # a share below so much of the training share is far rarer
RARER_BY_STEP = 0.1  # where the stays are cut at different hours
RATIO = 3.0  # so many times more or fewer measurements in a stay are another way to record them
OUTSIDE = 0.1  # fraction of the stays that may lie outside the training values
MIN_GROUPS = 5  # of training patients, from which on their means span the range of values
MOST = 0.5  # from which fraction on another unit would move a variable as a whole
MARGIN = 0.25  # by which the range of training values is widened, as a fraction of its width

TOO_FEW_MEASUREMENTS, TOO_FEW_VARIABLES = "too few measurements", "too few variables"  # codes of reasons


def little_known(inputs: StayInputs, limits: Mapping[str, float | None], *, every_step: bool) -> np.ndarray:
    """Find the stays of which less is known than of nearly all training stays.

    Parameters
    ----------
    inputs : StayInputs
        Numbers of the stays, of the variables of the model.
    limits : mapping of str to float or None
        Limits that were learned in training, as of `input_profile`.
    every_step : bool
        Whether the task predicts after each time step.

    Returns
    -------
    ndarray of str, shape (stay,)
        "too few measurements", "too few variables", or "".
    """
    n_measurements, n_variables = (limits.get(name) or 0.0 for name in ("measurements", "variables"))
    few = measurement_amount(inputs, every_step=every_step) < n_measurements
    causes = [few, inputs.n_variables < n_variables]
    return np.select(causes, [TOO_FEW_MEASUREMENTS, TOO_FEW_VARIABLES], "").astype(object)


def input_warnings(
    trained_on: Mapping[str, Any], events: Events, stays: Sequences, due: np.ndarray | None = None
) -> list[str]:
    """Compare an extract with the training extract of a model.

    Parameters
    ----------
    trained_on : mapping
        What the model learned from, with its `inputs`; nothing but tables and units is compared without them.
    events : Events
        The extract.
    stays : Sequences
        Its stays, with the variables of the model.
    due : ndarray of bool, shape (stay,), optional
        Which of them are to be predicted; all where None.

    Returns
    -------
    list of str
        Warnings; no number of a patient. Variables that are absent or far rarer than in training; units that look
        exchanged; measurements in a stay; values outside those of training; tables that are not given.
    """
    profile = trained_on.get("inputs", {})
    warnings = list(_tables(trained_on.get("reading", {}), events))
    due = np.ones(len(stays), dtype=bool) if due is None else due
    if profile and due.any():
        every_step, inputs = stays.task.every_step, stay_inputs(stays).of(due)
        warnings += _amount(profile.get("measurements", []), measurement_amount(inputs, every_step=every_step))
        warnings += _rare(profile["variables"], stays.variables, inputs.counts > 0, every_step=every_step)
        static = stays.static[due]
        known = ~np.isnan(static)
        absent = _absent_columns(trained_on.get("reading", {}), events)
        columns = [variable.name not in absent for variable in stays.static_variables]
        described = tuple(variable for variable in stays.static_variables if variable.name not in absent)
        warnings += _rare(profile["static_variables"], described, known[:, columns], every_step=False)
        if not every_step:
            warnings += _often(profile["variables"], stays.variables, inputs.counts)
        warnings += _outside(profile["variables"], stays.variables, inputs.means)
        warnings += _outside(profile["static_variables"], stays.static_variables, static)
    names = {variable.name for variable in (*stays.variables, *stays.static_variables)}
    comparable = {name for name in names if _has_range(profile, name)}
    shifted = {warning.partition(":")[0] for warning in warnings}
    for flag in check_units(events):
        as_in_training = flag.variable in comparable and flag.fraction >= MOST and flag.variable not in shifted
        if flag.variable in names and not as_in_training:
            warnings.append(f"units: {flag.proposal}")
    return warnings


def _has_range(profile: Mapping[str, Any], name: str) -> bool:
    """Whether the values of a variable in training are known well enough to be compared with."""
    entries = (profile.get(kind, {}).get(name, {}) for kind in ("variables", "static_variables"))
    return any(len(entry.get("quantiles", [])) >= MIN_GROUPS for entry in entries)


def _tables(record: Mapping[str, Any], events: Events) -> Iterator[str]:
    """Tables and static variables that training had."""
    if STAYS in record.get(TABLES, ()) and STAYS not in events.reading.get(TABLES, (STAYS,)):
        yield "no table of stays is given; training had one"
    if absent := _absent_columns(record, events):
        yield f"static variables that are absent: {', '.join(absent)}"


def _absent_columns(record: Mapping[str, Any], events: Events) -> list[str]:
    """Static variables of training that are no column of the stays."""
    return [name for name in record.get(STATIC, ()) if name not in events.stays]


def _amount(trained: list[float], amount: np.ndarray) -> Iterator[str]:
    """Whether stays have far more or fewer measurements than in training."""
    if not trained or len(amount) < MIN_CELL_SIZE:
        return
    ratio = float(amount.mean() / np.mean(trained))
    if not 1 / RATIO < ratio < RATIO:
        yield f"measurements in a stay: {ratio:.2g} times as many as in training"


def _rare(
    trained: Mapping[str, Any], variables: tuple[Variable, ...], present: np.ndarray, *, every_step: bool
) -> Iterator[str]:
    """Variables that fewer stays have than chance explains, and far fewer than in training."""
    counts, n_stays = present.sum(axis=0), len(present)
    rare: dict[str, list[tuple[str, float]]] = {"absent": [], "far rarer than in training": []}
    for variable, count in zip(variables, counts, strict=True):
        share = trained.get(variable.name, {}).get("share") or 0.0
        rarer = RARER_BY_STEP if every_step else RARER
        if share < MIN_SHARE or count / n_stays >= rarer * share:
            continue
        if binom.cdf(count, n_stays, min(share, 0.99)) < ALPHA / max(len(variables), 1):
            rare["absent" if count == 0 else "far rarer than in training"].append((variable.name, share))
    for what, found in rare.items():
        if len(found) <= SEPARATE:
            yield from (f"{name}: {what}; {share:.0%} of the training stays had it" for name, share in found)
        else:
            names = ", ".join(f"{name} {share:.0%}" for name, share in found)
            yield f"{what}: {len(found)} variables, with the part of the training stays that had them: {names}"


def _often(trained: Mapping[str, Any], variables: tuple[Variable, ...], counts: np.ndarray) -> Iterator[str]:
    """Variables that are measured far more or less often than in training."""
    found = []
    for number, variable in enumerate(variables):
        expected, count = trained.get(variable.name, {}).get("per_stay"), counts[:, number]
        if not expected or (count > 0).sum() < MIN_CELL_SIZE:
            continue
        ratio = count[count > 0].mean() / expected
        if not 1 / RATIO < ratio < RATIO:
            found.append((variable.name, ratio))
    if len(found) <= SEPARATE:
        yield from (f"{name}: {ratio:.2g} times as many measurements in a stay as in training" for name, ratio in found)
    else:
        names = ", ".join(f"{name} {ratio:.2g}" for name, ratio in found)
        yield f"measurements in a stay, as a multiple of training: {names}"


def _outside(trained: Mapping[str, Any], variables: tuple[Variable, ...], values: np.ndarray) -> Iterator[str]:
    """Variables with many stays outside the values of training; with the unit in which they would lie inside."""
    for number, variable in enumerate(variables):
        quantiles = trained.get(variable.name, {}).get("quantiles", [])
        value = values[:, number]
        value = value[~np.isnan(value)]
        if variable.categories or len(quantiles) < MIN_GROUPS or len(value) == 0:
            continue
        outside = _fraction_outside(value, quantiles)
        n_outside = round(outside * len(value))
        if outside <= OUTSIDE or binom.sf(n_outside - 1, len(value), OUTSIDE / 2) > ALPHA / len(variables):
            continue
        unit = _other_unit(variable, value, quantiles, outside)
        hint = f"; they would fit in {unit} instead of {variable.unit}" if unit else ""
        yield f"{variable.name}: many values are outside those of the training stays{hint}"


def _fraction_outside(value: np.ndarray, quantiles: list[float]) -> float:
    margin = MARGIN * (quantiles[-1] - quantiles[0])
    return float(np.mean((value < quantiles[0] - margin) | (value > quantiles[-1] + margin)))


def _other_unit(variable: Variable, value: np.ndarray, quantiles: list[float], outside: float) -> str:
    """The unit in which most values that lie outside would lie inside; "" where there is none."""
    fractions = {unit: _fraction_outside(other.apply(value), quantiles) for unit, other in variable.also.items()}
    best = min(fractions, key=lambda unit: fractions[unit], default="")
    return best if best and fractions[best] < min(OUTSIDE, outside / 2) else ""

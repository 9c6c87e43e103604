"""Reference of inputs: shares of training patients in bins of each variable, with which new patients are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE

N_BINS = 6  # of about equal numbers of training patients
MIN_PATIENTS = 10 * MIN_CELL_SIZE  # with a value, from which on there is a reference
DIGITS = 6
WIDER = 0.5  # by which a far limit lies beyond the most extreme patients


@dataclass(frozen=True, eq=False)
class PatientInputs:
    """Numbers of the last stay of each patient.

    Attributes
    ----------
    stay : ndarray of int, shape (patient,)
        Position of that stay.
    count, mean, lowest, highest : ndarray of float, shape (patient, variable)
        Measurements of each variable, and mean, lowest and highest value; NaN where there is none.
    static : ndarray of float, shape (patient, static variable)
        Static covariates.
    """

    stay: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    static: np.ndarray


def patient_inputs(stays: Sequences) -> PatientInputs:
    """Sum up the last stay of each patient, the unit of comparison: stays of one patient are alike.

    Parameters
    ----------
    stays : Sequences
        Stays.

    Returns
    -------
    PatientInputs
        Their numbers.
    """
    patient = stays.patient.astype(str)
    last = np.sort(len(patient) - 1 - np.unique(patient[::-1], return_index=True)[1])
    chosen, width = (stays if len(last) == len(stays) else stays[last]), len(stays.variables)
    blocks: list[list[np.ndarray]] = [[], [], [], []]
    for block in chosen.chunks():
        cell = block.stay_of_measurement.astype(np.int64) * width + block.variable
        size, value = len(block) * width, block.value.astype(float)
        count = np.bincount(cell, minlength=size).astype(float)
        total = np.bincount(cell, weights=value, minlength=size)
        low, high = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(low, cell, value)
        np.maximum.at(high, cell, value)
        known = count > 0
        mean = np.divide(total, count, out=np.full(size, np.nan), where=known)
        parts = (count, mean, np.where(known, low, np.nan), np.where(known, high, np.nan))
        for list_, numbers in zip(blocks, parts, strict=True):
            list_.append(numbers.reshape(len(block), width))
    count, mean, lowest, highest = (np.concatenate(parts) for parts in blocks)
    return PatientInputs(last, count, mean, lowest, highest, chosen.static)


def input_reference(stays: Sequences) -> dict[str, Any]:
    """Describe the inputs of training patients by shares in bins; no number is that of fewer than 11 patients.

    Parameters
    ----------
    stays : Sequences
        Training stays.

    Returns
    -------
    dict
        patients: their number. variables and static_variables: by name, share of the patients that have a value, and
        bins of the mean and of the number of measurements, and limits of the lowest and highest value.
    """
    names = ([variable.name for variable in group] for group in (stays.variables, stays.static_variables))
    return reference_of(patient_inputs(stays), *names)


def reference_of(inputs: PatientInputs, names: list[str], static_names: list[str]) -> dict[str, Any]:
    """Describe the numbers of patients; see `input_reference`.

    Parameters
    ----------
    inputs : PatientInputs
        Numbers of training patients.
    names, static_names : list of str
        Variables and static covariates, in the order of its columns.

    Returns
    -------
    dict
        As of `input_reference`.
    """
    parts = {
        name: {
            "share": known_share(inputs.count[:, number] > 0),
            "mean": bins(inputs.mean[:, number]),
            "count": bins(np.where(inputs.count[:, number] > 0, inputs.count[:, number], np.nan)),
            "lowest": tail(inputs.lowest[:, number]),
            "highest": tail(inputs.highest[:, number], upper=True),
        }
        for number, name in enumerate(names)
    }
    static = {
        name: {
            "share": known_share(~np.isnan(inputs.static[:, number])),
            "mean": bins(inputs.static[:, number]),
        }
        for number, name in enumerate(static_names)
    }
    n_patients = len(inputs.stay) if len(inputs.stay) >= MIN_CELL_SIZE else None
    return {"patients": n_patients, "variables": parts, "static_variables": static}


def known_share(known: np.ndarray) -> float:
    """Give a share of patients.

    Parameters
    ----------
    known : ndarray of bool, shape (patient,)
        Who counts.

    Returns
    -------
    float
        0 or 1 where fewer than 11 patients differ from that.
    """
    count = int(known.sum())
    if count < MIN_CELL_SIZE:
        return 0.0
    return 1.0 if len(known) - count < MIN_CELL_SIZE else _rounded(known.mean())


def bins(values: np.ndarray) -> dict[str, list[float]] | None:
    """Divide values of patients into bins of about equal size.

    Parameters
    ----------
    values : ndarray, shape (patient,)
        One value of each patient; NaN where there is none.

    Returns
    -------
    dict or None
        edges, each the mean of 11 patients that follow each other, and the shares of patients in the bins between. None
        of fewer than 110 patients.
    """
    known = np.sort(values[~np.isnan(values)])
    if len(known) < MIN_PATIENTS:
        return None
    ranks = np.arange(1, N_BINS) * len(known) // N_BINS
    half = MIN_CELL_SIZE // 2
    edges = np.unique([_rounded(known[rank - half : rank + half + 1].mean()) for rank in ranks])
    while len(edges):
        counts = bin_counts(known, edges)
        small = int(np.argmin(counts))
        if counts[small] >= MIN_CELL_SIZE:
            break
        edges = np.delete(edges, min(small, len(edges) - 1))
    return {"edges": edges.tolist(), "shares": [_rounded(share) for share in bin_counts(known, edges) / len(known)]}


def tail(values: np.ndarray, *, upper: bool = False) -> dict[str, float | None] | None:
    """Find two limits that few patients, and hardly any, exceed.

    Parameters
    ----------
    values : ndarray, shape (patient,)
        One value of each patient; NaN where there is none.
    upper : bool
        Whether they exceed it upwards.

    Returns
    -------
    dict or None
        near, the mean of the patients from the 12th to the 22nd, and beyond, the number beyond it, at least 11. far,
        half as far again from the middle as the mean of the 11 most extreme, and beyond_far: 0, or None where 1 to 10
        patients are beyond. None of fewer than 110 patients.
    """
    sign = -1.0 if upper else 1.0
    known = np.sort(values[~np.isnan(values)] * sign)
    if len(known) < MIN_PATIENTS:
        return None
    near = sign * _rounded(known[MIN_CELL_SIZE : 2 * MIN_CELL_SIZE].mean())
    extreme = sign * known[:MIN_CELL_SIZE].mean()
    start = (len(known) - MIN_CELL_SIZE) // 2
    centre = sign * known[start : start + MIN_CELL_SIZE].mean()
    positive = extreme > 0 and centre > 0
    far = _rounded(extreme * (extreme / centre) ** WIDER if positive else extreme + WIDER * (extreme - centre))
    beyond, beyond_far = (int((known < sign * limit).sum()) for limit in (near, far))
    return {
        "near": near if beyond >= MIN_CELL_SIZE else None,
        "beyond": beyond if beyond >= MIN_CELL_SIZE else None,
        "far": far,
        "beyond_far": None if beyond_far else 0,
    }


def bin_counts(values: np.ndarray, edges: np.ndarray | list[float]) -> np.ndarray:
    """Count values in bins.

    Parameters
    ----------
    values : ndarray
        Values, none of them NaN.
    edges : ndarray or list of float
        Ascending edges.

    Returns
    -------
    ndarray of int, shape (edge + 1,)
        Values below the first edge, from each edge up to below the next, and from the last on.
    """
    return np.bincount(np.searchsorted(np.asarray(edges), values, side="right"), minlength=len(edges) + 1)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

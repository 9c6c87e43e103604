"""Patients drawn again and again, with all their stays, and the intervals that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.validation import Array

BLOCK = 2**20  # weights held at once: 8 MB, whatever the number of stays
ENOUGH = 0.95  # below this share of usable resamples the rest no longer speak for all, and there is no interval


def numbered_patients(patients: Any, stays: int) -> NDArray[np.int64]:
    """A number for the patient of each stay: 0, 1, ... in order of first appearance.

    patients  (stay,)  any identifiers; None makes each stay a patient of its own
    returns   (stay,)

    Refused: another length, unknown patients.

    >>> numbered_patients(["b", "a", "b"], 3)
    array([0, 1, 0])
    """
    if patients is None:
        return np.arange(stays)
    if len(patients) != stays:
        raise ArgumentError(f"a patient for each of {stays:,} stays", f"{len(patients):,}", "Pass one for every stay.")
    numbers = pd.factorize(pd.Series(patients))[0].astype(np.int64)
    unknown = int(np.sum(numbers < 0))
    if unknown:
        got = f"{unknown:,} of {stays:,} stays without one"
        raise ArgumentError("a patient for each stay", got, "Name the patient, or leave these stays out.")
    return numbers


def patient_resamples(patient: NDArray[np.int64], *, n_resamples: int, random_state: int) -> Iterator[Array]:
    """How often each stay counts in each resample of the patients, drawn with replacement, a block at a time.

    patient  (stay,)            numbers from `numbered_patients`
    yields   (resample, stay)   some megabytes at a time, `n_resamples` rows in all

    The same seed gives the same rows. A patient's stays come and go together.
    Source: the cluster bootstrap, Field and Welsh 2007.

    >>> [block] = patient_resamples(np.array([0, 0, 1]), n_resamples=2, random_state=0)
    >>> bool((block[:, 0] == block[:, 1]).all())
    True
    """
    generator = np.random.default_rng(random_state)
    patients = int(patient.max()) + 1
    rows = max(1, BLOCK // len(patient))
    for done in range(0, n_resamples, rows):
        now = min(rows, n_resamples - done)
        drawn = generator.integers(patients, size=(now, patients)) + patients * np.arange(now)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=now * patients).reshape(now, patients)
        yield counts[:, patient].astype(np.float64)


def percentile_interval(replicates: Array) -> tuple[float, float]:
    """The middle 95 % of the replicates; NaN where more than 5 % of them are undefined.

    replicates  (resample,)  NaN where undefined

    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    known = replicates[~np.isnan(replicates)]
    if not len(known) or len(known) < ENOUGH * len(replicates):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)

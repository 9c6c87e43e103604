"""Cuts: copies of stays as they were known at random hours, so that a network learns to answer at any hour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.network.batch import Batch

EARLY = 2.0  # power of the uniform number that a cut is drawn by: early hours, where risks change most, come more often
N_CUTS = 6  # of each stay for calibration
THINNED = 0.4  # fraction of the copies that lose variables, a feed, their last hours or nearly all besides


def with_cuts(
    stays: Sequences, retained: np.ndarray, *, n_cuts: int, measurement_dropout: float, rng: np.random.Generator
) -> Sequences:
    """Some stays, followed by copies of them that end at random hours of the window.

    Parameters
    ----------
    stays : Sequences
        The stays.
    retained : ndarray of bool, shape (measurement,)
        The measurements that the stays themselves keep.
    n_cuts : int
        Number of copies of each stay.
    measurement_dropout : float
        Fraction of the measurements that the copies lose at random.
    rng : numpy.random.Generator
        Where random numbers come from.

    Returns
    -------
    Sequences
        First the stays, then all copies; each copy has the outcome of its stay.
    """
    n = len(stays)
    repeated = stays[np.tile(np.arange(n), 1 + n_cuts)]
    first = stays.task.window_hours[0]
    fraction = rng.random(n * n_cuts) ** EARLY
    hours = first + fraction * (repeated.end_hours[n:] - first)
    own = rng.random(len(stays.value) * n_cuts) >= measurement_dropout
    keep = np.concatenate([retained, own])
    keep[len(retained) :] &= _thinned(repeated[n:], hours, rng)
    return repeated.truncate_at(np.concatenate([stays.end_hours, hours]), retained=keep)


def _thinned(copies: Sequences, hours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which measurements are left where some copies lose whole variables, a feed, their last hours, or nearly all.

    A feed is all variables that are measured more often, or less often, than one of them. Where nearly all are lost,
    the number that is left is log-uniform: 1 to 10 are as likely as 10 to 100.
    """
    stay, variables, n = copies.stay_of_measurement, len(copies.variables), len(copies)
    kind = rng.choice(5, size=n, p=[1 - THINNED, *[THINNED / 4] * 4])
    often = np.argsort(np.argsort(-np.bincount(copies.variable, minlength=variables)))
    share, bound = rng.random(n), rng.integers(1, max(variables, 2), size=n)
    lost = rng.random((n, variables)) < share[:, None]
    feed = (often < bound[:, None]) == (rng.random(n) < 0.5)[:, None]
    lost = np.where((kind == 1)[:, None], lost, (kind == 2)[:, None] & feed)
    first = copies.task.window_hours[0]
    last = np.where(kind == 3, first + share * (hours - first), np.inf)
    retention = np.where(kind == 4, np.maximum(copies.n_measurements, 1) ** -share, 1.0)
    few = rng.random(len(stay)) < retention[stay]
    return few & ~lost[stay, copies.variable] & (copies.hours <= last[stay])


def fixed_cuts(stays: Sequences, *, n_cuts: int, random_state: int) -> Sequences:
    """Copies that end at random hours, without any other loss; the same for each epoch.

    Parameters
    ----------
    stays : Sequences
        Validation stays.
    n_cuts : int
        Number of copies of each stay.
    random_state : int
        Seed of the hours.

    Returns
    -------
    Sequences
        The copies, without the stays themselves.
    """
    n, rng = len(stays), np.random.default_rng(random_state)
    repeated = stays[np.tile(np.arange(n), n_cuts)]
    first = stays.task.window_hours[0]
    return repeated.truncate_at(first + rng.random(len(repeated)) ** EARLY * (repeated.end_hours - first))


def cut_hours(stays: Sequences) -> np.ndarray:
    """Hours at which stays are cut for calibration: spread over the window, early ones more densely.

    Parameters
    ----------
    stays : Sequences
        The stays.

    Returns
    -------
    ndarray, shape (stay, 6)
        Hours since the index time; they differ from stay to stay, and are the same for the same stays.
    """
    first = stays.task.window_hours[0]
    fraction = (np.arange(N_CUTS) + np.random.default_rng(0).random((len(stays), N_CUTS))) / N_CUTS
    return np.asarray(first + fraction**EARLY * (stays.end_hours - first)[:, None])


def points_of(batch: Batch, chosen: np.ndarray) -> Batch:
    """The predictions of some stays of a batch, for their losses; the rows stay those of all stays.

    Parameters
    ----------
    batch : Batch
        With one prediction at the end of each stay.
    chosen : ndarray of bool, shape (stay,)
        The stays.

    Returns
    -------
    Batch
    """
    index = torch.from_numpy(np.flatnonzero(chosen))
    return replace(
        batch,
        order=batch.order[chosen],
        point_row=batch.point_row[index],
        point_stay=torch.arange(len(index)),
        point_hours=batch.point_hours[index],
        point_number=batch.point_number[index],
        summaries=batch.summaries[index],
        static=batch.static[index],
    )

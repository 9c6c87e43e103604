"""Cuts: stays as they were known at random hours, so that a network learns to answer at any hour."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.collate import NO_PREFIXES, Prefixes

EARLY = 2.0  # power of the uniform number that a cut is drawn by: early hours, where risks change most, come more often
N_CUTS = 6  # of each stay for calibration
THINNED = 0.4  # fraction of the copies that lose variables, a feed, their last hours or nearly all besides


class CutStays(NamedTuple):
    """Stays, thinned copies of them that end earlier, and hours at which the stays themselves are predicted for.

    Parameters
    ----------
    stays : Sequences
        First the stays, then the copies; each copy has the outcome of its stay.
    stay_of : ndarray of int, shape (entry of stays,)
        The stay that each of them is, or is a copy of.
    prefixes : Prefixes
        Of the first entries: what was known at a random hour, without any other loss.
    """

    stays: Sequences
    stay_of: np.ndarray
    prefixes: Prefixes

    def of_rank(self, rank: int, world_size: int) -> CutStays:
        """What one of several processes learns from: every n-th stay, and what belongs to it.

        Parameters
        ----------
        rank, world_size : int
            Number of the process, and of all processes.

        Returns
        -------
        CutStays
            Of one process: itself, without a copy.
        """
        if world_size == 1:
            return self
        entries = np.flatnonzero(self.stay_of % world_size == rank)
        own = self.prefixes.stay % world_size == rank
        prefixes = Prefixes(self.prefixes.stay[own] // world_size, self.prefixes.hours[own])
        return CutStays(self.stays[entries], self.stay_of[entries] // world_size, prefixes)

    def as_copies(self) -> CutStays:
        """The same with a copy in place of each prefix, for a network that reads a stay from its end.

        Returns
        -------
        CutStays
            Without prefixes.
        """
        cut = self.prefixes.of(self.stays)
        end_hours = np.concatenate([self.stays.end_hours, cut.end_hours])
        index = np.concatenate([np.arange(len(self.stays)), self.prefixes.stay])
        stay_of = np.concatenate([self.stay_of, self.stay_of[self.prefixes.stay]])
        return CutStays(self.stays[index].truncate_at(end_hours), stay_of, NO_PREFIXES)


def with_cuts(
    stays: Sequences, retained: np.ndarray, *, n_cuts: int, measurement_dropout: float, rng: np.random.Generator
) -> CutStays:
    """Some stays, and what was known of them at random hours of the window.

    Parameters
    ----------
    stays : Sequences
        The stays.
    retained : ndarray of bool, shape (measurement,)
        The measurements that the stays themselves keep.
    n_cuts : int
        Number of hours of each stay.
    measurement_dropout : float
        Fraction of the measurements that thinned copies lose at random, in addition to what else they lose.
    rng : numpy.random.Generator
        Where random numbers come from.

    Returns
    -------
    CutStays
        At 40 % of the hours a thinned copy of the stay, at the others the stay itself: its states up to that hour are
        those of the whole stay, so that they are computed once.
    """
    n = len(stays)
    stay, first = np.tile(np.arange(n), n_cuts), stays.task.window_hours[0]
    hours = first + rng.random(len(stay)) ** EARLY * (stays.end_hours[stay] - first)
    loss = rng.choice(5, size=len(stay), p=[1 - THINNED, *[THINNED / 4] * 4])
    thinned = loss > 0
    stay_of = np.concatenate([np.arange(n), stay[thinned]])
    entries = stays[stay_of]
    copies = entries[n:]
    left = rng.random(len(copies.value)) >= measurement_dropout
    keep = np.concatenate([retained, left & _thinned(copies, hours[thinned], loss[thinned], rng)])
    entries = entries.truncate_at(np.concatenate([stays.end_hours, hours[thinned]]), retained=keep)
    return CutStays(entries, stay_of, Prefixes(stay[~thinned], hours[~thinned]))


def _thinned(copies: Sequences, hours: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which measurements are left where copies lose whole variables (1), a feed (2), their last hours (3), or nearly
    all (4).

    A feed is all variables that are measured more often, or less often, than one of them. Where nearly all are lost,
    the number that is left is log-uniform: 1 to 10 are as likely as 10 to 100.
    """
    stay, variables, n = copies.stay_of_measurement, len(copies.variables), len(copies)
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
    """Some predictions of a batch, for their losses; the rows stay those of all stays.

    Parameters
    ----------
    batch : Batch
        With one prediction of each stay or more.
    chosen : ndarray of bool, shape (point,)
        The predictions.

    Returns
    -------
    Batch
    """
    index = torch.from_numpy(np.flatnonzero(chosen))
    return replace(
        batch,
        order=batch.order[batch.point_stay[index].numpy()],
        point_row=batch.point_row[index],
        point_stay=torch.arange(len(index)),
        point_hours=batch.point_hours[index],
        point_number=batch.point_number[index],
        summaries=batch.summaries[index],
        static=batch.static[index],
    )

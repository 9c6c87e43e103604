"""Stays as they are known at hours at which a network predicts: the summaries that its scaling is learned from."""

from __future__ import annotations

from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.training.cuts import fixed_cuts

SCALED = "summaries_scaled"  # in the manifest: at which hours; older bundles lack it, and have the ends of the stays

N_KNOWN = 8000  # rows from which quantiles of summaries no longer change much
MAX_STEPS = 4  # of each stay


def known_at_predictions(stays: Sequences, *, per_step: bool, n_cuts: int) -> Sequences:
    """The stays as they are known at some of the hours at which training predicts; the same ones for the same stays.

    Parameters
    ----------
    stays : Sequences
        Training stays.
    per_step : bool
        Whether a prediction is made after each time step: up to 4 random time steps of each stay.
    n_cuts : int
        Number of random hours of the window at which training predicts each stay in addition to its end: the end, and
        up to so many such hours. 0: the end alone. Not for `per_step`.

    Returns
    -------
    Sequences
        About 8,000 or more, where there are so many prediction times. A stay without measurements has no time step.

    Notes
    -----
    A summary beyond the quantiles of training has the outermost score. From the ends of stays alone, all counts and
    hours of the first hours of a stay are there.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(20, random_state=0)
    >>> stays = cg.select(cg.read_events(cohort), cg.Task.load("in_hospital_mortality"))
    >>> known = known_at_predictions(stays, per_step=False, n_cuts=2)
    >>> len(known) == 3 * len(stays), bool((known.end_hours <= 48).all())
    (True, True)
    """
    copies = max(1, N_KNOWN // max(len(stays), 1))
    if per_step:
        return _at_random_steps(stays, min(copies, MAX_STEPS))
    if not n_cuts:
        return stays
    earlier = fixed_cuts(stays, n_cuts=min(copies, n_cuts), random_state=0)
    again = np.concatenate([np.arange(len(stays)), np.tile(np.arange(len(stays)), len(earlier) // max(len(stays), 1))])
    return stays[again].truncate_at(np.concatenate([stays.end_hours, earlier.end_hours]))


def _at_random_steps(stays: Sequences, copies: int) -> Sequences:
    """Each stay with measurements as it is known at random time steps."""
    stay = np.repeat(np.flatnonzero(stays.n_steps), copies)
    before = np.cumsum(stays.n_steps) - stays.n_steps
    step = before[stay] + (np.random.default_rng(0).random(len(stay)) * stays.n_steps[stay]).astype(int)
    return stays[stay].truncate_at(stays.hours[stays.is_new_step][step])


def scaled_at(pretrained: Any) -> dict[str, str]:
    """Say in a manifest at which hours the scaling of summaries was learned.

    Parameters
    ----------
    pretrained : PretrainedEncoder or None
        What training starts from; its scaling is kept.

    Returns
    -------
    dict
        Empty where it is that of an encoder that learned it at the ends of stays.
    """
    known = pretrained is None or SCALED in pretrained.trained_on
    return {SCALED: "at predictions"} if known else {}

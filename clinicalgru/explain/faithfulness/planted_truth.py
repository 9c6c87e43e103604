"""Outcomes that one measurement decides, so that the true explanation is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError

RISKS = 0.05, 0.9  # of a stay without the event, and with it


def plant(
    sequences: Sequences, *, variable: str, value: float, fraction: float = 0.4, random_state: int = 0
) -> tuple[Sequences, np.ndarray]:
    """Set one measurement of some stays to a value, and let it alone decide the outcome.

    Parameters
    ----------
    sequences : Sequences
        Stays of a synthetic cohort.
    variable : str
        Name of the variable.
    value : float
        What the measurement is set to, in the variable's unit; far from its usual values.
    fraction : float
        Fraction of the stays that get such an event, of those in which the variable was measured.
    random_state : int
        Seed of the choice of stays, of their measurements and of the outcomes.

    Returns
    -------
    sequences : Sequences
        The stays with new outcomes, 0 or 1.
    decides : ndarray of bool, shape (measurement,)
        Which measurements decide the outcome.

    Raises
    ------
    ArgumentError
        If the stays are those of real patients, or have no such variable.

    References
    ----------
    Planted ground truth: Ismail et al. 2020.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> from clinicalgru.explain.faithfulness.planted_truth import plant
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> planted, decides = plant(stays, variable="heart_rate", value=185.0)
    >>> bool((planted.value[decides] == 185).all())
    True
    """
    check_instance("sequences", sequences, Sequences)
    if not sequences.simulated:
        raise ArgumentError("stays of a synthetic cohort", "stays of real patients", "Pass stays from simulate.")
    names = [known.name for known in sequences.variables]
    check_choice("variable", variable, names)
    check_number("fraction", fraction, minimum=0, maximum=1)
    rng = np.random.default_rng(random_state)
    candidates = np.flatnonzero(sequences.variable == names.index(variable))
    stay = sequences.stay_of_measurement[candidates]
    shuffled = np.lexsort((rng.random(len(candidates)), stay))  # of each stay, the first in a random order
    first = shuffled[np.diff(stay[shuffled], prepend=-1) > 0]
    chosen = candidates[first][rng.random(len(first)) < fraction]
    decides = np.zeros(len(sequences.value), dtype=bool)
    decides[chosen] = True
    has_event = np.bincount(sequences.stay_of_measurement[chosen], minlength=len(sequences)) > 0
    outcome = (rng.random(len(sequences)) < np.where(has_event, RISKS[1], RISKS[0])).astype(float)
    changed = np.where(decides, np.float32(value), sequences.value)
    return replace(sequences, value=changed, outcome=outcome), decides

"""Planted events: outcomes that one measurement decides, so that it is known what an explanation has to name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError

RISKS = 0.05, 0.9  # of a stay without the event, and with it


def plant(
    sequences: Sequences, *, variable: str, value: float, share: float = 0.4, random_state: int = 0
) -> tuple[Sequences, np.ndarray]:
    """Stays in which one measurement at a random hour is set to a value, and which then alone decides the outcome.

    sequences  simulated stays
    variable, value  what the measurement is set to; far from what is usual
    share      of the stays that get such an event
    returns    the stays with new outcomes (0 or 1), and (fact,) True for the measurements that decide
    Refused: stays of real patients, a variable that is not there.

    Source: planted ground truth as in Ismail et al. 2020, in the simulated ward.

    >>> stays, decides = plant(test, variable="heart_rate", value=185.0)
    >>> bool((stays.value[decides] == 185).all())
    True
    """
    if not sequences.simulated:
        raise ArgumentError("simulated stays", "stays of real patients", "Plant events in a simulated ward.")
    names = [one.name for one in sequences.variables]
    if variable not in names:
        raise ArgumentError(f"a variable among {', '.join(names)}", repr(variable), "Choose one of them.")
    chance = np.random.default_rng(random_state)
    facts = np.flatnonzero(sequences.variable == names.index(variable))
    stay = sequences.stay_of_measurement[facts]
    drawn = np.lexsort((chance.random(len(facts)), stay))  # of each stay, the first in a random order
    first = drawn[np.diff(stay[drawn], prepend=-1) > 0]
    chosen = facts[first][chance.random(len(first)) < share]
    planted = np.zeros(len(sequences.value), dtype=bool)
    planted[chosen] = True
    has = np.bincount(sequences.stay_of_measurement[chosen], minlength=len(sequences)) > 0
    outcome = (chance.random(len(sequences)) < np.where(has, RISKS[1], RISKS[0])).astype(float)
    changed = np.where(planted, np.float32(value), sequences.value)
    return replace(sequences, value=changed, outcome=outcome), planted

"""A sample of the training stays, whose average explanations are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences

N_STAYS = 100


class ReferenceStays:
    """Mixin of GRU estimators and ensembles: a sample of training stays, and averages computed from it.

    Attributes
    ----------
    reference_stays_ : Sequences or None
        The sample. Neither pickled nor part of a bundle: it holds patients.
    averages_ : mapping
        Average contributions of these stays by target, as a manifest holds them. `clinicalgru.explain` computes them
        when they are first needed.
    averages_calibrator_ : object
        The calibrator that they were computed with.
    """

    reference_stays_: Sequences | None = None
    averages_: Mapping[str, Any] = MappingProxyType({})
    averages_calibrator_: Any = None

    def __getstate__(self) -> dict[str, Any]:
        state = cast(dict[str, Any], super().__getstate__())
        return {name: value for name, value in state.items() if name != "reference_stays_"}


def sample_stays(stays: Sequences) -> Sequences:
    """Sample stays with a measurement at random; the same ones of the same stays.

    Parameters
    ----------
    stays : Sequences
        Training stays.

    Returns
    -------
    Sequences
        At most 100 stays.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> from clinicalgru.model.reference_stays import sample_stays
    >>> stays = cg.select(cg.read_events(cg.simulate(150)), cg.Task.load("in_hospital_mortality"))
    >>> len(sample_stays(stays)), len(sample_stays(stays[:30]))
    (100, 30)
    """
    measured = np.flatnonzero(stays.n_measurements > 0)
    return stays[np.sort(np.random.default_rng(0).permutation(measured)[:N_STAYS])]

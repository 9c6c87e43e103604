"""Stays of two selections as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.layout import RAGGED, STAY_FIELDS
from clinicalgru.data.sequences.sequences import Sequences


def concat(first: Sequences, second: Sequences) -> Sequences:
    """Give the stays of one selection, followed by those of another.

    Parameters
    ----------
    first, second : Sequences
        Stays with the same number of outcomes each, such as one or none.

    Returns
    -------
    Sequences
        All stays, in memory, with variables, static covariates, task and source of the first. Variables that the
        second lacks count as never measured in it; its own further ones are left out.

    Raises
    ------
    VariableMismatch
        If a variable of the same name has another unit.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60, random_state=0)), Task.load("in_hospital_mortality"))
    >>> again = concat(stays[:20], stays[20:])
    >>> len(again) == len(stays), bool((again.value == stays.value).all())
    (True, True)
    """
    second = second.with_variables(first.variables).with_static_variables(first.static_variables)
    both = (first, second)
    arrays: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in both]) for name in STAY_FIELDS}
    words = pd.Index(first.code_vocabulary).union(pd.Index(second.code_vocabulary), sort=False)
    for starts, dtypes in RAGGED.items():
        arrays |= {name: np.concatenate([getattr(one, name) for one in both]) for name in dtypes}
        offset = getattr(first, starts)[-1]
        arrays[starts] = np.concatenate([getattr(first, starts), offset + getattr(second, starts)[1:]])
    number = words.get_indexer(pd.Index(second.code_vocabulary))
    arrays["code"] = np.concatenate([first.code, number[second.code].astype(first.code.dtype)])
    groups = pd.concat([one.groups for one in both], ignore_index=True)
    return replace(first, **arrays, code_vocabulary=tuple(words), groups=groups, _maps=None)

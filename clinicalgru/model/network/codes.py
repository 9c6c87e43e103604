"""Coded events: which codes a network knows, and which it has never been shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.layout import CODE_DTYPES
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError

MIN_CODE_STAYS = MIN_CELL_SIZE  # a code of fewer stays would say too much of somebody, and teach too little


def vocabulary(stays: Sequences, *, at_least: int = MIN_CODE_STAYS) -> tuple[str, ...]:
    """The codes that occur in at least so many of these stays, in alphabetical order: learned from training stays only.

    >>> from types import SimpleNamespace
    >>> stays = SimpleNamespace(stay_of_code=np.array([0, 1, 1]), code=np.array([0, 0, 1]), code_vocabulary=("I10", "N17"))
    >>> vocabulary(stays, at_least=1), vocabulary(stays, at_least=2)
    (('I10', 'N17'), ('I10',))
    """
    if at_least < 1:
        raise ArgumentError("min_code_stays of 1 or more", f"{at_least}", "Correct it.")
    occurs = np.unique(np.stack([stays.stay_of_code, stays.code.astype(np.int64)]), axis=1)[1]
    count = np.bincount(occurs, minlength=len(stays.code_vocabulary))
    return tuple(sorted(stays.code_vocabulary[code] for code in np.flatnonzero(count >= at_least)))


def known_codes(stays: Sequences, codes: tuple[str, ...]) -> Sequences:
    """The same stays with the coded events among these codes, in their order; `unknown_codes` tells the others."""
    if stays.code_vocabulary == codes:
        return stays
    number = _numbers(stays, codes)[stays.code]
    renumbered = replace(stays, code_vocabulary=codes, code=number.astype(CODE_DTYPES["code"]))
    return renumbered.filter_coded(number >= 0)


def unknown_codes(stays: Sequences, codes: tuple[str, ...]) -> pd.DataFrame:
    """The coded events of these stays that a network of these codes does not see: code, events, stays; most first.

    codes  the codes it knows: `model.network_.spec.code_vocabulary`
    """
    unseen = _numbers(stays, codes)[stays.code] < 0
    names = np.array([*stays.code_vocabulary], dtype=object)[stays.code[unseen]]
    table = pd.DataFrame({"code": names, "stay": stays.stay_of_code[unseen]}).groupby("code")["stay"]
    counted = table.agg(events="size", stays="nunique").reset_index()
    return counted.sort_values(["events", "code"], ascending=[False, True], ignore_index=True)


def with_anything(stays: Sequences, codes: tuple[str, ...]) -> np.ndarray:
    """(stay,) whether a network of these codes sees anything of the stay: a measurement, or a coded event it knows."""
    return (stays.n_measurements > 0) | (np.diff(known_codes(stays, codes).code_starts) > 0)


def _numbers(stays: Sequences, codes: tuple[str, ...]) -> np.ndarray:
    """(vocabulary,) the place of each code of the stays among these codes; -1 = not among them."""
    place = {code: number for number, code in enumerate(codes)}
    return np.array([place.get(code, -1) for code in stays.code_vocabulary], dtype=np.int64)

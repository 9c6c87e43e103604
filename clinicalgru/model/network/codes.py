"""Coded events: the code vocabulary of a network, and codes outside of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.layout import CODE_DTYPES
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError

MIN_CODE_STAYS = MIN_CELL_SIZE  # a rarer code could identify a patient, and little is learned from it


def fit_code_vocabulary(stays: Sequences, *, min_stays: int = MIN_CODE_STAYS) -> tuple[str, ...]:
    """Codes of the training stays that are not rare.

    Parameters
    ----------
    stays : Sequences
        The training stays.
    min_stays : int
        Number of stays that a code has to occur in.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Raises
    ------
    ArgumentError
        If `min_stays` is below 1.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from clinicalgru.model.network.codes import fit_code_vocabulary
    >>> stays = SimpleNamespace(
    ...     stay_of_code=np.array([0, 1, 1]), code=np.array([0, 0, 1]), code_vocabulary=("I10", "N17")
    ... )
    >>> fit_code_vocabulary(stays, min_stays=1), fit_code_vocabulary(stays, min_stays=2)
    (('I10', 'N17'), ('I10',))
    """
    if min_stays < 1:
        raise ArgumentError("min_code_stays of 1 or more", f"{min_stays}", "Use the default, 11.")
    pairs = np.unique(np.stack([stays.stay_of_code, stays.code.astype(np.int64)]), axis=1)[1]
    count = np.bincount(pairs, minlength=len(stays.code_vocabulary))
    return tuple(sorted(stays.code_vocabulary[code] for code in np.flatnonzero(count >= min_stays)))


def known_codes(stays: Sequences, vocabulary: tuple[str, ...]) -> Sequences:
    """The stays with only the coded events of a vocabulary.

    Parameters
    ----------
    stays : Sequences
        Stays.
    vocabulary : tuple of str
        Codes to keep.

    Returns
    -------
    Sequences
        Its `code_vocabulary` is the vocabulary.
    """
    if stays.code_vocabulary == vocabulary:
        return stays
    position = _positions(stays, vocabulary)[stays.code]
    renumbered = replace(stays, code_vocabulary=vocabulary, code=position.astype(CODE_DTYPES["code"]))
    return renumbered.filter_coded(position >= 0)


def unknown_codes(stays: Sequences, vocabulary: tuple[str, ...]) -> pd.DataFrame:
    """Count the coded events that are not in a vocabulary.

    Parameters
    ----------
    stays : Sequences
        Stays.
    vocabulary : tuple of str
        Codes of a network: `model.network_.spec.code_vocabulary`.

    Returns
    -------
    pandas.DataFrame
        Columns code, events, stays; most frequent first.
    """
    unknown = _positions(stays, vocabulary)[stays.code] < 0
    names = np.array([*stays.code_vocabulary], dtype=object)[stays.code[unknown]]
    table = pd.DataFrame({"code": names, "stay": stays.stay_of_code[unknown]}).groupby("code")["stay"]
    counts = table.agg(events="size", stays="nunique").reset_index()
    return counts.sort_values(["events", "code"], ascending=[False, True], ignore_index=True)


def has_observations(stays: Sequences, vocabulary: tuple[str, ...]) -> np.ndarray:
    """Whether each stay has a measurement, or a coded event of a vocabulary.

    Parameters
    ----------
    stays : Sequences
        Stays.
    vocabulary : tuple of str
        Codes of a network.

    Returns
    -------
    ndarray of bool, shape (stay,)
    """
    return (stays.n_measurements > 0) | (np.diff(known_codes(stays, vocabulary).code_starts) > 0)


def _positions(stays: Sequences, vocabulary: tuple[str, ...]) -> np.ndarray:
    """The position of each code of the stays in a vocabulary; -1 for none."""
    position = {code: number for number, code in enumerate(vocabulary)}
    return np.array([position.get(code, -1) for code in stays.code_vocabulary], dtype=np.int64)

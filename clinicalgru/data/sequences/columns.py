"""The columns of sequences, as scikit-learn addresses them: all measurements of one variable, or one static covariate.

scikit-learn treats an object with `iloc` as a table: `permutation_importance` reads a column with its rows in another
order (`iloc[rows, column]`) and assigns it to a copy of the table. The classes here give `Sequences` that interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clinicalgru.data.sequences.layout import MEASUREMENT_DTYPES, concat_ranges
from clinicalgru.errors import ArgumentError, describe


@dataclass
class SeriesColumn:
    """The measurements of one variable, stay by stay.

    Attributes
    ----------
    starts : ndarray of int, shape (stay + 1,)
        The measurements of stay i are `starts[i]` to `starts[i + 1] - 1`.
    arrays : dict of str to ndarray
        The measurement arrays of `Sequences`, reduced to this variable.
    index : ndarray
        Labels of the rows; not used.
    """

    starts: np.ndarray
    arrays: dict[str, np.ndarray]
    index: Any = None

    def reorder(self, rows: np.ndarray) -> SeriesColumn:
        """Return the measurements of the stays at these positions, in that order.

        Parameters
        ----------
        rows : ndarray of int
            Positions of the stays.

        Returns
        -------
        SeriesColumn
            A copy.
        """
        picked, starts = concat_ranges(self.starts, rows)
        return SeriesColumn(starts, {name: array[picked] for name, array in self.arrays.items()})

    def assign_to(self, stays: Any, position: int) -> dict[str, np.ndarray]:
        """Return the arrays of the sequences in which these measurements replace those of a variable.

        Parameters
        ----------
        stays : Sequences
            The sequences.
        position : int
            Position of the variable in `stays.variables`.

        Returns
        -------
        dict of str to ndarray
            The measurement arrays and `starts`.
        """
        others = stays.variable != position
        stay = np.concatenate(
            [stays.stay_of_measurement[others], np.repeat(np.arange(len(stays)), np.diff(self.starts))]
        )
        arrays = {
            name: np.concatenate([getattr(stays, name)[others], self.arrays[name]]) for name in MEASUREMENT_DTYPES
        }
        order = np.lexsort((arrays["variable"], -arrays["availability_lag"], arrays["hours"], stay))
        starts = np.concatenate([[0], np.cumsum(np.bincount(stay, minlength=len(stays)))])
        return {name: array[order] for name, array in arrays.items()} | {"starts": starts}


@dataclass
class StaticColumn:
    """One static covariate.

    Attributes
    ----------
    values : ndarray of float, shape (stay,)
        The covariate; NaN = unknown.
    index : ndarray
        Labels of the rows; not used.
    """

    values: np.ndarray
    index: Any = None

    def reorder(self, rows: np.ndarray) -> StaticColumn:
        """Return the values of the stays at these positions, in that order.

        Parameters
        ----------
        rows : ndarray of int
            Positions of the stays.

        Returns
        -------
        StaticColumn
            A copy.
        """
        return StaticColumn(self.values[rows])

    def assign_to(self, stays: Any, position: int) -> dict[str, np.ndarray]:
        """Return the arrays of the sequences in which these values replace those of a static covariate.

        Parameters
        ----------
        stays : Sequences
            The sequences.
        position : int
            Position of the covariate in `stays.columns`.

        Returns
        -------
        dict of str to ndarray
            The array `static`, and the static observations of the other covariates: the values count as known
            throughout.
        """
        static, column = stays.static.copy(), position - len(stays.variables)
        static[:, column] = self.values
        return {"static": static} | stays._filtered("static_starts", stays.static_column != column)


Column = SeriesColumn | StaticColumn


def _read_column(stays: Any, position: int) -> Column:
    """Return a column of sequences: a variable, or a static covariate where the position is beyond the variables."""
    if position >= len(stays.variables):
        return StaticColumn(stays.static[:, position - len(stays.variables)])
    rows = stays.variable == position
    starts = np.concatenate([[0], np.cumsum(rows)])[stays.starts]
    return SeriesColumn(starts, {name: getattr(stays, name)[rows] for name in MEASUREMENT_DTYPES})


def check_exchangeable(stays: Any) -> None:
    """Check that all stays are predicted at the same hour.

    Otherwise an exchanged column would hold values from after a stay's own prediction.

    Parameters
    ----------
    stays : Sequences
        The sequences.

    Raises
    ------
    ArgumentError
        If the stays have several prediction times.
    """
    if len(stays) and np.ptp(stays.end_hours) != 0:
        fix = "Use clinicalgru.importance, or a task with one prediction per stay."
        raise ArgumentError("stays with one prediction time, to exchange columns between them", "several", fix)


class PositionIndexer:
    """Read stays by position or mask, or a column with its stays in another order: `iloc` and `loc`.

    Parameters
    ----------
    stays : Sequences
        The sequences.
    """

    def __init__(self, stays: Any) -> None:
        self.stays = stays

    def __getitem__(self, key: Any) -> Any:
        """Stays (`iloc[rows]`), or one column of stays (`iloc[rows, column]`)."""
        if not isinstance(key, tuple):
            return self.stays[key]
        rows, column = key
        if not isinstance(column, int | np.integer) or not 0 <= column < self.stays.shape[1]:
            raise ArgumentError("one column by its position", describe(column), "Use iloc[rows, 0], iloc[rows, 1], ...")
        return _read_column(self.stays, int(column)).reorder(np.arange(len(self.stays))[rows])

"""Names and number types of the arrays that make up `Sequences`."""

from __future__ import annotations

from typing import Any

import numpy as np

STAY_FIELDS = ("patient", "stay", "static", "outcome", "end_hours", "index_time")  # one row per stay
MEASUREMENT_DTYPES = {"hours": np.float64, "availability_lag": np.float32, "variable": np.int16, "value": np.float32}
CODE_DTYPES = {"code_hours": np.float64, "code": np.int32}
STATIC_DTYPES = {"static_hours": np.float64, "static_column": np.int16, "static_value": np.float32}
RAGGED: dict[str, dict[str, Any]] = {  # where the entries of each stay start, and the arrays of entries
    "starts": MEASUREMENT_DTYPES,
    "code_starts": CODE_DTYPES,
    "static_starts": STATIC_DTYPES,
}


def concat_ranges(starts: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate the ranges of rows of some stays.

    Parameters
    ----------
    starts : ndarray of int, shape (stay + 1,)
        The rows of stay i are `starts[i]` to `starts[i + 1] - 1`.
    index : ndarray of int, shape (selected,)
        Positions of stays.

    Returns
    -------
    rows : ndarray of int
        Rows of the selected stays, one stay after the other.
    new_starts : ndarray of int, shape (selected + 1,)
        Where each stay begins in `rows`.

    Examples
    --------
    >>> import numpy as np
    >>> concat_ranges(np.array([0, 2, 5]), np.array([1, 0]))
    (array([2, 3, 4, 0, 1]), array([0, 3, 5]))
    """
    counts = starts[index + 1] - starts[index]
    new_starts = np.concatenate([[0], np.cumsum(counts)])
    return np.arange(new_starts[-1]) + np.repeat(starts[index] - new_starts[:-1], counts), new_starts

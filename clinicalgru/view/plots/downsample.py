"""Fewer points to draw, so that a long stay stays quick to look at; what is computed is computed from all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1000  # points of one line or one variable that are drawn


def downsample(rows: pd.DataFrame, column: str, *, most: int = MAX_POINTS) -> pd.DataFrame:
    """Of many rows the lowest and the highest of each stretch, the first and the last; few rows as they are.

    rows     in the order in which they are drawn
    column   whose extremes are kept
    most     rows that come back, about: never more than two above it

    >>> import pandas as pd
    >>> downsample(pd.DataFrame({"y": [1, 5, 2, 2, 0, 2, 2, 2]}), "y", most=4)["y"].tolist()
    [1, 5, 0, 2]
    """
    if len(rows) <= most:
        return rows
    stretch = np.arange(len(rows)) * (most // 2) // len(rows)
    order = np.lexsort((rows[column].to_numpy(), stretch))
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    ends = np.append(starts[1:], len(rows)) - 1
    return rows.iloc[np.unique(np.concatenate([[0, len(rows) - 1], order[starts], order[ends]]))]

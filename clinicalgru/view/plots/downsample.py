"""Reduce the points that are drawn, so that the figure of a long stay stays fast; numbers use all points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1000  # drawn of one line or one variable


def downsample(rows: pd.DataFrame, column: str, *, max_points: int = MAX_POINTS) -> pd.DataFrame:
    """Keep the minimum and maximum of each stretch of rows, and the first and last row (min-max decimation).

    Parameters
    ----------
    rows : DataFrame
        In the order in which they are drawn.
    column : str
        Column whose extremes are kept.
    max_points : int, default 1000
        Rows to return, at most two more; fewer rows are returned as they are.

    Returns
    -------
    DataFrame
        The kept rows in their order.

    Notes
    -----
    `clinicalgru.evaluate.curves` reduces ROC and precision-recall curves by another rule, which keeps the area under
    the curve. A series over time must keep its extremes instead.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.view.plots.downsample import downsample
    >>> downsample(pd.DataFrame({"y": [1, 5, 2, 2, 0, 2, 2, 2]}), "y", max_points=4)["y"].tolist()
    [1, 5, 0, 2]
    """
    if len(rows) <= max_points:
        return rows
    stretch = np.arange(len(rows)) * (max_points // 2) // len(rows)
    order = np.lexsort((rows[column].to_numpy(), stretch))
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    ends = np.append(starts[1:], len(rows)) - 1
    return rows.iloc[np.unique(np.concatenate([[0, len(rows) - 1], order[starts], order[ends]]))]

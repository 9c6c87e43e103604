"""The table of a cohort view in the browser, and the small line of each stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinicalgru.html import Markup, tag
from clinicalgru.view.assets import read_asset
from clinicalgru.view.widgets.notebook_packages import anywidget, traitlets

Trajectory = Sequence[float] | np.ndarray
WIDTH, HEIGHT = 100, 24  # of a sparkline, in its own coordinates


class CohortTable(anywidget.AnyWidget):
    """Table in the browser: it shows this state, and sets `sorted_by`, `page` and `selected`.

    Parameters
    ----------
    *args, **kwargs
        Initial values of the attributes, by keyword, and options of `anywidget.AnyWidget`.

    Attributes
    ----------
    caption : str
        Caption of the table.
    columns : list of str
        Names of the columns.
    sortable : list of int
        Positions of the columns that can be sorted by.
    rows : list of dict
        Rows of the current page: position, cells, points, label.
    sparklines : bool
        Whether the last column holds sparklines.
    sort, descending : int, bool
        Column that the table is sorted by, and its direction.
    sorted_by : dict
        Set by the browser: column of the button that was clicked.
    page, pages : int
        Current page, from 0, and number of pages.
    status : str
        Text below the table.
    selected : int
        Position of the open stay; -1 for none.
    """

    _esm = read_asset("widgets", "cohort.js")
    caption = traitlets.Unicode("Scored stays").tag(sync=True)
    columns: traitlets.List[str] = traitlets.List().tag(sync=True)
    sortable: traitlets.List[int] = traitlets.List().tag(sync=True)
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    sparklines = traitlets.Bool(False).tag(sync=True)
    sort = traitlets.Int(1).tag(sync=True)
    descending = traitlets.Bool(True).tag(sync=True)
    sorted_by: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    page = traitlets.Int(0).tag(sync=True)
    pages = traitlets.Int(1).tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)


def sparkline(trajectory: Trajectory) -> str:
    """Compute the points of a small line of a risk over time.

    Parameters
    ----------
    trajectory : array-like of float, shape (time,)
        Risks; NaN is left out.

    Returns
    -------
    str
        Points of an SVG polyline in a box of 100 by 24. The top is the highest risk, at least 50 %.

    Examples
    --------
    >>> from clinicalgru.view.widgets.cohort_table import sparkline
    >>> sparkline([0.0, 0.5])
    '0,23 100,1'
    """
    risk = np.asarray(trajectory, dtype=float)
    risk = risk[~np.isnan(risk)]
    if not len(risk):
        return ""
    x = np.linspace(0, WIDTH, len(risk)) if len(risk) > 1 else np.array([WIDTH / 2])
    y = HEIGHT - 1 - (HEIGHT - 2) * risk / max(0.5, risk.max())
    return " ".join(f"{a:.4g},{b:.4g}" for a, b in zip(x, y, strict=True))


def sparkline_cell(points: str, label: str) -> Markup:
    """Build the cell of a table with a sparkline.

    Parameters
    ----------
    points : str
        What `sparkline` returned.
    label : str
        Text that a screen reader reads instead.

    Returns
    -------
    Markup
        The cell; a dash where there are no points.

    Examples
    --------
    >>> from clinicalgru.view.widgets.cohort_table import sparkline_cell
    >>> str(sparkline_cell("", "no risk"))
    '<td>–</td>'
    """
    line = {"points": points, "fill": "none", "stroke": "#0072b2", "stroke-width": "1.8"}
    box = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": "120", "height": "24", "role": "img", "aria-label": label}
    return tag("td", tag("svg", tag("polyline", attrs=line), attrs=box) if points else "–")

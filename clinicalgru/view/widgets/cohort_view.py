"""Widget of scored stays: a table to sort and filter, in which a click opens one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences as Sequences_
from clinicalgru.errors import ArgumentError, ClinicalGRUError, describe
from clinicalgru.html import Markup, tag
from clinicalgru.view.pages import html_page
from clinicalgru.view.text.format import capitalize_first, format_percent
from clinicalgru.view.widgets.cohort_of_model import explained, predicted
from clinicalgru.view.widgets.cohort_table import CohortTable, Trajectory, sparkline, sparkline_cell
from clinicalgru.view.widgets.notebook_packages import ipywidgets
from clinicalgru.view.widgets.widget_base import SavedView, html_widget, paragraph, styled

ALL = "all"
ROWS_PER_PAGE = 20
REQUIRED = ("risk", "status", "reason")


class CohortView(SavedView):
    """Show scored stays as a table, sortable and filtered by risk and status.

    Parameters
    ----------
    scores : DataFrame or estimator
        What `score` returned: risk, status, reason, prediction_hours. Or a fitted model, with `sequences`.
    sequences : Sequences, optional
        Stays that the model predicts; a click then explains the stay, unless `open_stay` says otherwise.
    open_stay : callable, optional
        Takes the position of a stay in `scores`; returns a widget to show below, such as a `PatientView`.
    trajectories : sequence or mapping of array-like, optional
        Risk over time of each stay, or of some by position; drawn as a small line. None where there is none.
    show_id : bool, default False
        Whether stays are named by stay_id; otherwise by their position in `scores`.

    Attributes
    ----------
    positions : list of int
        Positions of the stays that pass the filters, in order.
    sort : {"Stay", "Risk", "Status"}
        Column that the table is sorted by; can be set.
    descending : bool
        Whether the largest comes first; can be set.
    status : str
        Status that is shown, or "all"; can be set.
    risk_range : (float, float)
        Lowest and highest risk that is shown; can be set.
    selected : int
        Position of the stay that is open, -1 for none; can be set.

    Raises
    ------
    ArgumentError
        If `scores` is no table with risk, status and reason and there are no `sequences`, or `trajectories` has another
        length.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.view.widgets.cohort_view import CohortView
    >>> table = pd.DataFrame({"risk": [0.1, 0.7, None], "status": ["scored", "scored", "not scored"], "reason": ""})
    >>> CohortView(table).positions
    [1, 0, 2]
    """

    def __init__(
        self,
        scores: Any,
        sequences: Sequences_ | None = None,
        *,
        open_stay: Callable[[int], ipywidgets.Widget] | None = None,
        trajectories: Sequence[Trajectory | None] | Mapping[int, Trajectory] | None = None,
        show_id: bool = False,
    ) -> None:
        if sequences is not None:
            model, scores = scores, predicted(scores, sequences)
            open_stay = open_stay or explained(model, sequences)
        _check_scores(scores)
        if open_stay is not None and not callable(open_stay):
            raise ArgumentError("open_stay as a function", describe(open_stay), "Pass a function of a position.")
        self._sparklines = _sparklines(trajectories, len(scores))
        super().__init__()
        self.open_stay = open_stay
        numbered = [str(position + 1) for position in range(len(scores))]
        labels = scores["stay_id"].astype(str).tolist() if show_id and "stay_id" in scores else numbered
        self.table = scores.reset_index(drop=True)[list(REQUIRED)].assign(stay=labels)
        self._build()

    def _build(self) -> None:
        """Create the controls and the table, and connect them."""
        statuses = [ALL, *self.table["status"].unique()]
        options = [(capitalize_first(status), status) for status in statuses]
        self._status = ipywidgets.Dropdown(options=options, description="Status")
        self._risk_range = ipywidgets.FloatRangeSlider(
            value=(0.0, 100.0), min=0, max=100, step=1, description="Risk, %", readout_format=".0f"
        )
        columns = ["Stay", "Risk", "Status", "Reason", *(["Risk over time"] if self._sparklines else [])]
        self.browser = CohortTable(columns=columns, sortable=[0, 1, 2], sparklines=bool(self._sparklines))
        self.opened = ipywidgets.VBox()
        styled(self, ipywidgets.HBox([self._status, self._risk_range]), self.browser, self.opened)
        for control in (self._status, self._risk_range):
            control.observe(self._filter, names="value")
        self.browser.observe(self._on_sort, names="sorted_by")
        self.browser.observe(self._draw, names=["page", "sort", "descending"])
        self.browser.observe(self._on_select, names="selected")
        self._filter()

    @property
    def sort(self) -> str:
        """The column that the table is sorted by."""
        return str(self.browser.columns[self.browser.sort])

    @sort.setter
    def sort(self, column: str) -> None:
        sortable = [self.browser.columns[position] for position in self.browser.sortable]
        check_choice("sort", column, sortable)
        self.browser.sort = sortable.index(column)

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return bool(self.browser.descending)

    @descending.setter
    def descending(self, descending: bool) -> None:
        self.browser.descending = descending

    @property
    def status(self) -> str:
        """The status that is shown, or "all"."""
        return str(self._status.value)

    @status.setter
    def status(self, status: str) -> None:
        check_choice("status", status, [value for _, value in self._status.options])
        self._status.value = status

    @property
    def risk_range(self) -> tuple[float, float]:
        """Lowest and highest risk that is shown; stays without a risk are shown while this is (0, 1)."""
        low, high = self._risk_range.value
        return low / 100, high / 100

    @risk_range.setter
    def risk_range(self, risk_range: tuple[float, float]) -> None:
        low, high = risk_range
        check_number("risk_range[0]", low, minimum=0, maximum=1)
        check_number("risk_range[1]", high, minimum=0, maximum=1)
        self._risk_range.value = (100 * low, 100 * high)

    @property
    def selected(self) -> int:
        """Position of the stay that is open; -1 for none."""
        return int(self.browser.selected)

    @selected.setter
    def selected(self, position: int) -> None:
        check_number("selected", position, minimum=-1, maximum=len(self.table) - 1, whole=True)
        self.browser.selected = int(position)

    @property
    def positions(self) -> list[int]:
        """Positions of the stays that pass the filters, in order; those without a value come last."""
        table, (low, high) = self.table, self.risk_range
        mask = pd.Series(True, index=table.index) if self.status == ALL else table["status"] == self.status
        if (low, high) != (0.0, 1.0):
            mask &= table["risk"].between(low, high)
        filtered = table[mask].assign(Stay=np.flatnonzero(mask), Risk=table["risk"], Status=table["status"])
        ordered = filtered.sort_values(self.sort, ascending=not self.descending, kind="stable", na_position="last")
        return [int(position) for position in ordered.index]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all stays that pass the filters, in their order, as one offline HTML page.

        Parameters
        ----------
        path : str or path
            File to write; its folder is created.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError
            If `path` is a folder.
        """
        rows = self.positions
        stays = html_page.section("Stays", self._table(rows))
        lead = f"{len(rows):,} of {len(self.table):,} stays"
        return html_page.write(html_page.page("Scored stays", lead, stays, provenance={}), path)

    def _static_html(self) -> Markup:
        """Build the first page of the table, which a saved notebook shows where no widget runs."""
        return tag("div", self._table(self.positions[:ROWS_PER_PAGE]), tag("p", self.browser.status))

    def _table(self, positions: Sequence[int]) -> Markup:
        """Build the table of some stays."""
        rows = [self._row(position) for position in positions]
        head = tag("tr", *(tag("th", name, attrs={"scope": "col"}) for name in self.browser.columns))
        drawn = bool(self._sparklines)
        lines = [
            tag("tr", *(tag("td", cell) for cell in row["cells"]),
                *([sparkline_cell(row["points"], row["label"])] if drawn else []))
            for row in rows
        ]  # fmt: skip
        inner = tag("table", tag("thead", head), tag("tbody", *lines))
        return tag("div", inner, attrs={"class": "scroll"})

    def _row(self, position: int) -> dict[str, Any]:
        """Collect what the browser shows of a stay."""
        row: dict[Any, Any] = self.table.loc[position].to_dict()
        stay, risk, status, reason = (row[name] for name in ("stay", *REQUIRED))
        risk_text = format_percent(float(risk)) if pd.notna(risk) else "–"
        return {
            "position": position,
            "cells": [str(stay), risk_text, str(status), str(reason)],
            "points": self._sparklines.get(position, ""),
            "label": f"risk over time, {risk_text} last",
        }

    def _filter(self, *_: object) -> None:
        """Go back to the first page after a filter changed."""
        self.browser.page = 0
        self._draw()

    def _on_sort(self, change: Mapping[str, Any]) -> None:
        """Sort by the column whose button was clicked; a second click reverses the order."""
        column = int(change["new"].get("column", self.browser.sort))
        with self.browser.hold_sync():
            self.browser.descending = not self.descending if column == self.browser.sort else column == 1
            self.browser.sort = column

    def _draw(self, *_: object) -> None:
        """Send the rows of the current page to the browser."""
        positions = self.positions
        pages = max(1, -(-len(positions) // ROWS_PER_PAGE))
        page = min(self.browser.page, pages - 1)
        first = page * ROWS_PER_PAGE
        current = positions[first : first + ROWS_PER_PAGE]
        with self.browser.hold_sync():
            self.browser.pages, self.browser.page = pages, page
            self.browser.rows = [self._row(position) for position in current]
            which = f"{first + 1:,} to {first + len(current):,}" if current else "none"
            self.browser.status = f"Showing {which} of {len(positions):,} stays; {len(self.table):,} in all"

    def _on_select(self, *_: object) -> None:
        """Open the selected stay below the table, or say why it cannot be opened."""
        if self.open_stay is None or self.selected < 0:
            self.opened.children = ()
            return
        try:
            widget: ipywidgets.Widget = self.open_stay(self.selected)
        except ClinicalGRUError as error:
            widget = html_widget(paragraph(f"This stay cannot be opened. {error}", css_class="cg-warn"), live=True)
        self.opened.children = (widget,)


def _check_scores(scores: Any) -> None:
    """Raise unless a value is a table of scores."""
    check_instance("scores", scores, pd.DataFrame, fix="Pass the table that score returned.")
    missing = [name for name in REQUIRED if name not in scores]
    if missing:
        got = f"no column named {' or '.join(missing)}"
        raise ArgumentError(f"the columns {', '.join(REQUIRED)}", got, "Pass the table that score returned.")


def _sparklines(trajectories: Any, n_stays: int) -> dict[int, str]:
    """Compute the sparkline of each stay with a trajectory, by position."""
    if trajectories is None:
        return {}
    check_instance("trajectories", trajectories, Sequence, Mapping, np.ndarray, fix="Pass a list, one for each stay.")
    if not isinstance(trajectories, Mapping):
        if len(trajectories) != n_stays:
            fix = "Pass a dict by position for some of them."
            raise ArgumentError(f"a trajectory for each of {n_stays} stays", f"{len(trajectories)} trajectories", fix)
        trajectories = dict(enumerate(trajectories))
    return {position: sparkline(one) for position, one in trajectories.items() if one is not None}

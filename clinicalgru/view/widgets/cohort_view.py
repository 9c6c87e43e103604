"""Scored stays as one table to sort and filter; a click opens one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import pandas as pd
import traitlets

from clinicalgru.errors import ArgumentError, ClinicalGRUError
from clinicalgru.html import Markup, tag
from clinicalgru.view.pages import html_page
from clinicalgru.view.text.format import capitalize_first, format_percent
from clinicalgru.view.widgets.widget_base import html_widget, paragraph, read_asset, styled

ALL = "all"
PAGE = 20  # rows shown at once
Course = Sequence[float] | np.ndarray
NEEDED = ("risk", "status", "reason")


class CohortTable(anywidget.AnyWidget):
    """The table in the browser: it shows this state, and sets `sorted_by`, `page` and `chosen`."""

    _esm = read_asset("cohort.js")
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
    chosen = traitlets.Int(-1).tag(sync=True)


class CohortView(ipywidgets.VBox):
    """A sortable table of scored stays, filtered by risk and status; opening a stay calls one given function.

    scores    what `score` returned: risk, status, reason, prediction_hours
    patient   position of the stay in `scores` -> a widget to show beneath, such as a PatientView
    courses   for each stay (or by position) its risk over time, drawn as a small line; None where there is none
    show_id  name stays by stay_id; otherwise by their position in `scores`
    Refused: a table without risk, status and reason, another number of courses.

    State: `shown` (positions, in order), `sort` ("Stay", "Risk", "Status"), `descending`, `status`, `risks` (lowest,
    highest), `chosen` (position); all but `shown` can be set.

    >>> table = pd.DataFrame({"risk": [0.1, 0.7, None], "status": ["scored", "scored", "not scored"], "reason": ""})
    >>> CohortView(table).shown
    [1, 0, 2]
    """

    def __init__(
        self,
        scores: pd.DataFrame,
        *,
        patient: Callable[[int], ipywidgets.Widget] | None = None,
        courses: Sequence[Course | None] | Mapping[int, Course] | None = None,
        show_id: bool = False,
    ) -> None:
        super().__init__()
        missing = [name for name in NEEDED if name not in scores]
        if missing:
            raise ArgumentError("the columns risk, status, reason", f"none called {', '.join(missing)}", "Use score().")
        if isinstance(courses, Sequence) and len(courses) != len(scores):
            raise ArgumentError(f"a course for each of {len(scores)} stays", f"{len(courses)}", "Pass a dict of some.")
        self.patient = patient
        given = courses if isinstance(courses, Mapping) else dict(enumerate([] if courses is None else courses))
        self.points = {place: sparkline(course) for place, course in given.items() if course is not None}
        named = "stay_id" in scores and show_id
        label = scores["stay_id"].map(str) if named else pd.Series([f"{n + 1}" for n in range(len(scores))])
        self.table = scores.reset_index(drop=True)[list(NEEDED)].assign(stay=label.to_numpy())
        self._build()

    def _build(self) -> None:
        statuses = [ALL, *self.table["status"].unique()]
        self._status = ipywidgets.Dropdown(
            options=[(capitalize_first(one), one) for one in statuses], description="Status"
        )
        self._risks = ipywidgets.FloatRangeSlider(
            value=(0.0, 100.0), min=0, max=100, step=1, description="Risk, %", readout_format=".0f"
        )
        columns = ["Stay", "Risk", "Status", "Reason", *(["Risk over time"] if self.points else [])]
        self.browser = CohortTable(columns=columns, sortable=[0, 1, 2], sparklines=bool(self.points))
        self.opened = ipywidgets.VBox()
        styled(self, ipywidgets.HBox([self._status, self._risks]), self.browser, self.opened)
        for control in (self._status, self._risks):
            control.observe(self._filter, names="value")
        self.browser.observe(self._sort, names="sorted_by")
        self.browser.observe(self._draw, names=["page", "sort", "descending"])
        self.browser.observe(self._open, names="chosen")
        self._filter()

    @property
    def sort(self) -> str:
        """The column the table is sorted by."""
        return str(self.browser.columns[self.browser.sort])

    @sort.setter
    def sort(self, column: str) -> None:
        known = [self.browser.columns[place] for place in self.browser.sortable]
        if column not in known:
            raise ArgumentError(f"a column among {', '.join(known)}", repr(column), "Choose one of them.")
        self.browser.sort = known.index(column)

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return bool(self.browser.descending)

    @descending.setter
    def descending(self, largest_first: bool) -> None:
        self.browser.descending = largest_first

    @property
    def status(self) -> str:
        """The status that is shown, or "all"."""
        return str(self._status.value)

    @status.setter
    def status(self, status: str) -> None:
        self._status.value = status

    @property
    def risks(self) -> tuple[float, float]:
        """Lowest and highest risk that is shown; stays without a risk are shown while this is (0, 1)."""
        low, high = self._risks.value
        return low / 100, high / 100

    @risks.setter
    def risks(self, between: tuple[float, float]) -> None:
        self._risks.value = (100 * between[0], 100 * between[1])

    @property
    def chosen(self) -> int:
        """Position of the stay that is open; -1 for none."""
        return int(self.browser.chosen)

    @chosen.setter
    def chosen(self, position: int) -> None:
        if position >= len(self.table):
            raise ArgumentError(f"a position below {len(self.table)}", f"{position}", "Positions count from 0.")
        self.browser.chosen = position

    @property
    def shown(self) -> list[int]:
        """Positions of the stays that pass the filters, in order; those without a value come last."""
        table, (low, high) = self.table, self.risks
        keep = pd.Series(True, index=table.index) if self.status == ALL else table["status"] == self.status
        if (low, high) != (0.0, 1.0):
            keep &= table["risk"].between(low, high)
        kept = table[keep].assign(Stay=np.flatnonzero(keep), Risk=table["risk"], Status=table["status"])
        ordered = kept.sort_values(self.sort, ascending=not self.descending, kind="stable", na_position="last")
        return [int(place) for place in ordered.index]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """All stays that pass the filters, in this order, as one offline HTML page."""
        rows = [self._row(place) for place in self.shown]
        head = tag("tr", *(tag("th", name, attrs={"scope": "col"}) for name in self.browser.columns))
        lines = [tag("tr", *(tag("td", cell) for cell in row["cells"]), *self._drawn(row)) for row in rows]
        inner = tag("table", tag("thead", head), tag("tbody", *lines))
        whole = html_page.section("Stays", tag("div", inner, attrs={"class": "scroll"}))
        return html_page.write(html_page.page("Scored stays", self._said(len(rows)), whole, provenance={}), path)

    def _drawn(self, row: Mapping[str, Any]) -> list[Markup]:
        if not self.points:
            return []
        line = tag(
            "polyline", attrs={"points": row["points"], "fill": "none", "stroke": "#0072b2", "stroke-width": "1.8"}
        )
        sizes = {"viewBox": "0 0 100 24", "width": "120", "height": "24", "role": "img", "aria-label": row["said"]}
        return [tag("td", tag("svg", line, attrs=sizes) if row["points"] else "–")]

    def _row(self, place: int) -> dict[str, Any]:
        row: dict[Any, Any] = self.table.loc[place].to_dict()
        stay, risk, status, reason = (row[name] for name in ("stay", "risk", "status", "reason"))
        shown = format_percent(float(risk)) if pd.notna(risk) else "–"
        cells = [str(stay), shown, str(status), str(reason)]
        return {
            "position": place,
            "cells": cells,
            "points": self.points.get(place, ""),
            "said": f"risk over time, {shown} last",
        }

    def _said(self, count: int) -> str:
        return f"{count:,} of {len(self.table):,} stays"

    def _filter(self, *_: object) -> None:
        self.browser.page = 0
        self._draw()

    def _sort(self, change: Mapping[str, Any]) -> None:
        column = int(change["new"].get("column", self.browser.sort))
        with self.browser.hold_sync():
            self.browser.descending = not self.descending if column == self.browser.sort else column == 1
            self.browser.sort = column

    def _draw(self, *_: object) -> None:
        shown = self.shown
        pages = max(1, -(-len(shown) // PAGE))
        page = min(self.browser.page, pages - 1)
        here = shown[page * PAGE : (page + 1) * PAGE]
        with self.browser.hold_sync():
            self.browser.pages, self.browser.page = pages, page
            self.browser.rows = [self._row(place) for place in here]
            at = f"{page * PAGE + 1:,} to {page * PAGE + len(here):,}" if here else "none"
            self.browser.status = f"Showing {at} of {len(shown):,} stays; {len(self.table):,} in all"

    def _open(self, *_: object) -> None:
        if self.patient is None or self.chosen < 0:
            self.opened.children = ()
            return
        try:
            shown: ipywidgets.Widget = self.patient(self.chosen)
        except ClinicalGRUError as error:
            shown = html_widget(paragraph(f"This stay cannot be opened. {error}", kind="cg-warn"), alive=True)
        self.opened.children = (shown,)


def sparkline(course: Course) -> str:
    """Points of a small line, 100 wide and 24 high, from a risk of 0 at the bottom to the highest or 50 % at the top.

    >>> sparkline([0.0, 0.5])
    '0,23 100,1'
    """
    risk = np.asarray(course, dtype=float)
    risk = risk[~np.isnan(risk)]
    if not len(risk):
        return ""
    x = np.linspace(0, 100, len(risk)) if len(risk) > 1 else np.array([50.0])
    y = 23 - 22 * risk / max(0.5, risk.max())
    return " ".join(f"{a:.4g},{b:.4g}" for a, b in zip(x, y, strict=True))

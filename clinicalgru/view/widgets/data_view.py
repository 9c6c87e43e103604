"""What came in, to look at before anything is learned: the ledger, what is missing when, how values are spread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd
import plotly.graph_objects as go

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.data.profile import distribution, find, measured_by_hour
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, is_small, suppress_flow
from clinicalgru.html import Markup, table
from clinicalgru.view.pages import html_page
from clinicalgru.view.plots.theme import BAND, BAND_EDGE, BLUE, GREY, VERMILLION, apply_theme
from clinicalgru.view.text.format import (
    escape_plotly,
    format_number,
    format_percent,
    format_value,
    iter_rows,
    label_with_unit,
)
from clinicalgru.view.widgets.widget_base import figure_widget, html_widget, paragraph, styled

SHADES = [[0, "#ffffff"], [0.05, "#d5e6f3"], [1, "#00406b"]]
LEDGER, MISSING, VALUES = "Ledger", "Measured by hour", "Values"
BY_HOUR = "The darker, the more stays have a value that became known in that hour. White: nobody has."
SPREAD = "Shaded: the adult reference range. Dashed: the plausible range; what lay outside was rejected when reading."


def plot_measured_by_hour(
    shown: pd.DataFrame, labels: dict[str, str], *, min_cell_size: int = MIN_CELL_SIZE
) -> go.Figure:
    """A heat map of the share of stays with each variable measured in each hour, the most measured on top.

    shown     what `measured_by_hour` returned
    labels    a label for each variable name
    min_cell_size  cells of 1 to below this many stays, or that leave so few, say no more than that
    """
    of, stays = (shown.pivot(index="variable", columns="hour", values=column) for column in ("of", "stays"))
    order = stays.sum(axis=1).sort_values(kind="stable").index
    of, stays = of.loc[order], stays.loc[order]
    share = [
        [_share(n, m, min_cell_size) for n, m in zip(*row, strict=True)]
        for row in zip(stays.values, of.values, strict=True)
    ]
    hover = [
        [
            f"{escape_plotly(labels[name])}, hour {hour}: {_of(n, m, min_cell_size)}"
            for hour, n, m in zip(stays.columns, *row, strict=True)
        ]
        for name, *row in zip(order, stays.values, of.values, strict=True)
    ]
    drawn = go.Figure(
        go.Heatmap(
            z=share, x=[float(hour) for hour in stays.columns], y=[escape_plotly(labels[name]) for name in order],
            zmin=0, zmax=1, colorscale=SHADES, xgap=1, ygap=1, hovertext=hover, hoverinfo="text",
            colorbar={"tickformat": ".0%", "title": {"text": "of stays"}},
        )
    )  # fmt: skip
    apply_theme(drawn, height=150 + 24 * len(order)).update_yaxes(automargin=True, showgrid=False, ticks="")
    return drawn.update_xaxes(title_text="Hour since the start or anchor", showgrid=False)


def _share(stays: int, of: int, min_cell_size: int) -> float | None:
    """What is drawn: a small cell looks like the smallest that may be shown."""
    if of == 0:
        return None
    if is_small(stays, min_cell_size):
        return min(1.0, min_cell_size / of)
    return max(0.0, 1 - min_cell_size / of) if is_small(of - stays, min_cell_size) else stays / of


def _of(stays: int, of: int, min_cell_size: int) -> str:
    if of == 0 or is_small(of, min_cell_size):
        return "hardly any stay was there"
    if is_small(stays, min_cell_size):
        return f"fewer than {min_cell_size} stays"
    return (
        f"all but fewer than {min_cell_size} stays"
        if is_small(of - stays, min_cell_size)
        else f"{format_percent(stays / of)} of stays"
    )


def plot_histogram(spread: pd.DataFrame, variable: Variable) -> go.Figure:
    """How the values of a variable are spread, against its reference and plausible range.

    spread    what `distribution` returned
    variable  the variable
    """
    width = spread["high"] - spread["low"]
    total = max(float(spread["measurements"].sum()), 1.0)
    hover = [
        f"{format_number(row.low)} to {format_number(row.high)}: {format_percent(row.measurements / total)} of measurements"
        for row in iter_rows(spread)
    ]
    drawn = go.Figure(
        go.Bar(
            x=((spread["low"] + spread["high"]) / 2).tolist(), y=(spread["measurements"] / width / total).tolist(),
            width=width.tolist(), hovertext=hover, hoverinfo="text", marker={"color": BLUE, "line": {"width": 0}},
        )
    )  # fmt: skip
    if variable.reference is not None:
        low, high = variable.reference
        drawn.add_vrect(x0=low, x1=high, fillcolor=BAND, line=BAND_EDGE, layer="below")
    for limit in variable.plausible or ():
        drawn.add_vline(x=limit, line={"color": VERMILLION, "width": 1.6, "dash": "dash"})
    drawn.update_yaxes(title_text="Density", showticklabels=False)
    drawn.update_xaxes(title_text=escape_plotly(label_with_unit(variable)), zerolinecolor=GREY)
    return apply_theme(drawn, height=380)


class DataView(ipywidgets.VBox):
    """Events or sequences to look at: ledger or cohort flow, what is measured by hour, how each variable is spread.

    data   Events or Sequences
    hours  how many hours to look at

    State: `part` ("Ledger", "Measured by hour", "Values") and `variable` (its name); both can be set. Counts of 1 to 10
    are withheld unless the patients are simulated.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> view = DataView(read_events(simulate(30)))
    >>> view.part, view.variable = "Values", "lactate"
    >>> view.figure.layout.xaxis.title.text
    'Lactate (mmol/L)'
    """

    def __init__(self, data: Events | Sequences, *, hours: int = 48) -> None:
        super().__init__()
        self.data, self.hours = data, hours
        self.min_cell_size = 0 if data.simulated else MIN_CELL_SIZE
        self.figure: Any = None
        names = [(variable.label, variable.name) for variable in data.variables]
        self._part = ipywidgets.ToggleButtons(options=[LEDGER, MISSING, VALUES], description="Show")
        self._variable = ipywidgets.Dropdown(options=sorted(names), description="Variable")
        self._body = ipywidgets.VBox()
        styled(self, self._part, self._body)
        for control in (self._part, self._variable):
            control.observe(self._draw, names="value")
        self._draw()

    @property
    def part(self) -> str:
        """What is shown."""
        return str(self._part.value)

    @part.setter
    def part(self, part: str) -> None:
        self._part.value = part

    @property
    def variable(self) -> str:
        """Name of the variable whose values are shown."""
        return str(self._variable.value)

    @variable.setter
    def variable(self, name: str) -> None:
        self._variable.value = find(self.data, name).name

    def save(self, path: str | os.PathLike[str]) -> Path:
        """All three parts as one offline HTML page, with the variable that is shown."""
        variable = find(self.data, self.variable)
        parts = [
            html_page.section(self._first(), self._counts()),
            html_page.section(MISSING, html_page.figure(self._measured(), MISSING, BY_HOUR)),
            html_page.section(VALUES, html_page.figure(self._values(variable), variable.label, SPREAD)),
        ]
        about = {"data": self.data.source, "simulated": "yes" if self.data.simulated else "no"}
        return html_page.write(html_page.page("The data", self.data.source, *parts, provenance=about), path)

    def _draw(self, *_: object) -> None:
        if self.part == LEDGER:
            self.figure, self._body.children = None, (html_widget(self._counts()),)
        elif self.part == MISSING:
            self.figure = figure_widget(self._measured())
            self._body.children = (html_widget(paragraph(BY_HOUR, kind="cg-quiet")), self.figure)
        else:
            variable = find(self.data, self.variable)
            self.figure = figure_widget(self._values(variable))
            self._body.children = (self._variable, html_widget(*self._ranges(variable)), self.figure)

    def _first(self) -> str:
        return LEDGER if isinstance(self.data, Events) else "Cohort"

    def _counts(self) -> Markup:
        if isinstance(self.data, Events):
            return self.data.ledger.as_html(min_cell_size=self.min_cell_size)
        steps = suppress_flow(self.data.flow, min_cell_size=self.min_cell_size)
        return table(
            "Who is left after each step", ("Step", "Stays"), [[step, format_count(stays)] for step, stays in steps]
        )

    def _measured(self) -> go.Figure:
        labels = {variable.name: variable.label for variable in self.data.variables}
        return plot_measured_by_hour(
            measured_by_hour(self.data, hours=self.hours), labels, min_cell_size=self.min_cell_size
        )

    def _values(self, variable: Variable) -> go.Figure:
        return plot_histogram(
            distribution(self.data, variable.name, min_cell_size=max(self.min_cell_size, 1)), variable
        )

    def _ranges(self, variable: Variable) -> list[Markup]:
        between = " to ".join(format_value(variable, end) for end in variable.plausible or ()) or "not limited"
        usual = " to ".join(format_value(variable, end) for end in variable.reference or ()) or "none given"
        return [paragraph(f"Plausible: {between}. Reference range: {usual}. {SPREAD}", kind="cg-quiet")]

"""Widget to look at data before training: ledger or cohort flow, missingness by hour, distribution of values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.data.profile import find, histogram, measured_by_hour
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_flow
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages import html_page
from clinicalgru.view.plots.data_plots import plot_histogram, plot_measured_by_hour
from clinicalgru.view.text.variable_text import format_value
from clinicalgru.view.widgets.notebook_packages import ipywidgets
from clinicalgru.view.widgets.widget_base import SavedView, figure_widget, html_widget, paragraph, styled

LEDGER, MEASURED, VALUES = "Ledger", "Measured by hour", "Values"
MEASURED_CAPTION = "The darker a cell, the more stays have a value that became known in that hour. White: no stay has."
VALUES_CAPTION = (
    "Shaded: the reference range of adults. Dashed: the plausible range; values outside it were rejected when reading."
)


class DataView(SavedView):
    """Show events or sequences: ledger or cohort flow, what is measured by hour, and the distribution of each variable.

    Counts from 1 to 10 are suppressed unless the patients are simulated.

    Parameters
    ----------
    data : Events or Sequences
        What to show.
    hours : int, default 48
        Number of hours in the figure of what is measured when.

    Attributes
    ----------
    tab : {"Ledger", "Measured by hour", "Values"}
        What is shown; can be set.
    variable : str
        Name of the variable whose distribution is shown; can be set.
    figure : plotly.graph_objects.FigureWidget or None
        The figure that is shown.

    Raises
    ------
    ArgumentError
        If `data` is neither Events nor Sequences, or `hours` is not a whole number of 1 or more.

    Examples
    --------
    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.view.widgets.data_view import DataView
    >>> view = DataView(read_events(simulate(30)))
    >>> view.tab, view.variable = "Values", "lactate"
    >>> view.figure.layout.xaxis.title.text
    'Lactate (mmol/L)'
    """

    def __init__(self, data: Events | Sequences, *, hours: int = 48) -> None:
        check_instance("data", data, Events, Sequences, fix="Pass what read_events or select returned.")
        check_number("hours", hours, minimum=1, whole=True)
        super().__init__()
        self.data, self.hours = data, int(hours)
        self.min_cell_size = 0 if data.simulated else MIN_CELL_SIZE
        self.figure: Any = None
        names = [(variable.label, variable.name) for variable in data.variables]
        self._tab = ipywidgets.ToggleButtons(options=[LEDGER, MEASURED, VALUES], description="Show")
        self._variable = ipywidgets.Dropdown(options=sorted(names), description="Variable")
        self._body = ipywidgets.VBox()
        styled(self, self._tab, self._body)
        for control in (self._tab, self._variable):
            control.observe(self._draw, names="value")
        self._draw()

    @property
    def tab(self) -> str:
        """What is shown: "Ledger", "Measured by hour" or "Values"."""
        return str(self._tab.value)

    @tab.setter
    def tab(self, tab: str) -> None:
        check_choice("tab", tab, (LEDGER, MEASURED, VALUES))
        self._tab.value = tab

    @property
    def variable(self) -> str:
        """Name of the variable whose distribution is shown."""
        return str(self._variable.value)

    @variable.setter
    def variable(self, name: str) -> None:
        self._variable.value = find(self.data, name).name

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all three tabs as one offline HTML page, with the distribution of the current variable.

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
        variable = find(self.data, self.variable)
        parts = [
            html_page.section(LEDGER if isinstance(self.data, Events) else "Cohort", self._counts()),
            html_page.section(MEASURED, html_page.figure(self._plot_measured(), MEASURED, MEASURED_CAPTION)),
            html_page.section(VALUES, html_page.figure(self._plot_values(variable), variable.label, VALUES_CAPTION)),
        ]
        about = {"data": self.data.source, "simulated": "yes" if self.data.simulated else "no"}
        return html_page.write(html_page.page("Data", self.data.source, *parts, provenance=about), path)

    def _static_html(self) -> Markup:
        """Build the counts, which a saved notebook shows where no widget runs."""
        return tag("div", self._counts())

    def _draw(self, *_: object) -> None:
        """Draw the tab that is chosen."""
        if self.tab == LEDGER:
            self.figure, self._body.children = None, (html_widget(self._counts()),)
        elif self.tab == MEASURED:
            self.figure = figure_widget(self._plot_measured())
            self._body.children = (html_widget(paragraph(MEASURED_CAPTION, css_class="cg-quiet")), self.figure)
        else:
            variable = find(self.data, self.variable)
            self.figure = figure_widget(self._plot_values(variable))
            self._body.children = (self._variable, html_widget(_ranges(variable)), self.figure)

    def _counts(self) -> Markup:
        """Build the ledger of events, or the cohort flow of sequences."""
        if isinstance(self.data, Events):
            return self.data.ledger.as_html(min_cell_size=self.min_cell_size)
        flow = suppress_flow(self.data.flow, min_cell_size=self.min_cell_size)
        rows = [[step, format_count(stays)] for step, stays in flow]
        return table("Stays that remain after each step of the selection", ("Step", "Stays"), rows)

    def _plot_measured(self) -> go.Figure:
        labels = {variable.name: variable.label for variable in self.data.variables}
        counts = measured_by_hour(self.data, hours=self.hours)
        return plot_measured_by_hour(counts, labels, min_cell_size=self.min_cell_size)

    def _plot_values(self, variable: Variable) -> go.Figure:
        return plot_histogram(histogram(self.data, variable.name, min_cell_size=max(self.min_cell_size, 1)), variable)


def _ranges(variable: Variable) -> Markup:
    """Write the plausible range and the reference range of a variable."""
    plausible = " to ".join(format_value(variable, end) for end in variable.plausible or ()) or "not limited"
    reference = " to ".join(format_value(variable, end) for end in variable.reference or ()) or "not given"
    text = f"Plausible range: {plausible}. Reference range: {reference}. {VALUES_CAPTION}"
    return paragraph(text, css_class="cg-quiet")

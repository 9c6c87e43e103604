"""What all widgets share: style sheet, text, and figures that follow the theme of the notebook."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from IPython.display import display

from clinicalgru.errors import ArgumentError
from clinicalgru.html import Markup, join, tag
from clinicalgru.view.assets import read_asset
from clinicalgru.view.widgets.notebook_packages import anywidget, ipywidgets

TRANSPARENT = "rgba(0, 0, 0, 0)"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
AREAS = (".jp-OutputArea-child", ".output_container", ".output_area")  # an output: JupyterLab, VS Code, nbclassic
LIVE = ", ".join(f"{area}:has(.clinicalgru) + {area}:has(.cg-static)" for area in AREAS)


class SavedView(ipywidgets.VBox):
    """A box that is saved with plain HTML, for whoever reads the notebook without a kernel.

    JupyterLab draws one of the forms of an output: the widget, or an error where its kernel is gone. So the HTML is an
    output of its own after that of the widget, and hidden while the widget is there.

    Parameters
    ----------
    children : tuple of ipywidgets.Widget
        Its content.
    **kwargs
        As of `ipywidgets.VBox`.
    """

    def _static_html(self) -> Markup:
        """Build what is shown in place of the widget."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        return bundle | {"text/html": str(self._static_html())} if isinstance(bundle, dict) else bundle

    def _ipython_display_(self, **_: Any) -> None:
        bundle = super()._repr_mimebundle_()
        name = type(self).__name__
        if isinstance(bundle, dict) and WIDGET_VIEW in bundle:
            display({WIDGET_VIEW: bundle[WIDGET_VIEW], "text/plain": name}, raw=True)
        style = tag("style", Markup(f"{LIVE} {{ display: none; }}"))
        display(
            {
                "text/html": str(tag("div", style, self._static_html(), attrs={"class": "cg-static"})),
                "text/plain": name,
            },
            raw=True,
        )


class AccessibleNames(anywidget.AnyWidget):
    """Name the sliders of the box that it is in for screen readers, and let the keyboard reach what scrolls.

    Parameters
    ----------
    *args, **kwargs
        As of `anywidget.AnyWidget`.
    """

    _esm = read_asset("widgets", "accessible.js")


def styled(box: ipywidgets.Box, *children: ipywidgets.Widget) -> None:
    """Fill a box with children and the style sheet of all widgets.

    Parameters
    ----------
    box : ipywidgets.Box
        Changed in place.
    *children : ipywidgets.Widget
        Its content.
    """
    box.add_class("clinicalgru")
    style = html_widget(tag("style", Markup(read_asset("widgets", "widget.css"))))
    box.children = (style, *children, AccessibleNames())
    box.layout.width = "100%"


def html_widget(*children: str, live: bool = False) -> ipywidgets.HTML:
    """Build a widget of text and HTML.

    Parameters
    ----------
    *children : str
        Content; text that is not `Markup` is escaped.
    live : bool, default False
        Whether a screen reader reads changes aloud.

    Returns
    -------
    ipywidgets.HTML
        The widget.

    Examples
    --------
    >>> from clinicalgru.view.widgets.widget_base import html_widget
    >>> html_widget("pH < 7").value
    'pH &lt; 7'
    """
    widget = ipywidgets.HTML(str(aria_live(*children) if live else join(*children)))
    widget.layout.width = "100%"
    return widget


def aria_live(*children: str) -> Markup:
    """Build a region whose changes a screen reader reads aloud.

    Parameters
    ----------
    *children : str
        Content; text that is not `Markup` is escaped.

    Returns
    -------
    Markup
        The region.
    """
    return tag("div", *children, attrs={"aria-live": "polite"})


def paragraph(text: str, *, css_class: str = "cg-text") -> Markup:
    """Build a paragraph.

    Parameters
    ----------
    text : str
        Its text.
    css_class : {"cg-text", "cg-quiet", "cg-title", "cg-warn"}
        Class of the paragraph in the style sheet of the widgets.

    Returns
    -------
    Markup
        The paragraph.
    """
    return tag("p", text, attrs={"class": css_class})


def figure_widget(figure: go.Figure) -> Any:
    """Turn a figure into a widget on the background of the notebook; its neutral colours follow the theme.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Any figure.

    Returns
    -------
    plotly.graph_objects.FigureWidget
        The widget, without a mode bar and without a button that sends data to a server.
    """
    widget = go.FigureWidget(figure)
    widget.update_layout(paper_bgcolor=TRANSPARENT, plot_bgcolor=TRANSPARENT, autosize=True, width=None)
    widget._config = {
        "responsive": True,
        "displayModeBar": False,
        "displaylogo": False,
        "showSendToCloud": False,
        "plotlyServerURL": "",
    }
    return widget


def update_figure_widget(widget: Any, figure: go.Figure) -> None:
    """Bring a figure widget to another figure of the same traces; only what differs is sent to the browser.

    Parameters
    ----------
    widget : plotly.graph_objects.FigureWidget
        Changed in place.
    figure : plotly.graph_objects.Figure
        What it is to show.

    Raises
    ------
    ArgumentError
        If the two have different numbers of traces.
    """
    if len(widget.data) != len(figure.data):
        fix = "Draw it as a new figure."
        raise ArgumentError(f"a figure of {len(widget.data)} traces", f"{len(figure.data)} traces", fix)
    with widget.batch_update():
        for old, new in zip(widget.data, figure.data, strict=True):
            _update_trace(old, new)


def _update_trace(old: Any, new: Any) -> None:
    """Copy the properties of a trace that differ."""
    before, after = old.to_plotly_json(), new.to_plotly_json()
    changed = {key: value for key, value in after.items() if key not in ("uid", "type") and before.get(key) != value}
    if changed:
        old.update(changed, overwrite=True)

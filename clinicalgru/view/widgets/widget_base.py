"""What all widgets share: their look, figures that follow the notebook's theme, and words that stay words."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from clinicalgru.errors import ArgumentError
from clinicalgru.html import Markup, join, tag

if TYPE_CHECKING:
    import ipywidgets

CLEAR = "rgba(0, 0, 0, 0)"


def read_asset(name: str) -> str:
    """The text of a file of this folder."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def styled(box: ipywidgets.Box, *children: ipywidgets.Widget) -> None:
    """Fill a box with children in the look of all widgets."""
    box.add_class("clinicalgru")
    box.children = (html_widget(tag("style", Markup(read_asset("widget.css")))), *children)
    box.layout.width = "100%"


def html_widget(*html: str, alive: bool = False) -> ipywidgets.HTML:
    """Words and markup as a widget; text that is not `Markup` is escaped.

    alive  a screen reader says changes
    """
    import ipywidgets

    shown = ipywidgets.HTML(str(aria_live(*html) if alive else join(*html)))
    shown.layout.width = "100%"
    return shown


def aria_live(*html: str) -> Markup:
    """Markup whose changes a screen reader says."""
    return tag("div", *html, attrs={"aria-live": "polite"})


def figure_widget(figure: go.Figure) -> Any:
    """The figure as a widget on the notebook's ground; ink, quiet text and grid follow its theme by style sheet."""
    shown = go.FigureWidget(figure)
    shown.update_layout(paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, autosize=True, width=None)
    shown._config = {
        "responsive": True,
        "displayModeBar": False,
        "displaylogo": False,
        "showSendToCloud": False,
        "plotlyServerURL": "",
    }
    return shown


def update_figure_widget(shown: Any, figure: go.Figure) -> None:
    """Bring a figure widget to another figure of the same traces; what is equal is not sent again."""
    if len(shown.data) != len(figure.data):
        raise ArgumentError("a figure of the same traces", f"{len(figure.data)}", "Show it as a new figure.")
    with shown.batch_update():
        for old, new in zip(shown.data, figure.data, strict=True):
            _renew(old, new)


def _renew(old: Any, new: Any) -> None:
    before, after = old.to_plotly_json(), new.to_plotly_json()
    changed = {key: value for key, value in after.items() if key not in ("uid", "type") and before.get(key) != value}
    if changed:
        old.update(changed, overwrite=True)


def tiles(shown: list[tuple[str, str, str]]) -> Markup:
    """A few large figures side by side: what it is, the figure, a word on it."""
    boxes = (
        tag("div", tag("span", name), tag("span", big, attrs={"class": "big"}), tag("span", note))
        for name, big, note in shown
    )
    return tag("div", *boxes, attrs={"class": "cg-tiles"})


def paragraph(text: str, *, kind: str = "cg-said") -> Markup:
    """A paragraph."""
    return tag("p", text, attrs={"class": kind})

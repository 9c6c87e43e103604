"""Training as it goes: the loss on the training stays and on the tune stays, epoch by epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets
import plotly.graph_objects as go

from clinicalgru.view.pages.html_page import figure, page, section, write
from clinicalgru.view.plots.theme import BLUE, INK, VERMILLION, apply_theme
from clinicalgru.view.text.format import format_fixed
from clinicalgru.view.widgets.widget_base import figure_widget, html_widget, paragraph, styled, update_figure_widget

Losses = Sequence[Mapping[str, float]]
EVERY = 0.4  # seconds between two drawings while an epoch runs
LINES = (("train_loss", "training stays", BLUE, "dash", "square"),
         ("val_loss", "tune stays", VERMILLION, "solid", "circle"))  # fmt: skip
CAPTION = "Where the loss on the tune stays no longer falls, more training only learns the training stays by heart."


def plot_training(history: Losses) -> go.Figure:
    """The losses of each epoch, with the epoch whose weights were kept.

    history  one entry an epoch, as an estimator's `history_`: epoch, train_loss, val_loss
    returns  a figure

    >>> len(plot_training([{"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}]).data)
    3
    """
    drawn = go.Figure()
    epochs = [entry["epoch"] for entry in history]
    for column, name, colour, dash, mark in LINES:
        losses = [entry[column] for entry in history]
        style = {"line": {"color": colour, "dash": dash, "width": 2.4}, "marker": {"symbol": mark, "size": 8}}
        drawn.add_scatter(x=epochs, y=losses, mode="lines+markers", name=name, **style)
    best = min(history, key=lambda entry: entry["val_loss"], default=None)
    at = ([best["epoch"]], [best["val_loss"]]) if best else ([None], [None])
    ring = {"symbol": "circle-open", "size": 18, "color": INK, "line": {"width": 2.5}}
    drawn.add_scatter(x=at[0], y=at[1], mode="markers", name="kept", marker=ring)
    drawn.update_xaxes(title_text="Epoch", dtick=max(1, len(epochs) // 12)).update_yaxes(title_text="Loss")
    return apply_theme(drawn, height=380)


class TrainingView(ipywidgets.VBox):
    """Curves of training, drawn while it runs: `model.fit(train, callbacks=(view,))`.

    history  what was seen so far: an estimator's `history_`

    State: `history` (one entry an epoch), `part` (of the epoch that runs), `loss` (of its last batch).

    >>> view = TrainingView()
    >>> view.on_epoch_end({"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}, best=1)
    >>> len(view.history)
    1
    """

    def __init__(self, history: Losses = ()) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = [dict(entry) for entry in history]
        self.part, self.loss, self._drawn = 0.0, float("nan"), 0.0
        self.state = html_widget(alive=True)
        self.figure = figure_widget(plot_training(self.history))
        styled(self, self.state, self.figure)
        self._say()

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """A batch is done: `fraction` of an epoch, with this loss."""
        self.part, self.loss = self.part + fraction, loss
        if time.monotonic() - self._drawn > EVERY:
            self._drawn = time.monotonic()
            self._say()

    def on_epoch_end(self, entry: Mapping[str, float], *, best: int) -> None:
        """An epoch is done, with these losses; `best` is the best so far."""
        if entry["epoch"] == 1:  # a new training
            self.history = []
        self.history.append(dict(entry))
        self.part = 0.0
        update_figure_widget(self.figure, plot_training(self.history))
        self._say()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """The same curves as one offline HTML page."""
        drawn = figure(plot_training(self.history), "Loss by epoch", CAPTION)
        return write(page("Training", self._words(), section("Curves", drawn), provenance={}), path)

    def _words(self) -> str:
        if not self.history:
            return "Training has not finished an epoch yet."
        last = self.history[-1]
        best = min(self.history, key=lambda entry: entry["val_loss"])
        return (
            f"Epoch {last['epoch']:.0f}: loss {format_fixed(last['train_loss'])} on the training stays, "
            f"{format_fixed(last['val_loss'])} on the tune stays. "
            f"Kept: epoch {best['epoch']:.0f} ({format_fixed(best['val_loss'])})."
        )

    def _say(self) -> None:
        now = f" Now {self.part:.0%} into the next, loss {format_fixed(self.loss)}." if self.part > 0 else ""
        self.state.value = paragraph(self._words() + now)

"""Widget that shows the loss on the training and validation set while an estimator is trained."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinicalgru.errors import ArgumentError, describe
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, write
from clinicalgru.view.plots.training_plot import History, plot_training
from clinicalgru.view.text.format import format_fixed
from clinicalgru.view.widgets.widget_base import SavedView, aria_live, figure_widget, html_widget, paragraph, styled
from clinicalgru.view.widgets.widget_base import update_figure_widget as update_widget

__all__ = ["TrainingView", "plot_training"]

MIN_SECONDS = 0.4  # between two updates while an epoch runs
COLUMNS = ("epoch", "train_loss", "val_loss")
CAPTION = "Where the loss on the validation set no longer falls, further training overfits the training set."


class TrainingView(SavedView):
    """Show loss by epoch while an estimator is trained: `model.fit(train, callbacks=(view,))`.

    Parameters
    ----------
    history : sequence of mapping, optional
        Epochs so far, as `history_` of an estimator: epoch, train_loss, val_loss.

    Attributes
    ----------
    history : list of dict
        One entry for each epoch.
    epoch_fraction : float
        Fraction of the current epoch that is done.
    loss : float
        Loss of its last batch.

    Raises
    ------
    ArgumentError
        If `history` is no list of epochs.

    Examples
    --------
    >>> from clinicalgru.view.widgets.training_view import TrainingView
    >>> view = TrainingView()
    >>> view.on_epoch_end({"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}, best=1)
    >>> len(view.history)
    1
    """

    def __init__(self, history: History = ()) -> None:
        _check_history(history)
        super().__init__()
        self.history: list[dict[str, float]] = [dict(entry) for entry in history]
        self.epoch_fraction, self.loss, self._last_update = 0.0, float("nan"), 0.0
        self.state = html_widget(live=True)
        self.figure = figure_widget(plot_training(self.history))
        styled(self, self.state, self.figure)
        self._update_text()

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """Record the end of a batch.

        Parameters
        ----------
        fraction : float
            Fraction of the epoch that the batch is.
        loss : float
            Its loss.
        """
        self.epoch_fraction, self.loss = self.epoch_fraction + fraction, loss
        if time.monotonic() - self._last_update > MIN_SECONDS:
            self._last_update = time.monotonic()
            self._update_text()

    def on_epoch_end(self, entry: Mapping[str, float], *, best: int) -> None:
        """Record the end of an epoch; epoch 1 starts a new history.

        Parameters
        ----------
        entry : mapping
            epoch, train_loss, val_loss.
        best : int
            Epoch with the lowest validation loss so far.
        """
        if entry["epoch"] == 1:
            self.history = []
        self.history.append(dict(entry))
        self.epoch_fraction = 0.0
        update_widget(self.figure, plot_training(self.history))
        self._update_text()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the curves as one offline HTML page.

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
        curves = figure(plot_training(self.history), "Loss by epoch", CAPTION)
        return write(page("Training", self._text(), section("Curves", curves), provenance={}), path)

    def _static_html(self) -> Markup:
        """Build the table of epochs, which a saved notebook shows where no widget runs."""
        rows = [[f"{one['epoch']:.0f}", *(format_fixed(one[name]) for name in COLUMNS[1:])] for one in self.history]
        return tag("div", paragraph(self._text()), table("Loss by epoch", ("Epoch", "training", "validation"), rows))

    def _text(self) -> str:
        """Write the losses of the last and of the best epoch."""
        if not self.history:
            return "No epoch has ended yet."
        last = self.history[-1]
        best = min(self.history, key=lambda entry: entry["val_loss"])
        return (
            f"Epoch {last['epoch']:.0f}: loss {format_fixed(last['train_loss'])} on the training set, "
            f"{format_fixed(last['val_loss'])} on the validation set. "
            f"Best epoch: {best['epoch']:.0f} ({format_fixed(best['val_loss'])})."
        )

    def _update_text(self) -> None:
        current = f" Next epoch: {self.epoch_fraction:.0%} done, loss {format_fixed(self.loss)}."
        self.state.value = aria_live(paragraph(self._text() + (current if self.epoch_fraction > 0 else "")))


def _check_history(history: Any) -> None:
    """Raise unless a value is a list of epochs."""
    try:
        valid = not isinstance(history, str) and all({*COLUMNS} <= set(entry) for entry in history)
    except TypeError:
        valid = False
    if not valid:
        fix = "Pass history_ of a fitted estimator."
        raise ArgumentError(f"history as a list of {', '.join(COLUMNS)}", describe(history), fix)

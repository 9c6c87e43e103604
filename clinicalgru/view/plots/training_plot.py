"""Figure of a training history: loss by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from clinicalgru.view.plots.theme import BLUE, INK, VERMILLION, apply_theme

History = Sequence[Mapping[str, float]]
LINES = (("train_loss", "training set", BLUE, "dash", "square"),
         ("val_loss", "validation set", VERMILLION, "solid", "circle"))  # fmt: skip


def plot_training(history: History) -> go.Figure:
    """Draw the loss on the training set and on the validation set by epoch.

    Parameters
    ----------
    history : sequence of mapping
        One entry for each epoch, as `history_` of an estimator: epoch, train_loss, val_loss.

    Returns
    -------
    plotly.graph_objects.Figure
        Two lines, and a ring at the epoch with the lowest validation loss, whose weights are used.

    Examples
    --------
    >>> from clinicalgru.view.plots.training_plot import plot_training
    >>> len(plot_training([{"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}]).data)
    3
    """
    figure = go.Figure()
    epochs = [entry["epoch"] for entry in history]
    for column, name, colour, dash, symbol in LINES:
        losses = [entry[column] for entry in history]
        style = {"line": {"color": colour, "dash": dash, "width": 2.4}, "marker": {"symbol": symbol, "size": 8}}
        figure.add_scatter(x=epochs, y=losses, mode="lines+markers", name=name, **style)
    best = min(history, key=lambda entry: entry["val_loss"], default=None)
    x, y = ([best["epoch"]], [best["val_loss"]]) if best else ([None], [None])
    ring = {"symbol": "circle-open", "size": 18, "color": INK, "line": {"width": 2.5}}
    figure.add_scatter(x=x, y=y, mode="markers", name="best epoch", marker=ring)
    figure.update_xaxes(title_text="Epoch", dtick=max(1, len(epochs) // 12)).update_yaxes(title_text="Loss")
    return apply_theme(figure, height=380)

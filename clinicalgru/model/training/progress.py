"""Progress of training: a bar with live losses on a terminal or in Jupyter, lines of text elsewhere, and callbacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from clinicalgru.errors import ArgumentError, describe


@runtime_checkable
class Callback(Protocol):
    """What `fit` calls while it trains, such as a `TrainingView`.

    Parameters
    ----------
    *args, **kwargs
        Those of the class that has these methods; the protocol itself is not instantiated.
    """

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """Take note of a batch.

        Parameters
        ----------
        fraction : float
            Fraction of an epoch that the batch is.
        loss : float
            Its training loss.
        """

    def on_epoch_end(self, entry: dict[str, float], *, best: int) -> None:
        """Take note of an epoch.

        Parameters
        ----------
        entry : dict
            epoch, train_loss and val_loss.
        best : int
            Epoch with the lowest validation loss so far, from 1.
        """


def check_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Give callbacks as a tuple, or raise where one lacks a method.

    Parameters
    ----------
    callbacks : sequence of Callback
        What was passed to `fit`.

    Returns
    -------
    tuple of Callback
        The same.

    Raises
    ------
    ArgumentError
        If it is no list, or an entry is no callback.
    """
    if isinstance(callbacks, list | tuple) and all(isinstance(one, Callback) for one in callbacks):
        return tuple(callbacks)
    fix = "Pass callbacks=[TrainingView()]."
    raise ArgumentError("callbacks as a list of objects with on_batch_end and on_epoch_end", describe(callbacks), fix)


def announce(message: str, *, verbose: bool) -> None:
    """Write a line on standard error about what takes a while before the first epoch.

    Parameters
    ----------
    message : str
        The line.
    verbose : bool
        Whether to write it.
    """
    if verbose:
        sys.stderr.write(f"{message}\n")


class Progress:
    """Context manager that shows epochs on standard error, and calls the callbacks.

    Parameters
    ----------
    max_epochs : int
        Largest number of epochs.
    verbose : bool
        Whether to show anything.
    callbacks : sequence of Callback
        Called after each batch and each epoch.
    """

    def __init__(self, max_epochs: int, *, verbose: bool, callbacks: Sequence[Callback] = ()) -> None:
        self.callbacks, self.max_epochs, self.verbose = tuple(callbacks), max_epochs, verbose
        self.start, self.losses = time.monotonic(), ""
        console = Console(stderr=True)
        self.bar: Bar | None = None
        if verbose and (console.is_terminal or console.is_jupyter):
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, TextColumn("{task.fields[losses]}"), console=console)
        self.task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task("training", total=self.max_epochs, losses="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def on_batch_end(self, fraction: float, loss: float) -> None:
        """Show a batch, and call the callbacks.

        Parameters
        ----------
        fraction : float
            Fraction of an epoch that the batch is.
        loss : float
            Its training loss.
        """
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, advance=fraction, losses=f"loss {loss:.3f} {self.losses}")
        for callback in self.callbacks:
            callback.on_batch_end(fraction, loss)

    def on_epoch_end(self, entry: dict[str, float], *, best: int) -> None:
        """Show an epoch, and call the callbacks.

        Parameters
        ----------
        entry : dict
            epoch, train_loss and val_loss.
        best : int
            Epoch with the lowest validation loss so far, from 1.
        """
        self.losses = f"train {entry['train_loss']:.4f} validation {entry['val_loss']:.4f} best epoch {best}"
        if self.verbose and self.bar is None:
            epoch, passed = int(entry["epoch"]), time.monotonic() - self.start
            left = passed / epoch * (self.max_epochs - epoch)
            line = f"epoch {epoch}/{self.max_epochs} {self.losses}, {passed:.0f} s, at most {left:.0f} s left\n"
            sys.stderr.write(line)
        for callback in self.callbacks:
            callback.on_epoch_end(entry, best=best)

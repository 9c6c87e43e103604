"""Progress of training: a bar with time left and live losses on a terminal or in Jupyter, lines of text elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Watcher(Protocol):
    """Is told how training goes, such as `TrainingView`."""

    def step(self, part: float, loss: float) -> None:
        """A batch is done: `part` of an epoch, with this loss."""

    def epoch_done(self, entry: dict[str, float], *, best: int) -> None:
        """An epoch is done, with these losses; `best` is the best so far."""


def announce(said: str, *, shown: bool | Watcher) -> None:
    """A line on standard error about what comes before the first epoch and takes a while; a watcher is not told."""
    if shown is True:
        sys.stderr.write(f"{said}\n")


class Progress:
    """Shows epochs as they pass, on standard error, or tells a watcher; nothing at all when not `shown`."""

    def __init__(self, epochs: int, *, shown: bool | Watcher) -> None:
        self.watcher = None if isinstance(shown, bool) else shown
        shown = shown is True
        self.epochs, self.shown, self.began, self.losses = epochs, shown, time.monotonic(), ""
        console = Console(stderr=True)
        self.bar: Bar | None = None
        if shown and (console.is_terminal or console.is_jupyter):
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, TextColumn("{task.fields[losses]}"), console=console)
        self.task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task("training", total=self.epochs, losses="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def step(self, part: float, loss: float) -> None:
        """A batch is done: `part` of an epoch, with this loss."""
        if self.watcher is not None:
            self.watcher.step(part, loss)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, advance=part, losses=f"loss {loss:.3f} {self.losses}")

    def epoch_done(self, entry: dict[str, float], *, best: int) -> None:
        """An epoch is done, with these losses; `best` is the best so far."""
        if self.watcher is not None:
            self.watcher.epoch_done(entry, best=best)
        self.losses = f"train {entry['train_loss']:.4f} tune {entry['val_loss']:.4f} best epoch {best}"
        if self.shown and self.bar is None:
            epoch, passed = int(entry["epoch"]), time.monotonic() - self.began
            left = passed / epoch * (self.epochs - epoch)
            line = f"epoch {epoch}/{self.epochs} {self.losses}, {passed:.0f} s, at most {left:.0f} s left\n"
            sys.stderr.write(line)

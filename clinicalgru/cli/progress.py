"""A line on a terminal while a command works for more than two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

DELAY = 2.0  # seconds before the line is shown


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what is being done and for how long; nothing where standard error is no terminal.

    Parameters
    ----------
    what : str
        What is being done, such as "reading the extract".

    Yields
    ------
    None
        Nothing; the line stays while the block runs, below all that it prints, and is removed after it.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    both = sys.stdout.isatty()  # else what is written into a file or pipe would be drawn on the terminal
    line = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=both)
    line.add_task(what)
    timer = threading.Timer(DELAY, line.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        line.stop()

"""How a command ends on Ctrl-C and SIGTERM: with one sentence that says what is kept, and an exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

STOPPED, STOPPED_BY_SIGTERM = 130, 143  # exit codes, as shells give them


@dataclass
class Stopping:
    """What is kept if the command is stopped now, and whether that was requested.

    Attributes
    ----------
    kept : str
        A sentence.
    exit_code : int or None
        The exit code, once the command is requested to stop.
    """

    kept: str
    exit_code: int | None = None

    def end_if_requested(self) -> None:
        """Stop where Ctrl-C was pressed and something, such as training, ended early because of it.

        Raises
        ------
        KeyboardInterrupt
            If the command is requested to stop.
        """
        if self.exit_code is not None:
            raise KeyboardInterrupt


class _Terminated(BaseException):
    """The process is requested to end; unlike Ctrl-C, training does not catch it."""


@contextmanager
def stoppable(kept: str) -> Iterator[Stopping]:
    """End on Ctrl-C and SIGTERM with one sentence, and exit code 130 or 143.

    Parameters
    ----------
    kept : str
        A sentence about what is kept; the block may change it.

    Yields
    ------
    Stopping
        The block may be stopped.

    Raises
    ------
    typer.Exit
        If it is stopped.
    """
    stopping = Stopping(kept)

    def interrupt(*_: Any) -> None:
        stopping.exit_code = STOPPED
        raise KeyboardInterrupt

    def terminate(*_: Any) -> None:
        stopping.exit_code = STOPPED_BY_SIGTERM
        raise _Terminated

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: terminate}
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()} if in_main_thread else {}
    try:
        yield stopping
    except (KeyboardInterrupt, _Terminated):
        typer.echo(f"Stopped. {stopping.kept}", err=True)
        raise typer.Exit(stopping.exit_code or STOPPED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

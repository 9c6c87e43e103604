"""DuckDB connections for small tables: to start an engine takes thirty times as long as to read such a table."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_LOCK = threading.Lock()
_ENGINES: dict[int, duckdb.DuckDBPyConnection] = {}  # by process: after a fork, the threads of an engine are gone


@contextmanager
def small_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection of its own to the process's engine in memory, for tables that are read at once.

    Its settings, frames, and temporary tables and macros are its own, and end with it. Create no others.

    Yields
    ------
    DuckDBPyConnection
        The connection.

    Examples
    --------
    >>> with small_connection() as connection:
    ...     connection.sql("SELECT 6 * 7").fetchall()
    [(42,)]
    """
    with _LOCK:
        engine = _ENGINES.get(os.getpid()) or _ENGINES.setdefault(os.getpid(), duckdb.connect())
        connection = engine.cursor()
    try:
        yield connection
    finally:
        connection.close()

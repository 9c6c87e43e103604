"""DuckDB connections to engines that a process starts once: a start takes as long as many queries of a small table."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from clinicalgru.data.ingest.tables import literal

DATABASE = "workspace"  # name of a database of one's own
_LOCK = threading.Lock()
# by process: after a fork, the threads of an engine are gone
_ENGINES: dict[int, duckdb.DuckDBPyConnection] = {}
_IDLE: dict[int, duckdb.DuckDBPyConnection] = {}


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


@contextmanager
def own_database(spill: Path, *, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in memory, in an engine that nothing else uses until it is closed.

    Parameters
    ----------
    spill : Path
        Folder for what does not fit into memory; it is created when it is needed.
    memory_mb : int
        Memory limit in MB.

    Yields
    ------
    DuckDBPyConnection
        The connection. Its cursors begin outside the database: ``USE workspace``.

    Notes
    -----
    The engine is kept for the next database, unless the block raised, or spilled: then its folder cannot be changed.

    Examples
    --------
    >>> with own_database(Path("spill"), memory_mb=100) as connection:
    ...     connection.execute("CREATE TABLE rows AS SELECT 6 * 7 AS answer").sql("FROM rows").fetchall()
    [(42,)]
    """
    with _LOCK:
        engine = _IDLE.pop(os.getpid(), None) or duckdb.connect()
    is_clean, connection = False, engine.cursor()
    try:
        connection.execute(f"SET temp_directory = {literal(str(spill))}; SET memory_limit = '{memory_mb}MB'")
        connection.execute(f"ATTACH ':memory:' AS {DATABASE}; USE {DATABASE}")
        yield connection
        with suppress(duckdb.Error):
            connection.execute(f"USE memory; DETACH {DATABASE}")
            is_clean = not spill.exists()
    finally:
        connection.close()
        with _LOCK:
            if is_clean and os.getpid() not in _IDLE:
                _IDLE[os.getpid()] = engine
            else:
                engine.close()

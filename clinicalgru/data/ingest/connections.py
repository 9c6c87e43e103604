"""DuckDB connections to engines that a process starts once: a start takes as long as many queries of a small table."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from clinicalgru.data.ingest.tables import literal
from clinicalgru.errors import system_error, system_error_number

DATABASE = "workspace"  # name of a database of one's own
NOT_DURABLE = "RECOVERY_MODE no_wal_writes"  # it does not outlive the process
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
    """Open an empty database of one's own, in an engine that nothing else uses until it is closed.

    Parameters
    ----------
    spill : Path
        Folder for what does not fit into memory; it is created when it is needed. Tables of many rows are in a file
        next to it, SPILL.duckdb, which is removed at the end.
    memory_mb : int
        Memory limit in MB.

    Yields
    ------
    DuckDBPyConnection
        The connection. Its cursors begin outside the database: ``USE workspace``.

    Notes
    -----
    A table in memory that does not fit is written to disk again whenever it is read; in the file it is written once,
    and compressed. Small tables stay in memory: nothing is logged, and nothing is flushed to disk.

    InputError is raised where the disk of that folder is full.

    The engine is kept for the next database, unless the block raised, or spilled: then its folder cannot be changed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, own_database(Path(folder) / "spill", memory_mb=100) as connection:
    ...     connection.execute("CREATE TABLE rows AS SELECT 6 * 7 AS answer").sql("FROM rows").fetchall()
    [(42,)]
    """
    with _LOCK:
        engine = _IDLE.pop(os.getpid(), None) or duckdb.connect()
    is_clean, connection, file = False, engine.cursor(), spill.with_name(f"{spill.name}.duckdb")
    try:
        connection.execute(f"SET temp_directory = {literal(str(spill))}; SET memory_limit = '{memory_mb}MB'")
        connection.execute("SET checkpoint_on_detach = 'DISABLED'")
        connection.execute(f"ATTACH {literal(str(file))} AS {DATABASE} ({NOT_DURABLE}); USE {DATABASE}")
        yield connection
        with suppress(duckdb.Error):
            connection.execute(f"USE memory; DETACH {DATABASE}")
            is_clean = not spill.exists()
    except duckdb.IOException as error:
        if (number := system_error_number(str(error))) is None:
            raise
        raise system_error(OSError(number, ""), "temporary files") from None
    finally:
        connection.close()
        with _LOCK:
            if is_clean and os.getpid() not in _IDLE:
                _IDLE[os.getpid()] = engine
            else:
                engine.close()
        file.unlink(missing_ok=True)

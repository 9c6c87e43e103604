"""Rows of a database in Arrow batches: PostgreSQL through ADBC, SQLite and others through SQLAlchemy.

Nothing is written: a query has to be a SELECT, PostgreSQL and SQLite are opened read-only, and no transaction is
committed. What a database says of an error may quote rows, users and passwords, so that only the kind of error is
passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from clinicalgru.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

ROWS = 50_000  # in one batch from SQLAlchemy
WHERE = "the database"
NO_CONNECTION = (
    "no connection, or a login that is refused",
    "Check the server, and user, password (percent-encoded), host, port and database of the address.",
)
STATES = {  # how an SQLSTATE begins -> what was found, what to do
    "08": NO_CONNECTION,
    "28": NO_CONNECTION,
    "3D": NO_CONNECTION,
    "22": ("a value that the query cannot convert", "Convert less in the query: text is checked row by row here."),
    "25006": ("a query that writes", "Pass a SELECT: data are only ever read."),
    "42501": ("a table that this user may not read", "Ask for the right to read it."),
    "42703": ("a column that does not exist", "Check the names of columns in the query."),
    "42P01": ("a table that does not exist", "Check the names of tables and schemas in the query."),
    "42": ("a query with an error", "Try it in a client of the database."),
    "53": ("a server out of memory, disk or connections", "Try again later, or ask for fewer rows."),
    "57": ("a query that was cancelled", "Raise the server's statement_timeout, or ask for fewer rows."),
}
# How a query begins that only reads; COPY, ATTACH or VACUUM INTO write files even in a transaction that is read-only.
READS = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table)\b", re.IGNORECASE | re.DOTALL)
OTHER = ("an error of the database or the query", "Try address and query in a client of the database.")


def is_address(data: Any) -> bool:
    """Whether `data` is the address of a database.

    Parameters
    ----------
    data : object
        What was passed to `read_events`.

    Returns
    -------
    bool
        True for text that begins as a URL does.

    Examples
    --------
    >>> is_address("postgresql://reader@127.0.0.1:5432/hospital"), is_address("labs.csv")
    (True, False)
    """
    return isinstance(data, str) and re.match(r"[a-z][a-z0-9_+]*://", data) is not None


def fetch(address: str, query: str) -> Iterator[pa.RecordBatch]:
    """Read the rows of a query; PostgreSQL's `numeric` comes as text, so that no digit is lost.

    Parameters
    ----------
    address : str
        postgresql://user@host:port/database, or what SQLAlchemy takes, such as sqlite:///extract.db.
    query : str
        One SELECT.

    Yields
    ------
    pyarrow.RecordBatch
        Rows in batches, at least one batch.

    Raises
    ------
    MissingPackageError
        If a driver is not installed.
    InputError
        If the query is no SELECT, or the database refuses the login, the query or a value.
    """
    if READS.match(query) is None:
        got = "no SELECT: a query that writes, or a query with an error"
        raise InputError("a query that gives rows", got, "Pass a SELECT: data are only ever read.", where=WHERE)
    query = f"{query.strip().rstrip(';')}\n"  # the driver wraps it: a comment at its end would take in what follows
    if address.startswith(("postgresql://", "postgres://")) and find_spec("adbc_driver_postgresql"):
        yield from _from_postgresql(address, query)
    else:
        yield from _from_sqlalchemy(address, query)


def _from_postgresql(address: str, query: str) -> Iterator[pa.RecordBatch]:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    try:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            yield _plain(pa.RecordBatch.from_pylist([], schema=reader.schema))  # names and types, where no row follows
            for batch in reader:
                yield _plain(batch)
    except Error as error:
        raise _refused(error.sqlstate or "08") from None
    except (OSError, pa.ArrowException):  # an error that arises after the first rows has lost its SQLSTATE
        raise _refused("") from None


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Types that Arrow lacks (numeric, enum) as what they are stored as: text or bytes."""
    columns = [column.storage if isinstance(column.type, pa.OpaqueType) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _from_sqlalchemy(address: str, query: str) -> Iterator[pa.RecordBatch]:
    if find_spec("sqlalchemy") is None:
        fix = 'Install the extra sql: pip install "clinicalgru[sql]".'
        raise MissingPackageError("the package sqlalchemy, or adbc-driver-postgresql", "neither package", fix)
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = _engine(address)
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            elif engine.dialect.name == "postgresql":  # of the session: a COMMIT in the query does not end it
                connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
                connection.commit()
            # no_parameters: a % or : in the query is the query's own
            options: dict[str, Any] = {"stream_results": True, "no_parameters": True}
            result = connection.execution_options(**options).exec_driver_sql(query)
            names = list(result.keys())
            yield pa.record_batch([pa.array([], pa.string())] * len(names), names=names)
            for rows in result.partitions(ROWS):
                yield pa.record_batch([_column(cells) for cells in zip(*rows, strict=True)], names=names)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        raise _refused(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "") from None


def _engine(address: str) -> Engine:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    url = make_url(address)
    if url.get_backend_name() == "sqlite" and not url.query and not Path(url.database or "").is_file():
        # SQLite would make an empty database of that name
        raise InputError(
            "an existing SQLite file",
            "an address without a file",
            "Check the path: sqlite:///folder/file.db.",
            where=WHERE,
        )
    try:
        return create_engine(url, poolclass=NullPool)
    except ModuleNotFoundError as error:
        fix = f"Install it: pip install {error.name}; drivers of PostgreSQL come with the extra clinicalgru[sql]."
        raise MissingPackageError(f"the driver {error.name}", "no such package", fix) from None


def _column(cells: Sequence[Any]) -> pa.Array:
    """Cells in the one type they share; as text where they share none, as SQLite allows, and for decimals."""
    try:
        column = pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        column = None
    if column is None or pa.types.is_decimal(column.type):
        column = pa.array(pd.Series(cells, dtype=object).map(str, na_action="ignore"), pa.string(), from_pandas=True)
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _refused(state: str) -> InputError:
    got, fix = next((STATES[state[:n]] for n in (5, 2) if state[:n] in STATES), OTHER)
    return InputError("an address and a query that give rows", got, fix, where=WHERE)

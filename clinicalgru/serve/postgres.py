"""Scores into a table of PostgreSQL: a run replaces its own rows in one transaction, or changes nothing."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from clinicalgru.data.ingest.database import STATES
from clinicalgru.errors import ArgumentError, InputError, MissingPackageError

KEY = ("stay_id", "as_of", "model_hash")  # rows of equal keys are replaced
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
WHERE = "the database"
TYPES = {"timestamp[us]": "timestamp", "timestamp[us, tz=UTC]": "timestamptz", "double": "double precision"}
STAGED = "clinicalgru_staged"
SHOWN = 3  # columns that a message names
LENGTH = re.compile(r"(?<=^character varying)\(\d+\)")  # where text is longer, it is refused and not cut
NO_RIGHT = "42501"  # SQLSTATE
# The SQLSTATE of what keeps us from writing a table, or ''; nothing in it fails, which old drivers would not explain.
WRITE_STATE = """
SELECT CASE
    WHEN to_regnamespace(quote_ident({schema})) IS NULL THEN '3F000'
    WHEN NOT (has_schema_privilege({schema}, 'USAGE') AND has_database_privilege(current_database(), 'TEMPORARY'))
        THEN '{no_right}'
    WHEN CASE WHEN to_regclass('{name}') IS NULL THEN has_schema_privilege({schema}, 'CREATE')
        ELSE has_table_privilege('{name}', 'SELECT') AND has_table_privilege('{name}', 'INSERT')
            AND has_table_privilege('{name}', 'DELETE') END THEN ''
    ELSE '{no_right}' END
"""
# The columns of an existing table: name, type, and whether each row needs a value that we do not give.
COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef AND attidentity = ''
FROM pg_attribute WHERE attrelid = to_regclass('{name}') AND attnum > 0 AND NOT attisdropped
"""
# Types that hold a value as it is: an as_of without its hours would no longer find the rows that a rerun replaces.
ALIKE = {
    "text": ("text", "character varying"),
    "double precision": ("double precision", "numeric"),
    "timestamp": ("timestamp without time zone",),
    "timestamptz": ("timestamp with time zone",),
}


def check_table_name(address: str, table: str | None) -> str:
    """Check the address of a database and the name of a table.

    Parameters
    ----------
    address : str
        postgresql://user@host:port/database.
    table : str or None
        Name of the table, or schema.table.

    Returns
    -------
    str
        The name, quoted.

    Raises
    ------
    ArgumentError
        If it is another kind of address, or the name is missing or has other characters.
    MissingPackageError
        If the driver is not installed.

    Examples
    --------
    >>> check_table_name("postgresql://writer@127.0.0.1/hospital", "risk.scores")
    '"risk"."scores"'
    """
    if not address.startswith(("postgresql://", "postgres://")):
        got = "another address"
        raise ArgumentError("postgresql://user@host:port/database", got, "Write other databases from out=.", where="to")
    if table is None or not NAME.fullmatch(table):
        got = "no name" if table is None else "other characters"
        fix = "Pass table= (--table), such as scores or risk.scores: letters, digits and _."
        raise ArgumentError("the name of a table", got, fix, where="table")
    if find_spec("adbc_driver_postgresql") is None:
        fix = 'Install the extra sql: pip install "clinicalgru[sql]".'
        raise MissingPackageError("the package adbc-driver-postgresql", "no such package", fix)
    return ".".join(f'"{part}"' for part in table.split("."))


def check_login(address: str, table: str | None, columns: pa.Schema | None = None) -> None:
    """Check that a database can be reached and its table written, so that a long run does not end at its last step.

    Parameters
    ----------
    address : str
        postgresql://user@host:port/database.
    table : str or None
        Name of the table, or schema.table.
    columns : pyarrow.Schema, optional
        Columns of the rows that will be written.

    Raises
    ------
    ArgumentError
        If address or name are no such things.
    InputError
        If there is no connection, the login is refused, the user lacks the rights to make or to write the table, or it
        exists with other columns.
    """
    name = check_table_name(address, table)
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    schema = f"'{table.partition('.')[0]}'" if table and "." in table else "current_schema()"
    try:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(WRITE_STATE.format(name=name, schema=schema, no_right=NO_RIGHT))
            state = cursor.fetchall()[0][0]
            if not state and columns is not None:
                _check_columns(cursor, name, columns)
    except Error as error:
        raise refused(error.sqlstate or "08") from None
    if state:
        raise refused(state)


def upsert(rows: pa.Table, address: str, table: str) -> None:
    """Write scores into a table, which is made if it does not exist.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows as `score` gives them.
    address : str
        postgresql://user@host:port/database.
    table : str
        Name of the table, or schema.table.

    Raises
    ------
    ArgumentError
        If address or name are no such things.
    InputError
        If the database refuses the login or the rows; then nothing has changed.

    Notes
    -----
    Rows of the same stay_id, as_of and model_hash are replaced, also where as_of is NULL. The table is locked against
    other writers until the end of the transaction, so that two runs at once leave each stay once; readers see the rows
    of before, or all of the new ones.
    """
    name = check_table_name(address, table)
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    columns = ", ".join(f'"{field.name}"' for field in rows.schema)
    types = ", ".join(f'"{field.name}" {TYPES.get(str(field.type), "text")}' for field in rows.schema)
    same = " AND ".join(f's."{key}" IS NOT DISTINCT FROM t."{key}"' for key in KEY)
    try:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock(hashtext('{name}'))")  # two runs may both make the table
            cursor.fetchall()
            cursor.execute(f"SELECT to_regclass('{name}') IS NULL")
            if cursor.fetchone()[0]:
                cursor.execute(f"CREATE TABLE {name} ({types})")
                cursor.execute(f"CREATE INDEX ON {name} (stay_id, as_of)")
            _check_columns(cursor, name, rows.schema)
            cursor.execute(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
            cursor.adbc_ingest(STAGED, rows, mode="create", temporary=True)
            cursor.execute(f"DELETE FROM {name} t USING {STAGED} s WHERE {same}")
            cursor.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {STAGED}")
            cursor.execute(f"DROP TABLE {STAGED}")
            connection.commit()
    except Error as error:
        raise refused(error.sqlstate or "08") from None


def _check_columns(cursor: Any, name: str, columns: pa.Schema) -> None:
    """Raise where a table exists whose columns do not hold the rows as they are."""
    cursor.execute(COLUMNS.format(name=name))
    found = {column: (dtype, is_needed) for column, dtype, is_needed in cursor.fetchall()}
    if not found:
        return
    expected = {field.name: TYPES.get(str(field.type), "text") for field in columns}
    wrong = [f"no column {column}" for column in expected.keys() - found.keys()]
    wrong += [
        f"{column} of type {found[column][0]} instead of {dtype}"
        for column, dtype in expected.items()
        if column in found and LENGTH.sub("", found[column][0]) not in ALIKE[dtype]
    ]
    wrong += [f"{column}, which may not be empty" for column in found.keys() - expected if found[column][1]]
    if wrong:
        got = f"a table of other columns: {', '.join(sorted(wrong)[:SHOWN])}"
        raise InputError("a new table, or one that holds the rows", got, "Choose another table=.", where=WHERE)


def refused(state: str) -> InputError:
    """Build the error of a database that does not take the rows.

    Parameters
    ----------
    state : str
        SQLSTATE.

    Returns
    -------
    InputError
        The error, to be raised; it quotes nothing of the database's own message.
    """
    known = (STATES[state[:n]] for n in (5, 2) if state[:n] in STATES)
    got, fix = next(known, ("an error of the database", "Check its log, and the columns of the table."))
    if state.startswith("42"):
        got, fix = "a table of other columns, or no right to write it", "Choose another table=, or ask for the right."
    if state.startswith("22"):
        got, fix = "a column that does not hold a value, such as a text that is too long", "Choose another table=."
    if state.startswith("23"):
        got, fix = "a table with a constraint that the rows do not meet", "Choose another table=, or drop it."
    if state.startswith("3F"):
        got, fix = "a schema that does not exist", "Choose another table=, or make the schema."
    return InputError("an address and a table that take the rows", got, fix, where=WHERE)

"""The tables of an OMOP CDM as numbered DuckDB relations: from a folder, a .zip or PostgreSQL, in whatever case."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from clinicalgru.data.ingest.database import fetch, is_address
from clinicalgru.data.ingest.read_options import as_path
from clinicalgru.data.ingest.tables import TABLE_FILES, TablePart, duckdb_errors, literal, one_file, open_parts, quoted
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import ArgumentError, InputError, MissingPackageError

TABLES = (
    *("person", "visit_occurrence", "visit_detail", "care_site", "death", "observation_period", "measurement"),
    *("observation", "condition_occurrence", "drug_exposure", "procedure_occurrence", "concept"),
    "concept_ancestor",
)
VOCABULARY = ("concept", "concept_ancestor")
FILE = re.compile(rf"({'|'.join(TABLES)})([._-]?\d+)?({'|'.join(map(re.escape, TABLE_FILES))})", re.IGNORECASE)
LARGEST_FILE = 200e9  # bytes of one table in an archive
NUMBERS = ("value_as_number",)
POSTGRESQL = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Table:
    """One file or database table of a CDM.

    Attributes
    ----------
    part : TablePart
        The file or table as a DuckDB relation.
    """

    part: TablePart

    def text_sql(self, name: str) -> str:
        """Return SQL of a column as trimmed text, NULL where it is blank or the table has no such column.

        Parameters
        ----------
        name : str
            Name of the column, in lower case.

        Returns
        -------
        str
            SQL expression.
        """
        kind = self._types.get(name)
        if kind is None:
            return "NULL::VARCHAR"
        return f"nullif(trim(CAST({quoted(self._names[name])} AS VARCHAR)), '')"

    def identifier_sql(self, name: str) -> str:
        """Return SQL of an identifier as text, NULL for 0.

        `33.0`, which pandas makes of 33 beside blanks, is 33.

        Parameters
        ----------
        name : str
            Name of the column, in lower case.

        Returns
        -------
        str
            SQL expression.
        """
        if self._types.get(name) in ("FLOAT", "DOUBLE"):
            cell = quoted(self._names[name])
            whole = f"CASE WHEN abs({cell}) < 9e15 AND {cell} = floor({cell}) THEN CAST({cell} AS BIGINT) END"
            return f"nullif(coalesce(CAST({whole} AS VARCHAR), CAST({cell} AS VARCHAR)), '0')"
        return f"nullif(regexp_replace({self.text_sql(name)}, '\\.0+$', ''), '0')"

    def datetime_sql(self, stem: str) -> str:
        """Return SQL of `stem`_datetime, or `stem`_date where that is blank, as text.

        Parameters
        ----------
        stem : str
            Name of the column without _datetime or _date.

        Returns
        -------
        str
            SQL expression.
        """
        return f"coalesce({self.text_sql(stem + '_datetime')}, {self.text_sql(stem + '_date')})"

    def date_only_sql(self, stem: str) -> str:
        """Return SQL of whether only the date is known.

        Parameters
        ----------
        stem : str
            Name of the column without _datetime or _date.

        Returns
        -------
        str
            SQL expression.
        """
        return f"({self.text_sql(stem + '_datetime')} IS NULL AND length({self.text_sql(stem + '_date')}) = 10)"

    def numbered_sql(self) -> str:
        """Return SQL of its rows with c_row, their numbers.

        Returns
        -------
        str
            SQL of a relation.
        """
        return f"(SELECT *, row_number() OVER () - 1 + {self.part.first_row} AS c_row FROM {self.part.sql})"

    @property
    def _names(self) -> dict[str, str]:
        return {name.lower(): name for name in self.part.types}

    @property
    def _types(self) -> dict[str, str]:
        return {name.lower(): kind for name, kind in self.part.types.items()}


def open_tables(workspace: Workspace, data: Any, *, delimiter: str | None) -> dict[str, list[Table]]:
    """Open the tables of a CDM that readers know, each as its files; absent ones are left out.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder or .zip of CSV (.gz) and Parquet named after the tables, a folder of files for each table, or the
        address of a PostgreSQL database (tables are looked for along its search_path).
    delimiter : str or None
        Delimiter of CSV files; found in each file where None.

    Returns
    -------
    dict of str to list of Table
        The files of each table, by its name.

    Raises
    ------
    ArgumentError
        If `data` is neither a path nor the address of a PostgreSQL database.
    InputError
        If there is no person, visit_occurrence or measurement table, or an archive is damaged.
    MissingPackageError
        If `data` is such an address and the extra `sql` is not installed.
    """
    tables = (
        _from_database(workspace, data)
        if is_address(data)
        else _from_files(workspace, as_path(data, "a folder or .zip of CDM tables"), delimiter)
    )
    for needed in ("person", "visit_occurrence", "measurement"):
        if needed not in tables:
            got = f"tables {', '.join(tables) or 'of no known name'}"
            raise InputError(f"a table {needed}", got, "Pass all tables of the CDM, named as in the CDM.")
    return tables


def _from_files(workspace: Workspace, path: Path, delimiter: str | None) -> dict[str, list[Table]]:
    if not path.exists():
        raise InputError("an existing folder or .zip", f"no such path: {path.name}", "Check the path.")
    if path.is_file():
        path = _extracted(path, Path(workspace.folder.name) / "cdm")
    tables: dict[str, list[Table]] = {}
    for name, file in _table_files(path):
        part = _athena(file) if name in VOCABULARY and _has_tabs(file) else None
        parts = [part] if part else open_parts(workspace.sql, file, delimiter=delimiter)
        tables.setdefault(name, []).extend(Table(each) for each in parts)
    return tables


def _table_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Table and file, in order of their names; a folder of a table's name holds files of that table."""
    for file in sorted(folder.rglob("*")):
        own = FILE.fullmatch(file.name)
        name = own[1].lower() if own else file.parent.name.lower()
        if name in TABLES and file.is_file() and file.name.lower().endswith(TABLE_FILES):
            yield name, file


def _extracted(archive: Path, folder: Path) -> Path:
    """The CDM's tables out of a .zip, each under its plain name."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                name = PurePosixPath(member.filename).name
                if FILE.fullmatch(name) and member.file_size < LARGEST_FILE:
                    with members.open(member) as packed, (folder / name).open("xb") as plain:
                        shutil.copyfileobj(packed, plain, 1 << 20)
    except FileExistsError:
        raise InputError("each table once", "a table twice", "Keep one of each.", where=archive.name) from None
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError):
        raise InputError("a whole .zip", "a damaged archive", "Fetch it again.", where=archive.name) from None
    return folder


def _has_tabs(file: Path) -> bool:
    if not file.name.lower().endswith(".csv"):
        return False
    with file.open("rb") as opened:
        return b"\t" in opened.readline(10_000)


def _athena(file: Path) -> TablePart:
    """A table of the vocabulary as OHDSI's Athena hands it out: tabs and no quoting, in a file called .csv."""
    names = file.open(encoding="utf-8-sig").readline(10_000).strip().split("\t")
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    options = "auto_detect=false, header=true, delim='\t', quote='', escape=''"
    sql = f"read_csv({one_file(file)}, {options}, columns={{{columns}}})"
    return TablePart(file.name, sql, dict.fromkeys(names, "VARCHAR"), first_row=2)


def _from_database(workspace: Workspace, address: str) -> dict[str, list[Table]]:
    if not address.startswith(POSTGRESQL) or find_spec("adbc_driver_postgresql") is None:
        raise _unsupported(address)
    format_names = ", ".join(literal(name) for name in TABLES)
    query = (
        "SELECT table_name::text AS name, column_name::text AS field, data_type::text AS kind "
        "FROM information_schema.columns "
        f"WHERE table_schema = ANY(current_schemas(false)) AND table_name IN ({format_names}) ORDER BY ordinal_position"
    )
    rows = pa.Table.from_batches(list(fetch(address, query))).to_pylist()
    fields: dict[str, dict[str, str]] = {}
    for row in rows:
        fields.setdefault(row["name"], {})[row["field"]] = row["kind"]
    return {name: [_fetched(workspace, address, name, kinds)] for name, kinds in fields.items()}


def _unsupported(address: str) -> ArgumentError | MissingPackageError:
    """The error for another database, or for PostgreSQL without its driver."""
    if address.startswith(POSTGRESQL):
        fix = 'Install the extra sql: pip install "clinicalgru[sql]".'
        return MissingPackageError("the package adbc-driver-postgresql", "no such package", fix)
    scheme = address.partition(":")[0]
    return ArgumentError("data as an address postgresql://...", f"{scheme}://...", "Export the tables to files.")


def _fetched(workspace: Workspace, address: str, name: str, kinds: Mapping[str, str]) -> Table:
    """A database table as a DuckDB table on disk; row 0 is the first that the server sent."""
    columns = ", ".join(_arrow_column(field, kind) for field, kind in kinds.items())
    batches = fetch(address, f"SELECT {columns} FROM {name}")
    first = next(batches)
    reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
    workspace.sql.register("cdm_rows", reader)
    with duckdb_errors(name):
        workspace.sql.execute(f"CREATE TABLE cdm_{name} AS SELECT * FROM cdm_rows")
    workspace.sql.unregister("cdm_rows")
    described = workspace.sql.execute(f"DESCRIBE cdm_{name}").fetchall()
    types = {row[0]: row[1] for row in described}
    return Table(TablePart(f"table {name}", f"cdm_{name}", types, first_row=0))


def _arrow_column(field: str, kind: str) -> str:
    """A column in a type that Arrow knows: `numeric` would come as text."""
    if kind == "numeric":
        return f"{quoted(field)}::{'float8' if field in NUMBERS else 'text'} AS {quoted(field)}"
    return quoted(field)

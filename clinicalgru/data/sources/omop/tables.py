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

from clinicalgru.data.ingest.archive import archive_errors, check_zip
from clinicalgru.data.ingest.database import fetch, is_address
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.read_options import as_path
from clinicalgru.data.ingest.table_files import TABLE_FILES, folder_files, one_file
from clinicalgru.data.ingest.tables import UNQUOTED, TablePart, literal, open_parts, quoted
from clinicalgru.data.ingest.text_format import TextFormat
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import ArgumentError, InputError, MissingPackageError

TABLES = (
    *("person", "visit_occurrence", "visit_detail", "care_site", "death", "observation_period", "measurement"),
    *("observation", "condition_occurrence", "drug_exposure", "procedure_occurrence", "concept"),
    "concept_ancestor",
)
VOCABULARY = ("concept", "concept_ancestor")
# MIMIC-IV in the OMOP CDM calls its own concepts 2b_concept.csv
FILE = re.compile(
    rf"(?:\d+[a-z]?_)?({'|'.join(TABLES)})([._-]?\d+)?({'|'.join(map(re.escape, TABLE_FILES))})", re.IGNORECASE
)
IDENTIFIERS = ("person_id", "visit_occurrence_id", "visit_detail_id")
ROUNDED = r"-?\d(\.\d+)?[eE]\+?\d+"  # 1.5e+18
EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}  # whole numbers up to these are exact
LARGEST_FILE = 200e9  # bytes of one table in an archive
NUMBERS = ("value_as_number",)
MIDNIGHT = r"\d{4}-\d{2}-\d{2}([ T]00:00(:00(\.0+)?)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?"  # a date, or 00:00 of it
POSTGRESQL = ("postgresql://", "postgres://")


def end_of_day_sql(moment: str) -> str:
    """Return SQL of the last moment of the day of a date, or of 00:00 of it, as text; an offset is kept.

    Parameters
    ----------
    moment : str
        SQL of the text.

    Returns
    -------
    str
        SQL expression.
    """
    offset = f"regexp_extract(substr({moment}, 11), '(Z|[+-]\\d{{2}}(:?\\d{{2}})?)$')"
    return f"left({moment}, 10) || ' 23:59:59.999999' || {offset}"


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
        kind = self.types.get(name)
        if kind is None:
            return "NULL::VARCHAR"
        return f"nullif(trim(CAST({quoted(self.names[name])} AS VARCHAR)), '')"

    def identifier_sql(self, name: str) -> str:
        """Return SQL of an identifier as text, NULL for 0; it may be negative, and beyond 2^53.

        `33.0`, which pandas makes of 33 next to blanks, is 33. `check_identifiers` refuses what floating point rounds.

        Parameters
        ----------
        name : str
            Name of the column, in lower case.

        Returns
        -------
        str
            SQL expression.
        """
        if self.types.get(name) in ("FLOAT", "DOUBLE"):
            cell = quoted(self.names[name])
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

    def date_only_sql(self, stem: str, *, by_row: bool = True) -> str:
        """Return SQL of whether only the date is known.

        That is so where the datetime is blank. It is also so at a midnight that equals the row's date, or, without
        such a column, where the column holds midnights only: a CDM writes 00:00:00 where the time of day is unknown.

        Parameters
        ----------
        stem : str
            Name of the column without _datetime or _date.
        by_row : bool
            Whether a midnight that equals the row's date suffices. Otherwise the whole column must be midnights.

        Returns
        -------
        str
            SQL expression.
        """
        moment, date = self.text_sql(stem + "_datetime"), self.text_sql(stem + "_date")
        is_midnight = f"regexp_full_match({moment}, '{MIDNIGHT}')"
        if by_row and f"{stem}_date" in self.types:
            is_alone = f"left({moment}, 10) = left({date}, 10)"
        else:  # reads the table once more
            is_alone = f"(SELECT coalesce(bool_and({is_midnight}), false) FROM {self.part.sql})"
        is_date = f"{is_midnight} AND {is_alone}"
        return f"coalesce(if({moment} IS NULL, regexp_full_match({date}, '{MIDNIGHT}'), {is_date}), false)"

    def numbered_sql(self) -> str:
        """Return SQL of its rows with c_row, their numbers.

        Returns
        -------
        str
            SQL of a relation.
        """
        return f"(SELECT *, {self.part.place} FROM {self.part.relation})"

    @property
    def names(self) -> dict[str, str]:
        """Name of each column in lower case -> as written."""
        return {name.lower(): name for name in self.part.types}

    @property
    def types(self) -> dict[str, str]:
        """Name of each column in lower case -> its DuckDB type."""
        return {name.lower(): kind for name, kind in self.part.types.items()}


def open_tables(workspace: Workspace, data: Any, *, text_format: TextFormat) -> dict[str, list[Table]]:
    """Open the tables of a CDM that readers know, each as its files; absent ones are left out.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder or .zip of CSV (.gz) and Parquet named after the tables, a folder of files for each table, or the
        address of a PostgreSQL database (tables are searched along its search_path).
    text_format : TextFormat
        How text tables are written.

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
        else _from_files(workspace, as_path(data, "a folder or .zip of CDM tables"), text_format)
    )
    for needed in ("person", "visit_occurrence", "measurement"):
        if needed not in tables:
            got = f"tables {', '.join(tables) or 'of no known name'}"
            raise InputError(f"a table {needed}", got, "Pass all tables of the CDM, named as in the CDM.")
    for table in (table for name in tables if name not in VOCABULARY for table in tables[name]):
        _check_identifiers(workspace, table)
    return tables


def _check_identifiers(workspace: Workspace, table: Table) -> None:
    """Refuse identifiers that floating point has rounded: two patients may have become one."""
    for name in IDENTIFIERS:
        limit, cell = EXACT.get(table.types.get(name, "")), table.text_sql(name)
        if limit is None and (name not in table.types or table.part.label.lower()[:5] not in ("perso", "visit")):
            continue  # text; only the tables that name the persons and visits are read once more
        is_rounded = f"abs({quoted(table.names[name])}) > {limit}" if limit else f"{cell} SIMILAR TO '{ROUNDED}'"
        with duckdb_errors(table.part.label):
            query = f"SELECT min(c_row) FROM {table.numbered_sql()} WHERE {is_rounded}"
            row = workspace.sql.execute(query).fetchall()[0][0]
        if row is not None:
            fix = "Write it as text, or as whole numbers of 64 bits."
            got, where = "floating point, which rounds long identifiers", f"{table.part.label}, row {row}"
            raise InputError(f"{name} in full", got, fix, where=where)


def _from_files(workspace: Workspace, path: Path, text_format: TextFormat) -> dict[str, list[Table]]:
    if not path.exists():
        raise InputError("an existing folder or .zip", f"no such path: {path.name}", "Check the path.")
    if path.is_file():
        path = _extracted(path, Path(workspace.folder.name) / "cdm")
    tables: dict[str, list[Table]] = {}
    for name, file in _table_files(path):
        part = _athena(file) if name in VOCABULARY and _has_tabs(file) else None
        parts = [part] if part else open_parts(workspace.sql, file, text_format=text_format)
        tables.setdefault(name, []).extend(Table(each) for each in parts)
    return tables


def _table_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Table and file, in order of their names; a folder of a table's name holds files of that table."""
    for file in folder_files(folder).files:
        own = FILE.fullmatch(file.name)
        name = own[1].lower() if own else file.parent.name.lower()
        if name in TABLES and file.is_file() and file.name.lower().endswith(TABLE_FILES):
            yield name, file


def _extracted(archive: Path, folder: Path) -> Path:
    """The CDM's tables out of a .zip, each under its plain name."""
    folder.mkdir()
    with archive_errors(archive.name), zipfile.ZipFile(archive) as members:
        check_zip(members, archive.stat().st_size, archive.name)
        for member in members.infolist():
            name = PurePosixPath(member.filename).name
            if FILE.fullmatch(name) and member.file_size < LARGEST_FILE:
                if (folder / name).exists():
                    raise InputError("each table once", "a table twice", "Keep one of each.", where=archive.name)
                with members.open(member) as packed, (folder / name).open("xb") as plain:
                    shutil.copyfileobj(packed, plain, 1 << 20)
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
    sql = f"read_csv({one_file(file)}, {UNQUOTED}, delim='\t', columns={{{columns}}}, compression='none')"
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

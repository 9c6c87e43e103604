"""The tables of a publisher's dataset, found by name in a folder or archive, whatever their case, form and columns."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest.archive import check_zip
from clinicalgru.data.ingest.compression import open_plain
from clinicalgru.data.ingest.csv_check import format_names
from clinicalgru.data.ingest.read_options import as_path
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.table_files import TABLE_FILES, folder_files
from clinicalgru.data.ingest.tables import TablePart, duckdb_errors, open_parts, quoted
from clinicalgru.data.ingest.time_sql import has_offset_sql, is_date_sql, time_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import InputError

LARGEST_FILE = 200e9  # bytes of one table in an archive
ROUNDED = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class NamedTables:
    """The tables of a dataset.

    Attributes
    ----------
    files : dict of str to list of TablePart
        The files of each table that occurs, by its name.
    unused : tuple of str
        Names of the files that are tables, but none of those asked for.
    where : str
        Name of the folder or archive, for messages.
    """

    files: dict[str, list[TablePart]]
    unused: tuple[str, ...]
    where: str

    def require(self, *names: str) -> None:
        """Raise where a table is absent.

        Parameters
        ----------
        *names : str
            The tables that must be there.

        Raises
        ------
        InputError
            If one is not; the message names it.
        """
        for name in names:
            if name not in self.files:
                got = f"tables {', '.join(self.files)}" if self.files else "none of the tables of the format"
                fix = "Pass the folder or archive that holds the tables as published."
                endings = ", ".join(f"{name}{ending}" for ending in (".csv", ".csv.gz", ".parquet"))
                raise InputError(f"a table {name} ({endings})", got, fix, where=self.where)

    def notes(self, optional: Collection[str]) -> dict[str, int]:
        """Count the optional tables that are absent and the files that are not used.

        Parameters
        ----------
        optional : collection of str
            The tables that may be absent.

        Returns
        -------
        dict of str to int
            Notes for the ledger.
        """
        absent = {f"optional table absent: {name}": 1 for name in optional if name not in self.files}
        return absent | {f"table not used: {name}": 1 for name in self.unused}


def open_named_tables(
    workspace: Workspace, data: Any, names: Collection[str], *, prefix: str, delimiter: str | None = None
) -> NamedTables:
    """Open the tables of a dataset that a reader knows.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; an archive is unpacked into its folder.
    data : str or Path
        Folder, .zip or .tar(.gz) of CSV, CSV.gz and Parquet files, each named after its table, in any letter case.
        A table may have several files: numbered ones, or those in a folder of its name.
    names : collection of str
        The tables, as published.
    prefix : str
        What may stand before the name of a table: "clif_".
    delimiter : str, optional
        Delimiter of CSV files; found in each file where None.

    Returns
    -------
    NamedTables
        The tables that occur.

    Raises
    ------
    ArgumentError
        If `data` is no path.
    InputError
        If there is no such path, a table occurs twice, or a file cannot be read.
    """
    path = as_path(data, "a folder or archive of tables")
    if not path.exists():
        raise InputError("an existing folder or archive", f"no such path: {path.name}", "Check the path.")
    folder = path if path.is_dir() else _extracted(path, Path(workspace.folder.name) / "archive")
    found: dict[str, list[Path]] = {}
    own_names: dict[str, Path] = {}
    unused = []
    inside = folder_files(folder)
    workspace.notes.update(inside.notes)
    for file in (file for file in inside.files if file.name.lower().endswith(TABLE_FILES)):
        name, of_file = _table_name(file.relative_to(folder), names, prefix)
        if name:
            found.setdefault(name, []).append(file)
        elif not file.name.lower().endswith(".txt"):
            unused.append(file.name)
        other = own_names.setdefault(of_file, file) if of_file else file
        if other != file:  # its rows would count twice
            got = f"{other.name} and {file.name}"
            raise InputError("each table once", got, "Keep one of them.", where=path.name)
    parts = {
        name: [part for file in found[name] for part in open_parts(workspace.sql, file, delimiter=delimiter)]
        for name in names
        if name in found
    }
    return NamedTables(parts, tuple(unused), path.name)


def _table_name(file: Path, names: Collection[str], prefix: str) -> tuple[str, str]:
    """The table of a file, by its name, else by its folder's; and its own name without ending, if that names it."""
    published = {name.lower(): name for name in names}
    endings = "|".join(map(re.escape, TABLE_FILES))
    pattern = re.compile(rf"(?:{prefix})?({'|'.join(published)})((?:[._-]?\d+)?)(?:{endings})?")
    if match := pattern.fullmatch(file.name.lower()):
        return published[match[1]], match[1] + match[2]
    match = pattern.fullmatch(file.parent.name.lower())
    return (published[match[1]], "") if match else ("", "")


def _extracted(archive: Path, folder: Path) -> Path:
    """The tables of an archive, unpacked."""
    folder.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                check_zip(zipped, archive.stat().st_size, archive.name)
                chosen = [each for each in zipped.infolist() if _is_wanted(each.filename, each.file_size)]
                zipped.extractall(folder, chosen)
        else:
            with tarfile.open(fileobj=open_plain(archive), mode="r|") as tarred:
                for member in tarred:
                    if member.isfile() and _is_wanted(member.name, member.size):
                        tarred.extract(member, folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        fix = "Pass the folder, or fetch the archive again."
        raise InputError(
            "a folder, .zip or .tar.gz of tables", "another or a damaged file", fix, where=archive.name
        ) from None
    return folder


def _is_wanted(name: str, size: int) -> bool:
    return PurePosixPath(name).name.lower().endswith(TABLE_FILES) and size < LARGEST_FILE


def with_columns(
    part: TablePart, needs: Collection[str], optional: Collection[str] = (), *, identifiers: Collection[str] = ()
) -> TablePart:
    """Read some columns of a table under their published names.

    Parameters
    ----------
    part : TablePart
        The file.
    needs : collection of str
        Columns that it must have, in lower case; letter case and blanks around the file's names are ignored.
    optional : collection of str
        Further columns; NULL where the file has none.
    identifiers : collection of str
        Those of them that may not be floating point, which rounds long identifiers.

    Returns
    -------
    TablePart
        The file with these columns.

    Raises
    ------
    InputError
        If a column is missing, or an identifier is floating point; the message names file and column.
    """
    have = columns_by_name(part)
    missing = [name for name in needs if name not in have]
    if missing:
        fix = "Pass the table as published, with this column."
        got = f"columns {format_names(list(part.types))}"
        raise InputError(f"a column {', '.join(missing)}", got, fix, where=part.label)
    rounded = [name for name in identifiers if name in have and part.types[have[name]] in ROUNDED]
    if rounded:
        fix = "Write it as whole numbers or text."
        raise InputError(f"{rounded[0]} as whole numbers or text", "floating point", fix, where=part.label)
    names = list(dict.fromkeys([*needs, *optional]))
    cells = [f"{quoted(have[name]) if name in have else 'NULL::VARCHAR'} AS {quoted(name)}" for name in names]
    types = {name: part.types[have[name]] if name in have else "VARCHAR" for name in names}
    return replace(part, sql=f"(SELECT {', '.join(cells)} FROM {part.sql})", types=types)


def columns_by_name(part: TablePart) -> dict[str, str]:
    """Return the columns of a file by their published names.

    Parameters
    ----------
    part : TablePart
        The file.

    Returns
    -------
    dict of str to str
        Name in lower case, without blanks around it -> name in the file.
    """
    return {name.strip().casefold(): name for name in part.types}


def instant_sql(cell: str, dtype: str, *, has_timezone: bool) -> str:
    """Write SQL of a date in microseconds since 1970 (UTC).

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    has_timezone : bool
        Whether dates without an offset are local times (see `declare_timezone`).

    Returns
    -------
    str
        SQL of microseconds; NULL where the cell is no date.
    """
    is_date = is_date_sql(cell, dtype, None)
    written = f"CASE WHEN {is_date} THEN {time_sql(cell, dtype, None)} END"
    if not has_timezone:
        return written
    return f"CASE WHEN {has_offset_sql(cell, dtype, None)} THEN {written} ELSE to_instant({written}) END"


def read_table(
    workspace: Workspace, parts: Sequence[TablePart], *, key: Collection[str], times: Collection[str] = ()
) -> pd.DataFrame:
    """Read a small table whole.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    parts : sequence of TablePart
        The files, with the columns to read (see `with_columns`).
    key : collection of str
        Columns that every row must fill.
    times : collection of str
        Columns of dates.

    Returns
    -------
    DataFrame
        Cells as trimmed text (NA where blank); `times` as microseconds (Int64) with a column "has_offset <name>" (1, 0
        or NA). The index says where a row stands.

    Raises
    ------
    InputError
        If a key is blank, or a date cannot be read.
    """
    table = pd.concat([_read_file(workspace, part, times) for part in parts])
    for name in key:
        if table[name].isna().any():
            where = f"{table.index[table[name].isna()][0]}, column {name}"
            raise InputError(f"a {name} in every row", "a blank cell", "Complete or remove the row.", where=where)
    return table


def _read_file(workspace: Workspace, part: TablePart, times: Collection[str]) -> pd.DataFrame:
    cells = [f"{text_sql(quoted(name), dtype)} AS {quoted(name)}" for name, dtype in part.types.items()]
    for name in times:
        cell, dtype = quoted(name), part.types[name]
        cells.append(f"{instant_sql(cell, dtype, has_timezone=workspace.has_timezone)} AS {quoted('instant ' + name)}")
        offset = f"CASE WHEN {text_sql(cell, dtype)} IS NOT NULL THEN ({has_offset_sql(cell, dtype, None)})::INT END"
        cells.append(f"{offset} AS {quoted('has_offset ' + name)}")
    with duckdb_errors(part.label, part.text):
        table = workspace.sql.sql(f"SELECT {', '.join(cells)} FROM {part.sql}").df()
    rows = list(range(part.first_row, part.first_row + len(table)))
    if part.text is not None:
        rows = list(part.text.rows_of(set(rows)).values()) if part.text.blank_lines else rows
        part.text.check_finished()
    table.index = [f"{part.label}, row {row}" for row in rows]
    for name in times:
        instant = table.pop(f"instant {name}").astype("Int64")
        unreadable = instant.isna() & table[name].notna()
        if unreadable.any():
            where = f"{table.index[unreadable][0]}, column {name}"
            fix = "Write ISO 8601 dates; local times are unique where the offset is written."
            raise InputError("a date such as 2031-05-04 13:20", "text that is no date", fix, where=where)
        table[name] = instant
    return table.astype({name: "Int64" for name in table if name.startswith("has_offset ")})


def register_names(workspace: Workspace) -> None:
    """Create the table source_names: the dictionary's names of the source, to be found in any letter case.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; it gets a table of folded, name.
    """
    known = [*workspace.dictionary.names(workspace.source), *workspace.dictionary]
    by_fold = pd.DataFrame({"folded": [name.lower() for name in known], "name": known}).drop_duplicates("folded")
    workspace.sql.register("source_names_frame", pa.Table.from_pandas(by_fold.astype(str), preserve_index=False))
    workspace.sql.execute("CREATE TABLE source_names AS SELECT * FROM source_names_frame")


def mapped_columns(workspace: Workspace, part: TablePart, *, leave: Collection[str]) -> dict[str, str]:
    """Find the columns of a table that are variables of the dictionary.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    part : TablePart
        The file.
    leave : collection of str
        Columns that are none, in lower case.

    Returns
    -------
    dict of str to str
        Column in lower case -> the variable's name in the source or the dictionary.
    """
    names = {name.casefold(): name for name in (*workspace.dictionary, *workspace.dictionary.names(workspace.source))}
    return {column: names[column] for column in columns_by_name(part) if column in names and column not in leave}

"""The tables of a publisher's dataset, found by name in a folder or archive, whatever their case, form and columns."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from clinicalgru.data.ingest.archive import archive_errors, check_zip
from clinicalgru.data.ingest.compression import open_plain
from clinicalgru.data.ingest.read_options import as_path
from clinicalgru.data.ingest.table_files import TABLE_FILES, folder_files
from clinicalgru.data.ingest.tables import TablePart, open_parts
from clinicalgru.data.ingest.text_format import PLAIN_TEXT, TextFormat
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
        Names of the files that are tables, but none of the expected ones.
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
    workspace: Workspace, data: Any, names: Collection[str], *, prefix: str, text_format: TextFormat = PLAIN_TEXT
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
    text_format : TextFormat
        How text tables are written.

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
        name: [part for file in found[name] for part in open_parts(workspace.sql, file, text_format=text_format)]
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
    with archive_errors(archive.name):
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
    return folder


def _is_wanted(name: str, size: int) -> bool:
    return PurePosixPath(name).name.lower().endswith(TABLE_FILES) and size < LARGEST_FILE

"""The files of a folder: which are read, which are left out and noted, and which stop the load."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clinicalgru.errors import InputError, system_error

PACKED = ("", ".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd")
TEXT_FILES = tuple(f"{kind}{packed}" for kind in (".csv", ".tsv", ".txt") for packed in PACKED)
PARQUET_FILES = (".parquet", ".pq")
TABLE_FILES = (*TEXT_FILES, *PARQUET_FILES)
ARROW_FILES = (".arrow", ".feather", ".ipc")
SHOWN_ENDINGS = ".csv, .tsv, .txt, each also .gz, .bz2, .xz, .zst; .parquet, .feather, .arrow"
WRITE = "python -c \"import pandas as pd; pd.read_{}('{{name}}'{}).to_csv('{{stem}}.csv', index=False)\""
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
EXPORTS = {  # how to make a table of what is none
    ARCHIVES: "Unpack it, and pass the folder of its files",
    (".xlsx", ".xls", ".xlsm", ".ods"): (
        "Save the sheet as CSV UTF-8, with dates as yyyy-mm-dd hh:mm; or run " + WRITE.format("excel", ", dtype=str")
    ),
    (".ndjson", ".jsonl"): "Run " + WRITE.format("json", ", lines=True, dtype=False"),
    (".json",): "Run " + WRITE.format("json", ", dtype=False"),
    (".db", ".sqlite", ".sqlite3"): "Pass 'sqlite:///{name}' with source='sql' and query='SELECT ...'",
    (".duckdb",): (
        'Run python -c "import duckdb; '
        "duckdb.connect('{name}').sql('FROM your_table').write_parquet('{stem}.parquet')\""
    ),
    (".sas7bdat", ".xpt"): "Run " + WRITE.format("sas", ", encoding='infer'"),
    (".dta",): "Run " + WRITE.format("stata", ""),
    (".sav",): "Run " + WRITE.format("spss", "") + ", which needs pyreadstat",
    (".rds", ".rdata"): "In R, write it with arrow::write_parquet(table, '{stem}.parquet')",
    (".pkl", ".pickle"): "If you trust it, pass it as a DataFrame: a pickle can run any code",
}
HIDDEN = re.compile(r"[.~].*|#.*#|.*~|_(SUCCESS|temporary|metadata|common_metadata|committed.*|started.*)|__MACOSX")
SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")
DOCUMENTS = re.compile(
    r"(readme|license|licence|copying|notice|changelog|checksums?|(md5|sha\d+)sums?)(\.txt)?"
    r"|.*\.(md|rst|html?|pdf|docx?|png|jpe?g|svg|py|ipynb|r|sql|ya?ml|toml|log|md5|sha1|sha256|crc)",
    re.IGNORECASE,
)
MAX_NOTES = 20  # files that are named in the ledger, of those left out
LAKES = {"_delta_log": "a Delta Lake table", "_hoodie": "a Hudi table", ".hoodie": "a Hudi table"}


@dataclass
class FolderFiles:
    """The files of a folder and of the folders in it.

    Attributes
    ----------
    files : list of Path
        The files that are not hidden, sorted.
    notes : dict of str to int
        A note for the ledger about each hidden file or folder -> how many files.
    """

    files: list[Path] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, name: str, n_files: int = 1) -> None:
        """Add a note about files; after twenty names, only how many more.

        Parameters
        ----------
        what : str
            What became of them, such as "hidden, not read".
        name : str
            Name of the file or folder in the extract.
        n_files : int
            How many files.
        """
        note = f"{what}: {name}"
        if len(self.notes) >= MAX_NOTES and note not in self.notes:
            note = f"{what}: further files"
        self.notes[note] = self.notes.get(note, 0) + n_files


def folder_files(folder: Path) -> FolderFiles:
    """Find the files of a folder, and of those in it and linked from it.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    FolderFiles
        The files, and what was left out: hidden files and folders, leftovers of editors and systems, and further links
        to a file that is read already.

    Raises
    ------
    InputError
        If a link leads in a circle or nowhere, or a folder cannot be opened or holds the files of a lake's table.
    """
    found = FolderFiles()
    _walk(folder, folder, (), found)
    found.files.sort()
    seen: dict[str, Path] = {}
    for file in found.files:
        first = seen.setdefault(os.path.realpath(file), file)
        if first is not file:
            found.note("second link to a file, not read", file.relative_to(folder).as_posix())
    found.files = list(seen.values())
    return found


def _walk(folder: Path, root: Path, above: tuple[str, ...], found: FolderFiles) -> None:
    real = os.path.realpath(folder)
    if real in above:
        fix = "Remove the link."
        raise InputError("links that lead to other folders", "a link to a folder that holds it", fix, where=folder.name)
    for entry in _entries(folder):
        path, name = folder / entry.name, (folder / entry.name).relative_to(root).as_posix()
        if entry.name in LAKES:
            fix = "Export its current version to plain Parquet files: the folder may hold replaced rows too."
            raise InputError("a folder of plain tables", LAKES[entry.name], fix, where=folder.name)
        if HIDDEN.fullmatch(entry.name) or entry.name.lower() in SYSTEM_FILES:
            found.note("hidden, not read", name, _n_files(path))
        elif path.is_dir():
            _walk(path, root, (*above, real), found)
        elif path.is_file():
            found.files.append(path)
        else:
            fix = "Restore the file, or remove this entry."
            raise InputError("files and folders", "a link to nothing, or a device", fix, where=name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise system_error(error, folder.name) from None


def _n_files(path: Path) -> int:
    """How many files a hidden entry holds, links not followed; at least one, so that it is noted."""
    return max(sum(len(files) for _, _, files in os.walk(path)), 1) if path.is_dir() and not path.is_symlink() else 1


def find_tables(paths: Sequence[Path]) -> FolderFiles:
    """Find the table files at some paths: each itself, or those of the folder.

    Parameters
    ----------
    paths : sequence of Path
        Files or folders.

    Returns
    -------
    FolderFiles
        The files, those of a folder sorted by name, and what was left out.

    Raises
    ------
    InputError
        If a path does not exist or is not UTF-8, is no table, occurs twice, or is a folder without tables; or a folder
        also holds a file that may be a table and cannot be read.
    """
    found = FolderFiles()
    for path in paths:
        _check_exists(path)
        inner = folder_files(path) if path.is_dir() else FolderFiles([path])
        found.files += _tables_of(path, inner)
        found.notes |= inner.notes
    seen: set[str] = set()
    for file in found.files:
        if (real := os.path.realpath(file)) in seen:
            raise InputError("each file once", "a file twice", "Pass it once.", where=file.name)
        seen.add(real)
    return found


def check_unpacked(data: object) -> None:
    """Raise where a folder holds nothing but archives: no source reads these where they lie.

    Parameters
    ----------
    data : object
        What was passed to `read_events`.

    Raises
    ------
    InputError
        If it is such a folder; the message names an archive.
    """
    if not isinstance(data, str | os.PathLike) or not os.path.isdir(data):
        return
    names = [name for _, _, inside in os.walk(str(data)) for name in inside if not HIDDEN.fullmatch(name)]
    tables = [name for name in names if not DOCUMENTS.fullmatch(name)]
    if tables and all(name.lower().endswith(ARCHIVES) for name in tables):
        fix = f"Unpack {min(tables)}, and pass the folder of its files."
        raise InputError("a folder of tables", "one that holds archives only", fix, where=Path(data).name)


def _check_exists(path: Path) -> None:
    try:
        str(path).encode()
        exists = path.exists()
    except UnicodeEncodeError:
        raise InputError("a path in UTF-8", "another encoding", "Rename the file or folder.", where="data") from None
    except ValueError:
        raise InputError("a path", "a text with NUL in it", "Check the path.", where="data") from None
    except OSError as error:
        raise system_error(error, "data") from None
    if not exists:
        raise InputError("an existing file or folder", f"no such path: {path.name}", "Check the path.")


def _tables_of(path: Path, inner: FolderFiles) -> list[Path]:
    """The tables among the files; documents are noted, all else stops the load."""
    tables = [file for file in inner.files if is_table(file.name) or (file == path and _has_ending(file.name))]
    if not tables:
        check_unpacked(path)
        by_ending = (fix for endings, fix in EXPORTS.items() if path.name.lower().endswith(endings))
        fix = next(by_ending, "Pass a table, or name its format with source=") + "."
        fix = fix.format(name=path.name, stem=path.stem)
        raise InputError(f"tables ({SHOWN_ENDINGS})", f"{path.name}", fix)
    for file in sorted(set(inner.files) - set(tables)):
        name = file.relative_to(path).as_posix() if file != path else file.name
        if not DOCUMENTS.fullmatch(file.name):
            fix = "Export it as a table, move it elsewhere, or pass the list of the files to read."
            raise InputError(f"tables only ({SHOWN_ENDINGS})", f"{name} next to them", fix, where=path.name)
        inner.note("document, not read", name)
    return tables


def is_table(name: str) -> bool:
    """Tell whether a file of a folder is a table by its name; a README.txt or LICENSE.txt is none.

    Parameters
    ----------
    name : str
        Name of the file.

    Returns
    -------
    bool
        Whether it is one.
    """
    return _has_ending(name) and not DOCUMENTS.fullmatch(name)


def _has_ending(name: str) -> bool:
    return name.lower().endswith((*TABLE_FILES, *ARROW_FILES))


def one_file(path: Path) -> str:
    """Write a path as an SQL literal that names this file only: DuckDB takes * ? [ for patterns.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        The literal.
    """
    escaped = re.sub(r"([\[*?])", r"[\1]", str(path))
    return "'" + escaped.replace("'", "''") + "'"

"""One small text file a stay, by the thousand, in an archive or a folder: read many at a time as one table."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from clinicalgru.data.ingest.compression import check_ratio, io_errors, open_plain
from clinicalgru.data.ingest.table_files import folder_files
from clinicalgru.errors import InputError, system_error

MAX_FILE_SIZE = 2_000_000  # bytes; a real stay has about 10,000
MAX_MEMBERS = 1_000_000  # of an archive; the sets have 40,000
FILES_PER_BATCH = 2_000  # files
BYTES_PER_BATCH = 32 << 20
NOT_A_NUMBER = ["", "NaN"]  # all other words are checked during ingest


@dataclass(frozen=True, eq=False)
class StayFiles:
    """The rows of some files of one form below each other.

    Attributes
    ----------
    names : tuple of str
        File names.
    records : pyarrow.Array
        File names without folder and ending: whom each file is about.
    file : ndarray of shape (row,)
        Position in `names`.
    row : ndarray of shape (row,)
        Line in its file; the header is row 1.
    table : pyarrow.Table
        Their columns.
    """

    names: tuple[str, ...]
    records: pa.Array
    file: np.ndarray
    row: np.ndarray
    table: pa.Table

    def relation(self, **more: pa.Array | pa.ChunkedArray) -> pa.Table:
        """Build a table of the place and patient of each row, and of the columns given.

        Parameters
        ----------
        **more : pyarrow.Array or pyarrow.ChunkedArray
            Further columns by name, one cell per row.

        Returns
        -------
        pyarrow.Table
            c_file, c_row, patient_id (the file's name), and the columns given.
        """
        place = {"c_file": pa.array(self.file.astype(np.int32)), "c_row": pa.array(self.row)}
        return pa.table({**place, "patient_id": self.records.take(pa.array(self.file)), **more})


def read_stay_files(
    path: Path, ending: str, *, delimiter: str, check: Callable[[list[str]], None]
) -> Iterator[StayFiles]:
    """Read the files with this ending from a folder or archive; nothing is unpacked to disk.

    Parameters
    ----------
    path : Path
        A folder, .zip or .tar(.gz).
    ending : str
        How the names of the files end.
    delimiter : str
        Delimiter of the fields.
    check : callable
        Takes the column names; raises InputError where they are not those of the format.

    Yields
    ------
    StayFiles
        The rows of up to 2,000 files at a time.

    Raises
    ------
    InputError
        If an archive cannot be read to its end or holds a link; a file is too large, has other columns than the first,
        or a last line without end (it may be cut off); a row has more or fewer fields; two files have one name, or
        a name that is not ASCII; or there is no path or file at all.
    """
    files = _deduplicated(_files(path, ending))
    header: list[str] | None = None
    while some := _batch(files):
        for name, lines in some:
            names = lines[0].decode("ascii", "replace").strip().split(delimiter) if lines else []
            if header is None:
                _check_header(check, names, name)
                header = names
            if names != header:
                expected = delimiter.join(header)
                fix = "Pass the files as published."
                raise InputError(expected, f"a first line of {len(names)} fields", fix, where=f"{name}, row 1")
        assert header is not None
        yield _concatenate(some, header, delimiter)
    if header is None:
        raise InputError(
            f"files of stays (*{ending})", f"none in {path.name}", "Pass the archive or folder of the set."
        )


def _batch(files: Iterator[tuple[str, list[bytes]]]) -> list[tuple[str, list[bytes]]]:
    """The next files, no more than a batch may hold."""
    some, size = [], 0
    for name, lines in islice(files, FILES_PER_BATCH):
        some.append((name, lines))
        size += sum(map(len, lines)) + len(lines)
        if size > BYTES_PER_BATCH:
            break
    return some


def _check_header(check: Callable[[list[str]], None], names: list[str], name: str) -> None:
    try:
        check(names)
    except InputError as error:
        raise InputError(error.expected, error.got, error.fix, where=f"{name}, row 1") from None


def _deduplicated(files: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    seen: set[str] = set()
    for name, content in files:
        record = PurePosixPath(name).stem
        if not (record.isascii() and record.isprintable()):
            raise InputError(
                "file names of printable ASCII characters",
                "a name with other characters",
                "Restore the names as published.",
                where="the archive",
            )
        if content and content[-1:] not in b"\r\n":
            row, fix = len(content.splitlines()), "The file may be cut off: fetch the set again."
            raise InputError(
                "a line end after the last row", "a last row without line end", fix, where=f"{name}, row {row}"
            )
        if record in seen:
            raise InputError("each stay once", "two files of one name", "Remove one.", where=name)
        seen.add(record)
        yield name, content.splitlines()


def _files(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in (file for file in folder_files(path).files if file.name.lower().endswith(ending)):
            if not _is_too_large(file.stat().st_size, file.name):
                with io_errors(file.name):
                    yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        yield from _zip_files(path, ending)
    elif path.suffix.lower() == ".zip" and path.exists():
        raise _corrupt_archive(path.name)
    elif path.exists():
        yield from _tar_files(path, ending)
    else:
        raise InputError("an existing archive or folder", f"no such path: {path.name}", "Check the path.")


def _is_stay_file(name: str, ending: str) -> bool:
    """Whether an archive's member is a stay's file; "._name" and __MACOSX are leftovers of a Mac's packer."""
    hidden = "__MACOSX" in name or PurePosixPath(name).name.startswith(".")
    return name.lower().endswith(ending) and not hidden


def check_zip(archive: zipfile.ZipFile, packed: int, name: str) -> None:
    """Refuse a .zip that unpacks to far more than tables do, or has more members than any set, before it is unpacked.

    Parameters
    ----------
    archive : ZipFile
        The archive.
    packed : int
        Bytes of its file: members that overlap each other have small sizes of their own.
    name : str
        Name of its file, for the message.

    Raises
    ------
    InputError
        If it is such an archive.
    """
    members = archive.infolist()
    _check_members(len(members), name)
    check_ratio(sum(member.file_size for member in members), packed, name)


def _check_members(n_members: int, name: str) -> None:
    if n_members > MAX_MEMBERS:
        fix = "This is no set of tables; fetch it again."
        raise InputError(f"at most {MAX_MEMBERS:,} files in an archive", "more", fix, where=name)


def _zip_files(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    with archive_errors(path.name), zipfile.ZipFile(path) as archive:
        check_zip(archive, path.stat().st_size, path.name)
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if _is_stay_file(member.filename, ending) and not _is_too_large(member.file_size, member.filename):
                yield member.filename, archive.read(member)


def _tar_files(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    """The members one after the other, as a stream: what is unpacked is counted as it comes."""
    stream = open_plain(path)
    with archive_errors(path.name), tarfile.open(fileobj=stream, mode="r|") as archive:
        for n_members, member in enumerate(archive, start=1):
            _check_members(n_members, path.name)
            if member.name.lower().endswith(ending) and not (member.isfile() or member.isdir()):
                raise InputError("plain files", "a link", "Restore the set as published.", where=path.name)
            if member.isfile() and _is_stay_file(member.name, ending) and not _is_too_large(member.size, member.name):
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()
        _verify_checksum(stream, path)


def _verify_checksum(rest: IO[bytes], path: Path) -> None:
    """Unpack what follows the last member, which is nothing: so the checksum at the end of a .gz is compared."""
    size = 0
    while chunk := rest.read(1 << 20):
        size += len(chunk)
        if size > MAX_FILE_SIZE or chunk.strip(b"\0"):
            raise _corrupt_archive(path.name)


@contextmanager
def archive_errors(name: str) -> Iterator[None]:
    """Raise errors of an archive as ours: a damaged one, or what the operating system refused.

    Parameters
    ----------
    name : str
        Name of its file, for the message.

    Yields
    ------
    None
        Nothing; the block reads or unpacks.

    Raises
    ------
    InputError
        If the archive is damaged or encrypted, or the system refuses, such as on a full disk.
    """
    try:
        yield
    except OSError as error:
        raise (_corrupt_archive(name) if error.errno is None else system_error(error, name)) from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, NotImplementedError):
        raise _corrupt_archive(name) from None


def _corrupt_archive(name: str) -> InputError:
    return InputError("a whole .tar.gz or .zip", "a damaged archive", "Fetch it again.", where=name)


def _is_too_large(size: int, name: str) -> bool:
    if size > MAX_FILE_SIZE:
        fix = "This is not a stay of the challenge; remove it."
        raise InputError(f"at most {MAX_FILE_SIZE:,} bytes", f"{size:,}", fix, where=PurePosixPath(name).name)
    return False


def _concatenate(files: list[tuple[str, list[bytes]]], header: list[str], delimiter: str) -> StayFiles:
    kept = [[(row, line) for row, line in enumerate(lines[1:], start=2) if line.strip()] for _, lines in files]
    names = tuple(name for name, _ in files)
    text = b"\n".join([delimiter.join(header).encode(), *(line for rows in kept for _, line in rows)])
    table = _parse(text, header, delimiter)
    if table is None or table.num_rows != sum(map(len, kept)):
        raise _broken_row(names, kept, header, delimiter)
    return StayFiles(
        names=names,
        records=pa.array([PurePosixPath(name).stem for name in names]),
        file=np.repeat(np.arange(len(names)), [len(rows) for rows in kept]),
        row=np.array([row for rows in kept for row, _ in rows], dtype=np.int64),
        table=table,
    )


def _parse(text: bytes, header: list[str], delimiter: str) -> pa.Table | None:
    """Columns as numbers where all of them are numbers or NaN, else as text that ingest checks; None = broken."""
    form = pacsv.ParseOptions(delimiter=delimiter, quote_char=False)
    for kind, words in ((pa.float64(), NOT_A_NUMBER), (pa.string(), [])):
        cells = pacsv.ConvertOptions(
            column_types=dict.fromkeys(header, kind), null_values=words, strings_can_be_null=False
        )
        try:
            return pacsv.read_csv(io.BytesIO(text), parse_options=form, convert_options=cells)
        except pa.ArrowInvalid:
            continue
    return None


def _broken_row(
    names: tuple[str, ...], kept: list[list[tuple[int, bytes]]], header: list[str], delimiter: str
) -> InputError:
    expected = f"{len(header)} fields: {delimiter.join(header)}"
    for name, rows in zip(names, kept, strict=True):
        for row, line in rows:
            if line.count(delimiter.encode()) != len(header) - 1 or not re.fullmatch(rb"[ -~]*", line):
                return InputError(
                    expected,
                    f"{line.count(delimiter.encode()) + 1} fields or non-ASCII characters",
                    "Repair the row.",
                    where=f"{name}, row {row}",
                )
    return InputError(expected, "text that cannot be parsed", "Fetch the set again.")

"""Text tables looked at before they are parsed: whether the file is whole and text, its header, and its records.

Row numbers. A row is a record, counted as a spreadsheet shows it: the header is row 1; a blank line is a row; a quoted
field that runs over several lines is one row.

The last line. A text table whose last line has no line end may have been cut off within its last field ("88.4" of
"88.42"), which nothing in the line can tell. Its last row is therefore not used and counted as such, unless it ends in
a closing quote. A file cut off exactly between two rows is a valid shorter file: nobody can see that from the file.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clinicalgru.errors import InputError

CHUNK = 1 << 20  # bytes
LONGEST_LINE = 2_000_000  # bytes; DuckDB's own limit is 2 MiB
LARGEST_RATIO = 100  # a table packs 5 to 30 times smaller
SAFE_SIZE = 64 << 20  # bytes that may come out of any gzip
MARK = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
INVISIBLE = " \t\n\r\u00a0\u2007\u202f\u200b\u200e\u200f\u2060\ufeff"
UNFINISHED = "last line without line end"
LIKE_A_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,3}:\d\d.*")
LIKE_A_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+([eE][+-]?\d+)?|")


@dataclass(frozen=True)
class TextTable:
    """A text table that has been looked through once.

    Attributes
    ----------
    path : Path
        The file.
    delimiter : str
        Delimiter of its fields, one character.
    names : tuple of str
        Its columns; a column without a name is called "unnamed" and its number.
    blank_lines : bool
        Whether there are any, or lines that look so inside quotes.
    ends_mid_line : bool
        Whether the last line has no line end, so that its last field may be cut off.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    blank_lines: bool
    ends_mid_line: bool

    def rows_of(self, records: set[int]) -> dict[int, int]:
        """Find the rows that a spreadsheet shows for some records.

        Parameters
        ----------
        records : set of int
            Numbers of records, from 2 on: blank lines do not count, and the header is 1.

        Returns
        -------
        dict of int to int
            Record -> row.
        """
        rows, record, last = {}, 0, max(records, default=0)
        for row, cells in enumerate(_records(self.path, self.delimiter), start=1):
            record += bool(cells)
            if cells and record in records:
                rows[record] = row
            if record >= last:
                break
        return rows

    def last_record(self) -> int:
        """Count the records that are not blank.

        Returns
        -------
        int
            The number of the last record; the header is 1.
        """
        return sum(bool(cells) for cells in _records(self.path, self.delimiter))

    def check_finished(self) -> None:
        """Refuse a table whose last line may be cut off.

        Raises
        ------
        InputError
            If the last line has no line end.
        """
        if self.ends_mid_line:
            last = self.last_record()
            where = f"{self.path.name}, row {self.rows_of({last})[last]}"
            fix = "If the last row is whole, add a line end; else fetch the file again."
            raise InputError("a line end after the last row", "a last row without line end", fix, where=where)

    def first_malformed_row(self) -> InputError | None:
        """Find the first row that does not have the form of the header.

        Returns
        -------
        InputError or None
            The error that names the row, to be raised; None where there is none.
        """
        row = 0
        try:
            for row, cells in enumerate(_records(self.path, self.delimiter), start=1):
                error = self._wrong(cells, row)
                if error is not None:
                    return error
        except csv.Error as error:
            return self._broken_quote(str(error), row + 1)
        return None

    def _wrong(self, cells: list[str], row: int) -> InputError | None:
        where = f"{self.path.name}, row {row}"
        if any("\ud800" <= letter <= "\udfff" for cell in cells for letter in cell if letter > "\ud7ff"):
            return not_utf_8(where)
        spare = len(cells) - len(self.names)
        if not cells or spare == 0 or (spare == 1 and not cells[-1]):
            return None
        fix = "Repair this row: a field may hold an unquoted delimiter, or the file may be cut off."
        return InputError(f"{len(self.names)} columns", f"{len(cells)}", fix, where=where)

    def _broken_quote(self, message: str, row: int) -> InputError:
        where = f"{self.path.name}, row {row}"
        if "larger than" in message:
            fix = "Repair the row: a quote may never close."
            return InputError(f"lines of at most {LONGEST_LINE:,} bytes", "a longer line", fix, where=where)
        return InputError("a closing quote", "a quote that never closes", "Repair the quotes of this row.", where=where)


def inspect_text(path: Path, *, delimiter: str | None = None) -> TextTable:
    """Read a text table once, without parsing it, and find its header and peculiarities.

    Parameters
    ----------
    path : Path
        The file: text, or text in a .gz.
    delimiter : str, optional
        One character. None: a comma (a tab in .tsv), or the one of ; tab | that splits a header without commas.

    Returns
    -------
    TextTable
        The table.

    Raises
    ------
    InputError
        If a gzip is corrupt, cut off or unpacks to an implausible size; the first line is not UTF-8; there is NUL, or a
        byte order mark further down; a line has more than 2 MB; there is no header, or one that looks like data; or a
        column occurs twice.
    """
    with io_errors(path.name):
        first, blank_lines, last = _scan_file(path)
    names, delimiter = _header(first, path.name, delimiter or ("\t" if ".tsv" in path.name.lower() else None))
    return TextTable(path, delimiter, names, blank_lines, ends_mid_line=last not in b'\n\r"')


@contextmanager
def io_errors(name: str) -> Iterator[None]:
    """Raise errors of the file system and of unpacking as ours.

    Parameters
    ----------
    name : str
        Name of the file, for the message.

    Yields
    ------
    None
        Nothing; the block reads the file.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error):
        raise InputError("a readable file", "a truncated or corrupt file", "Fetch it again.", where=name) from None


def not_utf_8(where: str) -> InputError:
    """Build the error about text in another encoding than UTF-8.

    Parameters
    ----------
    where : str
        File and row, for the message.

    Returns
    -------
    InputError
        The error, to be raised.
    """
    return InputError("UTF-8 text", "another encoding", "Save it as UTF-8.", where=where)


def check_packed(path: Path) -> None:
    """Refuse a .gz that is damaged, cut off or unpacks beyond reason: DuckDB does not compare its checksum.

    Parameters
    ----------
    path : Path
        The file; one that is no .gz is not read.

    Raises
    ------
    InputError
        If it is such a file.
    """
    if path.suffix.lower() == ".gz":
        with io_errors(path.name), _open(path) as file:
            size, packed = 0, path.stat().st_size
            while chunk := file.read(CHUNK):
                size += len(chunk)
                _check_ratio(size, packed, path.name)


def _check_ratio(size: int, packed: int, name: str) -> None:
    if size > SAFE_SIZE and size > LARGEST_RATIO * packed:
        fix = "This is no table; fetch it again."
        raise InputError("a gzip that unpacks as tables do", f"{size:,} bytes from {packed:,}", fix, where=name)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _scan_file(path: Path) -> tuple[bytes, bool, bytes]:
    """The first line, whether there may be blank lines, and the last byte."""
    first, tail, size, blank = b"", b"", 0, False
    packed = path.stat().st_size
    with _open(path) as file:
        while chunk := file.read(CHUNK):
            _check_chunk(chunk, tail, size, path.name)
            if not first:
                first = re.split(rb"[\r\n]", chunk, maxsplit=1)[0]
            size += len(chunk)
            _check_ratio(size, packed, path.name)
            seam = tail + chunk
            blank = blank or any(pair in seam for pair in (b"\n\n", b"\n\r\n", b"\r\r", b"\n\r"))
            tail = _tail(seam)
    return first, blank, tail[-1:] or b"\n"


def _tail(seam: bytes) -> bytes:
    """What a finding at the border of two chunks needs: the last line, as long as lines may be."""
    start = max(seam.rfind(b"\n"), seam.rfind(b"\r")) - 2
    return seam[max(start, 0) :]


def _check_chunk(chunk: bytes, tail: bytes, before: int, name: str) -> None:
    if before == 0 and (chunk[:2] in UTF_16 or b"\0" in chunk[:200]):
        raise InputError("UTF-8 text", "UTF-16 or binary content", "Save it as UTF-8.", where=f"{name}, row 1")
    if b"\0" in chunk:
        fix = "Export it again: the file is damaged."
        raise InputError("text", "NUL bytes, as in UTF-16 or binary content", fix, where=name)
    seam = tail[-2:] + chunk
    if seam.find(MARK, 0 if before else 1) >= 0:
        fix = "Files may have been joined: pass them as a folder instead."
        raise InputError("one file", "a byte order mark in the middle", fix, where=name)
    if len(tail) > LONGEST_LINE:
        fix = "Export it again: this is no line of a table."
        raise InputError(f"lines of at most {LONGEST_LINE:,} bytes", "a longer line", fix, where=name)


def _header(line: bytes, name: str, delimiter: str | None) -> tuple[tuple[str, ...], str]:
    """Column names and delimiter."""
    where = f"{name}, row 1"
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise not_utf_8(where) from None
    if not text.strip():
        raise InputError("a header row", "an empty file or line", "Export the table again.", where=name)
    delimiter = delimiter or max(",;\t|", key=lambda mark: (mark == "," and "," in text, text.count(mark)))
    try:
        written = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        fix = "Repair the quotes of the header."
        raise InputError("a closing quote", "a quote that never closes", fix, where=where) from None
    names = tuple(cell.strip(INVISIBLE) or f"unnamed {number}" for number, cell in enumerate(written, start=1))
    if any('"' in cell or not cell.isprintable() for cell in names):
        fix = "Repair the header: a name may have been damaged."
        raise InputError("plain column names", "a quote or control character in one", fix, where=where)
    if any(LIKE_A_DATE.fullmatch(cell) for cell in names) or all(LIKE_A_NUMBER.fullmatch(cell) for cell in names):
        raise InputError("a header row", "a row of data", "Add a first row with the names of the columns.", where=where)
    check_once(names, name)
    return names, delimiter


def check_once(names: tuple[str, ...], where: str) -> None:
    """Refuse a table that has a column twice; upper and lower case do not make a difference.

    Parameters
    ----------
    names : tuple of str
        Names of the columns.
    where : str
        Name of the table, for the message.

    Raises
    ------
    InputError
        If a name occurs twice.
    """
    folded = [name.casefold() for name in names]
    twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if twice:
        got = f"column {format_names(twice[:1])} twice"
        raise InputError("each column once", got, "Rename or drop one.", where=where)


def format_names(names: list[str] | tuple[str, ...]) -> str:
    """Format column names for a message, without those that may be cells of a table that lacks its header.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.

    Returns
    -------
    str
        The names, separated by commas, and how many look like data.
    """
    shown = [name for name in names if not LIKE_A_NUMBER.fullmatch(name) and not LIKE_A_DATE.fullmatch(name)]
    hidden = len(names) - len(shown)
    return ", ".join([*shown, *([f"{hidden} that look like data"] if hidden else [])])


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Records of the file, [] for a blank line; bytes that are not UTF-8 come as lone surrogates."""
    limit = csv.field_size_limit(LONGEST_LINE)
    try:
        mode = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
        with gzip.open(path, "rt", **mode) if path.suffix.lower() == ".gz" else path.open("r", **mode) as file:  # type: ignore[call-overload]
            yield from csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    finally:
        csv.field_size_limit(limit)

"""Text tables are checked before they are parsed: whether the file is whole and text, its header, and its records.

Row numbers. A row is a record, counted as a spreadsheet shows it: the header is row 1; a blank line is a row; a quoted
field that runs over several lines is one row.

The last line. A text table whose last line has no line end may have been cut off within its last field ("88.4" of
"88.42"), which nothing in the line can tell. Its last row is therefore not used and counted as such, unless it ends in
a closing quote. A file cut off exactly between two rows is a valid shorter file: no check can see that from the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from clinicalgru.data.ingest.compression import format_of, io_errors, open_plain, plain_chunks
from clinicalgru.errors import InputError, system_errors

LONGEST_LINE = 2_000_000  # bytes; DuckDB's own limit is 2 MiB
UNREAD_BY_DUCKDB = ("bzip2", "xz", "zstd")
MARK = b"\xef\xbb\xbf"
NAME_ENCODING = "Save it as UTF-8, or pass its encoding, such as"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
INVISIBLE = " \t\n\r\u00a0\u2007\u202f\u200b\u200e\u200f\u2060\ufeff"
# Of a byte: whether it is a delimiter or line end, a quote, a space, or another control character.
BORDER, QUOTE, SPACE, CONTROL = 1, 2, 4, 128
CLASSES = bytes(
    {**dict.fromkeys(b",;|\r\n", BORDER), 34: QUOTE, 32: SPACE}.get(i, CONTROL if i < 32 or i == 127 else 0)
    for i in range(256)
)
UNFINISHED = "last line without line end"
LIKE_A_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,3}:\d\d.*")
KNOWN_NAMES = re.compile(  # no cell of any table is called so: where one of them occurs, the first row is a header
    r"patient(_?id)?|stay(_?id)?|patient_?unit_?stay_?id|person_id|visit_occurrence_id|encounter_id|hospitalization_id|"
    r"subject(_?id)?|hadm_?id|icustay_?id|mrn|pid|time|available_at|variable|value(num|uom)?|units?|code|item_?id|"
    r"(chart|store|start|end|in|out)time|timestamp|date(time)?|stay_(start|end)|in_hospital_death"
)
LIKE_A_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+([eE][+-]?\d+)?|")


@dataclass(frozen=True)
class TextTable:
    """A text table that was scanned once.

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
    plain : Path
        The file that DuckDB reads: this one, or what it was unpacked to.
    compression : str
        How that file is compressed, in DuckDB's words.
    is_plain : bool
        Whether it is ASCII without control characters, and no cell has white space around it.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    blank_lines: bool
    ends_mid_line: bool
    plain: Path
    compression: str
    is_plain: bool = False

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


def inspect_text(path: Path, *, delimiter: str | None = None, make_folder: Callable[[], Path]) -> TextTable:
    """Read a text table once, without parsing it, and find its header and peculiarities.

    Parameters
    ----------
    path : Path
        The file: text, plain or compressed.
    delimiter : str, optional
        One character. None: a comma (a tab in .tsv), or the one of ; tab | that splits a header without commas.
    make_folder : callable
        Makes a folder for text that DuckDB cannot unpack itself.

    Returns
    -------
    TextTable
        The table.

    Raises
    ------
    InputError
        If a compressed file is damaged, cut off or unpacks to an implausible size; the first line is not UTF-8; there
        is NUL, or a byte order mark further down; a line has more than 2 MB; there is no header, or one that looks like
        data; or a column occurs twice.
    """
    codec, plain = format_of(path), path
    if codec in UNREAD_BY_DUCKDB:
        plain = make_folder() / "unpacked.csv"
        with system_errors("temporary files"), plain.open("xb") as copy:
            first, blank_lines, last, is_plain = _scan_file(path, copy)
    else:
        first, blank_lines, last, is_plain = _scan_file(path, None)
    names, delimiter = header_of(first, path.name, delimiter or ("\t" if ".tsv" in path.name.lower() else None))
    form = "none" if plain is not path else codec
    return TextTable(
        path, delimiter, names, blank_lines, last not in b'\n\r"', plain, form, is_plain and delimiter in ",;|"
    )


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
    return InputError("UTF-8 text", "another encoding", f'{NAME_ENCODING} "windows-1252".', where=where)


def _scan_file(path: Path, copy: IO[bytes] | None) -> tuple[bytes, bool, bytes, bool]:
    """The first line, whether there may be blank lines, the last byte, and whether the text is plain.

    `copy` gets what was unpacked.
    """
    first, tail, size, blank, is_plain = b"", b"", 0, False, True
    for chunk in plain_chunks(path):
        _check_chunk(chunk, tail, size, path.name)
        if copy is not None:
            copy.write(chunk)
        if not first:
            first = re.split(rb"[\r\n]", chunk, maxsplit=1)[0]
        size += len(chunk)
        seam = tail + chunk
        pairs = (b"\n\n", b"\n\r\n", b"\r\r", b"\n\r") if b"\r" in seam else (b"\n\n",)
        blank = blank or any(pair in seam for pair in pairs)
        is_plain = is_plain and is_plain_text(tail[-2:] + chunk)
        tail = _tail(seam)
    last = tail[-1:] or b"\n"
    return first, blank, last, is_plain and last != b" "


def is_plain_text(text: bytes) -> bool:
    """Tell whether a text is printable ASCII, and each space stands between two other characters that are no quotes.

    Parameters
    ----------
    text : bytes
        The text. A line end counts as one character, as a delimiter does; a tab is none here.

    Returns
    -------
    bool
        True for such a text.

    Examples
    --------
    >>> is_plain_text(b"a b,c"), is_plain_text(b"a, b"), is_plain_text(b'"a "')
    (True, False, False)
    """
    if not text.isascii():
        return False
    classes = np.frombuffer(text.translate(CLASSES), np.uint8)
    pairs = classes[:-1] | classes[1:]
    if pairs.max(initial=0) > SPACE:  # a control character, or a space next to a border or quote
        return False
    # a quote between two borders: one of them may be white space at the edge of a quoted field
    return not ((classes[:-2] & classes[2:] & BORDER) << 1 & classes[1:-1]).any()


def _tail(seam: bytes) -> bytes:
    """What a finding at the border of two chunks needs: the last line, as long as lines may be."""
    start = max(seam.rfind(b"\n"), seam.rfind(b"\r")) - 2
    return seam[max(start, 0) :]


def _check_chunk(chunk: bytes, tail: bytes, before: int, name: str) -> None:
    if before == 0 and (chunk[:2] in UTF_16 or b"\0" in chunk[:200]):
        fix = f'{NAME_ENCODING} "utf-16".'
        raise InputError("UTF-8 text", "UTF-16 or binary content", fix, where=f"{name}, row 1")
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


def header_of(line: bytes, name: str, delimiter: str | None) -> tuple[tuple[str, ...], str]:
    """Read the header of a text table.

    Parameters
    ----------
    line : bytes
        The first line, without its end.
    name : str
        Name of the file, for messages.
    delimiter : str or None
        One character. None: a comma, or the one of ; tab | that splits a header without commas.

    Returns
    -------
    names : tuple of str
        Names of the columns; a column without a name is called "unnamed" and its number.
    delimiter : str
        The delimiter.

    Raises
    ------
    InputError
        If it is not UTF-8, empty, a row of data, damaged, or has a column twice.
    """
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
        If a name occurs twice, or there is none.
    """
    if not names:
        raise InputError("a table with columns", "one without", "Export it again, with its header.", where=where)
    folded = [name.casefold() for name in names]
    twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if twice:
        shown = format_names(twice[:1], names)
        got = f"column {shown} twice" if shown == twice[0] else f"a column twice: {shown}"
        raise InputError("each column once", got, "Rename or drop one.", where=where)


def format_names(names: Sequence[str], header: Sequence[str] | None = None) -> str:
    """Format column names for a message, without those that may be cells of a table that lacks its header.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    header : sequence of str, optional
        All names of the table; None: `names` are all. Where none of them is known to be a name, none is shown.

    Returns
    -------
    str
        The names, separated by commas, and how many are not shown.
    """
    if not any(KNOWN_NAMES.fullmatch(name.casefold()) for name in (names if header is None else header)):
        return f"({len(names)}, none of a known name; not shown, as without a header they would be data)"
    shown = [name for name in names if not LIKE_A_NUMBER.fullmatch(name) and not LIKE_A_DATE.fullmatch(name)]
    hidden = len(names) - len(shown)
    return ", ".join([*shown, *([f"{hidden} that are numbers or dates"] if hidden else [])])


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Records of the file, [] for a blank line; bytes that are not UTF-8 come as lone surrogates."""
    limit = csv.field_size_limit(LONGEST_LINE)
    try:
        plain = open_plain(path)
        with io_errors(path.name), io.TextIOWrapper(plain, "utf-8-sig", "surrogateescape", newline="") as file:
            yield from csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    finally:
        csv.field_size_limit(limit)

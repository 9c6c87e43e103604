"""Large text tables in blocks that are provably well-formed, parsed by Arrow while DuckDB takes in the block before.

A block is a number of whole lines. It is well-formed where no parser can read it in another way: no carriage return, no
blank line, each quote at the edge of a cell, as many rows as lines, and as many cells in each row as in the header. A
table with another block is read by DuckDB alone, which finds and names what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from clinicalgru.data.ingest.compression import format_of, plain_chunks
from clinicalgru.data.ingest.csv_check import MARK, TextTable, header_of, is_plain_text
from clinicalgru.data.ingest.table_files import FolderFiles, find_tables
from clinicalgru.data.ingest.text_format import TextFormat
from clinicalgru.errors import InputError

SMALLEST_FILE = 4 << 20  # bytes on disk from which on a table is read in blocks
BLOCK_BYTES = 16 << 20  # of text
ARROW_BYTES = 1 << 20  # of Arrow's own blocks: a line that is longer than two of them is an error
PIECE_BYTES = 1 << 18  # of text that is looked at in one go
USUAL_RATIO = 40  # of text to its packed size, which is 5 to 30 in a table
NEWLINE, QUOTE = 10, 34


class NotWellFormedError(Exception):
    """A text table has something that only the careful reader understands."""


@dataclass(frozen=True, eq=False)
class TextBlock:
    """Some rows of a text table.

    Attributes
    ----------
    table : pyarrow.Table
        Their cells as text; NULL where a cell is empty.
    first_row : int
        Number of the first of them, as a spreadsheet shows it.
    is_plain : bool
        Whether they are ASCII without control characters, and no cell has white space around it.
    is_unfinished : bool
        Whether the last row has no line end, so that its last cell may be cut off.
    """

    table: pa.Table
    first_row: int
    is_plain: bool
    is_unfinished: bool


def large_texts(data: Any, text_format: TextFormat) -> tuple[list[TextTable], FolderFiles]:
    """Find the files of an extract, if all of them are large text tables of the same columns.

    Parameters
    ----------
    data : object
        The extract.
    text_format : TextFormat
        How they are written.

    Returns
    -------
    texts : list of TextTable
        The files, of which only the header was read; empty where another reader has to read some of them.
    found : FolderFiles
        What was left out of a folder.
    """
    paths = data if isinstance(data, list | tuple) else [data]
    if not (paths and text_format.is_usual and all(isinstance(path, str | os.PathLike) for path in paths)):
        return [], FolderFiles()
    try:
        found = find_tables([Path(path) for path in paths])
        if any(file.stat().st_size < SMALLEST_FILE for file in found.files):
            return [], found
        texts = [_text(file, text_format.delimiter) for file in found.files]
    except (InputError, NotWellFormedError, OSError):
        return [], FolderFiles()
    columns = {frozenset(map(str.casefold, text.names)) for text in texts}
    return texts if len(columns) == 1 else [], found


def _text(path: Path, delimiter: str | None) -> TextTable:
    codec = format_of(path)
    if codec not in ("none", "gzip"):
        raise NotWellFormedError
    line, end, _ = next(plain_chunks(path), b"").partition(b"\n")
    if not end or b"\r" in line or b"\0" in line:
        raise NotWellFormedError
    names, delimiter = header_of(line, path.name, delimiter)
    if delimiter not in ",;|\t":
        raise NotWellFormedError
    return TextTable(path, delimiter, names, False, False, path, codec, is_plain=True)


def text_blocks(text: TextTable) -> Iterator[TextBlock]:
    """Read a text table block by block; the next block is read while the caller works on the last.

    Parameters
    ----------
    text : TextTable
        The table.

    Yields
    ------
    TextBlock
        Some rows.

    Raises
    ------
    NotWellFormedError
        If a block is not well-formed.
    InputError
        If a compressed file is damaged.
    pyarrow.ArrowInvalid
        If a row has another number of cells, or is not UTF-8.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        blocks = _blocks(text)
        following = thread.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = thread.submit(next, blocks, None)
            yield block


def _blocks(text: TextTable) -> Iterator[TextBlock]:
    row = 2
    for lines in _whole_lines(text.path):
        table, n_lines = _parsed(lines, text), lines.count(b"\n")
        is_unfinished = lines[-1] != NEWLINE
        if table.num_rows != n_lines + is_unfinished:
            raise NotWellFormedError
        is_plain = text.delimiter != "\t" and _is_plain(b"\n" + lines + b"\n")
        yield TextBlock(table, row, is_plain, is_unfinished and lines[-1] != QUOTE)
        row += table.num_rows
    if row == 2:  # nothing but a header
        raise NotWellFormedError


def _is_plain(text: bytes) -> bool:
    """Whether a text is plain, piece by piece: a piece that fits into the processor's cache takes half of the time."""
    return all(is_plain_text(text[max(at - 2, 0) : at + PIECE_BYTES]) for at in range(0, len(text), PIECE_BYTES))


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines after the header, about `BLOCK_BYTES` at a time; only the last may lack its end."""
    waiting: list[bytes] = []
    size, is_header, left = 0, True, USUAL_RATIO * path.stat().st_size
    for chunk in plain_chunks(path):
        left -= len(chunk)
        if left < 0:  # it may be no table: the careful reader unpacks all of it before it takes in a row
            raise NotWellFormedError
        if is_header:
            chunk, is_header = chunk.partition(b"\n")[2], False
        waiting.append(chunk)
        size += len(chunk)
        if size >= BLOCK_BYTES and b"\n" in chunk:
            text = b"".join(waiting)
            end = text.rindex(b"\n") + 1
            yield text[:end]
            waiting, size = [text[end:]], len(text) - end
    if rest := b"".join(waiting):
        yield rest


def _parsed(lines: bytes, text: TextTable) -> pa.Table:
    """The cells of some lines, after what could be read in two ways was refused."""
    is_strange = lines[0] == NEWLINE or any(mark in lines for mark in (b"\r", b"\0", b"\n\n"))
    if is_strange or (not lines.isascii() and MARK in lines) or not _are_quotes_paired(lines, text.delimiter):
        raise NotWellFormedError
    return pacsv.read_csv(
        pa.py_buffer(lines),
        read_options=pacsv.ReadOptions(column_names=list(text.names), block_size=ARROW_BYTES),
        parse_options=pacsv.ParseOptions(delimiter=text.delimiter, newlines_in_values=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(text.names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _are_quotes_paired(lines: bytes, delimiter: str) -> bool:
    """Whether quotes open and close whole cells, and none stands within a cell."""
    if b'"' not in lines:
        return True
    letters = np.frombuffer(b"\n" + lines + b"\n", np.uint8)
    quotes = np.flatnonzero(letters == QUOTE)
    if len(quotes) % 2:
        return False
    edges = np.concatenate([letters[quotes[0::2] - 1], letters[quotes[1::2] + 1]])
    return bool(((edges == NEWLINE) | (edges == ord(delimiter))).all())

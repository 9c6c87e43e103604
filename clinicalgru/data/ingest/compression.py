"""Compressed files, known by their first bytes and not by their names: gzip, bzip2, xz and zstd."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from clinicalgru.errors import InputError, system_error

CHUNK = 1 << 20  # bytes
LARGEST_RATIO = 100  # a table packs 5 to 30 times smaller
SAFE_SIZE = 64 << 20  # bytes that may come out of any compressed file
XZ_MEMORY = 256 << 20  # bytes of the largest xz dictionary; `xz -9` needs 65 MB
CODECS = {
    "gzip": rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",
}
OTHER_FORMATS = {  # what is no table, as messages call it
    "a .zip archive or an Office file": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "an old Office file": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a .7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a .rar archive": rb"Rar!\x1a\x07",
    "an .lz4 file": rb"\x04\x22\x4d\x18",
    "a .Z file": rb"\x1f[\x9d\xa0]",
    "an .lzma file": rb"\x5d\x00\x00",
    "a PDF": rb"%PDF-",
    "an SQLite database": rb"SQLite format 3\x00",
    "an HDF5 file": rb"\x89HDF\r\n",
    "an Arrow or Feather file": rb"ARROW1|FEA1",
    "an ORC file": rb"ORC",
    "an Avro file": rb"Obj\x01",
}
PARQUET = b"PAR1"


def format_of(path: Path) -> str:
    """Tell the format of a file from its first bytes.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        "gzip", "bzip2", "xz", "zstd", "parquet", or "none" for all else.

    Raises
    ------
    InputError
        If the file cannot be opened, or is of a format that is no table.
    """
    with io_errors(path.name), path.open("rb") as file:
        start = file.read(32)
    if start.startswith(PARQUET):
        return "parquet"
    for name, magic in OTHER_FORMATS.items():
        if re.match(magic, start, re.DOTALL):
            fix = "Export it as CSV or Parquet; gzip, bzip2, xz and zstd are read too."
            raise InputError("a table as text or Parquet", name, fix, where=path.name)
    return next((name for name, magic in CODECS.items() if re.match(magic, start, re.DOTALL)), "none")


def plain_chunks(path: Path) -> Iterator[bytes]:
    """Unpack a file piece by piece; a file that is not compressed is read as it is.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    bytes
        At least one byte at a time, about a megabyte.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged or cut off, or unpacks to an implausible size.
    """
    codec = format_of(path)
    with io_errors(path.name):
        size, packed = 0, path.stat().st_size
        for chunk in UNPACK[codec](path):
            size += len(chunk)
            check_ratio(size, packed, path.name)
            yield chunk


def open_plain(path: Path) -> io.BufferedReader:
    """Open a file, unpacked where it is compressed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    BufferedReader
        Its plain bytes, to be read from the start to the end.

    Raises
    ------
    InputError
        As in `plain_chunks`, when the bytes are read.
    """
    return io.BufferedReader(_Chunks(plain_chunks(path)), CHUNK)


def check_packed(path: Path) -> None:
    """Refuse a compressed file that is damaged, cut off or unpacks beyond reason: DuckDB does not compare checksums.

    Parameters
    ----------
    path : Path
        The file; one that is not compressed is not read.

    Raises
    ------
    InputError
        If it is such a file.
    """
    if format_of(path) in CODECS:
        for _ in plain_chunks(path):
            pass


def check_ratio(size: int, packed: int, name: str) -> None:
    """Refuse what unpacks to far more than a table does.

    Parameters
    ----------
    size : int
        Bytes that have come out so far.
    packed : int
        Bytes of the compressed file.
    name : str
        Name of the file, for the message.

    Raises
    ------
    InputError
        If more than `SAFE_SIZE` bytes and more than `LARGEST_RATIO` times the compressed size have come out.
    """
    if size > SAFE_SIZE and size > LARGEST_RATIO * packed:
        got = f"{size:,} bytes and more from {packed:,}"
        raise InputError("a file that unpacks as tables do", got, "This is no table; fetch it again.", where=name)


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
    except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise system_error(error, name) from None
        raise InputError("a readable file", "a truncated or corrupt file", "Fetch it again.", where=name) from None


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _gzip(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _bzip2(path: Path) -> Iterator[bytes]:
    with bz2.open(path, "rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _zstd(path: Path) -> Iterator[bytes]:
    with pa.CompressedInputStream(str(path), "zstd") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _xz(path: Path) -> Iterator[bytes]:
    """All streams of the file; `lzma.open` would allot what the file asks for, which may be gigabytes."""
    with path.open("rb") as file:
        packed = file.read(CHUNK)
        while packed.strip(b"\0"):
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            while not unpacker.eof:
                if chunk := unpacker.decompress(packed, CHUNK):
                    yield chunk
                packed = file.read(CHUNK) if unpacker.needs_input else b""
                if unpacker.needs_input and not packed:
                    raise EOFError
            packed = unpacker.unused_data or file.read(CHUNK)


UNPACK = {"none": _plain, "parquet": _plain, "gzip": _gzip, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd}


class _Chunks(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.rest = self.rest or memoryview(next(self.chunks, b""))
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size

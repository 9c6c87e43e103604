"""Columns of numbers on disk: written chunk by chunk as plain .npy files, read back memory-mapped.

Pages of a mapped file count as memory of the process from when they are read until the system takes them back, which
it does only when memory runs short. Here they are given back after every 128 MiB read: the process stays small, and
what the system still has cached is read again at the speed of memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from clinicalgru.errors import InputError

RESIDENT = 128 * 2**20  # bytes read before pages are given back


class Pages:
    """The maps behind mapped arrays; gives their pages back to the system."""

    def __init__(self, maps: Sequence[mmap.mmap]) -> None:
        self.maps, self.read = list(maps), 0

    def touched(self, size: int) -> None:
        """So many bytes more were read."""
        self.read += size
        if self.read > RESIDENT:
            self.release()

    def release(self) -> None:
        """Give the pages back; the arrays stay as they are, and are read from the file again."""
        self.read = 0
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which trims them itself
            for one in self.maps:
                one.madvise(mmap.MADV_DONTNEED)


class InMemory:
    """Columns collected in memory: room for `most` rows is reserved, and what stays empty is given back."""

    def __init__(self, kinds: Mapping[str, Any], most: int) -> None:
        self.columns = {name: np.empty(most, dtype=kind) for name, kind in kinds.items()}
        self.rows = 0

    def add(self, **columns: np.ndarray) -> None:
        """Append rows: one array a column, of equal lengths."""
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            self.columns[name][self.rows : self.rows + rows] = column
        self.rows += rows

    def arrays(self) -> tuple[dict[str, np.ndarray], None]:
        """The columns, and nothing beyond their rows."""
        for column in self.columns.values():
            column.resize(self.rows, refcheck=False)  # in place: a copy would need the memory twice
        return self.columns, None


class OnDisk:
    """Columns appended to NAME.npy files of a folder; readable once closed."""

    def __init__(self, folder: Path, kinds: Mapping[str, Any]) -> None:
        self.folder, self.rows = folder, 0
        self.kinds = {name: np.dtype(kind) for name, kind in kinds.items()}
        self.files: dict[str, BinaryIO] = {name: (folder / f"{name}.npy").open("wb") for name in kinds}
        self._write_headers()

    def _write_headers(self) -> None:
        for name, file in self.files.items():
            file.seek(0)  # numpy leaves room in it for the number of rows to grow
            header = {"descr": self.kinds[name].str, "fortran_order": False, "shape": (self.rows,)}
            np.lib.format.write_array_header_1_0(file, header)

    def add(self, **columns: np.ndarray) -> None:
        """Append rows: one array a column, of equal lengths."""
        for name, column in columns.items():
            np.ascontiguousarray(column, dtype=self.kinds[name]).tofile(self.files[name])
        self.rows += len(next(iter(columns.values())))

    def close(self) -> None:
        """Write how many rows there are."""
        self._write_headers()
        for file in self.files.values():
            file.close()

    def arrays(self) -> tuple[dict[str, np.ndarray], Pages]:
        """The columns, memory-mapped, and their pages; nothing can be appended any more."""
        self.close()
        columns, maps = mapped_columns(self.folder, self.kinds, self.rows)
        return columns, Pages(maps)


@contextmanager
def on_disk(folder: Path, kinds: Mapping[str, Any]) -> Iterator[OnDisk]:
    """Columns that can be appended to within; their files are closed after, whatever happens."""
    columns = OnDisk(folder, kinds)
    try:
        yield columns
    finally:
        columns.close()


def mapped_columns(folder: Path, kinds: Mapping[str, Any], rows: int) -> tuple[dict[str, np.ndarray], list[mmap.mmap]]:
    """Columns of NAME.npy files, memory-mapped, and their maps.

    Refused: a missing or damaged file, another kind of number, another number of rows.
    """
    arrays, maps = {}, []
    for name, kind in kinds.items():
        array = read_array(folder / f"{name}.npy", in_memory=rows == 0)  # nothing cannot be mapped
        if array.dtype != kind or array.shape != (rows,):
            came = f"{array.shape} of {array.dtype}"
            raise InputError(f"({rows},) of {np.dtype(kind)}", came, "Save them again.", where=f"{name}.npy")
        if isinstance(array, np.memmap):
            maps.append(array._mmap)  # type: ignore[attr-defined]
        arrays[name] = array.view(np.ndarray)
    return arrays, maps


def read_array(path: Path, *, in_memory: bool = True) -> np.ndarray:
    """The array of a .npy file; refused where it is missing, cut off, or holds objects."""
    try:
        array: np.ndarray = np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise InputError("a .npy file of numbers", "none, or a damaged one", "Save again.", where=path.name) from None
    return array


def mapped_table(path: Path) -> tuple[pa.Table, Pages]:
    """An Arrow IPC file as a table on a map whose pages can be given back."""
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(pages)).read_all(), Pages([pages])

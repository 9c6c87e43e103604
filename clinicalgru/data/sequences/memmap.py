"""Numeric columns on disk: written in chunks as plain .npy files, read back memory-mapped.

Pages of a mapped file count as memory of the process from when they are read until the operating system reclaims them.
Here they are released after every 32 MiB read, so the process stays small. Pages that the system still caches are read
again at the speed of memory.
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

RESIDENT_BYTES = 32 * 2**20  # bytes read before pages are released


class MemoryMaps:
    """The memory maps behind mapped arrays; releases their pages.

    Parameters
    ----------
    maps : sequence of mmap.mmap
        The maps.
    """

    def __init__(self, maps: Sequence[mmap.mmap]) -> None:
        self.maps, self.bytes_read = list(maps), 0

    def note_read(self, size: int) -> None:
        """Count more bytes as read; release the pages where they are many.

        Parameters
        ----------
        size : int
            Bytes read.
        """
        self.bytes_read += size
        if self.bytes_read > RESIDENT_BYTES:
            self.release()

    def batches(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        """The batches of a mapped table; their memory is released in between.

        Parameters
        ----------
        table : pyarrow.Table
            A table on these maps.

        Yields
        ------
        pyarrow.RecordBatch
            Rows of it, in order.
        """
        for batch in table.to_batches():
            yield batch
            self.note_read(batch.nbytes)

    def release(self) -> None:
        """Release the pages; the arrays stay valid, and are read from the file again."""
        self.bytes_read = 0
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows has no madvise and trims pages itself
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_DONTNEED)


class MemoryColumns:
    """Columns collected in memory.

    Parameters
    ----------
    dtypes : mapping of str to dtype
        Column names and their types.
    max_rows : int
        Room to reserve; what stays empty is returned to the system.
    """

    def __init__(self, dtypes: Mapping[str, Any], max_rows: int) -> None:
        self.columns = {name: np.empty(max_rows, dtype=dtype) for name, dtype in dtypes.items()}
        self.rows = 0

    def add(self, **columns: np.ndarray) -> None:
        """Append rows to all columns.

        Parameters
        ----------
        **columns : ndarray
            One array per column, of equal lengths.
        """
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            self.columns[name][self.rows : self.rows + rows] = column
        self.rows += rows

    def arrays(self) -> tuple[dict[str, np.ndarray], None]:
        """Return the columns, cut to their rows.

        Returns
        -------
        columns : dict of str to ndarray
            The columns.
        maps : None
            They have no memory maps.
        """
        for column in self.columns.values():
            column.resize(self.rows, refcheck=False)  # in place: a copy would need the memory twice
        return self.columns, None


class DiskColumns:
    """Columns appended to NAME.npy files of a folder; readable once closed.

    Parameters
    ----------
    folder : Path
        An existing folder.
    dtypes : mapping of str to dtype
        Column names and their types.
    """

    def __init__(self, folder: Path, dtypes: Mapping[str, Any]) -> None:
        self.folder, self.rows = folder, 0
        self.dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self.files: dict[str, BinaryIO] = {name: (folder / f"{name}.npy").open("wb") for name in dtypes}
        self._write_headers()

    def _write_headers(self) -> None:
        for name, file in self.files.items():
            file.seek(0)  # numpy pads the header, so that the number of rows can grow
            header = {"descr": self.dtypes[name].str, "fortran_order": False, "shape": (self.rows,)}
            np.lib.format.write_array_header_1_0(file, header)

    def add(self, **columns: np.ndarray) -> None:
        """Append rows to all columns.

        Parameters
        ----------
        **columns : ndarray
            One array per column, of equal lengths.
        """
        for name, column in columns.items():
            np.ascontiguousarray(column, dtype=self.dtypes[name]).tofile(self.files[name])
        self.rows += len(next(iter(columns.values())))

    def close(self) -> None:
        """Write the number of rows into the headers, and close the files."""
        self._write_headers()
        for file in self.files.values():
            file.close()

    def arrays(self) -> tuple[dict[str, np.ndarray], MemoryMaps]:
        """Return the columns, memory-mapped; nothing can be appended after that.

        Returns
        -------
        columns : dict of str to ndarray
            Read-only columns.
        maps : MemoryMaps
            Their memory maps.
        """
        self.close()
        columns, maps = mapped_columns(self.folder, self.dtypes, self.rows)
        return columns, MemoryMaps(maps)


@contextmanager
def open_columns(folder: Path, dtypes: Mapping[str, Any]) -> Iterator[DiskColumns]:
    """Open columns for appending, and close their files at the end, whatever happens.

    Parameters
    ----------
    folder : Path
        An existing folder.
    dtypes : mapping of str to dtype
        Column names and their types.

    Yields
    ------
    DiskColumns
        The columns.
    """
    columns = DiskColumns(folder, dtypes)
    try:
        yield columns
    finally:
        columns.close()


def mapped_columns(folder: Path, dtypes: Mapping[str, Any], rows: int) -> tuple[dict[str, np.ndarray], list[mmap.mmap]]:
    """Memory-map columns of NAME.npy files.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    dtypes : mapping of str to dtype
        Column names and the types they must have.
    rows : int
        Number of rows they must have.

    Returns
    -------
    arrays : dict of str to ndarray
        Read-only columns.
    maps : list of mmap.mmap
        Their memory maps.

    Raises
    ------
    InputError
        If a file is missing or damaged, or has another type or number of rows.
    """
    arrays, maps = {}, []
    for name, dtype in dtypes.items():
        array = read_array(folder / f"{name}.npy", in_memory=rows == 0)  # an empty file cannot be mapped
        if array.dtype != dtype or array.shape != (rows,):
            got = f"{array.shape} of {array.dtype}"
            raise InputError(f"({rows},) of {np.dtype(dtype)}", got, "Save them again.", where=f"{name}.npy")
        if isinstance(array, np.memmap):
            maps.append(array._mmap)  # type: ignore[attr-defined]
        arrays[name] = array.view(np.ndarray)
    return arrays, maps


def read_array(path: Path, *, in_memory: bool = True) -> np.ndarray:
    """Read a .npy file.

    Parameters
    ----------
    path : Path
        The file.
    in_memory : bool
        Whether to read all of it; else it is memory-mapped.

    Returns
    -------
    ndarray
        The array.

    Raises
    ------
    InputError
        If the file is missing or cut off, or holds objects.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        got = "a damaged file" if path.is_file() else "no such file"
        raise InputError("a .npy file of numbers", got, "Save the sequences again.", where=path.name) from None
    return array


def mapped_table(path: Path) -> tuple[pa.Table, MemoryMaps]:
    """Memory-map an Arrow IPC file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    table : pyarrow.Table
        Its table.
    maps : MemoryMaps
        The map behind it.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), MemoryMaps([mapped])

"""Tables in memory, and streams of Arrow data, as Arrow tables that DuckDB can read."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clinicalgru.data.ingest.csv_check import check_once
from clinicalgru.errors import InputError, system_errors
from clinicalgru.temporary_folder import TemporaryFolder

LABEL = "DataFrame"  # what messages call a table in memory
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
# Arrow's errors, and those of Python for decimals that are infinite and text that is no Unicode.
NO_ARROW = (ValueError, TypeError, OverflowError, pa.ArrowNotImplementedError)
CONVERSIONS = {pd.PeriodDtype: "dt.to_timestamp()", pd.SparseDtype: "sparse.to_dense()"}

SINGLE_COLUMN = ("a table", "a single column, such as a Series", "Pass the whole table, not one of its columns.")


def is_arrow(data: Any) -> bool:
    """Tell whether an object can be read as a stream of Arrow data.

    Parameters
    ----------
    data : object
        Such as a polars DataFrame, an Arrow reader, or a relation of DuckDB.

    Returns
    -------
    bool
        True where it has the method `__arrow_c_stream__` of the Arrow PyCapsule interface, and of a Series of any
        version of pandas, which is refused when it is read.
    """
    return isinstance(data, pd.Series) or (hasattr(data, "__arrow_c_stream__") and not isinstance(data, type))


def arrow_table(data: Any, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Read a table in memory, or a stream, as an Arrow table.

    Parameters
    ----------
    data : DataFrame, Arrow table, or object with `__arrow_c_stream__`
        The table. A stream without a length is written to a temporary file first, so that it may be larger than memory.
    connection : DuckDBPyConnection
        Connection that will read the table; the temporary file is removed with it.

    Returns
    -------
    pyarrow.Table
        The table, with floating point of 16 bits as 32 bits, and bytes as text. Named indices become columns.

    Raises
    ------
    InputError
        If a column occurs twice, is of mixed types, or holds bytes that are no text; or the disk is full.
    """
    if isinstance(data, pd.Series):
        raise InputError(*SINGLE_COLUMN, where=LABEL)
    if isinstance(data, pd.DataFrame):
        table = _from_pandas(data)
    elif isinstance(data, pa.Table):
        table = data
    else:
        table = _from_stream(data, connection)
    check_once(tuple(table.column_names), LABEL)
    return _readable(table)


def record_batches(relation: duckdb.DuckDBPyRelation, rows: int) -> Iterator[pa.RecordBatch]:
    """Read a relation in batches, as DuckDB computes them.

    Parameters
    ----------
    relation : DuckDBPyRelation
        The relation; its connection must not be used for anything else before the end.
    rows : int
        Rows in a batch.

    Yields
    ------
    pyarrow.RecordBatch
        Some rows.

    Raises
    ------
    duckdb.Error
        If DuckDB raises; Arrow would give its errors another type.
    """
    reader = relation.to_arrow_reader(rows)
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise duckdb.Error(str(error)) from None
        yield batch


def temporary_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """Make a folder that is removed with a connection.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The connection.

    Returns
    -------
    Path
        The folder.
    """
    with system_errors("temporary files"):
        folder = TemporaryFolder()
    weakref.finalize(connection, folder.cleanup)
    return Path(folder.name)


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    indices = [name for name in frame.index.names if name is not None and name not in frame.columns]
    frame = frame.reset_index(indices) if indices else frame
    check_once(tuple(map(str, frame.columns)), LABEL)
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.PeriodDtype | pd.SparseDtype):  # Arrow takes a period for a number
            fix = f"Convert it with .{CONVERSIONS[type(dtype)]}."
            raise InputError("numbers, text and times", f"{dtype.name} in {name}", fix, where=LABEL)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except NO_ARROW:
        mixed = [str(name) for name in frame.columns if _is_mixed(frame[name])]
        others = ", ".join(str(name) for name in frame.columns if _has_no_arrow(frame[name]))
        got = f"mixed types in {', '.join(mixed)}" if mixed else f"values that Arrow has no type for in {others}"
        fix = "Use .astype(str), or make such values missing."
        raise InputError("one type in each column", got, fix, where=LABEL) from None


def _has_no_arrow(column: pd.Series) -> bool:
    try:
        pa.array(column, from_pandas=True)
    except NO_ARROW:
        return True
    return False


def _is_mixed(column: pd.Series) -> bool:
    return pd.api.types.infer_dtype(column, skipna=True).startswith("mixed")


def is_stream(data: Any) -> bool:
    """Tell whether Arrow data can be read once only, and may be larger than memory.

    Parameters
    ----------
    data : object
        What `is_arrow` accepts, or a DataFrame.

    Returns
    -------
    bool
        True for data without a length.
    """
    return is_arrow(data) and not (hasattr(data, "__len__") or isinstance(data, pa.RecordBatch))


def store_stream(data: Any, connection: duckdb.DuckDBPyConnection) -> Path:
    """Write a stream of Arrow data to a temporary Parquet file, so that it may be larger than memory.

    Parameters
    ----------
    data : object with `__arrow_c_stream__`
        The stream.
    connection : DuckDBPyConnection
        Connection that will read the file, which is removed with it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the stream cannot be read to its end, or the disk is full.
    """
    path = temporary_folder(connection) / "stream.parquet"
    with _errors_of_stream(), pa.RecordBatchReader.from_stream(data) as reader:
        _write_parquet(path, reader.schema, reader, LABEL)
    return path


def store_file(file: Path, connection: duckdb.DuckDBPyConnection) -> Path:
    """Write an Arrow or Feather file as a temporary Parquet file.

    A map of the file into memory would end the process where the file is cut off in the meantime.

    Parameters
    ----------
    file : Path
        The file: an Arrow IPC file or stream; Feather of version 2 is such a file.
    connection : DuckDBPyConnection
        Connection that will read the Parquet file, which is removed with it.

    Returns
    -------
    Path
        The Parquet file.

    Raises
    ------
    InputError
        If the file is truncated or corrupt.
    """
    path = temporary_folder(connection) / "file.parquet"
    with pa.OSFile(str(file)) as source:
        with _errors_of_file(file):
            is_file = source.read(6) == b"ARROW1"
            if not is_file:
                source.seek(max(0, source.size() - len(END_OF_STREAM)))
                if source.read() != END_OF_STREAM:  # a stream that is cut off between two batches looks whole
                    raise pa.ArrowInvalid("no end of stream")
            source.seek(0)
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        _write_parquet(path, reader.schema, _batches(reader, file), file.name)
    return path


def _batches(reader: Any, file: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a file or a stream in a file."""
    number = 0
    while True:
        try:
            with _errors_of_file(file):
                is_file = isinstance(reader, pa.ipc.RecordBatchFileReader)
                if is_file and number == reader.num_record_batches:
                    return
                batch = reader.get_batch(number) if is_file else reader.read_next_batch()
                batch.validate(full=True)  # offsets of a damaged file may point beyond it
        except StopIteration:
            return
        yield batch
        number += 1


@contextmanager
def _errors_of_file(file: Path) -> Iterator[None]:
    """Raise the errors of an Arrow file as one of ours."""
    try:
        yield
    except (pa.ArrowException, OSError):
        fix = "Export it again."
        raise InputError("a readable Arrow file", "a truncated or corrupt file", fix, where=file.name) from None


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], label: str) -> None:
    check_once(tuple(schema.names), label)
    usual = _readable(schema.empty_table(), label).schema
    with system_errors("temporary files"), pq.ParquetWriter(str(path), usual) as writer:
        for batch in batches:
            writer.write_table(_readable(pa.Table.from_batches([batch]), label))


@contextmanager
def _errors_of_stream() -> Iterator[None]:
    """Raise the errors of a stream as one of ours."""
    try:
        yield
    except InputError:
        raise
    except (pa.ArrowException, duckdb.Error, TypeError, ValueError) as error:
        if "non-struct" in str(error):  # Arrow's word for what is not a table
            raise InputError(*SINGLE_COLUMN, where=LABEL) from None
        fix = "Pass it as a DataFrame, Arrow table or Parquet file."
        raise InputError("a stream of Arrow data", "one that cannot be read to its end", fix, where=LABEL) from None


def _from_stream(data: Any, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """A table of known length as it is; a reader, which can be read once only, by way of a file."""
    if is_stream(data):
        return pq.read_table(store_stream(data, connection), memory_map=False)
    with _errors_of_stream():
        return pa.table(data)


def _readable(table: pa.Table, label: str = LABEL) -> pa.Table:
    """The table without the types that DuckDB cannot read, or reads as something else."""
    for index, field in enumerate(table.schema):
        dtype = _readable_type(field.type)
        if dtype != field.type:
            try:
                column = table.column(index)
                column = column.cast(field.type.value_type) if pa.types.is_dictionary(field.type) else column
                table = table.set_column(index, pa.field(field.name, dtype), _cast(column, dtype))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                got, where = f"a column of type {field.type}", f"{label}, column {field.name}"
                raise InputError("text, numbers or dates", got, "Convert the column.", where=where) from None
    return table


def _readable_type(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(dtype):
        plain = _readable_type(dtype.value_type)
        return dtype if plain == dtype.value_type else plain
    if pa.types.is_float16(dtype):
        return pa.float32()
    if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype):
        return pa.string()
    return pa.string() if pa.types.is_decimal256(dtype) else dtype


def _cast(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_fixed_size_binary(column.type):
        column = pc.cast(column, pa.binary())
    if pa.types.is_decimal256(column.type):
        return pa.chunked_array([[None if v is None else str(v) for v in column.to_pylist()]], pa.string())
    return pc.cast(column, dtype)

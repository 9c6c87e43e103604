"""Tables in memory, and streams of Arrow data, as Arrow tables that DuckDB can read."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.ingest.csv_check import check_once
from clinicalgru.errors import InputError, system_errors
from clinicalgru.temporary_folder import TemporaryFolder

LABEL = "DataFrame"  # what messages call a table in memory


def is_arrow(data: Any) -> bool:
    """Tell whether an object can be read as a stream of Arrow data.

    Parameters
    ----------
    data : object
        Such as a polars DataFrame, an Arrow reader, or a relation of DuckDB.

    Returns
    -------
    bool
        True where it has the method `__arrow_c_stream__` of the Arrow PyCapsule interface.
    """
    return hasattr(data, "__arrow_c_stream__") and not isinstance(data, type)


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
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        mixed = [str(name) for name in frame.columns if _is_mixed(frame[name])]
        got = f"mixed types in {', '.join(mixed)}" if mixed else "a column of a type that has no Arrow type"
        raise InputError("one type in each column", got, "Use .astype(str).", where=LABEL) from None


def _is_mixed(column: pd.Series) -> bool:
    return pd.api.types.infer_dtype(column, skipna=True).startswith("mixed")


def _from_stream(data: Any, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """A table of known length as it is; a reader, which can be read once only, by way of a file."""
    try:
        if hasattr(data, "__len__") or isinstance(data, pa.RecordBatch):
            return pa.table(data)
        path = temporary_folder(connection) / "stream.arrow"
        with pa.RecordBatchReader.from_stream(data) as reader, system_errors(LABEL):
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, duckdb.Error, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        fix = "Pass it as a DataFrame, Arrow table or Parquet file."
        raise InputError("a stream of Arrow data", "one that cannot be read to its end", fix, where=LABEL) from None


def _readable(table: pa.Table) -> pa.Table:
    """The table without the types that DuckDB cannot read, or reads as something else."""
    for index, field in enumerate(table.schema):
        dtype = _readable_type(field.type)
        if dtype != field.type:
            try:
                column = table.column(index)
                column = column.cast(field.type.value_type) if pa.types.is_dictionary(field.type) else column
                table = table.set_column(index, pa.field(field.name, dtype), _cast(column, dtype))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                got, where = f"a column of type {field.type}", f"{LABEL}, column {field.name}"
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

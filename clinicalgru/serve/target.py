"""Where scores are written: a .parquet or .csv file, or a folder with a partition for each as-of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.serve.atomic import private_folder, whole_file
from clinicalgru.serve.score_rows import SCORES, schema_of

EXPECTED = "a folder, or a .parquet or .csv file"
FIX = "Choose another out=."
RUN = b"clinicalgru"  # key of a Parquet file's metadata under which it says which run wrote it


@dataclass(frozen=True)
class Target:
    """The file that a run writes.

    Attributes
    ----------
    path : Path
        The file: the one that was named, or the part of this model in the partition of the as-of time.
    folder : Path
        The folder that was named, or the one of the file; unfinished runs are kept in it.
    partition : bool
        Whether the file is part of a partition.
    """

    path: Path
    folder: Path
    partition: bool

    @classmethod
    def of(cls, out: str | Path, *, as_of: str, model: str) -> Target:
        """Find the file for a name.

        Parameters
        ----------
        out : str or Path
            A name with .parquet or .csv is a file, any other one a folder.
        as_of : str
            The as-of time as text.
        model : str
            Hash of the model.

        Returns
        -------
        Target
            The file; nothing is written yet.

        Raises
        ------
        ArgumentError
            If the name is that of another kind of file, or what is there is of the other kind.

        Examples
        --------
        >>> Target.of("scores", as_of="2031-01-01T06:00:00", model="0af3").path.as_posix()
        'scores/as_of=2031-01-01T06%3A00%3A00/part-0af3.parquet'
        """
        path = Path(out)
        if is_file_name(path):
            if path.is_dir():
                raise ArgumentError(EXPECTED, f"the folder {path.name}", FIX)
            return cls(path, path.parent, partition=False)
        if path.suffix[1:].isalpha() and not path.is_dir():
            raise ArgumentError(EXPECTED, f"a name that ends with {path.suffix}", FIX)
        if path.is_file():
            raise ArgumentError(EXPECTED, f"the file {path.name}", FIX)
        return cls(path / f"as_of={quote(as_of, safe='')}" / f"part-{model}.parquet", path, partition=True)

    @property
    def manifest(self) -> Path:
        """The file that says that a part of a partition is complete; readers of Parquet folders pass over it."""
        return self.path.with_name(f"_{self.path.stem}.json")

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def read(self, as_of: int | None) -> pd.DataFrame:
        """Read the file.

        Parameters
        ----------
        as_of : int or None
            As-of time in microseconds, which the name of a partition holds instead of the file.

        Returns
        -------
        DataFrame
            The rows as `score` gives them.
        """
        if self.path.suffix == ".csv":
            names = pd.read_csv(self.path, nrows=0).columns
            options = pyarrow.csv.ConvertOptions(column_types=schema_of(names), strings_can_be_null=False)
            return pyarrow.csv.read_csv(self.path, convert_options=options).to_pandas()
        table = pq.ParquetFile(self.path).read()
        if self.partition:
            column = pa.array([as_of] * table.num_rows, pa.timestamp("us"))
            table = table.add_column(SCORES.get_field_index("as_of"), "as_of", column)
        return table.to_pandas()

    def run_id(self) -> str | None:
        """The run that wrote the file that is there.

        Returns
        -------
        str or None
            Its identifier; None where there is no file, or one of something else.
        """
        try:
            if self.path.suffix == ".csv":
                return str(pd.read_csv(self.path, nrows=1, dtype=str)["run_id"][0])
            return str(json.loads(pq.read_metadata(self.path).metadata[RUN])["run_id"])
        except (OSError, KeyError, TypeError, ValueError, RecursionError, pa.ArrowException):
            return None

    def is_complete(self, name: str) -> bool:
        """Whether a run has written all that it writes.

        Parameters
        ----------
        name : str
            Identifier of the run.

        Returns
        -------
        bool
            True where the file is there, and the manifest of a partition.
        """
        return self.run_id() == name and (not self.partition or self.manifest.exists())

    def write(self, tables: Iterator[pa.Table], about: dict[str, Any], *, overwrite: bool, scratch: Path) -> None:
        """Write the file as a whole, and then the manifest of a partition.

        Parameters
        ----------
        tables : iterator of pyarrow.Table
            The rows, in order; at least one table.
        about : dict
            What is kept with a Parquet file: which run wrote it.
        overwrite : bool
            Whether a file in its place is replaced.
        scratch : Path
            Folder for temporary files, on the same disk.

        Raises
        ------
        ArgumentError
            If there is a file in its place, and `overwrite` is not set.
        """
        private_folder(self.path.parent)
        with whole_file(self.path, overwrite=overwrite, scratch=scratch) as file:
            write_rows(tables, file, kind=self.path.suffix, about=about, as_of=not self.partition)
        if self.partition:
            with whole_file(self.manifest, scratch=scratch) as file:
                file.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def is_file_name(path: Path) -> bool:
    """Whether a name is that of a file of scores.

    Parameters
    ----------
    path : Path
        The name.

    Returns
    -------
    bool
        True for .parquet and .csv.
    """
    return path.suffix in (".parquet", ".csv")


def write_rows(tables: Iterator[pa.Table], file: Path, *, kind: str, about: dict[str, Any], as_of: bool = True) -> None:
    """Write tables into one file.

    Parameters
    ----------
    tables : iterator of pyarrow.Table
        The rows, in order; at least one table.
    file : Path
        The file.
    kind : str
        ".csv" or ".parquet".
    about : dict
        What a Parquet file keeps in its metadata.
    as_of : bool
        Whether the column as_of is written; the name of a partition holds it otherwise.

    Raises
    ------
    InputError
        If there is no table.
    """
    writer = None
    for rows in tables:
        table = rows if as_of else rows.drop_columns(["as_of"])
        if writer is None and kind == ".csv":
            writer = pyarrow.csv.CSVWriter(file, table.schema)
        elif writer is None:
            schema = table.schema.with_metadata({RUN: json.dumps(about).encode()})
            writer = pq.ParquetWriter(file, schema)
        writer.write_table(table.replace_schema_metadata(None) if kind == ".csv" else table.cast(writer.schema))
    if writer is None:
        raise InputError("rows to write", "none", "Check the extract.")
    writer.close()

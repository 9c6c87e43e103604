"""The place of a row for messages: file, row as a text editor counts it, and column as the file calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clinicalgru.data.ingest.csv_check import TextTable
from clinicalgru.data.ingest.ingest_sql import OTHER_HEADER
from clinicalgru.data.ingest.row_sql import SWAPPED
from clinicalgru.data.ingest.tables import TablePart

COLUMN_OF = {  # the column that a reason is about, where it is not `value`
    "no identifier": "patient_id",
    "no variable": "variable",
    "no time": "time",
    "time not readable": "time",
    "ambiguous local time": "time",
    "nonexistent local time": "time",
    SWAPPED: "time",
    "available_at not readable": "available_at",
    "ambiguous available_at": "available_at",
    "nonexistent available_at": "available_at",
    "available_at in another format than time": "available_at",
    "repeated header": "patient_id",
    OTHER_HEADER: "time",
    "stray quote or control character": "patient_id",
    "unknown variable": "variable",
    "unknown unit": "unit",
    "stay not in the stays table": "stay_id",
}


class RowLocator:
    """The files of an extract by number, with what messages about their rows need."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.headers: list[tuple[bool, Mapping[str, str]]] = []  # of each file: whether wide; our columns -> its own
        self.texts: dict[int, TextTable] = {}  # by number of file: those with blank lines
        self.located: dict[tuple[int, int], int] = {}
        self.table = ""  # what to call a table in memory, where there are several

    def add(self, part: TablePart, columns: Mapping[str, str]) -> int:
        """Add the files of a table.

        Parameters
        ----------
        part : TablePart
            The table.
        columns : mapping of str to str
            Our column name -> the table's.

        Returns
        -------
        int
            The number of its first file.
        """
        first = len(self.files)
        self.files += [self.table] if self.table else part.files or [part.label]
        self.headers += [(part.wide, columns)] * (len(self.files) - first)
        return first

    def locate(self, records: Iterable[tuple[int, int]]) -> None:
        """Find the rows of some records in files with blank lines, and keep them for `place`.

        Parameters
        ----------
        records : iterable of (int, int)
            Number of the file and number of the record in it.
        """
        wanted: dict[int, set[int]] = {}
        for file, record in set(records):
            if file in self.texts:
                wanted.setdefault(file, set()).add(record)
        for file, numbers in wanted.items():
            self.located |= {(file, record): row for record, row in self.texts[file].rows_of(numbers).items()}

    def place(self, file: int, row: int, reason: str, *, name: str = "") -> str:
        """Describe where a finding is: file, row and column.

        Parameters
        ----------
        file : int
            Number of the file.
        row : int
            Number of the record in it.
        reason : str
            The reason of rejection, which names the column.
        name : str
            Name of the variable, which is the column in a wide table.

        Returns
        -------
        str
            Such as "labs.csv, row 7, column value".
        """
        self.locate([(file, row)] if (file, row) not in self.located else [])
        row = self.located.get((file, row), row)
        wide, theirs = self.headers[file]
        column = COLUMN_OF.get(reason, "value")
        if wide and column in ("value", "variable", "unit"):
            column = name
        return f"{self.files[file]}, row {row}, column {theirs.get(column, column)}"

"""Where something was found: the file, the row as a text editor counts it, and the column as the file calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clinicalgru.data.ingest.csv_check import TextTable
from clinicalgru.data.ingest.row_sql import SWAPPED
from clinicalgru.data.ingest.tables import Part

COLUMN_OF = {  # the column that a reason speaks of, where it is not `value`
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
    "stray quote or control character": "patient_id",
    "unknown variable": "variable",
    "unknown unit": "unit",
    "stay not in the stays table": "stay_id",
}


class Places:
    """The files of an intake, by number, as far as a message about one of their rows needs them."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.headers: list[tuple[bool, Mapping[str, str]]] = []  # of each file: whether wide; our columns -> its own
        self.texts: dict[int, TextTable] = {}  # by number of file: those whose rows have to be looked for
        self.located: dict[tuple[int, int], int] = {}

    def add(self, part: Part, columns: Mapping[str, str]) -> int:
        """The number of the part's first file, now that its files are known. columns: our name -> the part's."""
        base = len(self.files)
        self.files += part.files or [part.label]
        self.headers += [(part.wide, columns)] * (len(self.files) - base)
        return base

    def locate(self, records: Iterable[tuple[int, int]]) -> None:
        """Find out which rows these records (file, number) are, where blank lines stand between."""
        wanted: dict[int, set[int]] = {}
        for file, record in set(records):
            if file in self.texts:
                wanted.setdefault(file, set()).add(record)
        for file, numbers in wanted.items():
            self.located |= {(file, record): row for record, row in self.texts[file].rows_of(numbers).items()}

    def place(self, file: int, row: int, reason: str, *, name: str = "") -> str:
        """File, row and column of a finding; in a wide table, a value's column is that of its variable."""
        self.locate([(file, row)] if (file, row) not in self.located else [])
        row = self.located.get((file, row), row)
        wide, theirs = self.headers[file]
        column = COLUMN_OF.get(reason, "value")
        if wide and column in ("value", "variable", "unit"):
            column = name
        return f"{self.files[file]}, row {row}, column {theirs.get(column, column)}"

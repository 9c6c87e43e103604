"""The intake: rows of any source become checked Events and a ledger, out of core, in DuckDB.

Rules. What is wrong with a whole file (a missing column, another encoding, a broken row) stops the load. What is wrong
with one row (no identifier, unreadable time, a value that is no number, an unknown variable or unit, a value outside
the plausible range) rejects that row, counted by reason with the place of the first; above `max_rejected` the load
stops. A row without a value is a measurement not made: counted, never a fault. The order of rows does not matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.ledger import OUTSIDE, UNMAPPED, Ledger
from clinicalgru.data.sources import queries
from clinicalgru.data.sources.merge import FACTS, merge_instants
from clinicalgru.data.sources.parse import take_in
from clinicalgru.data.sources.tables import Part, plain_errors
from clinicalgru.data.variables import Dictionary, Variable
from clinicalgru.errors import DictionaryError, InputError

LONG = ("patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code")
CHUNK = 1_000_000
COLUMN_OF = {  # the column that a reason speaks of, where it is not `value`
    "no identifier": "patient_id",
    "no variable": "variable",
    "no time": "time",
    "time not readable": "time",
    "available_at not readable": "available_at",
    "unknown variable": "variable",
    "unknown unit": "unit",
    "stay not in the stays table": "stay_id",
}


class Intake:
    """A DuckDB workspace on disk that takes rows in, judges each once, and gives sorted facts and the ledger back."""

    def __init__(self, dictionary: Dictionary, *, source: str, memory_gb: float = 2.0) -> None:
        self.disk = tempfile.TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True)
        self.dictionary, self.source = dictionary, source
        self.files: list[str] = []
        self.sql = duckdb.connect(str(Path(self.disk.name) / "intake.duckdb"))
        # DuckDB's limit leaves out its result buffers and ours: a third is kept for them
        self.sql.execute(
            f"SET memory_limit = '{int(memory_gb * 400)}MB'; SET TimeZone = 'UTC'; SET enable_progress_bar = false"
        )
        self.sql.execute(queries.ROWS)
        self._load_names()

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sql.close()
        (Path(self.disk.name) / "intake.duckdb").unlink(missing_ok=True)

    def _load_names(self) -> None:
        """Names of this source and the dictionary's own, each with what becomes of its rows."""
        known = {name: name for name in self.dictionary} | self.dictionary.names(self.source)
        self.ordered: tuple[Variable, ...] = tuple(self.dictionary[name] for name in sorted(self.dictionary))
        position = {variable.name: i for i, variable in enumerate(self.ordered)}
        names = pd.DataFrame(
            [(alias, position[name], _role(self.dictionary[name]), name) for alias, name in known.items()],
            columns=["name", "variable", "role", "canonical"],
        )
        ranges = pd.DataFrame(
            [(i, *(variable.plausible or (-np.inf, np.inf))) for i, variable in enumerate(self.ordered)],
            columns=["variable", "low", "high"],
        )
        self.sql.register("names_frame", pa.Table.from_pandas(names, preserve_index=False))
        self.sql.register("ranges_frame", pa.Table.from_pandas(ranges, preserve_index=False))
        self.sql.execute("CREATE TABLE names AS SELECT * FROM names_frame")
        self.sql.execute("CREATE TABLE ranges AS SELECT * FROM ranges_frame")

    def name_identifiers(self, *names: str) -> None:
        """Names whose rows only repeat who the stay is."""
        for name in names:
            self.sql.execute("INSERT INTO names VALUES (?, -1, 'identifier', ?)", [name, name])

    def add(
        self,
        part: Part,
        columns: Mapping[str, str],
        *,
        time_format: str | None = None,
        missing: tuple[float, ...] = (),
        placed_by_time: bool = False,
    ) -> None:
        """Take the rows of one part in.

        columns         our column name -> the part's, where they differ
        time_format     strptime format of times that are not ISO 8601
        missing         values that stand for "not measured"
        placed_by_time  a row without a stay_id goes to the patient's stay that its time falls into (start to end, both
                        included; of two, the one that started later); without this, a patient is one stay
        """
        have = {ours: columns.get(ours, ours) for ours in LONG if columns.get(ours, ours) in part.types}
        for needed in ("patient_id", "time", "variable", "value"):
            if needed not in have:
                fix = f"Name it with columns={{{needed!r}: 'its name there'}}."
                came = f"columns {', '.join(name for name in part.types if not name.startswith('c_'))}"
                raise InputError(f"a column {columns.get(needed, needed)}", came, fix, where=part.label)
        base = len(self.files)
        self.files += part.files or [part.label]
        with plain_errors(part.label):
            insert = take_in(part, base, have, time_format=time_format, missing=missing, placed_by_time=placed_by_time)
            self.sql.execute(insert)

    def _place(self, file: int, row: int, reason: str) -> str:
        return f"{self.files[file]}, row {row}, column {COLUMN_OF.get(reason, 'value')}"

    def settle_clock(self) -> bool:
        """Whether times are dates (True) or hours (False). Refused: both kinds, or only some with a UTC offset."""
        kinds = self.sql.execute(queries.CLOCKS).fetchall()
        if len(kinds) == 2:
            rare, part, row = "a date" if kinds[0][0] else "a number of hours", kinds[0][2], kinds[0][3]
            fix = "Export all times as dates, or all as hours since the stay's start."
            raise InputError("one kind of time", f"{rare} among others", fix, where=self._place(part, row, "no time"))
        kinds_of_date, part, row = self.sql.execute(queries.OFFSETS).fetchall()[0]
        if kinds_of_date == 2:
            fix = "Export all times with their UTC offset, or none."
            raise InputError("times with or without UTC offset", "both", fix, where=self._place(part, row, "no time"))
        return bool(kinds[0][0]) if kinds else False

    def settle_units(self) -> None:
        """Factor and offset for each (variable, unit) that occurs; a blank unit is the source's own."""
        units = [
            (name, unit or "", *self._conversion(self.ordered[position], unit))
            for position, name, unit in self.sql.execute(queries.PAIRS).fetchall()
        ]
        frame = pd.DataFrame(units, columns=["name", "unit", "factor", "shift", "known"])
        kinds = {"name": str, "unit": str, "factor": float, "shift": float, "known": bool}
        self.sql.register("units_frame", pa.Table.from_pandas(frame.astype(kinds), preserve_index=False))
        self.sql.execute("CREATE TABLE units AS SELECT * FROM units_frame")

    def _conversion(self, variable: Variable, unit: str | None) -> tuple[float, float, bool]:
        """Factor, offset, and whether the unit is known."""
        own = variable.unit_in.get(self.source, variable.unit)
        try:
            conversion = variable.conversion(own if unit is None else unit)
        except DictionaryError:
            return 1.0, 0.0, False
        return conversion.factor, conversion.offset, True

    def settle_stays(self, stays: pd.DataFrame | None, *, unmapped_is_fault: bool = True) -> pd.DataFrame:
        """The stays in canonical order: the given ones, else all that occur in the rows. Each row then has its stay."""
        if stays is None:
            stays = self.sql.execute(queries.STAYS).df()
        kinds = {"patient_id": object, "stay_id": object}
        stays = stays.astype(kinds).sort_values(["patient_id", "stay_id"], ignore_index=True)
        for name in ("start", "end"):
            if name not in stays:
                stays[name] = pd.Series(pd.NA, index=stays.index, dtype="Int64")
        keys = pa.table(
            {
                "patient": pa.array(stays["patient_id"], pa.string()),
                "stay": pa.array(stays["stay_id"], pa.string()),
                "position": pa.array(np.arange(len(stays), dtype=np.int32)),
                "start": pa.array(stays["start"], pa.int64()),
                "ended": pa.array(stays["end"], pa.int64()),
            }
        )
        self.sql.register("keys_frame", keys)
        self.sql.execute("CREATE TABLE keys AS SELECT * FROM keys_frame")
        self.sql.execute(queries.PLACE)
        unknown = "unknown variable" if unmapped_is_fault else UNMAPPED
        self.sql.execute(queries.JUDGED.format(unknown=unknown, outside=OUTSIDE))
        return stays

    def facts(self) -> tuple[pa.Table, int]:
        """Sorted measurements, several values of one variable at one instant joined, and how many were merged."""
        path = Path(self.disk.name) / "facts.arrow"
        merged = 0
        with plain_errors("the extract"), pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, FACTS) as writer:
            for batch, joined in merge_instants(self.sql.sql(queries.FACTS).to_arrow_reader(CHUNK)):
                writer.write_batch(batch)
                merged += joined
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all(), merged

    def coded(self) -> tuple[pa.Table, tuple[str, ...], int]:
        """Sorted coded events, their vocabulary, and how many exact repeats were merged."""
        total = self.sql.execute(queries.CODED_ROWS).fetchone()
        words = self.sql.execute(queries.WORDS).fetchall()
        vocabulary = tuple(word for (word,) in words)
        self.sql.register(
            "words_frame",
            pa.table({"word": pa.array(vocabulary, pa.string()), "id": pa.array(range(len(words)), pa.int32())}),
        )
        table = self.sql.sql(queries.CODED).to_arrow_table()
        assert total is not None
        return table, vocabulary, total[0] - table.num_rows

    def descriptors(self) -> pd.DataFrame:
        """Static descriptors that came as rows: position, variable, value (the last by time)."""
        return self.sql.execute(queries.DESCRIPTORS).df()

    def ledger(self, merged: int, *, notes: Mapping[str, int]) -> Ledger:
        """The account of all rows taken in."""
        counts = dict(self.sql.execute(queries.USED).fetchall())
        total = self.sql.execute("SELECT count(*) FROM rows").fetchone()
        assert total is not None
        descriptors = counts.get("static", 0) + counts.get("identifier", 0)
        return Ledger(
            rows_in=total[0],
            used=sum(counts.values()) - descriptors - merged,
            descriptors=descriptors,
            merged=merged,
            findings=self._findings(),
            converted=self._converted(),
            notes=notes,
        )

    def _findings(self) -> pd.DataFrame:
        rows = self.sql.execute(queries.FINDINGS).fetchall()
        found = [(*counted, self._place(part, row, counted[0])) for *counted, part, row in rows]
        return pd.DataFrame(found, columns=["reason", "variable", "series", "rows", "where"])

    def _converted(self) -> dict[str, int]:
        counts = {}
        for position, unit, rows in self.sql.execute(queries.CONVERTED).fetchall():
            variable = self.ordered[position]
            counts[f"{variable.name}: {unit or variable.unit_in[self.source]} -> {variable.unit}"] = rows
        return counts


def _role(variable: Variable) -> str:
    if variable.kind == "code" and not variable.static:
        return "code"
    return "static" if variable.static else "series"

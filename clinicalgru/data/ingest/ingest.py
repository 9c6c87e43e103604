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

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import HOUR, IMPLAUSIBLE
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.csv_check import UNFINISHED, TextTable, listed
from clinicalgru.data.ingest.lookup_tables import names_table, ranges_table, words_table
from clinicalgru.data.ingest.merge_duplicates import FACTS, merge_instants
from clinicalgru.data.ingest.row_locator import Places
from clinicalgru.data.ingest.row_sql import SWAPPED, take_in
from clinicalgru.data.ingest.tables import Part, plain_errors
from clinicalgru.data.ingest.time_sql import declare_zone
from clinicalgru.data.ledger import DUPLICATE, MISSING, OUTSIDE, UNMAPPED, Ledger
from clinicalgru.data.sequences.memmap import MemoryMaps, mapped_table
from clinicalgru.errors import DictionaryError, InputError

LONG = ("patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code")
CHUNK = 1_000_000
LATEST_FIRST_HOUR = 20_000  # a spreadsheet's day numbers of our time are 36,000 to 52,000


class Intake:
    """A DuckDB workspace on disk that takes rows in, judges each once, and gives sorted facts and the ledger back."""

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        source: str,
        memory_gb: float = 2.0,
        units: Mapping[str, str] | None = None,
        timezone: str | None = None,
    ) -> None:
        self.disk = tempfile.TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True)
        self.dictionary, self.source = dictionary, source
        self.names_of: tuple[str, ...] = (source,)
        self.has_second = False
        self.units = checked_units(units or {}, dictionary)
        self.maps = MemoryMaps([])  # of the facts, once they are written
        self.places = Places()
        self.sql = duckdb.connect(str(Path(self.disk.name) / "intake.duckdb"))
        # DuckDB's limit leaves out its result buffers and ours: a third is kept for them
        self.sql.execute(
            f"SET memory_limit = '{int(memory_gb * 400)}MB'; SET TimeZone = 'UTC'; SET enable_progress_bar = false"
        )
        self.sql.execute(ingest_sql.ROWS)
        self.sql.execute(ingest_sql.BLANKS)
        self.zoned = timezone is not None
        declare_zone(self.sql, timezone)
        self.ordered: tuple[Variable, ...] = tuple(dictionary[name] for name in sorted(dictionary))
        known = {name: name for name in dictionary} | dictionary.names(source)
        self.sql.register("names_frame", names_table(known, self.ordered))
        self.sql.register("ranges_frame", ranges_table(self.ordered))
        self.sql.register("spoken_frame", words_table(self.ordered))
        self.sql.execute(ingest_sql.NAMES)
        self.sql.execute("CREATE TABLE ranges AS SELECT * FROM ranges_frame")

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sql.close()
        (Path(self.disk.name) / "intake.duckdb").unlink(missing_ok=True)

    def use_names_of(self, *sources: str) -> None:
        """Take the names, and the units where none is written, of these sources too, where our own source has none."""
        self.names_of += sources
        known = {alias: name for source in reversed(sources) for alias, name in self.dictionary.names(source).items()}
        self.sql.register("aliases_frame", names_table(known, self.ordered))
        self.sql.execute(ingest_sql.ALIASES)

    def name_identifiers(self, *names: str) -> None:
        """Names whose rows only repeat who the stay is."""
        for name in names:
            self.sql.execute("INSERT INTO names VALUES (?, -1, 'identifier', ?, NULL)", [name, name])

    def add(
        self,
        part: Part,
        columns: Mapping[str, str],
        *,
        time_format: str | None = None,
        time_unit: str = "hours",
        missing: tuple[float, ...] = (),
        assign_by_time: bool = False,
        second: bool = False,
    ) -> None:
        """Take the rows of one part in.

        columns         our column name -> the part's, where they differ; `refused`, taken only where it is named here,
                        holds the source's own reason against a row, such as "entered in error"
        time_format     strptime format of times that are not ISO 8601
        time_unit       what times that are numbers count: seconds, minutes, hours or days
        missing         values that stand for "not measured"
        assign_by_time  a row without a stay_id goes to the patient's stay that its time falls into (start to end, both
                        included; of two, the one that started later); without this, a patient is one stay
        second          a value that a row of another part has too, of the same stay, variable and instant, is that same
                        measurement written twice: counted as `duplicate`, not used
        """
        folded = {name.casefold(): name for name in part.types}
        asked = {ours: columns.get(ours, ours) for ours in LONG}
        have = {ours: folded[theirs.casefold()] for ours, theirs in asked.items() if theirs.casefold() in folded}
        if "refused" in columns:
            have["refused"] = columns["refused"]
        for needed in ("patient_id", "time", "variable", "value"):
            if needed not in have:
                fix = f"Name it with columns={{{needed!r}: 'its name there'}}."
                came = f"columns {listed([name for name in part.types if not name.startswith('c_')])}"
                raise InputError(f"a column {columns.get(needed, needed)}", came, fix, where=part.label)
        base = self.places.add(part, columns)
        with plain_errors(part.label, part.text):
            insert = take_in(
                part,
                base,
                have,
                time_format=time_format,
                time_unit=time_unit,
                missing=missing,
                assign_by_time=assign_by_time,
                second=second,
                zoned=self.zoned,
            )
            self.sql.execute(insert)
            if part.text is not None:
                self._note_text(part.text, base)
            if part.blanks:
                blanks = f"SELECT {base} + c_file, c_row, variable, rows FROM ({part.blanks}) WHERE rows > 0"
                self.sql.execute(f"INSERT INTO blanks {blanks}")
        self.has_second |= second

    def _note_text(self, text: TextTable, file: int) -> None:
        """Reject the last row of a text table that may be cut off; remember a table with blank lines."""
        if text.unfinished:
            self.sql.execute(ingest_sql.UNFINISHED.format(part=file, row=text.last_record(), reason=UNFINISHED))
        if text.blank_lines:
            self.places.texts[file] = text

    def settle_clock(self) -> bool:
        """Whether times are dates (True) or hours (False).

        Refused: both kinds, only some dates with a UTC offset, hours of which not one is in a stay's first two years.
        """
        self._check_one_order()
        kinds = self.sql.execute(ingest_sql.CLOCKS).fetchall()
        if len(kinds) == 2:
            rare, part, row = "a date" if kinds[0][0] else "a number of hours", kinds[0][2], kinds[0][3]
            fix = "Export all times as dates, or all as hours since the stay's start."
            raise InputError(
                "one kind of time", f"{rare} among others", fix, where=self.places.place(part, row, "no time")
            )
        if kinds and not kinds[0][0] and kinds[0][4] > LATEST_FIRST_HOUR * HOUR:
            fix = "Write dates in place of a spreadsheet's day numbers, or say what the numbers count with time_unit=."
            where = self.places.place(kinds[0][2], kinds[0][3], "no time")
            raise InputError("hours since the stay's start", "numbers that all are years", fix, where=where)
        kinds_of_date, part, row = self.sql.execute(ingest_sql.OFFSETS).fetchall()[0]
        if kinds_of_date == 2:
            fix = "Export all times with their UTC offset, or none."
            raise InputError(
                "times with or without UTC offset", "both", fix, where=self.places.place(part, row, "no time")
            )
        return bool(kinds[0][0]) if kinds else False

    def _check_one_order(self) -> None:
        """Dates readable only with day and month exchanged: others, with a day up to 12, were read wrongly."""
        found = self.sql.execute(ingest_sql.FIRST_OF.format(reason=SWAPPED)).fetchall()
        for part, row in found:
            fix = "Export all dates as year-month-day, or name their format with time_format=."
            raise InputError("one order of day and month", "both", fix, where=self.places.place(part, row, SWAPPED))

    def settle_units(self) -> None:
        """Factor and offset for each (variable, unit) that occurs; a blank unit is the source's own."""
        units = [
            (name, unit or "", *self._conversion(self.ordered[position], unit))
            for position, name, unit in self.sql.execute(ingest_sql.PAIRS).fetchall()
        ]
        frame = pd.DataFrame(units, columns=["name", "unit", "factor", "shift", "known"])
        kinds = {"name": str, "unit": str, "factor": float, "shift": float, "known": bool}
        self.sql.register("units_frame", pa.Table.from_pandas(frame.astype(kinds), preserve_index=False))
        self.sql.execute("CREATE TABLE units AS SELECT * FROM units_frame")

    def _conversion(self, variable: Variable, unit: str | None) -> tuple[float, float, bool]:
        """Factor, offset, and whether the unit is known."""
        own = self._own_unit(variable)
        try:
            conversion = variable.conversion(own if unit is None else unit)
        except DictionaryError:
            return 1.0, 0.0, False
        return conversion.factor, conversion.offset, True

    def _own_unit(self, variable: Variable) -> str:
        """The unit meant where none is written: as the user says, else the source's, else the dictionary's."""
        if variable.name in self.units:
            return self.units[variable.name]
        return next((variable.unit_in[source] for source in self.names_of if source in variable.unit_in), variable.unit)

    def settle_stays(self, stays: pd.DataFrame | None, *, unmapped_is_fault: bool = True) -> pd.DataFrame:
        """The stays in canonical order: the given ones, else all that occur in the rows. Each row then has its stay."""
        if stays is None:
            stays = self.sql.execute(ingest_sql.STAYS).df()
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
        self.sql.execute(ingest_sql.PLACE)
        if self.has_second:
            self.sql.execute(ingest_sql.REPEATS.format(repeated=DUPLICATE))
        unknown = "unknown variable" if unmapped_is_fault else UNMAPPED
        nameless = "'no identifier', 'no variable'"
        self.sql.execute(
            ingest_sql.JUDGED.format(unknown=unknown, outside=OUTSIDE, unmapped=UNMAPPED, nameless=nameless)
        )
        self.sql.execute(ingest_sql.TALLY)
        return stays

    def facts(self) -> tuple[pa.Table, int]:
        """Sorted measurements, several values of one variable at one instant joined, and how many were merged."""
        path = Path(self.disk.name) / "facts.arrow"
        merged = 0
        with plain_errors("the extract"), pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, FACTS) as writer:
            for batch, joined in merge_instants(self.sql.sql(ingest_sql.FACTS).to_arrow_reader(CHUNK)):
                writer.write_batch(batch)
                merged += joined
        table, self.maps = mapped_table(path)
        return table, merged

    def coded(self) -> tuple[pa.Table, tuple[str, ...], int]:
        """Sorted coded events, their vocabulary, and how many exact repeats were merged."""
        total = self.sql.execute(ingest_sql.CODED_ROWS).fetchone()
        words = self.sql.execute(ingest_sql.WORDS).fetchall()
        vocabulary = tuple(word for (word,) in words)
        self.sql.register(
            "words_frame",
            pa.table({"word": pa.array(vocabulary, pa.string()), "id": pa.array(range(len(words)), pa.int32())}),
        )
        table = self.sql.sql(ingest_sql.CODED).to_arrow_table()
        assert total is not None
        return table, vocabulary, total[0] - table.num_rows

    def implausible(self) -> pa.Table:
        """What was rejected as implausible: stay, time, variable, value (in the variable's own unit)."""
        return self.sql.sql(ingest_sql.IMPLAUSIBLE).to_arrow_table().cast(IMPLAUSIBLE)

    def descriptors(self) -> pd.DataFrame:
        """Descriptors that came as rows: position, variable, value (the last by time), changed: it had others."""
        return self.sql.execute(ingest_sql.DESCRIPTORS).df()

    def ledger(self, merged: int, *, notes: Mapping[str, int], labels: Mapping[str, str]) -> Ledger:
        """The account of all rows taken in."""
        counts = dict(self.sql.execute(ingest_sql.USED).fetchall())
        total = self.sql.execute(ingest_sql.TOTAL).fetchone()
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
            labels=labels,
        )

    def _findings(self) -> pd.DataFrame:
        rows = self.sql.execute(ingest_sql.FINDINGS.format(missing=MISSING)).fetchall()
        self.places.locate((part, row) for *_, part, row, _ in rows)
        unknown = {name for reason, name, *_ in rows if reason != UNMAPPED} - {*self.dictionary, ""}
        hidden = unknown - self._shown(unknown)
        found = [
            (reason, "" if name in hidden else name, *counts, self.places.place(part, row, reason, name=own))
            for reason, name, *counts, part, row, own in rows
        ]
        return pd.DataFrame(found, columns=["reason", "variable", "series", "rows", "where"])

    def _shown(self, names: set[str]) -> set[str]:
        """The unknown names that may be shown: a cell of a row out of order may be an identifier, a date or a value."""
        if not names:
            return names
        self.sql.register("unknown_frame", pa.table({"name": pa.array(sorted(names), pa.string())}))
        return {name for (name,) in self.sql.execute(ingest_sql.SHOWN).fetchall()}

    def _converted(self) -> dict[str, int]:
        counts = {}
        for position, unit, rows in self.sql.execute(ingest_sql.CONVERTED).fetchall():
            variable = self.ordered[position]
            counts[f"{variable.name}: {unit or self._own_unit(variable)} -> {variable.unit}"] = rows
        return counts


def checked_units(units: Mapping[str, str], dictionary: Dictionary) -> Mapping[str, str]:
    """The units of an extract by variable; refused: an unknown variable, or a unit it does not have."""
    for name, unit in units.items():
        dictionary.find(name).conversion(unit)
    return units

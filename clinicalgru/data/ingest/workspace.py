"""The workspace of an ingest: a DuckDB database in memory, which spills to disk, collects the rows of an extract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest import ingest_sql, value_flags, value_pairs
from clinicalgru.data.ingest.arrow_tables import record_batches
from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.data.ingest.connections import DATABASE, own_database
from clinicalgru.data.ingest.csv_blocks import text_blocks
from clinicalgru.data.ingest.csv_check import UNFINISHED, TextTable, format_names
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.lookup_tables import level_table, names_table, ranges_table
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.row_locator import RowLocator
from clinicalgru.data.ingest.row_sql import CELLS, KEY_CELLS, RowFormat, RowStatements, row_statements
from clinicalgru.data.ingest.tables import TablePart, quoted
from clinicalgru.data.ingest.time_of_day_sql import declare_days
from clinicalgru.data.ingest.time_sql import declare_timezone
from clinicalgru.data.ingest.value_units import value_units_table
from clinicalgru.errors import InputError
from clinicalgru.temporary_folder import TemporaryFolder

COLUMNS = ("patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code")
REQUIRED = ("patient_id", "time", "variable", "value")
DEFAULT_FORMAT = RowFormat()
BATCH_ROWS = 500_000
BLOCK = "text_block"  # relation of a block of a text table


class Workspace:
    """Rows of an extract, in a DuckDB database that spills to disk; sources add rows, `ingest` computes the result.

    Parameters
    ----------
    dictionary : Dictionary
        Data dictionary.
    source : str
        Name of the source in the dictionary's `source_codes`.
    memory_gb : float
        Memory limit of the whole read in GB; DuckDB gets two fifths of it.
    timezone : str, optional
        IANA time zone of times without an offset.
    missing : MissingValues, optional
        Values that mean "not measured".
    detection_limits : str
        What becomes of limits of detection in tables whose format does not say: "reject", "bound" or "half".
    pairs : mapping of str to (str, str), optional
        Names whose values are two numbers -> their variables.

    Attributes
    ----------
    sql : DuckDBPyConnection
        Connection to the database.
    folder : TemporaryDirectory
        Folder of the result, and of what does not fit into memory.
    variables : tuple of Variable
        The dictionary's variables by name; tables number them by their position here.
    locator : RowLocator
        The files of the extract, for messages.
    columns_seen : dict of str to list of str
        Each table that was read, as "data", "stays" or "outcomes" -> its columns.
    value_pairs : dict of str to (str, str)
        The argument `pairs`.
    without_patient : set of int
        Numbers of the files without a column of patients.
    is_wide : bool
        Whether variables are columns of these tables.
    notes : dict of str to int
        Counts for the ledger's notes, such as files that were not read.
    name_sources : tuple of str
        Sources whose names and default units apply, the first one first.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        source: str,
        memory_gb: float = 2.0,
        timezone: str | None = None,
        missing: MissingValues | None = None,
        detection_limits: str = "reject",
        pairs: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.dictionary, self.source = dictionary, source
        self.value_pairs = dict(pairs or {})
        self.missing = missing or MissingValues()
        for place in (0, 1):  # what is given for a name that stands for two variables holds for both
            self.missing = self.missing.with_columns({name: pair[place] for name, pair in self.value_pairs.items()})
        self.columns_seen: dict[str, list[str]] = {}
        self.without_patient: set[int] = set()
        self.is_wide = False
        self.name_sources: tuple[str, ...] = (source,)
        self.variables: tuple[Variable, ...] = tuple(dictionary[name] for name in sorted(dictionary))
        self.notes: dict[str, int] = {}
        self.has_timezone = timezone is not None
        self.has_duplicate_source = False
        self.detection_limits = detection_limits
        self.has_limits = False  # whether bounds such as "<0.2" are values
        self.locator = RowLocator()
        self.folder = TemporaryFolder()
        self._open = ExitStack()
        # DuckDB's limit does not cover its result buffers, nor our own memory
        database = own_database(Path(self.folder.name) / "spill", memory_mb=int(memory_gb * 400))
        self.sql = self._open.enter_context(database)
        self.sql.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        for table in (ingest_sql.ROWS, ingest_sql.IDENTIFIERS, ingest_sql.NAME_UNITS, ingest_sql.BLANK_CELLS):
            self.sql.execute(table)
        declare_timezone(self.sql, timezone)
        declare_days(self.sql, has_timezone=self.has_timezone)
        self._create_lookup_tables()

    def _create_lookup_tables(self) -> None:
        """Tables `names` and `ranges` from the dictionary."""
        names = {name: name for name in self.dictionary} | self.dictionary.names(self.source)
        self.sql.register("names_frame", names_table(names, self.variables))
        self.sql.register("ranges_frame", ranges_table(self.variables))
        self.sql.register("levels_frame", level_table(self.variables))
        self.sql.execute(ingest_sql.NAMES)
        self.sql.execute("CREATE TABLE ranges AS SELECT * FROM ranges_frame")
        self.sql.register("value_units", value_units_table(self.variables))
        self.sql.register("flag_units", value_flags.flag_units_table(self.variables))
        self.sql.register("pairs_frame", value_pairs.pairs_table(self.value_pairs))
        self.sql.execute("CREATE TABLE value_pairs AS SELECT * FROM pairs_frame")

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def add_name_sources(self, *sources: str) -> None:
        """Use the names and default units of further sources too, where the own source has none.

        Parameters
        ----------
        *sources : str
            Names of sources in the dictionary's `source_codes`, the first one first.
        """
        self.name_sources += sources
        names = {alias: name for source in reversed(sources) for alias, name in self.dictionary.names(source).items()}
        self.sql.register("further_names_frame", names_table(names, self.variables))
        self.sql.execute(ingest_sql.FURTHER_NAMES)

    @property
    def uses_limits(self) -> bool:
        """Whether limits of detection are values in the tables of the source."""
        return self.detection_limits != "reject"

    def add_identifier_names(self, *names: str) -> None:
        """Declare names whose rows only repeat an identifier of the stay.

        Parameters
        ----------
        *names : str
            The names, as the source writes them.
        """
        for name in names:
            self.sql.execute("INSERT INTO names VALUES (?, -1, 'identifier', ?, NULL)", [name, name])

    def add_rows(self, part: TablePart, columns: Mapping[str, str], row_format: RowFormat = DEFAULT_FORMAT) -> None:
        """Add the rows of one table.

        Parameters
        ----------
        part : TablePart
            The table.
        columns : mapping of str to str
            Our column name -> the table's, where they differ. `source_reason`, read only where it is named here, holds
            the source's own reason against a row, such as "retracted".
        row_format : RowFormat
            How the cells are read.

        Raises
        ------
        InputError
            If a required column is missing, identifiers are floating point, or the table cannot be read.
        """
        if row_format.detection_limits is None:
            row_format = replace(row_format, detection_limits=self.detection_limits)
        present = _present_columns(part, columns, row_format)
        first_file = self._add_files(part, columns, present)
        with duckdb_errors(part.label, part.text):
            self._insert(part, self._statements(part, first_file, present, row_format))
            if part.text is not None:
                self._record_text_findings(part.text, first_file)
            if part.blanks:
                self.sql.execute(ingest_sql.ADD_BLANKS.format(first_file=first_file, blanks=part.blanks))
        self.has_duplicate_source |= row_format.is_duplicate_source
        self.has_limits |= row_format.detection_limits != "reject"

    def add_blocks(
        self, text: TextTable, columns: Mapping[str, str], row_format: RowFormat = DEFAULT_FORMAT
    ) -> Iterator[TablePart]:
        """Add the rows of a large text table block by block, while the next block is read.

        Parameters
        ----------
        text : TextTable
            The table (see `large_texts`).
        columns : mapping of str to str
            Our column name -> the table's, where they differ.
        row_format : RowFormat
            How the cells are read.

        Yields
        ------
        TablePart
            Each block, after its rows were added.

        Raises
        ------
        NotWellFormedError
            If a block is not well-formed.
        InputError
            If a required column is missing, or the file is damaged.
        pyarrow.ArrowInvalid
            If a row has another number of cells, or is not UTF-8.
        """
        whole = TablePart(text.path.name, quoted(BLOCK), dict.fromkeys(text.names, "VARCHAR"), first_row=2, text=text)
        present = _present_columns(whole, columns, row_format)
        file = self._add_files(whole, columns, present)
        for block in text_blocks(text):
            self.sql.register(BLOCK, block.table)
            part = replace(whole, first_row=block.first_row, text=replace(text, is_plain=block.is_plain))
            self._insert_stored(self._statements(part, file, present, row_format))
            if block.is_unfinished:
                last = block.first_row + block.table.num_rows - 1
                self.sql.execute(ingest_sql.REJECT_ROW.format(part=file, row=last, reason=UNFINISHED))
            yield part
        self.sql.unregister(BLOCK)
        self.has_limits |= row_format.detection_limits != "reject"

    def _add_files(self, part: TablePart, columns: Mapping[str, str], present: Mapping[str, str]) -> int:
        """Number the files of a table; returns the number of the first."""
        if "patient_id" in present:
            return self.locator.add(part, columns)
        first = self.locator.add(part, {**columns, "patient_id": present["stay_id"]})
        self.without_patient |= set(range(first, len(self.locator.files)))
        return first

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Take back the rows, files and notes that the block adds, if it raises.

        Yields
        ------
        None
            Nothing; the block adds rows.
        """
        with ExitStack() as undo:
            undo.callback(self._take_back, len(self.locator.files), dict(self.notes), dict(self.columns_seen))
            yield
            undo.pop_all()

    def _take_back(self, n_files: int, notes: dict[str, int], columns_seen: dict[str, list[str]]) -> None:
        """Leave no file after the first `n_files`, none of their rows, and what was known of them as it was."""
        self.sql.execute(f"DELETE FROM rows WHERE part >= {n_files}")
        del self.locator.files[n_files:], self.locator.headers[n_files:]
        self.without_patient = {file for file in self.without_patient if file < n_files}
        self.notes, self.columns_seen = notes, columns_seen

    def note_columns(self, table: str, columns: Iterable[str]) -> None:
        """Remember the columns of a table, for messages about the argument `columns` and for the record of the read.

        Parameters
        ----------
        table : str
            "data", "stays" or "outcomes".
        columns : iterable of str
            Columns of one of its files.
        """
        self.columns_seen[table] = list(dict.fromkeys([*self.columns_seen.get(table, []), *columns]))

    def _statements(
        self, part: TablePart, first_file: int, columns: Mapping[str, str], row_format: RowFormat
    ) -> RowStatements:
        return row_statements(
            part,
            first_file,
            columns,
            row_format,
            has_timezone=self.has_timezone,
            has_pairs=bool(self.value_pairs),
            missing=self.missing,
        )

    def _insert(self, part: TablePart, statements: RowStatements) -> None:
        """Insert the rows of a table: at once where it can be read twice at little cost, else batch by batch."""
        if part.is_stored:
            self._insert_stored(statements)
            return
        with self.sql.cursor() as writer:  # while this connection reads
            writer.execute(f"USE {DATABASE}; SET TimeZone = 'UTC'")
            for batch in record_batches(self.sql.sql(statements.cells), BATCH_ROWS):
                for name in (CELLS, KEY_CELLS):
                    writer.register(name, pa.Table.from_batches([batch]))
                self._run(writer, statements)

    def _insert_stored(self, statements: RowStatements) -> None:
        self.sql.execute(f"CREATE OR REPLACE TEMP VIEW {CELLS} AS {statements.cells}")
        self.sql.execute(f"CREATE OR REPLACE TEMP VIEW {KEY_CELLS} AS {statements.keys}")
        self._run(self.sql, statements)

    def _run(self, connection: duckdb.DuckDBPyConnection, statements: RowStatements) -> None:
        """Insert the rows in `CELLS`, and note how many of them hold two values."""
        for statement in (*statements.new_keys, statements.insert):
            connection.execute(statement)
        if self.value_pairs:
            for name, count in connection.execute(value_pairs.COUNT.format(cells=CELLS)).fetchall():
                note = f"rows of two values, counted as two rows: {name}"
                self.notes[note] = self.notes.get(note, 0) + count
        if value_flags.HAS_FLAG in statements.cells:
            ((count,),) = connection.execute(value_flags.COUNT.format(cells=CELLS)).fetchall()
            self.notes |= {value_flags.NOTE: self.notes.get(value_flags.NOTE, 0) + count} if count else {}

    def _record_text_findings(self, text: TextTable, file: int) -> None:
        """Reject the last row of a text file where it may be cut off; remember files with blank lines."""
        if text.ends_mid_line:
            row = text.last_record()
            self.sql.execute(ingest_sql.REJECT_ROW.format(part=file, row=row, reason=UNFINISHED))
        if text.blank_lines:
            self.locator.texts[file] = text


def _present_columns(part: TablePart, columns: Mapping[str, str], row_format: RowFormat) -> dict[str, str]:
    """Our columns -> the table's, for those that it has; letter case and blanks around names are ignored."""
    folded = {normalize(name): name for name in part.types}
    names = {ours: normalize(columns.get(ours, ours)) for ours in COLUMNS}
    present = {ours: folded[theirs] for ours, theirs in names.items() if theirs in folded}
    if "source_reason" in columns:
        present["source_reason"] = columns["source_reason"]
    known = {"patient_id"} if row_format.has_stays_table and "stay_id" in present else set()
    absent = [required for required in REQUIRED if required not in present.keys() | known]
    if absent:
        noun, pronoun = ("a column", "it") if len(absent) == 1 else ("columns", "them")
        entries = ", ".join(f"{name!r}: 'its name there'" for name in absent)
        fix = f"Name {pronoun} with columns={{{entries}}}."
        if {"variable", "value"} <= set(absent):
            fix += " If each variable has a column of its own: source='wide'."
        got = f"columns {format_names([name for name in part.types if not name.startswith('c_')])}"
        expected = ", ".join(columns.get(name, name) for name in absent)
        raise InputError(f"{noun} {expected}", got, fix, where=part.label)
    return present

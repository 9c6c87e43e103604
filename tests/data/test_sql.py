"""Rows from a database: what a table gives, a query gives; and no login or value appears in a message."""

from __future__ import annotations

import sqlite3

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.ingest import database
from clinicalgru.data.ledger import SENTINEL

QUERY = "SELECT * FROM labs"


pytest.importorskip("sqlalchemy")


@pytest.fixture
def sqlite(three, tmp_path) -> str:
    with sqlite3.connect(tmp_path / "extract.db") as connection:
        three.to_sql("labs", connection, index=False)
    return f"sqlite:///{tmp_path}/extract.db"


@pytest.fixture
def labs(three, postgres) -> str:
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS labs")
        cursor.execute(
            "CREATE TABLE labs (patient_id text, stay_id int, time timestamp, variable varchar, value numeric, "
            "unit text, available_at timestamp)"
        )
        blank = three.replace("", None)
        cursor.executemany(
            "INSERT INTO labs SELECT $1, $2::text::int, $3::text::timestamp, $4, $5::text::numeric, $6, "
            "$7::text::timestamp",
            [tuple(None if pd.isna(cell) else cell for cell in row) for row in blank.to_numpy()],
        )
        connection.commit()
    return postgres


def same(events: Events, three: pd.DataFrame) -> None:
    expected = cg.read_events(three)
    pd.testing.assert_frame_equal(events.to_frame(), expected.to_frame())
    assert events.ledger.rejected == expected.ledger.rejected
    assert events.ledger.rows_in == expected.ledger.rows_in
    assert events.ledger.converted == expected.ledger.converted


@pytest.mark.slow
def test_sqlite_gives_what_the_table_gives(sqlite, three):
    same(cg.read_events(sqlite, source="sql", query=QUERY), three)


@pytest.mark.slow
def test_postgresql_gives_what_the_table_gives(labs, three):
    same(cg.read_events(labs, source="sql", query=QUERY), three)


def test_columns_of_a_query_are_mapped_and_rows_numbered_over_batches(sqlite, monkeypatch):
    monkeypatch.setattr(database, "ROWS", 4)
    query = "SELECT patient_id AS person, stay_id, time, variable, value, unit FROM labs ORDER BY 1, 2, 3"
    events = cg.read_events(sqlite, source="sql", query=query, columns={"patient_id": "person"})
    place = events.ledger.findings.query("reason == 'implausible'")["where"].item()
    assert place == "the database, row 11, column value"
    assert events.ledger.rows_in == 15


def test_cells_of_several_types_in_one_column_are_judged_row_by_row(tmp_path):
    """SQLite keeps what it is given."""
    with sqlite3.connect(tmp_path / "mixed.db") as connection:
        connection.execute("CREATE TABLE labs (patient_id, time, variable, value)")
        values = [1, 2.5, "3.25", "high", None, 1e30]
        rows = [("p", hour, "lactate", value) for hour, value in enumerate(values)]
        connection.executemany("INSERT INTO labs VALUES (?, ?, ?, ?)", rows)
    events = cg.read_events(f"sqlite:///{tmp_path}/mixed.db", source="sql", query=QUERY, max_rejected=0.9)
    assert events.to_frame()["value"].tolist() == [1, 2.5, 3.25]
    assert events.ledger.rejected == {"implausible": 1, "missing value": 1, "value is not a number": 1}


@pytest.mark.slow
def test_numeric_keeps_its_digits_and_time_zones_their_instants(labs):
    query = """SELECT '12345678901234567890'::numeric AS patient_id, 0.1::numeric AS value, 'lactate' AS variable,
        '2031-01-01 10:00+02'::timestamptz AS time"""
    events = cg.read_events(labs, source="sql", query=query)
    assert events.stays["patient_id"].tolist() == ["12345678901234567890"]
    row = events.to_frame().iloc[0]
    assert row["value"] == 0.1
    assert str(row["time"]) == "2031-01-01 08:00:00"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["timestamp", "timestamptz", "date"])
@pytest.mark.parametrize("date", ["infinity", "-infinity", "4713-01-02 BC", "290000-01-01"])
def test_a_date_that_no_measurement_has_is_rejected_and_counted(postgres, date, dtype):
    """PostgreSQL's infinity stands for unknown; the sums of such dates overflow."""
    hours = ("2031-01-01 09:00", "2031-01-02 10:00")
    cells = ", ".join(f"('1', 'heart_rate', 80, '{text}')" for text in (date, *hours))
    query = f"SELECT name.*, day::{dtype} AS time FROM (VALUES {cells}) AS name(patient_id, variable, value, day)"
    events = cg.read_events(postgres, source="sql", query=query, max_rejected=0.5)
    expected = [text if dtype != "date" else f"{text[:10]} 00:00" for text in hours]
    assert events.to_frame()["time"].tolist() == [pd.Timestamp(text) for text in expected]
    assert events.ledger.rejected == {SENTINEL: 1}


@pytest.mark.slow
@pytest.mark.parametrize("start", ["", "(", " -- all\n/* of\nthem */ "])
def test_a_comment_or_semicolon_at_the_end_of_a_query_changes_nothing(labs, three, start):
    closed = ")" if start == "(" else ""
    same(cg.read_events(labs, source="sql", query=f"{start}{QUERY}{closed} ; "), three)
    same(cg.read_events(labs, source="sql", query=f"{start}{QUERY}{closed} -- all of them"), three)


@pytest.mark.parametrize(
    "command", ["COPY (SELECT 1) TO '{file}'", "/* SELECT */ COPY (SELECT 1) TO PROGRAM 'touch {file}'"]
)
@pytest.mark.slow
def test_a_command_that_writes_a_file_of_the_server_is_refused(postgres, tmp_path, command):
    """A transaction that is read-only does not keep COPY from writing."""
    tmp_path.chmod(0o777)
    file = tmp_path / "copy"
    with pytest.raises(cg.ClinicalGRUError, match="a query that writes"):
        cg.read_events(postgres, source="sql", query=command.format(file=file))
    assert not file.exists()


@pytest.mark.parametrize("command", ["ATTACH '{file}' AS other", "VACUUM INTO '{file}'", "PRAGMA query_only = OFF"])
def test_a_command_of_sqlite_is_refused(sqlite, tmp_path, command):
    file = tmp_path / "copy.db"
    with pytest.raises(cg.ClinicalGRUError, match="a query that writes"):
        cg.read_events(sqlite, source="sql", query=command.format(file=file))
    assert not file.exists()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nothing", "a table that does not exist"),
        ("SELECT nothing FROM labs", "a column that does not exist"),
        ("SELEC 1", "a query with an error"),
        ("DELETE FROM labs RETURNING *", "a query that writes"),
        ("SELECT 'canary'::text::int AS patient_id", "cannot convert"),
        (
            "SELECT '1' AS patient_id, 1 AS time, 'ph' AS variable, 1 / (3 - g) AS value FROM generate_series(1, 5) g",
            "an error of the database",
        ),
        ("SELECT time, time FROM labs", "unique column names"),
        ("SELECT 'x'::bytea AS patient_id, time, variable, value FROM labs", "CAST"),
        ("SELECT patient_id FROM labs", "columns time, variable, value"),
        (" ", "query"),
    ],
)
def test_what_postgresql_refuses_is_told_without_its_words(labs, query, message):
    with pytest.raises(cg.ClinicalGRUError, match=message) as refused:
        cg.read_events(labs, source="sql", query=query)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://nurse:s3cret@127.0.0.1:1/x",
        "postgresql://nurse:s3 cret@127.0.0.1:1/x",
        "sqlite:///s3cret.db",
        "mysql+s3cret://nurse:s3cret@127.0.0.1/x",
        "oracle://nurse:s3cret@127.0.0.1/x",
    ],
)
def test_no_login_appears_in_a_message(address):
    with pytest.raises(cg.ClinicalGRUError) as refused:
        cg.read_events(address, source="sql", query="SELECT 1")
    assert "cret" not in str(refused.value)
    assert "nurse" not in str(refused.value)


def test_the_address_does_not_travel_with_the_events(sqlite):
    assert cg.read_events(sqlite, source="sql", query=QUERY).source == "sql: sqlite"


@pytest.mark.slow
def test_a_query_cannot_change_a_sqlite_file(sqlite, three):
    with pytest.raises(cg.ClinicalGRUError):
        cg.read_events(sqlite, source="sql", query="DELETE FROM labs RETURNING *")
    same(cg.read_events(sqlite, source="sql", query=QUERY), three)


def test_a_file_is_no_address(tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="address of a database; got a PosixPath"):
        cg.read_events(tmp_path / "labs.csv", source="sql", query=QUERY)

"""Scores in PostgreSQL: each stay once, whatever happens, and read back as they were written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.serve.postgres import upsert
from clinicalgru.serve.score_rows import SCORES
from clinicalgru.serve.spark import columns_of_scores

dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
AS_OF = "2150-01-01"


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts[0])


@pytest.fixture(scope="module")
def tonight():
    return cg.read_events(cg.simulate(40, random_state=8))


def rows(address, query):
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table().to_pandas()


@pytest.mark.slow
def test_a_rerun_replaces_its_own_rows_and_no_others(model, tonight, postgres, parts):
    table = "risk_scores"
    first = cg.score(model, tonight, as_of=AS_OF, to=postgres, table=table)
    back = rows(postgres, f"SELECT * FROM {table} ORDER BY patient_id, stay_id")
    assert list(back) == SCORES.names
    pd.testing.assert_frame_equal(back, first, check_dtype=False)
    for _ in range(2):
        cg.score(model, tonight, as_of=AS_OF, to=postgres, table=table)
    cg.score(model, tonight, as_of="2149-01-01", to=postgres, table=table)
    other = cg.SummaryBaseline("logistic regression").fit(parts[1])
    cg.score(other, tonight, as_of=AS_OF, to=postgres, table=table)
    counts = rows(postgres, f"SELECT as_of, model_hash, count(*), count(DISTINCT stay_id) FROM {table} GROUP BY 1, 2")
    assert counts.iloc[:, 2].tolist() == counts.iloc[:, 3].tolist() == [len(first)] * 3


@pytest.mark.slow
def test_several_writers_at_once_leave_each_stay_once(model, tonight, postgres):
    def write(_):
        return len(cg.score(model, tonight, as_of=AS_OF, to=postgres, table="at_once"))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(write, range(8))) == {len(tonight.stays)}
    counts = rows(postgres, "SELECT count(*) AS n, count(DISTINCT stay_id) AS stays FROM at_once")
    assert counts.to_numpy().tolist() == [[len(tonight.stays)] * 2]


def test_a_failure_changes_nothing_and_quotes_nothing(model, tonight, postgres):
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE narrow (patient_id text, stay_id text, as_of timestamp, model_hash text)")
        cursor.execute("INSERT INTO narrow VALUES ('1', '2', NULL, 'x')")
        connection.commit()
    with pytest.raises(InputError, match="a table of other columns"):
        cg.score(model, tonight, as_of=AS_OF, to=postgres, table="narrow")
    assert len(rows(postgres, "SELECT * FROM narrow")) == 1
    with pytest.raises(InputError, match="no connection") as refused:
        cg.score(model, tonight, as_of=AS_OF, to="postgresql://u:secret@127.0.0.1:1/x", table="scores")
    assert "secret" not in str(refused.value)


def test_an_extract_without_dates_has_no_as_of_and_is_replaced_all_the_same(model, tonight, postgres):
    scores = cg.score(model, tonight, as_of=AS_OF)
    import pyarrow as pa

    table = pa.Table.from_pandas(scores.assign(as_of=pd.NaT), schema=SCORES, preserve_index=False)
    for _ in range(2):
        upsert(table, postgres, "undated")
    assert len(rows(postgres, "SELECT * FROM undated")) == len(scores)


def test_names_of_tables_are_plain(model, tonight, postgres):
    for name in (None, "", "a b", 'x"; DROP TABLE y', "a.b.c", "1a"):
        with pytest.raises(ArgumentError, match="the name of a table"):
            cg.score(model, tonight, to=postgres, table=name)
    with pytest.raises(ArgumentError, match="postgresql://"):
        cg.score(model, tonight, to="mysql://u@h/x", table="scores")


@pytest.mark.slow
def test_a_database_is_read_scored_and_written(model, postgres):
    cohort = cg.simulate(40, random_state=8)
    some = cohort.measurements[["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit"]]
    import pyarrow as pa

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(
            "to_score", pa.Table.from_pandas(some.astype(str).replace("NaT", None), preserve_index=False)
        )
        connection.commit()
    options = {"source": "sql", "query": "SELECT * FROM to_score", "stays": cohort.stays, "as_of": AS_OF}
    written = cg.score(model, postgres, **options, to=postgres, table="from_labs", accept_differences=True)
    expected = cg.score(model, some, stays=cohort.stays, as_of=AS_OF)
    pd.testing.assert_series_equal(written["risk"], expected["risk"])
    assert len(rows(postgres, "SELECT * FROM from_labs")) == len(expected)


def test_a_user_without_the_rights_is_refused_before_the_extract_is_read(model, postgres, tmp_path):
    statements = (
        "CREATE ROLE reader LOGIN",
        "CREATE TABLE readable (stay_id text)",
        "GRANT SELECT, INSERT ON readable TO reader",
        "CREATE SCHEMA closed",
        "CREATE SCHEMA open AUTHORIZATION reader",
    )
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
    reader = postgres.replace("postgres@", "reader@")
    expected = dict.fromkeys(("readable", "closed.scores"), "no right to write it")
    for table, message in (expected | {"nowhere.scores": "a schema that does not exist"}).items():
        with pytest.raises(InputError, match=message):
            cg.score(model, tmp_path / "no such extract.csv", to=reader, table=table)
    with pytest.raises(InputError, match="no such extract"):
        cg.score(model, tmp_path / "no such extract.csv", to=reader, table="open.scores")


def columns_as(**other: str) -> str:
    """The columns of a score table in SQL, some of another type."""
    types = {"timestamp[us]": "timestamp", "timestamp[us, tz=UTC]": "timestamptz", "double": "float8", "string": "text"}
    return ", ".join(f"{field.name} {other.get(field.name, types[str(field.type)])}" for field in SCORES)


OTHER_TABLES = {
    "CREATE TABLE other (stay_id text)": "no column",
    f"CREATE TABLE other ({columns_as(as_of='date')})": "as_of of type date instead of timestamp",  # loses the hours
    f"CREATE TABLE other ({columns_as(as_of='timestamp(0)')})": "as_of of type timestamp",
    f"CREATE TABLE other ({columns_as(risk='integer')})": "risk of type integer",  # would round risks to 0
    f"CREATE TABLE other ({columns_as(risk='real')})": "risk of type real",
    f"CREATE TABLE other ({columns_as(risk='numeric(4,2)')})": "risk of type numeric",
    f"CREATE TABLE other ({columns_as(stay_id='char(9)')})": "stay_id of type character",
    f"CREATE TABLE other ({columns_as()}, ward text NOT NULL)": "ward, which may not be empty",
    "CREATE VIEW other AS SELECT count(*) FROM pg_class": "no column",
    f"CREATE TABLE other ({columns_as(stay_id='varchar(40)', risk='numeric')}, ward text)": "",
    f"CREATE TABLE other ({columns_as()}, at timestamp NOT NULL DEFAULT now())": "",
}


@pytest.mark.parametrize("statement", OTHER_TABLES)
def test_a_table_that_would_change_the_rows_is_refused_before_the_extract_is_read(model, postgres, tmp_path, statement):
    def execute(*statements):
        with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
            for each in statements:
                cursor.execute(each)
            connection.commit()

    execute(statement)
    try:
        message = OTHER_TABLES[statement]
        with pytest.raises(InputError, match=message or "no such extract"):
            cg.score(model, tmp_path / "no such extract.csv", to=postgres, table="other")
        if message:
            with pytest.raises(InputError, match=message):
                upsert(SCORES.empty_table(), postgres, "other")
    finally:
        execute(f"DROP {'VIEW' if 'VIEW' in statement else 'TABLE'} other")


def test_the_columns_checked_before_are_those_that_are_written(model, tonight):
    assert list(cg.score(model, tonight, as_of=AS_OF)) == columns_of_scores(model)

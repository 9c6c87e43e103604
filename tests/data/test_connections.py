"""Databases of one's own in engines that are used again."""

from __future__ import annotations

import duckdb
import pytest

from clinicalgru.data.ingest.connections import own_database


def settings(connection):
    names = ("memory_limit", "temp_directory", "TimeZone")
    return [connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names]


def leave_behind(connection):
    """What a read leaves: tables, macros, frames, settings."""
    connection.execute("CREATE TABLE rows AS SELECT 1 AS a; CREATE MACRO twice(x) AS 2 * x")
    connection.execute("CREATE TEMP TABLE times AS SELECT 1 AS a; CREATE TEMP VIEW cells AS FROM rows")
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    connection.register("frame", connection.sql("SELECT 1 AS a").to_arrow_table())


def test_a_database_is_as_in_a_new_engine_whatever_was_there_before(tmp_path):
    with own_database(tmp_path / "first", memory_mb=100) as connection:
        untouched = settings(connection)[2]
        leave_behind(connection)
    for name, memory in (("second", 200), ("third", 100)):
        with own_database(tmp_path / name, memory_mb=memory) as connection:
            with duckdb.connect(config={"memory_limit": f"{memory}MB"}) as new:
                limit = settings(new)[0]
            assert settings(connection) == [limit, str(tmp_path / name), untouched]
            for left in ("rows", "times", "cells", "frame", "(SELECT twice(1))"):
                with pytest.raises(duckdb.CatalogException):
                    connection.execute(f"FROM {left}")
            leave_behind(connection)


def test_two_at_once_do_not_see_each_other(tmp_path):
    with own_database(tmp_path / "a", memory_mb=100) as one, own_database(tmp_path / "b", memory_mb=200) as two:
        leave_behind(one)
        leave_behind(two)
        assert settings(one)[:2] != settings(two)[:2]
        one.execute("INSERT INTO rows VALUES (2)")
        assert two.execute("FROM rows").fetchall() == [(1,)]


def test_an_engine_that_spilled_or_failed_is_not_used_again(tmp_path):
    with own_database(tmp_path / "spill", memory_mb=30) as connection:
        connection.execute("SET threads = 1")  # each thread needs memory of its own
        connection.execute("CREATE TEMP TABLE r AS SELECT hash(i) AS a, hash(i + 1) AS b FROM range(4_000_000) r(i)")
        assert (tmp_path / "spill").exists()
    with pytest.raises(ZeroDivisionError), own_database(tmp_path / "fails", memory_mb=100):
        raise ZeroDivisionError
    with own_database(tmp_path / "after", memory_mb=100) as connection:
        assert settings(connection)[1] == str(tmp_path / "after")
        leave_behind(connection)


def test_a_large_table_is_in_a_file_that_goes_with_the_database(tmp_path):
    for name in ("first", "second"):
        with own_database(tmp_path / name, memory_mb=100) as connection:
            connection.execute("CREATE TABLE rows AS SELECT hash(i) AS a, i % 7 AS b FROM range(4_000_000) r(i)")
            assert (tmp_path / f"{name}.duckdb").stat().st_size > 4_000_000 * 8  # hashes cannot be compressed
            assert not (tmp_path / name).exists()  # nothing had to be written twice
            assert connection.execute("SELECT sum(b)::BIGINT FROM rows").fetchall() == [(11_999_994,)]
        assert not list(tmp_path.iterdir())
    with pytest.raises(duckdb.Error), own_database(tmp_path / "fails", memory_mb=100) as connection:
        connection.execute("CREATE TABLE rows AS SELECT hash(i) AS a FROM range(1_000_000) r(i); SELECT error('stop')")
    assert not list(tmp_path.iterdir())

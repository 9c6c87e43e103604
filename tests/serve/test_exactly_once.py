"""Exactly once: however a run ends, going on with it gives what an uninterrupted one gives, and readers see no part."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import stat
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.serve import score as scoring
from clinicalgru.serve import score_input, score_run, shards
from clinicalgru.serve.score_rows import SCORES
from clinicalgru.serve.shards import shards_of

AS_OF = "2150-01-01"
STARTED = "2031-01-01T00:00:00.000000+00:00"


@pytest.fixture(scope="module")
def tonight():
    return cg.read_events(cg.simulate(60, random_state=8))


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts[0])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Four shards, and a clock that stands."""
    monkeypatch.setattr(scoring, "SHARD_STAYS", 16)
    monkeypatch.setattr(score_run, "now", lambda: STARTED)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def in_child(work) -> int:
    """Exit code of a process that does the work: 0, or 3 after an error of ours."""
    child = os.fork()
    if child == 0:
        code = 4
        try:
            work()
            code = 0
        except cg.ClinicalGRUError:
            code = 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dies_at(number: int, monkeypatch) -> None:
    """The process ends, as by SIGKILL, before the call of that number which writes, renames or removes."""
    calls = iter(range(1_000_000))

    def counted(function):
        def call(*arguments, **options):
            if next(calls) == number:
                os._exit(9)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "replace", "link", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    monkeypatch.setattr(pq, "write_table", counted(pq.write_table))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", counted(pq.ParquetWriter.write_table))
    monkeypatch.setattr(scoring, "score_shard", counted(scoring.score_shard))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("name", ["scores", "tonight.parquet", "tonight.csv"])
def test_a_run_that_dies_anywhere_goes_on_to_the_same_bytes(model, tonight, tmp_path, monkeypatch, name):
    monkeypatch.setattr(score_input, "warn_of_differences", lambda *_, **__: None)  # before anything is written
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "whole" / name)
    expected = files(tmp_path / "whole")
    died = 0
    for number in range(0, 200, 3):
        place = tmp_path / f"died-{number}"

        def work(number=number, place=place):
            dies_at(number, monkeypatch)
            cg.score(model, tonight, as_of=AS_OF, out=place / name)

        ended = in_child(work)
        seen = {path: data for path, data in files(place).items() if not path.startswith(".") and "/." not in path}
        assert set(seen) <= set(expected)
        assert all(data == expected[path] for path, data in seen.items())  # a reader sees a whole file or none
        cg.score(model, tonight, as_of=AS_OF, out=place / name, resume=True)
        assert files(place) == expected
        died += ended == 9
        if ended == 0:
            break
    assert ended == 0
    assert died > 5


@pytest.mark.slow
def test_finished_shards_are_not_scored_again(model, tonight, tmp_path, monkeypatch):
    calls = []
    real = scoring.score_shard

    def third_fails(given, shard, *rest):
        calls.append(shard.number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(given, shard, *rest)

    monkeypatch.setattr(scoring, "score_shard", third_fails)
    with pytest.raises(KeyboardInterrupt):
        cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out")
    assert [path.name.split(".")[-1] for path in (tmp_path / "out").iterdir()] == ["unfinished"]
    with pytest.raises(ArgumentError, match="no unfinished run"):
        cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out")
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out", resume=True)
    assert calls[:3] == [0, 1, 2]
    assert calls[3:] == list(range(2, max(calls) + 1))
    calls.clear()
    again = cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out", resume=True)
    assert calls == []
    monkeypatch.setattr(scoring, "score_shard", real)
    pd.testing.assert_frame_equal(again, cg.score(model, tonight, as_of=AS_OF).assign(scored_at=again["scored_at"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out", "tonight.csv"])
def test_another_model_extract_time_or_setting_cannot_be_resumed(model, tonight, tmp_path, monkeypatch, parts, name):
    def fails(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_shard", fails)
        with pytest.raises(KeyboardInterrupt):
            cg.score(model, tonight, as_of=AS_OF, out=tmp_path / name)
    other = cg.SummaryBaseline("logistic regression").fit(parts[1])
    less = cg.read_events(cg.simulate(59, random_state=8))
    for words, arguments in {
        "another model": (other, tonight, {}),
        "another extract": (model, less, {}),
        "another as-of time": (model, tonight, {"as_of": "2149-01-01"}),
        "another settings": (model, tonight, {"reasons": True}),
    }.items():
        with pytest.raises(ArgumentError, match=words):
            cg.score(*arguments[:2], **{"as_of": AS_OF, "out": tmp_path / name, "resume": True} | arguments[2])
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / name, resume=True)


@pytest.mark.slow
def test_a_run_adds_its_partition_and_touches_no_other(model, tonight, tmp_path, parts):
    out = tmp_path / "scores"
    first = cg.score(model, tonight, as_of=AS_OF, out=out)
    before = files(out)
    second = cg.score(model, tonight, as_of="2149-12-31 06:30", out=out)
    other = cg.SummaryBaseline("logistic regression").fit(parts[1])
    third = cg.score(other, tonight, as_of=AS_OF, out=out)
    after = files(out)
    assert before.items() <= after.items()
    assert len([path for path in after if path.endswith(".parquet")]) == 3
    table = pd.read_parquet(out)
    assert len(table) == len(first) + len(second) + len(third)
    assert set(pd.to_datetime(table["as_of"].astype(str))) == {pd.Timestamp(AS_OF), pd.Timestamp("2149-12-31 06:30")}
    seen = duckdb.sql(f"SELECT count(*), count(DISTINCT as_of) FROM '{out}/*/*.parquet'").fetchall()
    assert seen == [(len(table), 2)]
    manifest = json.loads(next(path for path in (out / "as_of=2150-01-01T00%3A00%3A00").glob("_*.json")).read_text())
    assert sum(manifest["rows"].values()) == len(first)
    for existing in (out, out / "as_of=2150-01-01T00%3A00%3A00"):
        assert stat.S_IMODE(existing.stat().st_mode) == 0o700
    assert {stat.S_IMODE((out / path).stat().st_mode) for path in after} == {0o600}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out", "tonight.parquet", "tonight.csv"])
def test_existing_output_is_refused_and_overwritten_as_a_whole(model, tonight, tmp_path, name):
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / name)
    before = files(tmp_path)
    fewer = cg.read_events(cg.simulate(50, random_state=8))
    for extract in (tonight, fewer):
        with pytest.raises(ArgumentError, match="an existing one"):
            cg.score(model, extract, as_of=AS_OF, out=tmp_path / name)
    assert files(tmp_path) == before
    cg.score(model, fewer, as_of=AS_OF, out=tmp_path / name, overwrite=True)
    assert set(files(tmp_path)) == set(before)
    assert files(tmp_path) != before


@pytest.mark.slow
def test_the_table_has_the_columns_of_the_contract_and_csv_the_same_rows(model, tonight, tmp_path):
    table = cg.score(model, tonight, as_of=AS_OF, reasons=True)
    assert list(table) == SCORES.names
    scored = table["status"] == "scored"
    moved = table.loc[scored, "moved_by"].str.split("; ")
    assert moved.str.len().max() == 3
    assert table.loc[~scored, "moved_by"].eq("").all()
    cg.score(model, tonight, as_of=AS_OF, reasons=True, out=tmp_path / "tonight.csv")
    csv = pd.read_csv(tmp_path / "tonight.csv", dtype={"patient_id": str, "stay_id": str}, keep_default_na=False)
    assert list(csv) == SCORES.names
    assert csv["stay_id"].tolist() == table["stay_id"].tolist()
    np.testing.assert_allclose(pd.to_numeric(csv["risk"], errors="coerce"), table["risk"])
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "tonight.parquet")
    assert pq.read_schema(tmp_path / "tonight.parquet").remove_metadata().equals(SCORES)


def test_what_moved_a_risk_is_what_it_would_be_without(model, tonight):
    table = cg.score(model, tonight, as_of=AS_OF, reasons=True)
    row = table[table["status"] == "scored"].iloc[3]
    name, change = row["moved_by"].split("; ")[0].rsplit(" ", 1)
    stays = cg.select(tonight, model.task_, include_ineligible=True)
    stay = stays.with_variables(model.variables_).with_static_variables(model.static_variables_)[
        stays.stay == row["stay_id"]
    ]
    names = [variable.name for variable in stay.variables]
    if name in names:
        without = stay.filter_measurements(stay.variable != names.index(name))
        assert row["risk"] - model.predict_proba(without)[0, 1] == pytest.approx(float(change), rel=0.1)


def test_a_patient_is_never_divided():
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 50):
        patient = np.repeat(np.arange(40), rng.integers(1, 6, 40)).astype(str).astype(object)
        shards = shards_of(patient, size)
        assert [shard.first for shard in shards] == [0, *[shard.last for shard in shards[:-1]]]
        assert shards[-1].last == len(patient)
        of = [set(patient[shard.first : shard.last]) for shard in shards]
        assert sum(map(len, of)) == 40
    assert [(shard.first, shard.last) for shard in shards_of(np.array([], dtype=object), 3)] == [(0, 0)]


def test_a_full_disk_is_one_error_and_leaves_no_temporary_file(model, tonight, tmp_path, monkeypatch):
    real, left = os.fsync, 3

    def full(descriptor):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="full disk"):
            cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out")
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("part-*"))
    cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out", resume=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork and locks of files")
def test_of_several_writers_at_once_one_succeeds(model, tonight, tmp_path):
    context = multiprocessing.get_context("fork")
    gate, results = context.Barrier(5), context.Queue()

    def write(number):
        gate.wait()
        try:
            cg.score(model, tonight, as_of=AS_OF, out=tmp_path / "out")
            results.put("written")
        except cg.ClinicalGRUError as error:
            results.put(type(error).__name__)

    writers = [context.Process(target=write, args=(number,)) for number in range(5)]
    for writer in writers:
        writer.start()
    said = [results.get(timeout=120) for _ in writers]
    for writer in writers:
        writer.join()
    assert sorted(said) == ["ArgumentError"] * 4 + ["written"]
    assert len(pd.read_parquet(tmp_path / "out")) == len(tonight.stays)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_workers_give_the_same_bytes(fitted, tonight, tmp_path):
    cg.score(fitted, tonight, as_of=AS_OF, out=tmp_path / "one" / "x.parquet")
    cg.score(fitted, tonight, as_of=AS_OF, out=tmp_path / "two" / "x.parquet", n_workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_workers_load_the_libraries_themselves_where_no_process_can_do_it_for_them(monkeypatch):
    def fails():
        raise OSError("AF_UNIX path too long")

    if shards.START_METHOD == "forkserver":
        monkeypatch.setattr("multiprocessing.forkserver.ensure_running", fails)
    assert shards.prepare_workers().get_start_method() == "spawn"


def start(command):
    import subprocess

    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.lab
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_moment_with_its_workers(fitted, tmp_path, seed):
    psutil = pytest.importorskip("psutil")
    cohort = cg.simulate(400, random_state=1)
    extract, bundle = cohort.write(tmp_path / "extract"), cg.save(fitted, tmp_path / "bundle")
    code = "import sys; from clinicalgru.cli.main import main; from clinicalgru.serve import score; "
    code += "score.SHARD_STAYS = 20; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "score", bundle, extract / "measurements.parquet", "--stays",
               extract / "stays.parquet", "--as-of", AS_OF, "--resume", "--workers", "2", "--out"]  # fmt: skip
    command = [str(each) for each in command]
    assert start([*command, str(tmp_path / "whole")]).wait() == 0
    rng = np.random.default_rng(seed)
    for _ in range(3):
        run = start([*command, str(tmp_path / "killed")])
        time.sleep(rng.uniform(2, 25))
        children = psutil.Process(run.pid).children(recursive=True)  # of a process that has ended: none
        victim = rng.choice([run.pid, *(child.pid for child in children)])
        with contextlib.suppress(ProcessLookupError):  # it may have ended in the meantime
            os.kill(int(victim), 9)
        run.wait()
        _, alive = psutil.wait_procs(children, timeout=300)  # one that still loads its libraries ends after that
        assert not alive
    assert start([*command, str(tmp_path / "killed")]).wait() == 0
    whole, killed = (pd.read_parquet(tmp_path / name).drop(columns="scored_at") for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(whole, killed)
    assert not [path for path in (tmp_path / "killed").iterdir() if path.name.startswith(".")]

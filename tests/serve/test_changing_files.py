"""Scoring while files change or are in the way: one error, nothing written, nothing of a patient in the message."""

from __future__ import annotations

import logging
import os

import pytest

import clinicalgru as cg
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.serve import score as scoring
from clinicalgru.serve.run_log import log_to_file

AS_OF = "2150-01-01"


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts[0])


@pytest.fixture
def extract(tmp_path):
    return cg.simulate(20, random_state=1).write(tmp_path / "extract")


def replaced(path):
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes())
    os.replace(new, path)


def appended(path):
    with path.open("ab") as file:
        file.write(b"x")


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("table", ["measurements", "stays"])
@pytest.mark.parametrize("change", [replaced, appended, cut_off, os.unlink])
@pytest.mark.parametrize("when", ["before its rows are read", "after"])
def test_an_extract_that_changes_while_it_is_read_is_refused(
    model, extract, tmp_path, monkeypatch, table, change, when
):
    path, add_rows = extract / f"{table}.parquet", Workspace.add_rows

    def changed(*arguments):
        if when != "after":
            change(path)
        add_rows(*arguments)
        if when == "after":
            change(path)

    monkeypatch.setattr(Workspace, "add_rows", changed)
    with pytest.raises(InputError, match=rf"{table}\.parquet.* one that has changed"):
        cg.score(
            model, extract / "measurements.parquet", stays=extract / "stays.parquet", as_of=AS_OF, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_the_input_hash_is_that_of_what_was_read(model, extract, monkeypatch):
    path, read = extract / "measurements.parquet", scoring.score_input

    def changed_afterwards(*arguments, **options):
        given = read(*arguments, **options)
        os.unlink(path)
        return given

    first = cg.score(model, path, stays=extract / "stays.parquet", as_of=AS_OF)
    monkeypatch.setattr(scoring, "score_input", changed_afterwards)
    second = cg.score(model, path, stays=extract / "stays.parquet", as_of=AS_OF)
    assert second["input_hash"].equals(first["input_hash"])
    assert second["risk"].equals(first["risk"])


def test_an_existing_partition_is_refused_before_the_extract_is_read(model, extract, tmp_path, monkeypatch):
    given = {"stays": extract / "stays.parquet", "out": tmp_path / "scores"}
    cg.score(model, extract / "measurements.parquet", as_of="2150-01-01 02:00+02:00", **given)

    def fails(*_, **__):
        pytest.fail("the extract was read")

    monkeypatch.setattr(scoring, "score_input", fails)
    for as_of in ("2150-01-01", "2149-12-31 19:00-05:00"):
        with pytest.raises(ArgumentError, match="does not exist yet"):
            cg.score(model, extract / "measurements.parquet", as_of=as_of, **given)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="another user can be taken by root only")
def test_a_folder_without_the_right_to_write_is_refused_before_the_extract_is_read(model, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "score_input", lambda *_, **__: os._exit(1))
    (tmp_path / "closed").mkdir()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    for place in (tmp_path, tmp_path / "closed"):
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                cg.score(model, tmp_path / "no such extract.csv", as_of=AS_OF, out=place / "scores")
            except InputError as error:
                os._exit(0 if "permission" in f"{error}" else 2)
            finally:
                os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_link_leads_scores_into_the_bundle(model, extract, tmp_path):
    bundle = cg.save(model, tmp_path / "bundle")
    (tmp_path / "link").symlink_to(bundle)
    with pytest.raises(ArgumentError, match="in the bundle"):
        cg.score(bundle, extract / "measurements.parquet", as_of=AS_OF, out=tmp_path / "link" / "scores")


def test_a_log_adds_to_logs_alone(model, extract, tmp_path):
    bundle, log = cg.save(model, tmp_path / "bundle"), tmp_path / "runs.jsonl"
    before = (extract / "stays.parquet").read_bytes()
    for path in (extract / "stays.parquet", bundle / "manifest.json", bundle / "runs.jsonl"):
        with pytest.raises(ArgumentError, match="log of earlier runs"), log_to_file(path):
            pytest.fail("it was opened")
    assert (extract / "stays.parquet").read_bytes() == before
    assert not (bundle / "runs.jsonl").exists()
    for _ in range(2):
        with log_to_file(log):
            logging.getLogger("clinicalgru").warning("a line")
    assert len(log.read_text().splitlines()) == 2

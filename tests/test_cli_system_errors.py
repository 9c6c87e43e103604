"""What the system refuses is one sentence and exit code 2, and no output takes the place of what is read."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import pytest

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import InputError, system_errors
from clinicalgru.serve.run_log import log_to_file

resource = pytest.importorskip("resource")  # not on Windows


@pytest.fixture
def extract(three, tmp_path) -> Path:
    three.to_csv(tmp_path / "labs.csv", index=False)
    return tmp_path / "labs.csv"


@pytest.fixture
def full_disk():
    """A limit on the size of files: what a full disk is to a process, for root too."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def ended(capsys, *arguments) -> str:
    """The message of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as end:
        main([str(one) for one in arguments])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_a_disk_without_room_for_temporary_files_is_named(three, extract, full_disk, capsys):
    full_disk(3000)
    with pytest.raises(InputError, match=r"temporary files: .* a full disk"):
        cg.read_events(three)
    assert "a full disk" in ended(capsys, "check", extract)


@pytest.mark.parametrize("name", ["a" * 300, "circle/names.yaml"])
def test_a_name_that_no_disk_can_hold_is_one_sentence(extract, name, capsys):
    (extract.parent / "circle").symlink_to(extract.parent / "circle")
    assert "Expected" in ended(capsys, "map", extract, "--draft", extract.parent / name)


def test_a_circle_of_links_is_named_in_every_version_of_python():
    with pytest.raises(InputError, match="links in a circle"), system_errors("scores"):
        raise RuntimeError("Symlink loop from 'scores'")
    with pytest.raises(RuntimeError, match="another"), system_errors("scores"):
        raise RuntimeError("another")


def test_an_error_of_the_system_that_nothing_names_is_one_sentence_too(monkeypatch, capsys):
    def refused(*_, **__):
        raise OSError(28, "No space left on device", "/data/scores")

    monkeypatch.setattr("clinicalgru.cli.main.with_config", refused)
    assert ended(capsys, "tasks").startswith("scores: Expected enough free disk space")


def test_a_log_that_cannot_be_written_is_one_error_and_no_trace(tmp_path, full_disk, capsys):
    full_disk(10)
    with pytest.raises(InputError, match=r"log\.jsonl: .* a full disk"), log_to_file(tmp_path / "log.jsonl"):
        logging.getLogger("clinicalgru").info("read")
    assert "Logging error" not in capsys.readouterr().err


@pytest.mark.parametrize("read", ["labs.csv", "stays.csv", "names.yaml"])
def test_a_draft_never_takes_the_place_of_what_is_read(extract, read, capsys):
    folder = extract.parent
    (folder / "stays.csv").write_text("patient_id,stay_id\n")
    (folder / "names.yaml").write_text("hrate: heart_rate\n")
    before = (folder / read).read_bytes()
    options = ("--stays", folder / "stays.csv", "--names", folder / "names.yaml", "--overwrite")
    assert "besides the extract" in ended(capsys, "map", extract, *options, "--draft", folder / read)
    assert (folder / read).read_bytes() == before

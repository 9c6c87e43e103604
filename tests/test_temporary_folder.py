"""Temporary folders: of a dead process they are removed, of a living one they stay."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinicalgru import temporary_folder
from clinicalgru.atomic_write import atomic_write
from clinicalgru.errors import InputError
from clinicalgru.temporary_folder import TemporaryFolder, remove_dead_folders

DIES = """
import os, signal
from clinicalgru.temporary_folder import TemporaryFolder
folder = TemporaryFolder()
print(folder.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remove_dead_folders.cache_clear()
    yield tmp_path
    remove_dead_folders.cache_clear()


@pytest.mark.skipif(temporary_folder.fcntl is None, reason="no locks on this system")
def test_the_folder_of_a_killed_process_is_removed_by_the_next(place, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(place))
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, check=False)
    dead = Path(done.stdout.strip())
    assert dead.parent == place
    assert dead.is_dir()
    living = TemporaryFolder()
    assert not dead.exists()
    remove_dead_folders.cache_clear()
    second = TemporaryFolder()
    assert Path(living.name).is_dir()
    for folder in (living, second):
        folder.cleanup()
    assert list(place.iterdir()) == []


def test_folders_without_a_lock_of_others_and_links_are_left_alone(place, tmp_path_factory):
    (place / "clinicalgru-old").mkdir()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".lock").touch()
    (place / "clinicalgru-link").symlink_to(elsewhere)
    assert remove_dead_folders() == 0
    assert (place / "clinicalgru-old").is_dir()
    assert elsewhere.is_dir()


def test_the_folder_goes_with_its_object_and_no_warning(place, recwarn):
    folder = TemporaryFolder()
    (Path(folder.name) / "part").mkdir()
    del folder
    gc.collect()
    assert list(place.iterdir()) == []
    assert list(recwarn) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_or_device_is_never_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "page.html"
    os.mkfifo(pipe)
    with (
        pytest.raises(InputError, match="Expected a file to write; got a device or a pipe"),
        atomic_write(pipe),
    ):
        pass
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]

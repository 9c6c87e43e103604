"""Training that is killed, meets a full disk, or is repeated; and odd stays by the thousand."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.atomic_write import atomic_write
from clinicalgru.estimator_checks.example_stays import example_stays
from clinicalgru.estimator_checks.record_checks import with_rows
from clinicalgru.model.training import checkpoint

TINY = {
    "network": cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1),
    "max_epochs": 4,
    "patience": 9,
    "distillation": 0.0,
}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def halves():
    return cg.split_patients(example_stays("binary", 90), [0.6, 0.4])


@pytest.fixture(scope="module")
def whole(halves):
    return cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False)


def digest(model):
    tensors = model.network_.state_dict()
    return hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))).hexdigest()


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_while_a_checkpoint_is_written_it_resumes_to_the_same_weights(
    halves, whole, tmp_path, monkeypatch, number, replaced
):
    """At each write, just before and just after the new file takes the place of the old one."""
    file, calls, rename = tmp_path / "checkpoint.safetensors", [], os.replace

    def killed(draft, target):
        calls.append(target)
        if len(calls) == number and not replaced:
            raise Killed
        rename(draft, target)
        if len(calls) == number:
            raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False, checkpoint_path=file)
    monkeypatch.setattr(os, "replace", rename)
    assert file.exists() == (number > 1 or replaced)
    resume = file if file.exists() else None
    again = cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False, resume_from=resume)
    assert digest(again) == digest(whole)


def test_the_draft_of_a_killed_process_is_removed_by_the_next_write_and_that_of_a_live_one_is_not(tmp_path):
    file, code = tmp_path / "checkpoint.safetensors", "import os, signal, sys\n"
    code += "from clinicalgru.atomic_write import atomic_write\nwith atomic_write(sys.argv[1]) as draft:\n"
    code += "    draft.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    with atomic_write(file) as outer:
        outer.write_bytes(b"outer")
        with atomic_write(file) as inner:
            inner.write_bytes(b"inner")
            assert {*tmp_path.iterdir()} == {outer, inner}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == b"outer"


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_good_checkpoint(halves, whole, tmp_path, monkeypatch):
    file, calls, write = tmp_path / "checkpoint.safetensors", [], checkpoint.save_file

    def full(tensors, path, metadata):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    model = cg.GRUClassifier(**TINY)
    with pytest.raises(cg.ClinicalGRUError, match=r"(?i)disk|space"):
        model.fit(halves[0], validation=halves[1], verbose=False, checkpoint_path=file)
    assert not hasattr(model, "network_")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    monkeypatch.setattr(checkpoint, "save_file", write)
    again = cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False, resume_from=file)
    assert digest(again) == digest(whole)


def odd_stays(stays, n, rng):
    """Stays of one to forty measurements: any values, hours from seconds to years, static covariates unknown."""
    blank = stays[np.arange(n) % len(stays)]
    blank = blank.filter_measurements(np.zeros(len(blank.value), dtype=bool))
    size = rng.choice([1, 2, 3, 40], n)
    variable = rng.integers(0, len(stays.variables), size.sum())
    hours = rng.choice([0, 1e-7, 1.0, 24.0, 8766.0, 438300.0], size.sum()) * rng.random(size.sum())
    value = rng.choice([0.0, 1.0, -1.0, 1e-30, 80.0, 1e6, -1e12, 3e38], size.sum())
    rows = np.split(np.stack([variable, hours, value], axis=1), np.cumsum(size)[:-1])
    odd = with_rows(blank, dict(enumerate(rows)))
    unknown = np.where(rng.random(odd.static.shape) < 0.5, np.nan, odd.static)
    return replace(odd, static=unknown.astype(np.float32))


@pytest.mark.parametrize("n", [300, pytest.param(10_000, marks=pytest.mark.lab)])
def test_odd_stays_have_finite_risks(whole, halves, n):
    stays = odd_stays(halves[1], n, np.random.default_rng(0))
    assert len(stays) == n
    assert np.isfinite(whole.predict_proba(stays)).all()


@pytest.mark.lab
def test_ten_trainings_have_one_hash(halves):
    fitted = [cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False) for _ in range(10)]
    assert len({digest(model) for model in fitted}) == 1


TRAINS = """
import sys
import clinicalgru as cg
from clinicalgru.estimator_checks.example_stays import example_stays
train, validation = cg.split_patients(example_stays("binary", 90), [0.6, 0.4])
tiny = cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1)
model = cg.GRUClassifier(tiny, max_epochs=4, patience=9, distillation=0.0)
print("begins", flush=True)
model.fit(train, validation=validation, verbose=False, checkpoint_path=sys.argv[1])
"""


@pytest.mark.lab
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_a_random_moment_it_resumes_to_the_same_weights(halves, whole, tmp_path, seed):
    """By the system, in a process of its own: no handler of ours runs."""
    file = tmp_path / "checkpoint.safetensors"
    process = subprocess.Popen([sys.executable, "-c", TRAINS, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    try:
        process.wait(float(np.random.default_rng(seed).uniform(0.05, 1.5)))
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resume = file if file.exists() else None
    again = cg.GRUClassifier(**TINY).fit(halves[0], validation=halves[1], verbose=False, resume_from=resume)
    assert digest(again) == digest(whole)

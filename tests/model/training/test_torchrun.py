"""`torchrun -m clinicalgru train`: both processes learn, the first one writes and speaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clinicalgru as cg

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    folder, cohort = tmp_path_factory.mktemp("extract"), cg.simulate(120, random_state=5)
    cohort.measurements.to_parquet(folder / "m.parquet")
    cohort.stays.to_parquet(folder / "s.parquet")
    cohort.outcomes.to_parquet(folder / "o.parquet")
    return folder


def torchrun(*command: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*start, *command], capture_output=True, text=True, timeout=240, check=False)


def test_two_processes_train_and_one_writes(extract, tmp_path):
    tables = ["--stays", str(extract / "s.parquet"), "--outcomes", str(extract / "o.parquet")]
    script = str(Path(__file__).parent / "trains_together.py")
    done = torchrun(script, "train", str(extract / "m.parquet"), *tables, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("evaluated") == 1
    assert done.stdout.count("bundle  ") == 1
    assert done.stderr.count("epoch 1/") == 1
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["bundle"]
    assert isinstance(cg.load(tmp_path / "out" / "bundle"), cg.GRUClassifier)


def test_bad_input_is_one_message(tmp_path):
    (tmp_path / "some.csv").write_text("stay_id,time,variable,value\n")
    done = torchrun("-m", "clinicalgru", "train", str(tmp_path / "some.csv"), "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert done.stderr.count("Expected --outcomes") == 1

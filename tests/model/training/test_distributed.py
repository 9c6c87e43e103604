"""Two processes under torchrun learn what one learns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model.training.fits_together import KINDS, STOPS, fitted
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


def run_two(script: str, out: Path) -> str:
    """What two processes of a script write to standard error."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(Path(__file__).parent / script), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def same(together, alone, *, name):
    assert together.keys() == alone.keys()
    for key, tensor in alone.items():
        torch.testing.assert_close(together[key], tensor, atol=1e-5, rtol=0, msg=f"{name}, {key}")


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of two processes that fitted together, and what they said."""
    out = tmp_path_factory.mktemp("together")
    return out, run_two("fits_together.py", out)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_of_two_processes_is_the_fit_of_one(together, kind):
    alone = fitted(kind)
    for rank in range(2):
        same(load_file(together[0] / f"{kind}-{rank}"), alone.network_.state_dict(), name=rank)
        losses = json.loads((together[0] / f"{kind}-{rank}.json").read_text())
        assert len(losses) == len(alone.history_)
        for logged, whole in zip(losses, alone.history_, strict=True):
            assert logged == pytest.approx(whole, abs=1e-5)


def test_processes_stop_in_the_same_epoch(together):
    losses = [json.loads((together[0] / f"stops-{rank}.json").read_text()) for rank in range(2)]
    assert losses[0] == losses[1]
    assert len(losses[0]) < STOPS["max_epochs"]


def test_only_the_first_process_writes_and_shows(together):
    out, said = together
    assert said.count("epoch 1/") == len(KINDS)
    assert all((out / f"{kind}-0.checkpoint").exists() for kind in KINDS)
    assert not any((out / f"{kind}-1.checkpoint").exists() for kind in KINDS)

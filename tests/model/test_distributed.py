"""Two processes under torchrun learn what one learns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model.learns_together import learned
from safetensors.torch import load_file


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one_with_the_whole_batch(tmp_path):
    script, out = Path(__file__).parent / "learns_together.py", tmp_path / "weights"
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(out),
    ]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = learned().state_dict()
    for rank in range(2):
        together = load_file(f"{out}-{rank}")
        assert together.keys() == alone.keys()
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name], tensor, atol=1e-5, rtol=0, msg=name)

"""Random SIGKILLs of a training with checkpoints; each is resumed, killed again or ends, and the weights are compared.

    nice python benchmarks/training_kills.py --kills 300 [--seed 0]

A network of 4 units, 54 synthetic stays, 10 epochs of one checkpoint each. The training is a forked process, ended by
SIGKILL once it has used a processor time drawn uniformly up to 0.6 of that of an uninterrupted one, so that kills
fall into epochs as well as into writes of a checkpoint. It is resumed from what the disk holds. Needs fork and psutil.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

import clinicalgru as cg
from clinicalgru.estimator_checks.example_stays import example_stays

TRAIN, VALIDATION = cg.split_patients(example_stays("binary", 90), [0.6, 0.4])


def train(folder: Path) -> None:
    """Train, from the checkpoint that is there, and write the digest of the weights."""
    file = folder / "checkpoint.safetensors"
    tiny = cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1)
    model = cg.GRUClassifier(tiny, max_epochs=10, patience=99, distillation=0.0)
    resume = file if file.exists() else None
    model.fit(TRAIN, validation=VALIDATION, verbose=False, checkpoint_path=file, resume_from=resume)
    tensors = model.network_.state_dict()
    content = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
    (folder / "digest").write_text(hashlib.sha256(content).hexdigest())


def child(folder: Path) -> int:
    """Process that trains."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            train(folder)
            code = 0
        finally:
            os._exit(code)
    return pid


def processor_time(pid: int) -> float:
    """Seconds of a process that runs or was not waited for."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, kills, runs, resumed = np.random.default_rng(arguments.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as root:
        whole, first = Path(root) / "whole", Path(root) / "first"
        whole.mkdir()
        first.mkdir()
        train(first)  # what is imported late is imported once
        _, status, used = os.wait4(child(whole), 0)
        assert status == 0
        expected, seconds = (whole / "digest").read_text(), used.ru_utime + used.ru_stime
        print(f"{seconds:.1f} s of processor time uninterrupted", flush=True)
        while kills < arguments.kills:
            place = Path(root) / f"{runs}"
            place.mkdir()
            while not (place / "digest").exists():
                resumed += (place / "checkpoint.safetensors").exists()
                pid, until = child(place), rng.uniform(0, 0.6) * seconds
                while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and processor_time(pid) < until:
                    time.sleep(0.004)
                if ended[0] == 0:
                    os.kill(pid, signal.SIGKILL)
                    ended = os.waitpid(pid, 0)
                code = os.waitstatus_to_exitcode(ended[1])
                assert code in (0, -signal.SIGKILL), f"ended with {code}"
                kills += code != 0
            assert (place / "digest").read_text() == expected, "other weights"
            assert not [file for file in place.iterdir() if file.name not in ("digest", "checkpoint.safetensors")]
            runs += 1
            if runs % 10 == 0:
                print(f"{kills} kills, {resumed} resumed from a checkpoint, {runs} trainings, same weights", flush=True)
    print(f"{kills} kills, {resumed} resumed from a checkpoint, {runs} trainings, one digest of the weights")


if __name__ == "__main__":
    main()

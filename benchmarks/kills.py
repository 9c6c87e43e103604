"""Random SIGKILLs of a scoring run and of its workers; each run is resumed, and the bytes are compared in the end.

    nice python benchmarks/kills.py --kills 300 [--spawn 20] [--seed 0]

A cohort of 80 synthetic stays in 14 shards, two workers, output by partition. Each run is ended by SIGKILL of its
parent or of one of its workers at a time drawn uniformly over the duration of an uninterrupted run, then resumed, until
it ends. After each kill what readers can see is compared with the uninterrupted output; in the end all of it is, hidden
files included. Workers are forked, but for those of --spawn runs, which start as in production. Needs fork and psutil.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import clinicalgru as cg
from clinicalgru.serve import score as scoring
from clinicalgru.serve import score_run, shards

AS_OF = "2150-01-01"


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def child(work: Callable[[], object]) -> int:
    """Process that does the work."""
    pid = os.fork()
    if pid == 0:
        code = 4
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work()
            code = 0
        except cg.ClinicalGRUError:
            code = 3
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_one(pid: int, rng: np.random.Generator) -> str:
    """Kill the run, or one of its workers; say which."""
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = [process for process in psutil.Process(pid).children(recursive=True) if process.status() != "zombie"]
        parent = not workers or rng.random() < 0.5
        os.kill(pid if parent else workers[int(rng.integers(len(workers)))].pid, signal.SIGKILL)
        return "parent" if parent else "worker"
    return "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--spawn", type=int, default=20, help="kills of runs whose workers start as in production")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, killed, runs = np.random.default_rng(arguments.seed), Counter[str](), 0
    scoring.SHARD_STAYS, score_run.now = 6, lambda: "2031-01-01T00:00:00.000000+00:00"
    model = cg.SummaryBaseline("logistic regression").fit(
        cg.select(cg.read_events(cg.simulate(100)), cg.Task.load("in_hospital_mortality"))
    )
    tonight = cg.read_events(cg.simulate(80, random_state=8))
    in_production = shards.START_METHOD
    with tempfile.TemporaryDirectory() as folder:

        def run(place: Path) -> None:
            cg.score(model, tonight, as_of=AS_OF, out=place / "scores", n_workers=2, resume=True)

        while killed.total() < arguments.kills:
            spawn = killed.total() < arguments.spawn
            how = shards.START_METHOD = in_production if spawn else "fork"
            if runs == 0 or (not spawn and arguments.spawn <= killed.total() and "fork" not in killed):
                began = time.monotonic()
                whole = Path(folder) / f"whole-{how}"
                assert ended(child(lambda whole=whole: run(whole))) == 0
                expected, seconds = files(whole), time.monotonic() - began
                killed["fork"] += 0
            place = Path(folder) / f"{runs}"
            while True:
                pid = child(lambda place=place: run(place))
                time.sleep(rng.uniform(0.05, 1.1) * seconds)
                which = kill_one(pid, rng)
                code = ended(pid)
                killed[which] += code != 0
                visible = {name: data for name, data in files(place).items() if "/." not in name}
                assert all(data == expected[name] for name, data in visible.items()), "a reader saw something else"
                if code == 0:
                    break
            assert files(place) == expected, "other bytes, or files left behind"
            runs += 1
            if runs % 10 == 0:
                print(f"{dict(killed)} in {runs} runs", flush=True)
    print(f"{killed.total()} kills ({killed['parent']} of the parent, {killed['worker']} of a worker), {runs} runs")


if __name__ == "__main__":
    main()

"""Training and scoring from disk against from memory: the same stays, interleaved, as ratios of time.

    python benchmarks/spool.py [--stays 2000] [--repeat 5] [--rounds 3]

A synthetic cohort, each stay `repeat` times; one copy in memory, one saved and opened (memory-mapped). Both must give
the same bits. A ratio of 1 is the speed of memory, 0.9 a tenth slower. Seconds of CPU are given next to seconds, for
machines on which others work too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from clinicalgru import GRUClassifier, Sequences, read_events, select, simulate
from clinicalgru.data.task.task import Task
from clinicalgru.serve.score_rows import score_sequences


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """What it gives, seconds, and seconds of CPU."""
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - busy


def mapped_megabytes() -> int:
    """Pages of files that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) // 1024


def compare(name: str, jobs: dict[str, Callable[[], object]], rounds: int) -> None:
    """Both jobs in turn, the order changing; medians and their ratio."""
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in jobs}
    for number in range(rounds):
        results = {}
        for way in list(jobs)[:: 1 if number % 2 else -1]:
            results[way], *spent = timed(jobs[way])
            seconds[way].append((spent[0], spent[1]))
        first, second = (np.asarray(result) for result in results.values())
        np.testing.assert_array_equal(first, second)
    memory, disk = (np.median(seconds[way], axis=0) for way in ("memory", "disk"))
    ratios = f"{memory[0] / disk[0]:>8.2f}{memory[1] / disk[1]:>8.2f}"
    print(f"{name:<10}{memory[0]:>10.2f}{disk[0]:>10.2f}{memory[1]:>10.2f}{disk[1]:>10.2f}{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stays", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    once = select(read_events(simulate(arguments.stays, random_state=0)), Task.load("in_hospital_mortality"))
    memory = once[np.tile(np.arange(len(once)), arguments.repeat)]
    with tempfile.TemporaryDirectory() as folder:
        stays = {"memory": memory, "disk": Sequences.open(memory.save(Path(folder) / "cohort"))}
        size = sum(file.stat().st_size for file in (Path(folder) / "cohort").iterdir()) / 2**20
        print(f"{memory}, {size:,.0f} MiB on disk, load average {os.getloadavg()[0]:.1f}")
        print(f"{'':<10}{'memory s':>10}{'disk s':>10}{'CPU s':>10}{'CPU s':>10}{'ratio':>8}{'CPU':>8}")
        model = GRUClassifier(max_epochs=1, random_state=0)

        def epoch(way: str) -> np.ndarray:
            fitted = GRUClassifier(max_epochs=1, random_state=0).fit(
                stays[way], validation=once_tune(once), verbose=False
            )
            return np.concatenate([tensor.numpy().ravel() for tensor in fitted.network_.state_dict().values()])

        model.fit(once, validation=once_tune(once), verbose=False)
        compare("epoch", {way: partial(epoch, way) for way in stays}, arguments.rounds)
        compare("scoring", {way: partial(scores, model, stays[way]) for way in stays}, arguments.rounds)
        print(f"mapped pages held at the end: {mapped_megabytes()} MiB, libraries included")


def scores(model: GRUClassifier, stays: Sequences) -> np.ndarray:
    """(stay,) risk."""
    return score_sequences(model, stays)["risk"].to_numpy()


def once_tune(once: Sequences) -> Sequences:
    """A few stays to stop by, under names of their own."""
    from dataclasses import replace

    some = once[: min(200, len(once))]
    return replace(some, patient=np.array([f"tune {name}" for name in some.patient], dtype=object))


if __name__ == "__main__":
    main()

"""Scoring from Parquet to written scores: speed next to other libraries, memory, and one very long stay.

    python benchmarks/scoring.py [--stays 10000 100000] [--rounds 3] [--parts prediction whole workers memory long_stay]
                                 [--pypots-stays 1000]

Synthetic stays of 48 hours (24 variables, 51 time steps and 240 rows a stay), one bundle of a default network.

prediction  a model against the forward pass of a padded `nn.GRU` of the same hidden size, whose tensors (values and
            masks at the same time steps, batches of 256 stays of similar length) are in memory; and against GRU-D of
            PyPOTS, left out where it is not installed
whole       read, check, predict and write, each in a process of its own, against a read of the same file by polars
            plus that forward pass; polars is left out where it is not installed
workers     two worker processes against one, which reads on all cores too, and against one that has a single core;
            with seconds of processor of all processes (the libraries of the first are not counted), and its own memory
memory      largest resident size of the process for a sixteenth of the stays and for all of them
long_stay   one stay of 10^6 rows

Ratios are of one run: both ways in turn, medians over rounds. Seconds of processor are given next to seconds, for
machines on which others work too. Memory includes the interpreter and its libraries.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pypots_grud
import torch
from torch import Tensor, nn

import clinicalgru as cg

AS_OF, BLOCK, BATCH, HIDDEN, LONG_ROWS = "2030-01-01", 5_000, 256, 64, 10**6
Padded = tuple[Tensor, Tensor]  # (stay, step, 2 x variable) values and masks; (stay,) last step


def write_extract(folder: Path, n_stays: int) -> Path:
    """Measurements and stays of so many synthetic stays: 5,000 different ones, which return as other patients."""
    folder.mkdir()
    cohort = cg.simulate(min(BLOCK, n_stays), random_state=1)
    starts = range(0, n_stays, BLOCK)
    for name in ("measurements", "stays"):
        rows = getattr(cohort, name)
        schema = pa.Schema.from_pandas(rows, preserve_index=False)
        with pq.ParquetWriter(folder / f"{name}.parquet", schema) as writer:
            for number, begin in enumerate(starts):
                kept = set(cohort.stays["stay_id"][: n_stays - begin])
                part = rows[rows["stay_id"].isin(kept)]
                named = {key: f"{number}-" + part[key].astype(str) for key in ("patient_id", "stay_id")}
                writer.write_table(pa.Table.from_pandas(part.assign(**named), schema=schema, preserve_index=False))
    return folder


def write_long_stay(folder: Path, rows: int) -> Path:
    """One stay with so many rows over 48 hours; other columns as those of a synthetic stay."""
    folder.mkdir()
    cohort = cg.simulate(20, random_state=1)
    stay = cohort.stays.head(1)
    numbers = cohort.measurements.dropna(subset=["value", "unit"]).query("variable != 'weight'")
    names = numbers.drop_duplicates("variable")
    chosen = names.iloc[np.arange(rows) % len(names)].reset_index(drop=True)
    times = stay["start"].iloc[0] + pd.to_timedelta(np.linspace(0, 47.9 * 3600, rows).round(3), unit="s")
    identity = {name: stay[name].iloc[0] for name in ("patient_id", "stay_id")}
    chosen.assign(**identity, time=times, available_at=times).to_parquet(folder / "measurements.parquet", index=False)
    stay.to_parquet(folder / "stays.parquet", index=False)
    return folder


def write_bundle(folder: Path) -> Path:
    """A default network, of few epochs: its speed does not depend on what it learned."""
    stays = cg.select(cg.read_events(cg.simulate(800, random_state=0)), cg.Task.load("in_hospital_mortality"))
    train, calibration = cg.split_patients(stays, [0.6, 0.4], random_state=0)
    model = cg.GRUClassifier(cg.NetworkConfig(hidden_size=HIDDEN), max_epochs=2, random_state=0)
    return Path(cg.save(model.fit(train, verbose=False).calibrate(calibration), folder))


class Bare(nn.Module):
    """Values and masks through nn.GRU; the last state through a line."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(inputs, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 1)

    def forward(self, padded: Tensor, last: Tensor) -> Tensor:
        states = self.gru(padded)[0]
        return torch.sigmoid(self.last(states[torch.arange(len(last)), last])).squeeze(1)


def padded_batches(stays: cg.Sequences) -> list[Padded]:
    """Tensors of all stays, in batches of stays of similar length."""
    order = np.argsort(-stays.n_steps, kind="stable")
    return [padded(stays[index]) for index in np.array_split(order, max(1, len(stays) // BATCH))]


def padded(stays: cg.Sequences) -> Padded:
    """Values divided by 100, 0 where nothing was measured, and masks, at the time steps of the stays."""
    begins = np.cumsum(stays.n_steps) - stays.n_steps
    step = np.cumsum(stays.is_new_step) - 1 - begins[stays.stay_of_measurement]
    values = np.zeros((len(stays), stays.n_steps.max(), 2 * len(stays.variables)), dtype=np.float32)
    values[stays.stay_of_measurement, step, stays.variable] = stays.value / 100
    values[stays.stay_of_measurement, step, stays.variable + len(stays.variables)] = 1
    return torch.from_numpy(values), torch.from_numpy(stays.n_steps - 1)


@torch.inference_mode()
def forward(bare: Bare, batches: list[Padded]) -> Tensor:
    """The risk of all stays."""
    return torch.cat([bare(*batch) for batch in batches])


def in_turn(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds, and seconds of processor, of each job: medians over rounds."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name in list(jobs)[:: 1 if number % 2 else -1]:
            began, busy = time.perf_counter(), time.process_time()
            jobs[name]()
            spent[name].append((time.perf_counter() - began, time.process_time() - busy))
    return {name: np.median(times, axis=0) for name, times in spent.items()}


def read(folder: Path) -> cg.Sequences:
    """Stays of an extract."""
    events = cg.read_events(folder / "measurements.parquet", stays=folder / "stays.parquet")
    return cg.select(events, cg.Task.load("in_hospital_mortality"), include_ineligible=True)


def show(name: str, *columns: str) -> None:
    """One line of the table, with the load."""
    print(f"{name:<58}" + "".join(f"{column:>14}" for column in columns) + f"{os.getloadavg()[0]:>8.1f}", flush=True)


def prediction(folder: Path, bundle: Path, rounds: int, pypots_stays: int) -> None:
    """Prediction alone, from stays and tensors in memory."""
    model: Any = cg.load(bundle)
    stays = read(folder)[:10_000].with_variables(model.variables_).with_static_variables(model.static_variables_)
    stays = stays[model.has_observations(stays)]
    batches = padded_batches(stays)
    bare = Bare(batches[0][0].shape[2]).eval()
    jobs: dict[str, Callable[[], Any]] = {"ours": lambda: model.predict_proba(stays)}
    jobs["padded nn.GRU"] = lambda: forward(bare, batches)
    seconds = in_turn(jobs, rounds)
    for name, (wall, cpu) in seconds.items():
        show(
            f"prediction, {len(stays):,} stays: {name}", f"{wall:.2f} s", f"{cpu:.2f} s", f"{len(stays) / wall:,.0f}/s"
        )
    ratio = seconds["padded nn.GRU"] / seconds["ours"]
    show("  our rate, relative to padded nn.GRU (aim .5)", f"{ratio[0]:.2f}", f"{ratio[1]:.2f}")
    if not pypots_grud.available():
        print("PyPOTS cannot be imported here: left out")
        return
    some = stays[:pypots_stays]
    grud, scale = pypots_grud.fitted(replace(some, outcome=np.arange(len(some)) % 2.0), epochs=pypots_grud.PATIENCE)
    grid = {"X": scale(some)}

    def by_grud() -> None:
        with pypots_grud.quiet():
            grud.predict_proba(grid)

    seconds = in_turn({"ours": lambda: model.predict_proba(some), "PyPOTS GRU-D": by_grud}, rounds)
    for name, (wall, cpu) in seconds.items():
        show(f"prediction, {len(some):,} stays: {name}", f"{wall:.2f} s", f"{cpu:.2f} s", f"{len(some) / wall:,.0f}/s")
    ratio = seconds["PyPOTS GRU-D"] / seconds["ours"]
    show("  our rate, relative to PyPOTS GRU-D (aim 5)", f"{ratio[0]:.2f}", f"{ratio[1]:.2f}")


def score(folder: Path, bundle: Path, n_workers: int) -> None:
    """The whole: read, check, predict, write."""
    with tempfile.TemporaryDirectory() as out:
        paths = {"stays": folder / "stays.parquet", "out": Path(out) / "scores.parquet"}
        cg.score(bundle, folder / "measurements.parquet", as_of=AS_OF, n_workers=n_workers, **paths)
        forkserver._forkserver._stop()  # so that its processor time is counted, and that of the workers


def score_on_one_core(folder: Path, bundle: Path, n_workers: int) -> None:
    """The whole, on the first of the cores that this process may use."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    score(folder, bundle, n_workers)


def by_polars(folder: Path, *_: Any) -> None:
    """A bare read of the same file."""
    import polars

    polars.read_parquet(folder / "measurements.parquet")


def bare_forward(folder: Path, *_: Any) -> tuple[float, float]:
    """Seconds, and seconds of processor, of the forward pass alone: reading and padding are not counted."""
    batches = padded_batches(read(folder))
    bare = Bare(batches[0][0].shape[2]).eval()
    began, busy = time.perf_counter(), time.process_time()
    forward(bare, batches)
    return time.perf_counter() - began, time.process_time() - busy


WAYS: dict[str, Callable[..., Any]] = {
    "score": score,
    "one core": score_on_one_core,
    "polars": by_polars,
    "forward": bare_forward,
}


def processor_seconds() -> float:
    """Seconds of processor of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def work(way: str, arguments: tuple[Any, ...], answer: Any) -> None:
    """Do a job in this process; answer with seconds, seconds of processor, and the largest resident size in MiB."""
    torch.set_num_threads(1)
    began, busy = time.perf_counter(), processor_seconds()
    spent = WAYS[way](*arguments) or (time.perf_counter() - began, processor_seconds() - busy)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    answer.put((*spent, peak))


def in_own_process(way: str, *arguments: Any) -> np.ndarray:
    """Seconds, seconds of processor and peak MiB of a job."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=work, args=(way, arguments, answer))
    process.start()
    while process.is_alive() and answer.empty():
        time.sleep(0.05)
    if answer.empty():
        raise SystemExit(f"{way} ended with {process.exitcode}")
    result = np.array(answer.get())
    process.join()
    return result


def whole(folder: Path, bundle: Path, rounds: int, name: str) -> None:
    """Read, check, predict and write, against a bare read and a bare forward pass."""
    ways = ["score", "forward", *(["polars"] if importlib.util.find_spec("polars") else [])]
    spent: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            spent[way].append(in_own_process(way, folder, bundle, 1))
    median = {way: np.median(results, axis=0) for way, results in spent.items()}
    for way, (wall, cpu, peak) in median.items():
        show(f"whole, {name}: {way}", f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak:,.0f} MiB")
    if "polars" not in ways:
        print("polars cannot be imported here: left out")
        return
    ratio = median["score"] / (median["polars"] + median["forward"])
    show("  time, relative to polars + nn.GRU (aim 2.5 at most)", f"{ratio[0]:.2f}", f"{ratio[1]:.2f}")


def workers(folder: Path, bundle: Path, rounds: int, name: str) -> None:
    """Two workers against one, and against one on a single core."""
    ways = {"one on one core": ("one core", 1), "one": ("score", 1), "two": ("score", 2)}
    spent: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (job, n_workers) in ways.items():
            spent[way].append(in_own_process(job, folder, bundle, n_workers))
    median = {way: np.median(results, axis=0) for way, results in spent.items()}
    for way, (wall, cpu, peak) in median.items():
        ratio = wall / median["two"][0]
        show(f"workers, {name}: {way}", f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak:,.0f} MiB")
        if way != "two":
            show(f"  its time, relative to two{' (aim 1.8)' if way == 'one' else ''}", f"{ratio:.2f}")


def memory(few: Path, many: Path, bundle: Path, name: str) -> None:
    """Peak for a sixteenth of the stays and for all."""
    peaks = []
    for part, folder in (("1/16 of them", few), ("all", many)):
        wall, cpu, peak = in_own_process("score", folder, bundle, 1)
        show(f"memory, {name}: {part}", f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak:,.0f} MiB")
        peaks.append(peak)
    show("  memory of all, relative to 1/16 of them (aim 1.05)", "", "", f"{peaks[1] / peaks[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stays", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    names = ("prediction", "whole", "workers", "memory", "long_stay")
    parser.add_argument("--parts", nargs="+", default=names, choices=names)
    parser.add_argument("--long-rows", type=int, default=LONG_ROWS)
    parser.add_argument("--pypots-stays", type=int, default=1_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        bundle = write_bundle(Path(place) / "bundle")
        print(f"{'':<58}{'time':>14}{'processor':>14}{'':>14}{'load':>8}")
        for n_stays in options.stays:
            folder, name = write_extract(Path(place) / f"{n_stays}", n_stays), f"{n_stays:,} stays"
            if "prediction" in options.parts and n_stays == options.stays[0]:
                prediction(folder, bundle, options.rounds, options.pypots_stays)
            if "whole" in options.parts:
                whole(folder, bundle, options.rounds, name)
            if "workers" in options.parts:
                workers(folder, bundle, options.rounds, name)
            if "memory" in options.parts:
                few = write_extract(Path(place) / f"{n_stays}-few", max(1, n_stays // 16))
                memory(few, folder, bundle, name)
        if "long_stay" in options.parts:
            long_stay = write_long_stay(Path(place) / "long", options.long_rows)
            wall, cpu, peak = in_own_process("score", long_stay, bundle, 1)
            show(f"one stay of {options.long_rows:,} rows", f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak:,.0f} MiB")


if __name__ == "__main__":
    main()

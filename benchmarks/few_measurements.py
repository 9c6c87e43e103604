"""Calibration by the number of measurements and by hour, PhysioNet 2012: observed over expected deaths.

    python benchmarks/few_measurements.py --data physionet2012 [--draws 15] [--calibration 400] [--epochs 10] [--set-b]

Inside set a: a small network learns from one half of the patients (a fifth of them stops it), and the other way round.
Of the half that it has not seen, so many stays are drawn that calibrate it; the others are scored: as they are, by
fifths of measurements, with all but 50, 20, 5 and 1 random measurements removed, and as of several hours. Shown are
the geometric mean and the standard deviation over all draws of both halves.

--set-b: the first network, calibrated on all of the half that it has not seen, on set b, with intervals of the Poisson
count of deaths. Nothing is chosen by it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chi2

import clinicalgru as cg
from clinicalgru.model.training.folds import patient_folds

KEPT, HOURS = (50, 20, 5, 1), (1.0, 3.0, 6.0, 12.0, 24.0)


def row(name: str, outcome: np.ndarray, risk: np.ndarray) -> str:
    """Stays, outcomes, mean risk, and observed over expected with an interval."""
    deaths, expected = outcome.sum(), risk.sum()
    low, high = chi2.ppf(0.025, 2 * deaths) / 2, chi2.ppf(0.975, 2 * deaths + 2) / 2
    ratios = " ".join(f"{number / expected:.2f}" for number in (deaths, low, high))
    return f"{name:<28}{len(risk):>6}{outcome.mean():>8.3f}{risk.mean():>8.3f}   {ratios}"


def thinned(stays: cg.Sequences, kept: int, rng: np.random.Generator) -> cg.Sequences:
    """Stays with so many measurements at most, drawn at random."""
    order = np.lexsort((rng.random(len(stays.value)), stays.stay_of_measurement))
    rank = np.empty(len(order), dtype=int)
    first = np.repeat(np.cumsum(stays.n_measurements) - stays.n_measurements, stays.n_measurements)
    rank[order] = np.arange(len(order)) - first
    return stays.filter_measurements(rank < kept)


def versions(stays: cg.Sequences, rng: np.random.Generator) -> Iterator[tuple[str, cg.Sequences]]:
    """The stays as they are, thinned, and as of several hours."""
    yield "all measurements", stays
    for kept in KEPT:
        yield f"thinned to {kept}", thinned(stays, kept, rng)
    for hours in HOURS:
        yield f"hour {hours:g}", stays.truncate_at(hours)


def read(folder: Path, name: str) -> tuple[cg.Events, cg.Sequences]:
    """Set a or b, and its stays."""
    outcomes = folder / f"Outcomes-{name}.txt"
    events = cg.read_events(folder / f"set-{name}.tar.gz", source="physionet2012", outcomes=outcomes)
    return events, cg.select(events, cg.Task.load("in_hospital_mortality"))


def trained(events: cg.Events, stays: cg.Sequences, epochs: int) -> cg.GRUClassifier:
    """A small network, without calibration."""
    train, validation = cg.split_patients(stays, [0.8, 0.2], random_state=0)
    network = cg.NetworkConfig(hidden_size=32, ensemble_size=2)
    model = cg.GRUClassifier(network=network, max_epochs=epochs, random_state=0)
    return model.fit(train, validation=validation, auxiliary=events.auxiliary_targets(stays.task), verbose=False)


def raw_risk(model: cg.GRUClassifier, stays: cg.Sequences) -> np.ndarray:
    """(stay,) risk before calibration; NaN where nothing is measured."""
    risk, seen = np.full(len(stays), np.nan), model.has_observations(stays)
    risk[seen] = model._predicted(stays[seen]).numpy()
    return risk


def ratios(
    model: cg.GRUClassifier, held: cg.Sequences, *, n_calibration: int, draws: int, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """Observed over expected of each draw, by name."""
    raw = {name: (raw_risk(model, part), part.end_hours) for name, part in versions(held, rng)}
    for _ in range(draws):
        order = rng.permutation(len(held))
        chosen, others = np.sort(order[:n_calibration]), order[n_calibration:]
        model.calibrate(held[chosen])
        risks = {name: model._calibrated(risk[others], hours[others]) for name, (risk, hours) in raw.items()}
        for name, risk in risks.items():
            known = ~np.isnan(risk)
            yield name, held.outcome[others][known].sum() / risk[known].sum()
        by_number = np.array_split(np.argsort(held.n_measurements[others], kind="stable"), 5)
        for number, part in enumerate(by_number, 1):
            yield (
                f"fifth {number} by measurements",
                held.outcome[others][part].sum() / risks["all measurements"][part].sum(),
            )


def on_set_b(model: cg.GRUClassifier, calibration: cg.Sequences, stays: cg.Sequences) -> None:
    """One line for each version of the stays of set b."""
    model.calibrate(calibration)
    stays = stays[model.has_observations(stays)]
    for name, part in versions(stays, np.random.default_rng(0)):
        part = part[model.has_observations(part)]
        risk = model.predict_proba(part)[:, 1]
        print(row(name, part.outcome, risk), flush=True)
        if name == "all measurements":
            for number, fifth in enumerate(np.array_split(np.argsort(part.n_measurements, kind="stable"), 5), 1):
                print(row(f"fifth {number} by measurements", part.outcome[fifth], risk[fifth]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--draws", type=int, default=15)
    parser.add_argument("--calibration", type=int, default=400, help="stays that calibrate")
    parser.add_argument("--set-b", action="store_true", help="evaluate the first network on set b, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    events, stays = read(options.data, "a")
    fold = patient_folds(stays.patient, stays.outcome, n_folds=2, random_state=0)
    models = [trained(events, stays[fold == number], options.epochs) for number in (0, 1)]
    found: dict[str, list[float]] = {}
    for number, model in enumerate(models):
        sizes = {"n_calibration": options.calibration, "draws": options.draws}
        for name, ratio in ratios(model, stays[fold != number], **sizes, rng=np.random.default_rng(number)):
            found.setdefault(name, []).append(np.log(ratio))
    print(f"{'':<28}{'O:E':>6}{'SD':>6}")
    for name, logs in found.items():
        print(f"{name:<28}{np.exp(np.mean(logs)):>6.2f}{np.std(logs):>6.2f}")
    if options.set_b:
        print(f"{'set b':<28}{'stays':>6}{'died':>8}{'risk':>8}   O:E (95 %)", flush=True)
        on_set_b(models[0], stays[fold != 0], read(options.data, "b")[1])


if __name__ == "__main__":
    main()

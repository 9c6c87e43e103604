"""Calibration by the number of measurements, inside PhysioNet 2012 set a: observed over expected deaths.

    python benchmarks/few_measurements.py --data physionet2012 [--epochs 10] [--bundle trained-before]

One half of the patients trains, stops and calibrates (60, 20, 20 %); the other half is scored as it is, by fifths of
measurements, and with all but 50, 20, 5 and 1 random measurements removed. Intervals are of the Poisson count of
deaths. Set b is not touched.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chi2

import clinicalgru as cg
from clinicalgru.model.training.folds import patient_folds

KEPT = (50, 20, 5, 1)


def row(name: str, outcome: np.ndarray, risk: np.ndarray) -> str:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--bundle", type=Path, help="of this script's training, instead of training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    fold = patient_folds(stays.patient, stays.outcome, n_folds=2, random_state=0)
    development, test = stays[fold != 0], stays[fold == 0]
    if arguments.bundle is not None:
        model = cg.load(arguments.bundle)
    else:
        train, validation, calibration = cg.split_patients(development, [0.6, 0.2, 0.2], random_state=0)
        network = cg.NetworkConfig(hidden_size=32, ensemble_size=2)
        model = cg.GRUClassifier(network=network, max_epochs=arguments.epochs, random_state=0)
        model.fit(train, validation=validation, auxiliary=events.auxiliary_targets(stays.task), verbose=False)
        model.calibrate(calibration)
    print(f"{'':<28}{'stays':>6}{'died':>8}{'risk':>8}   O:E (95 %)", flush=True)
    risk, rng = model.predict_proba(test)[:, 1], np.random.default_rng(0)
    print(row("all measurements", test.outcome, risk))
    for number, part in enumerate(np.array_split(np.argsort(test.n_measurements, kind="stable"), 5)):
        counts = test.n_measurements[part]
        print(row(f"fifth {number + 1}: {counts.min()} to {counts.max()}", test.outcome[part], risk[part]), flush=True)
    for kept in KEPT:
        risk = model.predict_proba(thinned(test, kept, rng))[:, 1]
        print(row(f"thinned to {kept}", test.outcome, risk), flush=True)
        risks = np.array_split(np.sort(risk), 5)
        order = np.array_split(np.argsort(risk), 5)
        ratios = " ".join(
            f"{test.outcome[part].sum() / value.sum():.2f}" for part, value in zip(order, risks, strict=True)
        )
        print(f"{'':<28}O:E by fifths of risk {ratios}", flush=True)


if __name__ == "__main__":
    main()

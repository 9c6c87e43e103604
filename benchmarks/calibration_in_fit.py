"""Calibration of `GRUClassifier.fit` by itself, over the hours: as it is, and without its calibration.

    python benchmarks/calibration_in_fit.py --data physionet2012 [--sizes 300 2000] [--draws 5]

PhysioNet/CinC Challenge 2012, set a. Each draw trains on so many stays and evaluates on 1,500 others, as known at eight
hours. Figures are means over hours and draws of the distance of the calibration slope from 1 and of observed over
expected events from 1, both as the absolute value of the natural logarithm, and of the log loss.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import log_loss

import clinicalgru as cg
from clinicalgru.evaluate.metrics import calibration_slope, observed_expected

HOURS, N_TEST, SMALLEST = (1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 36.0, 48.0), 1500, 0.05


def distances(model: cg.GRUClassifier, stays: cg.Sequences) -> np.ndarray:
    """(3,) Distance of the slope, of observed : expected, and log loss, in the mean over the hours."""
    rows = []
    for hours in HOURS:
        cut = stays.truncate_at(np.minimum(hours, stays.end_hours))
        known = np.flatnonzero(model.has_observations(cut))
        pair = stays.outcome[known].astype(float), model.predict_proba(cut[known])[:, 1]
        slope, ratio = (metric(*pair, np.ones((1, len(known))))[0] for metric in (calibration_slope, observed_expected))
        rows.append((abs(np.log(max(slope, SMALLEST))), abs(np.log(ratio)), log_loss(*pair)))
    return np.mean(rows, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    print(f"{'stays':>6}  {'calibration':<12}{'slope':>8}{'O:E':>8}{'log loss':>10}")
    for size in arguments.sizes:
        found: dict[str, list[np.ndarray]] = {"none": [], "in fit": []}
        for draw in range(arguments.draws):
            order = np.random.default_rng([size, draw, 7]).permutation(len(stays))
            test = stays[np.sort(order[-N_TEST:])]
            model = cg.GRUClassifier(random_state=draw).fit(stays[np.sort(order[:size])], verbose=False)
            raw = copy.copy(model)
            raw.calibrator_ = None
            found["none"].append(distances(raw, test))
            found["in fit"].append(distances(model, test))
        for name, rows in found.items():
            slope, ratio, loss = np.mean(rows, axis=0)
            print(f"{size:>6}  {name:<12}{slope:>8.3f}{ratio:>8.3f}{loss:>10.4f}", flush=True)


if __name__ == "__main__":
    main()

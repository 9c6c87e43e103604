"""Coverage of prediction sets: simulated, and over many splits of PhysioNet 2012.

python benchmarks/prediction_sets.py [FOLDER], where FOLDER has set-a.tar.gz, set-b.tar.gz and their Outcomes files.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import clinicalgru as cg
from clinicalgru.evaluate.set_coverage import class_set_coverage, label_set_coverage, set_coverage
from clinicalgru.model.baselines.out_of_fold import calibrate_out_of_fold
from clinicalgru.model.prediction_sets import sets_of

REPEATS, CALIBRATION, TEST = 200, 1000, 5000
CLASSES, LABELS = ("0", "1", "2", "3"), ("a", "b", "c")
SPLITS = 30


def classes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Four classes, 45 to 10 % of the stays; probabilities of the rarest are too low by a third."""
    probability = rng.dirichlet([4.5, 2.5, 2, 1], n)
    outcome = (rng.random((n, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    wrong = probability * [1, 1, 1, 2 / 3]
    return outcome, wrong / wrong.sum(axis=1, keepdims=True)


def labels(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Three labels of 25, 15 and 10 %, correlated, the first with wrong risks, the second unknown in 30 %."""
    odds = rng.normal(0, 1, (n, 1)) + rng.normal([-1.2, -2.0, -2.5], 0.8, (n, 3))
    risk = 1 / (1 + np.exp(-odds))
    outcome = (rng.random((n, 3)) < risk).astype(float)
    outcome[rng.random(n) < 0.3, 1] = np.nan
    return outcome, risk ** [1.5, 1, 1]


def simulated() -> None:
    """Mean coverage, its standard error, and its spread over draws of the calibration patients."""
    rng, by_class, by_label = np.random.default_rng(0), [], []
    for seed in range(REPEATS):
        outcome, risk = classes(rng, CALIBRATION)
        sets = cg.ClassConformalSets.fit(outcome, risk, classes=CLASSES, random_state=seed)
        outcome, risk = classes(rng, TEST)
        by_class.append(_coverage(class_set_coverage(outcome, sets.predict(risk), classes=CLASSES, min_cell_size=0)))
        outcome, risk = labels(rng, CALIBRATION)
        own = cg.LabelConformalSets.fit(outcome, risk, names=LABELS, random_state=seed)
        outcome, risk = labels(rng, TEST)
        by_label.append(_coverage(label_set_coverage(outcome, own.predict(risk), names=LABELS, min_cell_size=0)))
    for table in (pd.DataFrame(by_class), pd.DataFrame(by_label)):
        spread = {"mean": table.mean(), "standard error": table.sem(), "standard deviation": table.std()}
        print(pd.DataFrame(spread).round(4).to_string(), "\n")


def physionet(folder: Path) -> None:
    """Split conformal in set a, held-out part and set b; and sets from out-of-fold risks of a model of all stays."""
    task = cg.Task.load("in_hospital_mortality")
    parts = []
    for name in "ab":
        options = {"source": "physionet2012", "outcomes": folder / f"Outcomes-{name}.txt"}
        stays = cg.select(cg.read_events(folder / f"set-{name}.tar.gz", **options), task)
        parts.append(stays[stays.n_measurements > 0])
    first, second = parts
    rows = []
    for seed in range(SPLITS):
        train, calibration, held = cg.split_patients(first, [0.45, 0.3, 0.25], random_state=seed)
        split = cg.SummaryBaseline("logistic regression").fit(train).calibrate(calibration)
        folds = calibrate_out_of_fold(cg.SummaryBaseline("logistic regression").fit(train), train, random_state=0)
        rows.append(
            {
                "split, rest of set a": _by_outcome(split, held),
                "split, set b": _by_outcome(split, second),
                "out of fold, rest of set a": _by_outcome(folds, held),
                "out of fold, set b": _by_outcome(folds, second),
            }
        )
    table = pd.DataFrame(rows)
    for name in table:
        found = pd.DataFrame(table[name].tolist())
        print(name, found.mean().round(4).to_dict(), "standard deviation", found.std().round(4).to_dict())


def _by_outcome(model: cg.SummaryBaseline, stays: cg.Sequences) -> pd.Series:
    sets = sets_of(model, stays, model.predict_proba(stays)[:, 1])
    return _coverage(set_coverage(stays.outcome, sets, {}, min_cell_size=0))


def _coverage(table: pd.DataFrame) -> pd.Series:
    return table.set_index("group")["coverage"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    simulated()
    if len(sys.argv) > 1:
        physionet(Path(sys.argv[1]))

"""Options of early warnings: cross-validation inside hospital A of PhysioNet 2019, one option changed at a time.

    python benchmarks/ablations_sepsis.py --data physionet2019 [--stays 4000] [--folds 2] [--epochs 8] [--only hazards]

Sepsis within the hours that the challenge rewards. Each row is fitted on the other folds, stopped by 15 % of their
patients, and evaluated on its held-out fold. The threshold of the utility is best on the evaluated stays, for all rows
alike. Differences from the default are paired: patients are drawn with replacement, the same ones for both.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

import clinicalgru as cg
from clinicalgru.evaluate.physionet2019 import best_threshold, normalised_utility
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.training.folds import patient_folds, step_positions

DEFAULT = "default"
ROWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        DEFAULT: {},
        "smoothed labels": {"label_smoothing": 0.2},
        "hazards": {"hazards": True},
        "hazards, priority": {"hazards": True, "alarm_priority": 0.1},
        "no teacher": {"distillation": 0.0},
        "no sequence": {"network__readout_inputs": "summaries"},
        "no summaries": {"network__readout_inputs": "sequence"},
        "separate readouts": {"network__readout_inputs": "separate"},
        "pattern dropout": {"network__pattern_dropout": 0.3},
        "rolling features": {"network__rolling_hours": (6.0, 12.0, 24.0)},
        "boosted trees": {"signatures": False},
        "trees, signatures": {"signatures": True},
        "trees, rolling": {"rolling_hours": (6.0, 12.0, 24.0)},
    }
)


def out_of_fold(stays: cg.Sequences, options: Mapping[str, Any], *, folds: int) -> np.ndarray:
    """(step,) risk, stay after stay, from the model that was not trained on the stay."""
    fold = patient_folds(stays.patient, np.isfinite(stays.outcome).astype(float), n_folds=folds, random_state=0)
    risk = np.empty(int(stays.n_steps.sum()))
    for number in range(folds):
        held = np.flatnonzero(fold == number)
        model = _fitted(stays[fold != number], options)
        risk[step_positions(stays.n_steps, held)] = model.predict_proba(stays[held])[:, 1]
    return risk


def _fitted(stays: cg.Sequences, options: Mapping[str, Any]) -> Any:
    trees = {name: value for name, value in options.items() if name in ("signatures", "rolling_hours")}
    if trees:
        return EarlyWarningTrees(**trees).fit(stays)
    return cg.GRUEarlyWarning().set_params(**options).fit(stays, verbose=False)


def figures(stays: cg.Sequences, risk: np.ndarray, drawn: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """(3,) AUROC and AUPRC of the steps, and utility, of the drawn stays."""
    index = step_positions(stays.n_steps, drawn)
    label = EarlyWarning.fit_targets(stays).step_labels(stays)[index]
    counts = ~np.isnan(label)
    rows = {
        "onset_hours": stays.outcome[drawn],
        "stay": np.repeat(np.arange(len(drawn)), stays.n_steps[drawn]),
        "hours": stays.hours[stays.is_new_step][index],
    }
    threshold = best_threshold(risk[index], **rows) if threshold is None else threshold
    pair = label[counts], risk[index][counts]
    utility = normalised_utility(risk[index] >= threshold, **rows)
    return np.array([roc_auc_score(*pair), average_precision_score(*pair), utility])


def differences(stays: cg.Sequences, risk: np.ndarray, base: np.ndarray, *, n_resamples: int = 200) -> np.ndarray:
    """(2, 3) Ends of the 95 % intervals of the differences of the figures from the default."""
    rng, everyone, found = np.random.default_rng(0), np.arange(len(stays)), []
    rows = {
        "onset_hours": stays.outcome,
        "stay": np.repeat(everyone, stays.n_steps),
        "hours": stays.hours[stays.is_new_step],
    }
    limits = [best_threshold(one, **rows) for one in (risk, base)]
    for _ in range(n_resamples):
        drawn = rng.integers(0, len(stays), len(stays))
        found.append(figures(stays, risk, drawn, limits[0]) - figures(stays, base, drawn, limits[1]))
    return np.percentile(found, [2.5, 97.5], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stays", type=int)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--distillation", type=float, default=0.7)
    parser.add_argument("--only", nargs="+", choices=[name.replace(" ", "-") for name in ROWS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    events = cg.read_events(arguments.data / "training_setA.zip", source="physionet2019")
    stays = cg.select(events, cg.Task.load("early_sepsis_2019"))
    stays = stays[np.random.default_rng(0).permutation(len(stays))[: arguments.stays]]
    print(f"{len(stays):,} stays, {int(np.isfinite(stays.outcome).sum())} with sepsis, {arguments.folds} folds")
    print(f"{'':<20}{'AUROC':>8}{'AUPRC':>8}{'utility':>9}   minus the default", flush=True)
    base: np.ndarray | None = None
    for name, options in ROWS.items():
        if arguments.only and name != DEFAULT and name.replace(" ", "-") not in arguments.only:
            continue
        shared = {"max_epochs": arguments.epochs, "distillation": arguments.distillation}
        risk = out_of_fold(stays, shared | dict(options), folds=arguments.folds)
        own, apart = figures(stays, risk, np.arange(len(stays))), ""
        if base is not None:
            low, high = differences(stays, risk, base, n_resamples=arguments.resamples)
            apart = "  ".join(f"{a:+.4f} to {b:+.4f}" for a, b in zip(low, high, strict=True))
        print(f"{name:<20}{own[0]:>8.4f}{own[1]:>8.4f}{own[2]:>9.4f}   {apart}", flush=True)
        base = risk if name == DEFAULT else base


if __name__ == "__main__":
    main()

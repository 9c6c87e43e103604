"""A unit that training has not seen: options for risks that lean less on one hospital's levels and habits.

    python benchmarks/other_site.py --data physionet2012 [--epochs 8] [--units 1 2 3 4]

PhysioNet 2012 set a, death in hospital from the first 48 hours. Each of the four care units (coronary, recovery after
cardiac surgery, medical, surgical) is left out once: a network learns from the other three, without distillation, and
is evaluated on it. Set b is not touched.

as it is          the defaults
adapted           the same network, with the quantiles of the unit's own measurements, without its outcomes
pattern dropout   `NetworkConfig(pattern_dropout=0.3)`

The differences from the first are paired: patients are drawn with replacement, the same ones for both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

import clinicalgru as cg

UNITS = {1: "coronary", 2: "cardiac surgery", 3: "medical", 4: "surgical"}


def figures(outcome: np.ndarray, risk: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(3,) AUROC, AUPRC, and observed : expected; weight (stay,) how often a stay was drawn."""
    score = {"sample_weight": weight}
    ratio = (weight * outcome).sum() / (weight * risk).sum()
    return np.array([roc_auc_score(outcome, risk, **score), average_precision_score(outcome, risk, **score), ratio])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--units", type=int, nargs="+", choices=[*UNITS], default=[*UNITS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    column = [variable.name for variable in stays.static_variables].index("icu_type")
    unit = stays.static[:, column].astype(int) + 1
    rng = np.random.default_rng(0)
    for number in arguments.units:
        train, there = stays[unit != number], stays[unit == number]
        print(f"{UNITS[number]}: {len(there)} stays, {int(there.outcome.sum())} deaths; AUROC, AUPRC, O:E", flush=True)
        drawn = [
            np.bincount(rng.integers(0, len(there), len(there)), minlength=len(there))
            for _ in range(arguments.resamples)
        ]
        shared = {"max_epochs": arguments.epochs, "distillation": 0.0}
        plain = cg.GRUClassifier(**shared).fit(train, verbose=False)
        dropped = cg.GRUClassifier(cg.NetworkConfig(pattern_dropout=0.3), **shared).fit(train, verbose=False)
        models = {"as it is": plain, "adapted": cg.adapt_scaling(plain, there), "pattern dropout": dropped}
        base: np.ndarray | None = None
        for name, model in models.items():
            risk = model.predict_proba(there)[:, 1]
            own = figures(there.outcome, risk, np.ones(len(there)))
            resampled = np.array([figures(there.outcome, risk, one) for one in drawn])
            base = resampled if base is None else base
            low, high = np.percentile(resampled - base, [2.5, 97.5], axis=0)
            apart = (
                "" if resampled is base else "  ".join(f"{a:+.3f} to {b:+.3f}" for a, b in zip(low, high, strict=True))
            )
            print(f"  {name:<18}" + "".join(f"{value:>8.3f}" for value in own) + f"   {apart}", flush=True)


if __name__ == "__main__":
    main()

"""Death in hospital with few outcomes: logistic regression, boosted trees and the GRU, side by side in one run.

    python benchmarks/few_labels.py --data physionet2012 [--sizes 200 500 1000 2000] [--subsets 5] [--encoder FOLDER]

PhysioNet/CinC Challenge 2012. Each subset of labelled stays is drawn from set a; all are evaluated on set b, which
decides nothing. The encoder is pretrained on all stays of set a without outcomes, unless a saved one is given.

held back     GRUClassifier that holds back 15 % for early stopping, whatever their number (min_validation_events=0)
GRU           GRUClassifier as it is: with few outcomes the mean of the weights of five networks
pretrained    both, with pretrained=
ensemble      GRUEnsemble of five, cross-fitted
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

import clinicalgru as cg
from clinicalgru.parts import physionet2012_parts


def contestants(encoder: cg.PretrainedEncoder) -> dict[str, Callable[[], Any]]:
    """Unfitted models by name."""
    held_back: dict[str, Any] = {"min_validation_events": 0}
    return {
        "logistic regression": lambda: cg.SummaryBaseline("logistic regression"),
        "boosted trees": lambda: cg.SummaryBaseline("boosted trees"),
        "held back": lambda: cg.GRUClassifier(**held_back),
        "held back, pretrained": lambda: cg.GRUClassifier(**held_back, pretrained=encoder),
        "GRU": lambda: cg.GRUClassifier(),
        "GRU, pretrained": lambda: cg.GRUClassifier(pretrained=encoder),
        "ensemble": lambda: cg.GRUEnsemble(),
        "ensemble, pretrained": lambda: cg.GRUEnsemble(cg.GRUClassifier(pretrained=encoder)),
    }


def fitted(model: Any, stays: cg.Sequences) -> Any:
    """The model, trained on the stays."""
    return model.fit(stays) if isinstance(model, cg.SummaryBaseline) else model.fit(stays, verbose=False)


def figures(model: Any, train: cg.Sequences, test: cg.Sequences) -> dict[str, float]:
    """AUROC and AUPRC of a model trained on some stays, and the seconds it took."""
    began = time.monotonic()
    risk = fitted(model, train).predict_proba(test)[:, 1]
    auroc, auprc = roc_auc_score(test.outcome, risk), average_precision_score(test.outcome, risk)
    return {"AUROC": auroc, "AUPRC": auprc, "seconds": time.monotonic() - began}


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Means over the subsets, and ratios of the means to those of boosted trees of that size."""
    means = pd.DataFrame(rows).groupby(["stays", "model"], sort=False)[["AUROC", "AUPRC"]].mean()
    trees = means.xs("boosted trees", level="model")
    return means.round(3).join((means / trees).round(3), rsuffix=" / trees")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 500, 1000, 2000])
    parser.add_argument("--subsets", type=int, default=5)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--models", nargs="+")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    parts = physionet2012_parts(given.data, lambda _: None)
    everyone = parts.development
    encoder = cg.load(given.encoder) if given.encoder else cg.pretrain(everyone)
    assert isinstance(encoder, cg.PretrainedEncoder)
    print(f"{encoder}; evaluated on {len(parts.test):,} stays of set b", flush=True)
    models = {n: m for n, m in contestants(encoder).items() if given.models is None or n in given.models}
    rows = []
    for size in given.sizes:
        for subset in range(given.subsets):
            order = np.random.default_rng([size, subset]).permutation(len(everyone))
            train = everyone[np.sort(order[:size])]
            for name, make in models.items():
                rows.append({"stays": size, "subset": subset, "model": name, **figures(make(), train, parts.test)})
                print(" ".join(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in rows[-1].values()), flush=True)
    if "boosted trees" in models:
        print(table(rows).to_string())


if __name__ == "__main__":
    main()

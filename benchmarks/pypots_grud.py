"""PyPOTS GRU-D as a baseline: for the tables of accuracy.py and training.py, or alone inside PhysioNet 2012 set a.

    python benchmarks/pypots_grud.py --data physionet2012 [--stays 1000]

Hourly means on 48 hours, standardised by the stays learned from, as its own examples are; hidden size 64, all else its
defaults, but that it stops by a seventh of the patients after 5 epochs without gain (its own 100 epochs overfit). It is
given no static covariates (age, sex): it has no place for them.

PyPOTS 1.5 needs transformers below 4.58 and much else that GRU-D does not use; install it in an environment of its own,
or in a folder: `pip install --no-deps --target pypots_only pypots tsdb pygrinder benchpots ai4ts ...`, then
PYTHONPATH=pypots_only. It is left out of a table where it cannot be imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import clinicalgru as cg

HOURS, HIDDEN, PATIENCE = 48, 64, 5


@dataclass(frozen=True, eq=False)
class Standard:
    """Mean and standard deviation of each variable of the training stays."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, stays: cg.Sequences) -> Standard:
        grid = hourly_means(stays)
        return cls(np.nanmean(grid, axis=(0, 1)), np.nanstd(grid, axis=(0, 1)).clip(1e-6))

    def __call__(self, stays: cg.Sequences) -> np.ndarray:
        return ((hourly_means(stays) - self.mean) / self.std).astype(np.float32)


def quiet() -> Any:
    """Its banner and its log are not shown; it asks standard output for its encoding."""
    return contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))


def available() -> bool:
    """Whether PyPOTS can be imported, with all it wants."""
    if importlib.util.find_spec("pypots") is None:
        return False
    try:
        grud()
    except ImportError:
        return False
    return True


def grud() -> Any:
    """Its GRU-D."""
    with quiet():
        from pypots.classification import GRUD
    return GRUD


def hourly_means(stays: cg.Sequences) -> np.ndarray:
    """(stay, hour, variable) mean of what was measured within each hour; NaN = nothing."""
    shape = (len(stays), HOURS, len(stays.variables))
    hour = np.floor(stays.hours).astype(np.int64).clip(0, HOURS - 1)
    place = np.ravel_multi_index((stays.stay_of_measurement, hour, stays.variable), shape)
    counts, sums = np.bincount(place, minlength=np.prod(shape)), np.bincount(place, stays.value, np.prod(shape))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).reshape(shape)


def fitted(stays: cg.Sequences, *, random_state: int = 0, batch: int = 32, epochs: int = 100) -> tuple[Any, Standard]:
    """A GRU-D of these stays, a seventh of whose patients it is stopped by."""
    train, tune = cg.split_patients(stays, [6 / 7, 1 / 7], random_state=random_state)
    scale = Standard.of(train)
    torch.manual_seed(random_state)
    sizes = {"n_steps": HOURS, "n_features": len(stays.variables), "n_classes": 2, "rnn_hidden_size": HIDDEN}
    with quiet():
        model = grud()(**sizes, batch_size=batch, epochs=epochs, patience=PATIENCE, device="cpu", verbose=False)
        model.fit(*({"X": scale(part), "y": part.outcome.astype(int)} for part in (train, tune)))
    return model, scale


def by_grud(train: cg.Sequences, test: cg.Sequences) -> tuple[np.ndarray, None]:
    """Risks of the test stays; none out of fold. Its predictions depend on who else is in the file: all at once."""
    model, scale = fitted(train)
    with quiet():
        shares = model.predict_proba({"X": scale(test)})
    return np.asarray(shares)[:, 1], None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stays", type=int)
    arguments = parser.parse_args()
    if not available():
        print("PyPOTS cannot be imported here: left out")
        return
    torch.set_num_threads(1)
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))[: arguments.stays]
    train, test = cg.split_patients(stays, [0.75, 0.25], random_state=0)
    began = time.perf_counter()
    risk, _ = by_grud(train, test)
    print(f"trained on {len(train):,} stays in {time.perf_counter() - began:.0f} s")
    print(cg.evaluate(test.outcome, risk, patients=test.patient, name="PyPOTS GRU-D"))


if __name__ == "__main__":
    main()

"""Run under torchrun by test_distributed: whole fits, then weights and losses into the folder that is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed

import clinicalgru as cg
from clinicalgru.model.training.distributed import rank_and_world_size

sys.path.insert(0, str(Path(__file__).parents[2]))
from family import cohort_of_all_tasks, task_of

KINDS = {
    "binary": cg.GRUClassifier,
    "multilabel": cg.GRUMultiLabel,
    "survival": cg.GRUSurvival,
}
SIZES = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2, dropout=0.0),
    "max_epochs": 3,
    "batch_size": 33,
    "distillation": 0.3,
}
ALIKE = {"max_steps_per_stay": None}  # no chance that processes draw on their own
SLOW = {"learning_rate": 5e-4}  # AdamW makes as much of a gradient of nothing but rounding as of any other
STOPS = {"learning_rate": 2e-2, "max_epochs": 8, "patience": 1}


def task(kind: str) -> cg.Task:
    return cg.Task.load("in_hospital_mortality_24h") if kind == "binary" else task_of(kind)


def fitted(kind: str, *, checkpoint: Path | None = None, verbose: bool = False, **how: float) -> object:
    """On 67 stays: the last batch has one stay, and so one process nothing to do."""
    train, tune = cg.split_patients(cg.select(cohort_of_all_tasks(), task(kind)), [0.6, 0.4], random_state=0)
    model = KINDS[kind](**SIZES | ALIKE | SLOW | how)
    return model.fit(train[:67], validation=tune, verbose=verbose, checkpoint_path=checkpoint)


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    out, rank = Path(sys.argv[1]), rank_and_world_size()[0]
    for kind in KINDS:
        model = fitted(kind, checkpoint=out / f"{kind}-{rank}.checkpoint", verbose=True)
        save_file(model.network_.state_dict(), out / f"{kind}-{rank}")
        (out / f"{kind}-{rank}.json").write_text(json.dumps(model.history_))
    (out / f"stops-{rank}.json").write_text(json.dumps(fitted("binary", **STOPS).history_))
    distributed.destroy_process_group()

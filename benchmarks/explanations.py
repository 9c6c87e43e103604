"""How faithful explanations are, against Captum, attention and random orders, and how long they take.

    python benchmarks/explanations.py --data physionet2012     # set a to learn from, set b to be explained
    python benchmarks/explanations.py                          # a synthetic cohort

Captum's methods: integrated gradients from nothing measured; expected gradients (GradientShap) from records with the
values of other training stays at the same moments; KernelSHAP on the measurements of each variable in each sixth of the
record. All orders are compared on the same stays, with intervals of the differences. Needs Captum (in the extra
`test`). One thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import GradientShap, IntegratedGradients, KernelShap

import clinicalgru as cg
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import copy_stays
from clinicalgru.explain.attribution.contributions import contributions
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.faithfulness.faithfulness import driver_auroc
from clinicalgru.explain.faithfulness.perturbation import model_outputs
from clinicalgru.explain.faithfulness.planted_truth import plant
from clinicalgru.explain.targets import MemberNetwork, member_networks
from clinicalgru.explain.what_if.what_if import WhatIf
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_parts
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.parts import physionet2012_parts, simulated_parts

FIELDS = ("score", "mask", "delta_hours", "summaries", "summary_mask", "static")
PARTS = (0.75, 0.125, 0.125)


def captum_scores(model: cg.GRUClassifier, stays: Sequences, *, steps: int = 32) -> np.ndarray:
    """(fact,) Captum's integrated gradients as its user would take them: each measurement gets what its own score and
    mask did, and an equal part of what its variable's summaries did."""
    member = member_networks(model)[0]
    found = [_captum(member, stays[[i]], steps) for i in range(len(stays))]
    return np.concatenate(found)


def _captum(member: MemberNetwork, stay: Sequences, steps: int, baselines: list[Sequences] | None = None) -> np.ndarray:
    paths = IntegrationPaths(member, member.with_known_codes(stay))
    full, base = (_ends(end) for end in (paths.ends.full, paths.ends.reference))

    def forward(*parts: torch.Tensor) -> torch.Tensor:
        batch = copy_stays(paths.stays, paths.batch, np.zeros(len(parts[0]), dtype=int)).batch
        flat = {name: _together(name, part) for name, part in zip(FIELDS, parts, strict=True)}
        return member.numbers(member.network.logits(Inputs(**flat), batch)[0], batch.point_hours)

    if baselines is None:
        attributed = IntegratedGradients(forward).attribute(tuple(full), tuple(base), n_steps=steps)
    else:
        others = [_ends(IntegrationPaths(member, member.with_known_codes(one)).ends.full) for one in baselines]
        base = [torch.cat(parts) for parts in zip(*others, strict=True)]
        torch.manual_seed(0)
        attributed = GradientShap(forward).attribute(tuple(full), tuple(base), n_samples=steps, stdevs=0.0)
    by = {name: part[0].detach().numpy() for name, part in zip(FIELDS, attributed, strict=True)}
    row = np.cumsum(stay.is_new_step) - 1
    of_variable = np.bincount(stay.variable, minlength=len(stay.variables))
    summaries = len(stay.variables) * len(SUMMARIES)  # then the clinical indices: equal parts to what they are made of
    moved = by["summaries"] + by["summary_mask"]
    summarised = moved[:summaries].reshape(-1, len(SUMMARIES)).sum(axis=1)
    parts = index_parts([variable.name for variable in stay.variables], member.network.spec.clinical_indices)
    for index, part in zip(moved[summaries:], parts, strict=True):
        made = part[part >= 0] // len(SUMMARIES)
        np.add.at(summarised, made, index / len(made))
    own = by["score"] + by["mask"][row, stay.variable]
    return np.asarray(own + summarised[stay.variable] / of_variable[stay.variable])


def expected_gradients(
    model: cg.GRUClassifier, train: Sequences, stays: Sequences, *, baselines: int = 8, samples: int = 32
) -> np.ndarray:
    """(measurement,) Captum's GradientShap; the baselines have values of training stays at the same moments."""
    member, rng = member_networks(model)[0], np.random.default_rng(0)
    pool = [train.value[train.variable == number] for number in range(len(train.variables))]
    found = []
    for stay in (stays[[i]] for i in range(len(stays))):
        others = [_with_values_of(stay, pool, rng) for _ in range(baselines)]
        found.append(_captum(member, stay, samples, others))
    return np.concatenate(found)


def _with_values_of(stay: Sequences, pool: list[np.ndarray], rng: np.random.Generator) -> Sequences:
    """The stay with each value drawn from those of its variable in training."""
    value = np.array([rng.choice(pool[number]) if len(pool[number]) else 0.0 for number in stay.variable])
    return replace(stay, value=value.astype(stay.value.dtype))


def kernel_shap(model: cg.GRUClassifier, stays: Sequences, *, samples: int = 300) -> np.ndarray:
    """(measurement,) Captum's KernelShap: a player is a variable in a sixth of the record; its measurements share."""
    member = member_networks(model)[0]
    return np.concatenate([_kernel_shap(member, stays[[i]], samples) for i in range(len(stays))])


def _kernel_shap(member: MemberNetwork, stay: Sequences, samples: int) -> np.ndarray:
    sixth = np.minimum(6 * stay.hours / stay.end_hours[0], 5).astype(int)
    player = np.unique(6 * stay.variable.astype(int) + sixth, return_inverse=True)[1]

    def forward(present: torch.Tensor) -> torch.Tensor:
        kept = (present.numpy() > 0.5)[:, player]
        copies = stay[np.zeros(len(kept), dtype=int)].filter_measurements(kept.ravel())
        return torch.from_numpy(np.asarray(model_outputs([member], copies)))

    ones = torch.ones(1, int(player.max()) + 1)
    torch.manual_seed(0)
    found = KernelShap(forward).attribute(ones, torch.zeros_like(ones), n_samples=samples, perturbations_per_eval=100)
    return np.asarray(found[0].numpy()[player] / np.bincount(player)[player])


def _ends(end: Inputs) -> list[torch.Tensor]:
    """Inputs of one stay as Captum takes them, a row for the stay."""
    return [_alone(name, getattr(end, name)[None]) for name in FIELDS]


def _alone(name: str, part: torch.Tensor) -> torch.Tensor:
    return part[:, 0] if name in ("summaries", "summary_mask", "static") else part  # the one stay's row


def _together(name: str, part: torch.Tensor) -> torch.Tensor:
    """(copy, ...) as a batch holds them: facts stay after stay, rows step after step."""
    if name in ("mask", "delta_hours"):
        return part.transpose(0, 1).flatten(0, 1)
    return part.flatten() if name == "score" else part


def timed(act: Callable[[Any], object], things: list[Any]) -> str:
    """Median and 95 % point of the milliseconds for each: of the clock, and of the processor."""
    act(things[0])
    taken = []
    for thing in things:
        clock, processor = time.perf_counter(), time.process_time()
        act(thing)
        taken.append((time.perf_counter() - clock, time.process_time() - processor))
    (wall, cpu), (wall95, cpu95) = np.median(taken, axis=0) * 1e3, np.quantile(taken, 0.95, axis=0) * 1e3
    return f"median {wall:6.0f} ms, 95 % {wall95:6.0f} ms (processor {cpu:.0f}, {cpu95:.0f})"


def changed(what_if: WhatIf) -> object:
    """One change of a stay: risk and explanation anew."""
    first = what_if.explanation.measurements.iloc[0]
    return what_if.change(hours=first["hours"], variable=first["variable"], value=float(first["value"]))


def latencies(model: cg.GRUClassifier, stays: Sequences) -> None:
    """Of everything that is waited for."""
    each = [stays[[i]] for i in range(len(stays))]
    print(f"risk and explanation of one stay      {timed(lambda stay: cg.explain(model, stay), each)}")
    print(f"what if: one change                   {timed(changed, [cg.what_if(model, stay) for stay in each])}")
    print(f"how the risk moved                    {timed(lambda stay: cg.movement(model, stay), each[:10])}")
    print(f"smallest change, half the risk        {timed(lambda stay: halved(model, stay), each[:10])}")


def halved(model: cg.GRUClassifier, stay: Sequences) -> object:
    what_if = cg.what_if(model, stay)
    return what_if.counterfactual(what_if.explanation.risk / 2)


def planted(stays: int, random_state: int) -> None:
    """Do contributions find the one measurement that decides?"""
    cohort = cg.select(
        cg.read_events(cg.simulate(stays, random_state=random_state)), cg.Task.load("in_hospital_mortality")
    )
    for variable, value in (("heart_rate", 185.0), ("lactate", 14.0)):
        sequences, decides = plant(cohort, variable=variable, value=value, random_state=random_state)
        number = {stay: i for i, stay in enumerate(sequences.stay)}
        train, tune, test = cg.split_patients(sequences, [0.65, 0.1, 0.25], random_state=random_state)
        model = cg.GRUClassifier(
            network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4),
            max_epochs=14,
            random_state=random_state,
        )
        model.fit(train, validation=tune, verbose=False)
        mask = decides[concat_ranges(sequences.starts, np.array([number[stay] for stay in test.stay]))[0]]
        size = np.abs(contributions(model, test).parts.sum(axis=0))
        early = np.bincount(test.stay_of_measurement[mask & (test.hours < 12)], minlength=len(test)) > 0
        of_early = early[test.stay_of_measurement]
        found = (
            driver_auroc(size, mask, test),
            driver_auroc(size[of_early], mask[of_early], test[np.flatnonzero(early)]),
        )
        print(f"planted {variable}: AUROC {found[0]:.3f}; in the first 12 of 48 hours {found[1]:.3f}")


def untold(text: str) -> None:
    """Input files are not described here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of PhysioNet 2012, as published")
    parser.add_argument("--stays", type=int, default=300, help="how many are explained")
    parser.add_argument("--train-stays", type=int, help="how many are learned from; all where left out")
    parser.add_argument("--orders-only", action="store_true", help="without times and planted truths")
    parser.add_argument("--random-state", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    parts = (
        physionet2012_parts(chosen.data, untold) if chosen.data else simulated_parts(1200, chosen.random_state, untold)
    )
    development = parts.development[: chosen.train_stays or len(parts.development)]
    train, tune, calibrate = cg.split_patients(development, PARTS, random_state=chosen.random_state)
    model, another = (
        cg.GRUClassifier(random_state=random_state).fit(train, validation=tune, verbose=False).calibrate(calibrate)
        for random_state in (chosen.random_state, chosen.random_state + 1)
    )
    measured = np.flatnonzero(parts.test.n_measurements > 0)
    sample = np.random.default_rng(chosen.random_state).permutation(measured)[: chosen.stays]
    stays = parts.test[np.sort(sample)]
    print(f"torch {torch.__version__}, one thread; {stays!r}; {np.median(stays.n_steps):.0f} steps (median)\n")
    orders = {
        "Captum integrated gradients": captum_scores(model, stays),
        "Captum expected gradients": expected_gradients(model, train, stays),
        "Captum KernelSHAP": kernel_shap(model, stays),
    }
    print(cg.faithfulness(model, stays, model_b=another, rankings=orders, random_state=chosen.random_state), "\n")
    if not chosen.orders_only:
        latencies(model, stays[:40])
        planted(1200, chosen.random_state)


if __name__ == "__main__":
    main()

"""How faithful explanations are, against Captum, attention and random orders, and how long they take.

    python benchmarks/explanations.py --data physionet2012     # set a to learn from, set b to be explained
    python benchmarks/explanations.py                          # a synthetic cohort

Needs Captum (in the extra `test`). One thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients

import clinicalgru as cg
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import copy_stays
from clinicalgru.explain.attribution.explain import contributions
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.faithfulness.faithfulness import driver_auroc
from clinicalgru.explain.faithfulness.planted_truth import plant
from clinicalgru.explain.targets import MemberNetwork, member_networks
from clinicalgru.explain.what_if.what_if import WhatIf
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_parts
from clinicalgru.model.network.scaling import Inputs
from clinicalgru.parts import physionet2012_parts, simulated_parts

FIELDS = ("score", "observed", "gap_hours", "summaries", "known", "static")
PARTS = (0.75, 0.125, 0.125)


def captum_scores(model: cg.GRUClassifier, stays: Sequences, *, steps: int = 32) -> np.ndarray:
    """(fact,) Captum's integrated gradients as its user would take them: each measurement gets what its own score and
    mask did, and an equal part of what its variable's summaries did."""
    member = member_networks(model)[0]
    found = [_captum(member, stays[[i]], steps) for i in range(len(stays))]
    return np.concatenate(found)


def _captum(member: MemberNetwork, stay: Sequences, steps: int) -> np.ndarray:
    paths = IntegrationPaths(member, member.with_known_codes(stay))
    full, base = ([getattr(end, name)[None] for name in FIELDS] for end in (paths.ends.full, paths.ends.reference))
    full, base = ([_alone(name, part) for name, part in zip(FIELDS, end, strict=True)] for end in (full, base))

    def forward(*parts: torch.Tensor) -> torch.Tensor:
        batch = copy_stays(paths.stays, paths.batch, np.zeros(len(parts[0]), dtype=int)).batch
        flat = {name: _together(name, part) for name, part in zip(FIELDS, parts, strict=True)}
        return member.numbers(member.network.logits(Inputs(**flat), batch)[0])

    attributed = IntegratedGradients(forward).attribute(tuple(full), tuple(base), n_steps=steps)
    by = {name: part[0].detach().numpy() for name, part in zip(FIELDS, attributed, strict=True)}
    row = np.cumsum(stay.is_new_step) - 1
    of_variable = np.bincount(stay.variable, minlength=len(stay.variables))
    summaries = len(stay.variables) * len(SUMMARIES)  # then the clinical indices: equal parts to what they are made of
    moved = by["summaries"] + by["known"]
    summarised = moved[:summaries].reshape(-1, len(SUMMARIES)).sum(axis=1)
    parts = index_parts([variable.name for variable in stay.variables], member.network.spec.clinical_indices)
    for index, part in zip(moved[summaries:], parts, strict=True):
        made = part[part >= 0] // len(SUMMARIES)
        np.add.at(summarised, made, index / len(made))
    own = by["score"] + by["observed"][row, stay.variable]
    return np.asarray(own + summarised[stay.variable] / of_variable[stay.variable])


def _alone(name: str, part: torch.Tensor) -> torch.Tensor:
    return part[:, 0] if name in ("summaries", "known", "static") else part  # the one stay's row


def _together(name: str, part: torch.Tensor) -> torch.Tensor:
    """(copy, ...) as a batch holds them: facts stay after stay, rows step after step."""
    if name in ("observed", "gap_hours"):
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
    parser.add_argument("--random-state", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    parts = (
        physionet2012_parts(chosen.data, untold) if chosen.data else simulated_parts(1200, chosen.random_state, untold)
    )
    train, tune, calibrate = cg.split_patients(parts.development, PARTS, random_state=chosen.random_state)
    model, another = (
        cg.GRUClassifier(random_state=random_state).fit(train, validation=tune, verbose=False).calibrate(calibrate)
        for random_state in (chosen.random_state, chosen.random_state + 1)
    )
    measured = np.flatnonzero(parts.test.n_measurements > 0)
    sample = np.random.default_rng(chosen.random_state).permutation(measured)[: chosen.stays]
    stays = parts.test[np.sort(sample)]
    print(f"torch {torch.__version__}, one thread; {stays!r}; {np.median(stays.n_steps):.0f} steps (median)\n")
    orders = {"Captum integrated gradients": captum_scores(model, stays)}
    print(cg.faithfulness(model, stays, model_b=another, rankings=orders, random_state=chosen.random_state), "\n")
    latencies(model, stays[:40])
    planted(1200, chosen.random_state)


if __name__ == "__main__":
    main()

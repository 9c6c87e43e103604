"""Who answers: the networks of a model, the number each says, and the stays that they are asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.explain.targets import Asked, Output, asked_of
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.network.codes import known_codes
from clinicalgru.model.network.network import ClinicalGRU

Explained = GRUEstimator | GRUEnsemble  # what can be explained


@dataclass(frozen=True, eq=False)
class Voice:
    """One network, and what is asked of it. What a model says is the mean of its voices' numbers.

    network  ready to predict
    asked    calibrated as the model is: for an ensemble, once more by the ensemble's own line
    """

    network: ClinicalGRU
    asked: Asked

    def heard(self, stays: Sequences) -> Sequences:
        """The stays with those coded events alone that this network knows."""
        return known_codes(stays, self.network.spec.code_vocabulary)

    def knows(self, stays: Sequences) -> np.ndarray:
        """(coded event,) whether this network knows it."""
        known = set(self.network.spec.code_vocabulary)
        return np.array([code in known for code in stays.code_vocabulary], dtype=bool)[stays.code]


def voices(model: Explained, output: Output = None) -> tuple[Voice, ...]:
    """The networks of a model, one, or one for each member of an ensemble; and what is explained of each.

    output   as of `asked_of`
    Refused: what `asked_of` refuses, an ensemble for one of several classes, a hybrid.
    """
    if isinstance(model, Hybrid):
        fix = "Explain the part of it that is networks: model.ensemble_."
        raise ArgumentError("networks to explain", "a Hybrid, which also asks trees", fix)
    if not isinstance(model, GRUEnsemble):
        asked = asked_of(model, output)
        return (Voice(model.network_.eval(), asked),)
    line, members = model.calibrator_, model._fitted()
    if model.task_.task_type == "multiclass":
        fix = "Explain its members one by one: model.members_[0]."
        raise ArgumentError("an ensemble that gives one risk", "one for several classes", fix)
    slope, shift = (line.slope, line.intercept) if isinstance(line, PlattCalibrator) else (1.0, 0.0)
    said = [asked_of(member, output) for member in members]
    lines = [replace(one, slope=slope * one.slope, shift=slope * one.shift + shift) for one in said]
    return tuple(Voice(member.network_.eval(), one) for member, one in zip(members, lines, strict=True))


def first(model: Explained) -> GRUEstimator:
    """The model, or the first member of an ensemble: all have the same variables and the same threads."""
    return model._fitted()[0] if isinstance(model, GRUEnsemble) else model


def one_network(model: Explained, name: str) -> ClinicalGRU:
    """The network of a model that has one. Refused: an ensemble; `name` says what was asked for."""
    if isinstance(model, GRUEnsemble):
        fix = f"Ask one of its members: {name}(model.members_[0], ...)."
        raise ArgumentError("a model of one network", f"an ensemble of {len(model.members_)}", fix)
    return voices(model)[0].network


def looked_at(model: Explained, stay: Sequences, *, hours: float | None, name: str) -> Sequences:
    """One stay as it was known at an hour, ready to be explained.

    hours  since the anchor; None: the end. Early warning answers after each step: the last step up to then counts
    name   the function to name in an error
    Refused: other than one stay, nothing measured by then, other variables than the model's.
    """
    if len(stay) != 1:
        raise ArgumentError("one stay", f"{len(stay)}", f"Write {name}(model, sequences[[i]]).")
    if hours is not None and not np.isfinite(hours):
        raise ArgumentError("a finite hour", f"{hours}", "Give hours since the anchor.")
    by_step = voices(model)[0].asked.head.per_step
    stay = first(model)._checked(stay)
    if hours is not None or by_step:
        looked = stay.end_hours[0] if hours is None else min(float(hours), float(stay.end_hours[0]))
        seen = stay.hours[stay.hours <= looked]
        if by_step and len(seen):
            looked = seen[-1]
        stay = stay.truncate_at(np.array([looked]))
    return checked(model, stay)


def checked(model: Explained, stays: Sequences) -> Sequences:
    """The stays with the coded events that a network of the model knows, once they can be explained.

    Refused: other variables than the model's, a stay without measurements.
    """
    networks = [voice.network for voice in voices(model)]
    stays = first(model)._checked(stays)
    unmeasured = int((stays.n_measurements == 0).sum())
    if unmeasured or not len(stays):
        fix = "Leave them out: sequences[sequences.n_measurements > 0]."
        raise ArgumentError("at least one measurement in each stay", f"{unmeasured} stays without any", fix)
    return known_codes(stays, tuple(sorted({code for network in networks for code in network.spec.code_vocabulary})))

"""Explanation targets and member networks: which number of a prediction is explained, and which networks give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.fit_state import not_fitted
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.codes import known_codes
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.output_unit import is_probability

Explainable = GRUEstimator | GRUEnsemble


@dataclass(frozen=True, eq=False)
class MemberNetwork:
    """One network of a model with its explanation target.

    The number that is explained of a model is the mean over its networks, or what the `pool` of the target makes of
    them.

    Attributes
    ----------
    network : ClinicalGRU
        In evaluation mode.
    head : Head
        Aggregates the heads of the network.
    target : ExplanationTarget
        The number, calibrated as the model is; in an ensemble also by the calibrator of the ensemble.
    """

    network: ClinicalGRU
    head: Head
    target: ExplanationTarget

    def numbers(self, logits: Tensor, hours: Tensor) -> Tensor:
        """Give the explained number of each prediction by this network alone.

        Parameters
        ----------
        logits : Tensor, shape (head, prediction, output)
            Output of the network.
        hours : Tensor, shape (prediction,)
            Hours of the predictions: `point_hours` of their batch.

        Returns
        -------
        Tensor of float64, shape (prediction,)
        """
        return self.target(self.head.aggregate_members(logits), hours)

    def terms(self, logits: Tensor, hours: Tensor) -> Tensor:
        """Give what the network contributes to the explained number of the model; see `pool_networks`.

        Parameters
        ----------
        logits : Tensor, shape (head, prediction, output)
            Output of the network.
        hours : Tensor, shape (prediction,)
            Hours of the predictions: `point_hours` of their batch.

        Returns
        -------
        Tensor of float64, shape (prediction, ...)
        """
        return self.target.terms(self.head.aggregate_members(logits), hours)

    def head_numbers(self, logits: Tensor, hours: Tensor) -> Tensor:
        """Give the number of each prediction by each head of the network alone, calibrated as their mean is.

        Parameters
        ----------
        logits : Tensor, shape (head, prediction, output)
            Output of the network.
        hours : Tensor, shape (prediction,)
            Hours of the predictions: `point_hours` of their batch.

        Returns
        -------
        Tensor of float64, shape (head, prediction)
        """
        return self.numbers(logits.flatten(0, 1)[None], hours.repeat(len(logits))).reshape(logits.shape[:2])

    def with_known_codes(self, stays: Sequences) -> Sequences:
        """Give the stays with only the coded events that this network knows.

        Parameters
        ----------
        stays : Sequences
            The stays.

        Returns
        -------
        Sequences
        """
        return known_codes(stays, self.network.spec.code_vocabulary)

    def knows_event(self, stays: Sequences) -> np.ndarray:
        """Tell for each coded event whether this network knows its code.

        Parameters
        ----------
        stays : Sequences
            The stays.

        Returns
        -------
        ndarray of bool, shape (coded event,)
        """
        known = set(self.network.spec.code_vocabulary)
        return np.array([code in known for code in stays.code_vocabulary], dtype=bool)[stays.code]


def member_networks(model: Explainable, target: Target = None) -> tuple[MemberNetwork, ...]:
    """Give the networks of a model with their explanation targets: one, or one per member of an ensemble.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    target : str, float or None
        A label, a class, or a horizon in hours. None: the only one, the first label, the last class or the longest
        horizon.

    Returns
    -------
    tuple of MemberNetwork

    Raises
    ------
    ArgumentError
        If the model has no such target, or cannot be explained.
    NotFittedError
        If the model is not fitted.
    """
    if isinstance(model, Hybrid):
        fix = "Explain its GRUEnsemble: model.ensemble_."
        raise ArgumentError("a model whose risk comes from networks alone", "a Hybrid of networks and trees", fix)
    if not isinstance(model, GRUEstimator | GRUEnsemble):
        raise ArgumentError("a fitted GRU estimator or GRUEnsemble", describe(model), "Explain such a model.")
    if not (target is None or isinstance(target, str | int | float | np.number)):
        raise ArgumentError("target as text, a number or None", describe(target), "Name one label, class or horizon.")
    if isinstance(model, GRUEstimator):
        return (_member(model, target),)
    if not hasattr(model, "members_"):
        raise not_fitted()
    pooled = model._pooled().head_
    targets = pooled.member_targets([one.head_ for one in model.members_], target, model.calibrator_)
    pairs = zip(model.members_, targets, strict=True)
    return tuple(MemberNetwork(one._network_on_device().eval(), one.head_, explained) for one, explained in pairs)


def pool_networks(target: ExplanationTarget, terms: Sequence[np.ndarray]) -> np.ndarray:
    """Combine what the networks of a model contribute into its explained numbers.

    Parameters
    ----------
    target : ExplanationTarget
        That of any of the networks.
    terms : sequence of ndarray, shape (prediction, ...)
        From `MemberNetwork.terms` of each network.

    Returns
    -------
    ndarray, shape (prediction,)
    """
    if target.pool is None:
        return np.asarray(np.mean(terms, axis=0))
    return target.combine(torch.from_numpy(np.stack(terms))).numpy()


def _member(model: GRUEstimator, target: Target) -> MemberNetwork:
    if not hasattr(model, "network_"):
        raise not_fitted()
    head: Head = model.head_
    explained = head.explanation_target(target, getattr(model, "calibrator_", None))
    return MemberNetwork(model._network_on_device().eval(), head, explained)


def first_estimator(model: Explainable) -> GRUEstimator:
    """Give the model, or the first member of an ensemble: all members have the same variables and threads.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.

    Returns
    -------
    GRUEstimator
    """
    return model.members_[0] if isinstance(model, GRUEnsemble) else model


def to_risk(target: ExplanationTarget, number: Any) -> np.ndarray:
    """Convert explained numbers to what a user reads: log-odds to a probability, others as they are.

    Parameters
    ----------
    target : ExplanationTarget
        What was explained.
    number : array_like
        Numbers in the unit of the target.

    Returns
    -------
    ndarray
    """
    return np.asarray(expit(number) if is_probability(target) else number)

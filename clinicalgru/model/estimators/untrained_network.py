"""The network of an estimator before training: its specification, fitted scalers, first weights and bias."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.network.codes import fit_code_vocabulary
from clinicalgru.model.network.config import OPTION_NAMES, NetworkConfig, NetworkSpec, check_spec
from clinicalgru.model.network.network import ClinicalGRU, n_categories
from clinicalgru.model.training.auxiliary_losses import AuxiliaryTargets
from clinicalgru.model.training.prediction_hours import known_at_predictions


def untrained_network(estimator: Any, stays: Sequences, auxiliary: AuxiliaryTargets | None = None) -> ClinicalGRU:
    """Give an untrained network with fitted scalers and the output bias set to the base rate.

    With `pretrained`, scaling and weights are those of the pretrained encoder, where it knows them.

    Parameters
    ----------
    estimator : GRUEstimator
        Its arguments and its head are used.
    stays : Sequences
        Training stays.
    auxiliary : AuxiliaryTargets or None
        Auxiliary outcomes, which need outputs of their own.

    Returns
    -------
    ClinicalGRU
        The network.

    Raises
    ------
    ArgumentError
        If options do not go together.
    """
    head = estimator.head_
    outputs = head.n_outputs + (auxiliary.n_outputs if auxiliary is not None else 0)
    network = ClinicalGRU(network_spec(estimator, stays, outputs=outputs))
    network.scaler.fit(stays, known_when_predicted(estimator))
    if estimator.pretrained is not None:
        estimator.pretrained.initialise(network, stays)
    start = head.initial_bias(stays)
    if start is not None:
        with torch.no_grad():
            for _, readout, _ in network.readout.parts():
                readout.bias[..., : len(start)].add_(start)
    return network


def known_when_predicted(estimator: Any) -> Callable[[Sequences], Sequences]:
    """Give what makes stays as they are known at hours at which an estimator's network predicts while it is trained.

    Parameters
    ----------
    estimator : GRUEstimator
        Its head and `n_cuts` are used.

    Returns
    -------
    callable
        See `known_at_predictions`.
    """
    head = estimator.head_
    n_cuts = estimator.n_cuts if head.supports_cuts else 0
    return partial(known_at_predictions, per_step=head.per_step, n_cuts=n_cuts)


def network_spec(estimator: Any, stays: Sequences, *, outputs: int) -> NetworkSpec:
    """Give the specification of an estimator's network for these stays.

    Parameters
    ----------
    estimator : GRUEstimator
        Its arguments and its head are used.
    stays : Sequences
        Training stays.
    outputs : int
        Number of outputs at each prediction time.

    Returns
    -------
    NetworkSpec
        The specification.

    Raises
    ------
    ArgumentError
        If options do not go together.
    """
    head = estimator.head_
    config = estimator.network if estimator.network is not None else NetworkConfig()
    options = {name: value for name, value in config.to_dict().items() if name in OPTION_NAMES}
    if config.clinical_indices is None:
        options["clinical_indices"] = indices_of(stays)
    spec = NetworkSpec(
        variables=len(stays.variables),
        static_variables=n_categories(stays.static_variables),
        outputs=outputs,
        forecasts=2 * len(stays.variables) if estimator.forecast_weight else 0,
        code_vocabulary=fit_code_vocabulary(stays, min_stays=estimator.min_code_stays) if estimator.use_codes else (),
        window_hours=stays.task.window_hours if estimator.n_cuts and head.supports_cuts else (),
        **options | estimator.SPEC_OPTIONS,
    )
    check_spec(spec, every_step=head.per_step)
    return spec

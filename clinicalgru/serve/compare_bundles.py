"""Two models, an old one and its update, held against a protocol on the same stays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import DataWarning, InputError
from clinicalgru.evaluate.details import default_groups
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.patient_overlap import held_out, involved_text
from clinicalgru.model.provenance import provenance
from clinicalgru.serve.bundle import fitted_model, model_hash
from clinicalgru.serve.protocol import Protocol, ProtocolResult, hold_against, load_protocol
from clinicalgru.serve.recalibrate import MAX_SEEN
from clinicalgru.serve.score_input import read_like_training
from clinicalgru.serve.validate import known_stays

LEFT_OUT = "Stays of patients that took part in making one of the models are left out."


def compare_bundles(
    old: FittedModel | str | Path,
    new: FittedModel | str | Path,
    protocol: Protocol | Mapping[str, Any] | str | Path,
    data: Any,
    *,
    accept_differences: bool = False,
    require_signature: str | Path | None = None,
    **reading: Any,
) -> ProtocolResult:
    """Hold an update of a model against a protocol that was declared before its results were known.

    Parameters
    ----------
    old, new : estimator, str or Path
        Fitted models of the same binary task, or folders of bundles.
    protocol : Protocol, mapping, str or Path
        Margins of non-inferiority, limits of calibration, subgroups; a YAML file with the fields of `Protocol`.
    data : object
        An extract with outcomes, or Events.
    accept_differences : bool
        Whether tables that training had may be absent.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    **reading
        Arguments of `read_events` where they differ from those that read the training extracts.

    Returns
    -------
    ProtocolResult
        Print it; its `exit_code` is 0 where each condition is met, 6 where one is not, 7 where events are too few.

    Raises
    ------
    InputError
        If protocol or extract cannot be read, a task is not binary, the outcomes differ, the two have no stay in
        common, or patients of more than 5 % of the stays pretrained, trained or calibrated one of them.

    Warns
    -----
    DataWarning
        If patients of fewer stays did: these stays are left out.

    References
    ----------
    Piaggio et al. 2012, JAMA 308:2594-2604, non-inferiority. Feng et al. 2022, npj Digit Med 5:66, updates of models.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(cg.simulate(200)), task))
    >>> later = cg.read_events(cg.simulate(200, random_state=5))
    >>> cg.compare_bundles(model, model, {"calibration": {}, "min_events": 20}, later).comparison.names
    ('new', 'old')
    """
    declared = load_protocol(protocol)
    models = [fitted_model(one, require_signature=require_signature) for one in (old, new)]
    for model in models:
        if model.task_.task_type != "binary":
            fix = "Compare them with evaluate, one after the other."
            raise InputError("models of a task with one outcome of 0 or 1", model.task_.task_type, fix)
    selected = [_stays(model, data, accept_differences, reading) for model in models]
    first, second = _common(*selected)
    risks = [np.asarray(model.predict_proba(one))[:, 1] for model, one in zip(models, (first, second), strict=True)]
    groups = default_groups(first)
    result = hold_against(declared, risks[0], risks[1], first.outcome, patients=first.patient, groups=groups)
    about = {key: provenance(models[1])[key] for key in ("task", "outcome")} | {"compared_on": first.source}
    hashes = {name: model_hash(model) for name, model in zip(("old_model", "new_model"), models, strict=True)}
    own = replace(result.evaluation, simulated=first.simulated)
    return replace(result, evaluation=own, provenance=about | hashes)


def _stays(model: FittedModel, data: Any, accept_differences: bool, reading: Mapping[str, Any]) -> Sequences:
    """The stays with a known outcome, without the few of patients that took part in making the model."""
    stays = known_stays(model, read_like_training(model, data, accept_differences=accept_differences, **reading))
    is_new = held_out(model, stays)
    if (~is_new).mean() > MAX_SEEN:
        fix = "Take later stays, or stays of other patients."
        raise InputError("stays of patients that took no part in making either model", involved_text(model, stays), fix)
    if is_new.all():
        return stays
    warnings.warn(LEFT_OUT, DataWarning, stacklevel=3)
    return stays[np.flatnonzero(is_new)]


def _common(one: Sequences, other: Sequences) -> tuple[Sequences, Sequences]:
    """The stays that both can answer for."""
    ours, theirs = (np.char.add(np.char.add(s.patient.astype(str), "/"), s.stay.astype(str)) for s in (one, other))
    _, at_first, at_second = np.intersect1d(ours, theirs, return_indices=True)
    order = np.argsort(at_first)
    first, second = one[at_first[order]], other[at_second[order]]
    if len(first) == 0 or not np.array_equal(first.outcome, second.outcome):
        fix = "Compare models of the same task on one extract."
        raise InputError("models with the same outcome of common stays", "no common stay, or other outcomes", fix)
    return first, second

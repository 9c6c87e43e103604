"""Instability of individual risks: a model refitted on bootstrap samples of its training stays."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, ClinicalGRUError, ClinicalGRUWarning
from clinicalgru.evaluate.instability import Instability, risks_of
from clinicalgru.model.estimators.cross_fitted import CrossFittedModel
from clinicalgru.model.fit_state import MAX_SEED, check_stays

MIN_REFITS = 10  # below, percentiles of the refits mean nothing


def instability(
    model: Any,
    stays: Sequences,
    *,
    calibration: Sequences | None = None,
    apply_to: Sequences | None = None,
    auxiliary: pd.DataFrame | None = None,
    n_refits: int = 50,
    random_state: int = 0,
) -> Instability:
    """Measure how far individual risks move when a model is developed again on bootstrap samples of its stays.

    Parameters
    ----------
    model : estimator
        Fitted for a binary outcome, with the arguments of which each refit is made.
    stays : Sequences
        The training stays of the model; patients are drawn from them with all their stays.
    calibration : Sequences, optional
        The stays that calibrated the model, likewise drawn for each refit. Ensembles, hybrids and models that were not
        calibrated need none.
    apply_to : Sequences, optional
        Stays whose risks are compared. None: the training stays.
    auxiliary : DataFrame, optional
        Auxiliary targets of a GRU, as the model was fitted with; see `GRUClassifier.fit`.
    n_refits : int, default 50
        Number of refits, 10 or more; the paper uses 200 or more. Each takes as long as a fit. A bootstrap sample that
        cannot be learned from, such as one without an event, is counted and drawn anew.
    random_state : int
        Seed of the samples, and of the fits.

    Returns
    -------
    Instability
        Print it, or plot it. ``model.instability_ = result.by_risk`` keeps it in the bundle, for the patient page.

    Raises
    ------
    ArgumentError
        If the model is not for a binary outcome, the calibration stays are missing, or most samples cannot be learned
        from.

    Notes
    -----
    Each refit holds back its own validation stays and has its own seed, so its risks also move by these. Where
    `apply_to` is None, the risks are those of stays that the model has learned from, as in the paper.

    References
    ----------
    Riley and Collins 2023, "Stability of clinical prediction models developed using statistical or machine learning
    methods", Biometrical Journal 65:2200302.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(150)), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> result = cg.instability(model, stays, n_refits=10)
    >>> result.n_refits, 0 < result.mape < 0.5
    (10, True)
    """
    check_n_refits(n_refits)
    check_number("random_state", random_state, minimum=0, whole=True)
    stays = check_stays("stays", stays)
    if stays.task.task_type != "binary" or not hasattr(model, "predict_proba"):
        fix = "Pass a fitted model of a binary outcome."
        raise ArgumentError("a model and stays of a binary outcome", stays.task.task_type, fix)
    own = not isinstance(model, CrossFittedModel) and model.calibrator_ is not None
    if own and calibration is None:
        fix = "Pass the stays that calibrated the model, so that each refit is calibrated too."
        raise ArgumentError("calibration stays of a model that was calibrated", "none", fix)
    compared = stays if apply_to is None else check_stays("apply_to", apply_to)
    compared = compared[np.flatnonzero(model.has_observations(compared))]
    rng, refitted, n_failed = np.random.default_rng(random_state), list[np.ndarray](), 0
    while len(refitted) < n_refits and n_failed <= n_refits:
        try:
            refit = _refit(model, stays, calibration if own else None, rng, auxiliary=auxiliary)
            refitted.append(risks_of(refit, compared))
        except ClinicalGRUError:
            n_failed += 1
    if len(refitted) < n_refits:
        got = f"{len(refitted)} of {len(refitted) + n_failed}"
        raise ArgumentError(f"{n_refits} bootstrap samples to learn from", got, "Take more stays.")
    return Instability.of(risks_of(model, compared), refitted, patients=compared.patient, n_failed=n_failed)


def check_n_refits(n_refits: Any) -> None:
    """Raise where the refits are too few for percentiles.

    Parameters
    ----------
    n_refits : int
        Number of refits.

    Raises
    ------
    ArgumentError
        If there are fewer than 10.
    """
    check_number("n_refits", n_refits, minimum=MIN_REFITS, whole=True)


def _refit(
    model: Any,
    stays: Sequences,
    calibration: Sequences | None,
    rng: np.random.Generator,
    *,
    auxiliary: pd.DataFrame | None,
) -> Any:
    """Give the model as it would be of a bootstrap sample."""
    refit, seed = clone(model), int(rng.integers(MAX_SEED))
    if "random_state" in refit.get_params(deep=False):
        refit.set_params(random_state=seed)
    sample, source = _drawn(stays, rng)
    options = {"verbose": False, "auxiliary": _targets(auxiliary, sample, source)} if hasattr(model, "history_") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClinicalGRUWarning)
        refit.fit(sample, **options)
        return refit if calibration is None else refit.calibrate(_drawn(calibration, rng)[0])


def _drawn(stays: Sequences, rng: np.random.Generator) -> tuple[Sequences, np.ndarray]:
    """Patients drawn with replacement, with all their stays, and the identifier that each drawn stay had.

    A patient who is drawn twice stays one patient, in one fold; repeats of a stay get identifiers of their own.
    """
    number = pd.factorize(np.asarray(stays.patient).astype(str))[0]
    counts = np.bincount(rng.integers(0, number.max() + 1, number.max() + 1), minlength=number.max() + 1)
    chosen = np.repeat(np.arange(len(stays)), counts[number])
    source = pd.Series(stays.stay[chosen].astype(str))
    repeat = source.groupby(source).cumcount()
    own = source.where(repeat == 0, source + " (" + (repeat + 1).astype(str) + ")")
    return replace(stays[chosen], stay=own.to_numpy(object)), source.to_numpy(object)


def _targets(auxiliary: pd.DataFrame | None, sample: Sequences, source: np.ndarray) -> pd.DataFrame | None:
    """The auxiliary targets of drawn stays, by their own identifiers."""
    if auxiliary is None:
        return None
    row = pd.Index(auxiliary.index.astype(str)).get_indexer(pd.Index(source))
    return auxiliary.iloc[row[row >= 0]].set_axis(pd.Index(sample.stay[row >= 0]))

"""Tests whether new patients differ from those of training, calibrated so that all together rarely err."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc, logit
from scipy.stats import betabinom, fisher_exact, norm
from scipy.stats.contingency import expected_freq

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.reference_values import N_BINS, PatientInputs, bin_counts

ALPHA = 0.005  # nominal probability of any false alarm of a run; the simulation found twice the nominal one
BY_GROUP = 0.1  # of it for weeks and groups
SMALL = 10.0  # expected variance of the events, below which outcomes are not compared
MIN_IN_BIN = 20  # expected patients of a bin
MIN_RANKS = 12  # groups of calibration risks, from which on risks are compared
ROUNDED = 3  # digits of a share that is shown
SHARE_OF_ALPHA: Mapping[str, float] = {  # less than 1 in all: chi-squared tails of small p-values are approximate
    "missing": 0.45,
    "values": 0.1,
    "extremes": 0.1,
    "frequency": 0.05,
    "scores": 0.03,
    "performance": 0.03,
}


@dataclass(frozen=True)
class DriftTest:
    """One comparison.

    Attributes
    ----------
    kind : str
        "missing", "values", "extremes", "frequency", "scores" or "performance".
    variable : str
        What is compared.
    expected, found : float or None
        Shares of patients in training and here, or mean risk and event rate. Of "values", "frequency" and "scores" the
        shares at or above the edge nearest to the median of training. None where a small count is suppressed, and of
        "extremes" and the calibration slope.
    p_value : float
        Of no difference; of "values", "frequency" and "scores" in the whole distribution.
    """

    kind: str
    variable: str
    expected: float | None
    found: float | None
    p_value: float


def compare_inputs(
    reference: Mapping[str, Any], inputs: PatientInputs, names: list[str], static: list[str]
) -> list[DriftTest]:
    """Compare patients with the reference of training.

    Parameters
    ----------
    reference : mapping
        As `input_reference` gives it.
    inputs : PatientInputs
        New patients.
    names, static : list of str
        Variables and static covariates, in the order of the columns of `inputs`.

    Returns
    -------
    list of DriftTest
        Of each variable: missingness, values, extremes, frequency; of each static covariate the first two.
    """
    total, tests = float(reference["patients"] or 0), list[DriftTest]()
    if total == 0:
        return tests
    for number, name in enumerate(names):
        entry = reference["variables"].get(name)
        if entry is not None:
            count, n_trained = inputs.count[:, number], entry["share"] * total
            tests += _missing(name, entry["share"], total, count > 0)
            tests += _bins("values", name, entry["mean"], n_trained, inputs.mean[:, number])
            tests += _bins("frequency", name, entry["count"], n_trained, np.where(count > 0, count, np.nan))
            tests += _extremes(name, entry, round(n_trained), inputs.lowest[:, number], inputs.highest[:, number])
    for number, name in enumerate(static):
        entry = reference["static_variables"].get(name)
        if entry is not None:
            values = inputs.static[:, number]
            tests += _missing(name, entry["share"], total, ~np.isnan(values))
            tests += _bins("values", name, entry["mean"], entry["share"] * total, values)
    return tests


def compare_scores(groups: RiskGroups | None, risk: np.ndarray) -> list[DriftTest]:
    """Compare risks with those of the calibration stays.

    Parameters
    ----------
    groups : RiskGroups or None
        Calibration stays.
    risk : ndarray, shape (patient,)
        New risks; NaN where there is none.

    Returns
    -------
    list of DriftTest
        One, or none of few calibration stays.
    """
    if groups is None or len(groups.ranks) < MIN_RANKS:
        return []
    ranks, n_trained = np.array(groups.ranks), float(max(sum(groups.stays), MIN_CELL_SIZE * len(groups.ranks)))
    cuts = np.arange(1, N_BINS) * len(ranks) // N_BINS
    edges = np.unique((ranks[cuts - 1] + ranks[cuts]) / 2)
    entry = {"edges": edges, "shares": bin_counts(ranks, edges) / len(ranks)}
    return list(_bins("scores", "risk", entry, n_trained, risk))


def compare_outcomes(risk: np.ndarray, outcome: np.ndarray, n_calibrated: int) -> list[DriftTest]:
    """Compare observed outcomes with predicted risks.

    Parameters
    ----------
    risk, outcome : ndarray, shape (patient,)
        Risks, and outcomes of 0 or 1; NaN where one is unknown.
    n_calibrated : int
        Stays that calibrated the model, whose chance the calibration contains.

    Returns
    -------
    list of DriftTest
        Calibration in the large and calibration slope, as score tests; none of few expected events.

    References
    ----------
    Cox 1958, Biometrika 45:562-565, two further applications of a model for binary regression.
    """
    known = ~(np.isnan(risk) | np.isnan(outcome))
    risk, outcome = np.clip(risk[known], 1e-6, 1 - 1e-6), outcome[known]
    weight = risk * (1 - risk)
    if len(risk) < MIN_CELL_SIZE or weight.sum() < SMALL or n_calibrated <= 0:
        return []
    chance = 1 + len(risk) / n_calibrated
    log_odds = logit(risk)
    centred = log_odds - np.average(log_odds, weights=weight)
    found = _shown(int(outcome.sum()), len(outcome))
    tests = []
    for name, factor in (("event rate", np.ones(len(risk))), ("calibration slope", centred)):
        variance = float(np.sum(weight * factor**2)) * chance
        z = float(np.sum((outcome - risk) * factor)) / np.sqrt(variance) if variance > 0 else 0.0
        rates = name == "event rate"
        expected = round(float(risk.mean()), ROUNDED) if rates else None
        tests.append(DriftTest("performance", name, expected, found if rates else None, float(2 * norm.sf(abs(z)))))
    return tests


def run_limits(overall: list[DriftTest], grouped: list[DriftTest]) -> list[float]:
    """Give the p-value below which each test of a run is an alarm: at most 1 % false alarms of all tests together.

    Parameters
    ----------
    overall, grouped : list of DriftTest
        Tests of all patients, and those of weeks and groups.

    Returns
    -------
    list of float
        One for each test, first those of all patients.
    """
    level = ALPHA * (1 - BY_GROUP)
    return limits(overall, level) + limits(grouped, ALPHA * BY_GROUP)


def limits(tests: list[DriftTest], alpha: float) -> list[float]:
    """Give the p-value below which each of some tests is an alarm.

    Parameters
    ----------
    tests : list of DriftTest
        All tests that are made together.
    alpha : float
        Probability of any false alarm.

    Returns
    -------
    list of float
        One for each test (Bonferroni, weighted by kind).
    """
    count = {kind: sum(test.kind == kind for test in tests) for kind in SHARE_OF_ALPHA}
    return [alpha * SHARE_OF_ALPHA[test.kind] / count[test.kind] for test in tests]


def _missing(name: str, share: float, total: float, known: np.ndarray) -> Iterator[DriftTest]:
    n, n_known = len(known), int(known.sum())
    before = share * total
    if share in (0.0, 1.0):  # fewer than 11 patients differed: how many is not kept, so those that fit best
        few = np.clip((n_known if share == 0 else n - n_known) * total / n, 0, MIN_CELL_SIZE - 1)
        before = few if share == 0 else total - few
    shown = _shown(n - n_known, n)
    yield DriftTest(
        "missing", name, round(1 - share, ROUNDED), shown, _two_shares(n_known, n, round(before), round(total))
    )


def _bins(
    kind: str, name: str, entry: Mapping[str, Any] | None, n_trained: float, values: np.ndarray
) -> Iterator[DriftTest]:
    known = values[~np.isnan(values)]
    if not entry or not len(entry["edges"]) or len(known) < MIN_IN_BIN * N_BINS:
        return
    counts, shares = bin_counts(known, entry["edges"]), np.asarray(entry["shares"], dtype=float)
    upper = slice(int(np.argmin(np.abs(np.cumsum(shares)[:-1] - 0.5))) + 1, None)  # bins above about the median
    shown = round(float(shares[upper].sum()), ROUNDED), _shown(int(counts[upper].sum()), len(known))
    table = np.array([counts, np.round(shares * n_trained)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] > 1:
        yield DriftTest(kind, name, *shown, _homogeneity(table))


def _extremes(
    name: str, entry: Mapping[str, Any], n_trained: int, lowest: np.ndarray, highest: np.ndarray
) -> Iterator[DriftTest]:
    """More patients beyond a limit than those of training explain; exact whatever the distribution."""
    p_values = []
    for side, values, sign in (("lowest", lowest, 1.0), ("highest", highest, -1.0)):
        limit, known = entry[side], sign * values[~np.isnan(values)]
        if limit is None or len(known) < MIN_CELL_SIZE:
            continue
        few = MIN_CELL_SIZE - 1 if limit["beyond_far"] is None else 0
        for place, before in ((limit["near"], limit["beyond"]), (limit["far"], few)):
            if place is not None and before < n_trained:
                beyond, n = int((known < sign * place).sum()), len(known)
                more = beyond * (n_trained + 1) > (before + 1) * n
                p_values.append(float(betabinom.sf(beyond - 1, n, before + 1, n_trained - before)) if more else 1.0)
    if p_values:
        yield DriftTest("extremes", name, None, None, min(1.0, len(p_values) * min(p_values)))


def _two_shares(x: int, n: int, x_trained: int, n_trained: int) -> float:
    """Two-sided Fisher's exact test of equal shares: chi-squared tests err at p-values as small as the limits."""
    return float(fisher_exact([[x, n - x], [x_trained, n_trained - x_trained]]).pvalue)


def _homogeneity(table: np.ndarray) -> float:
    """Chi-squared test of two rows of counts, without continuity correction."""
    expected = expected_freq(table)
    return float(chdtrc(table.shape[1] - 1, np.sum((table - expected) ** 2 / expected)))


def _shown(count: int, n: int) -> float | None:
    """A share; None where it would show a small count."""
    small = 0 < count < MIN_CELL_SIZE or 0 < n - count < MIN_CELL_SIZE
    return None if small else round(count / n, ROUNDED)

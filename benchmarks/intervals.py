"""Coverage of 95 % intervals and type I error of tests, simulated from risks whose truth is known.

python benchmarks/intervals.py [--repeats 400] [--seed 0] [--part coverage|tests]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta

from clinicalgru.evaluate.bootstrap import bootstrap_metrics, class_patients, interval_table
from clinicalgru.evaluate.delong import delong
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.multiplicity import difference_table
from clinicalgru.evaluate.predictions import risk_predictions
from clinicalgru.evaluate.subgroups import equal_calibration_p

Array = NDArray[np.float64]
TRUTH_STAYS, RESAMPLES, LEVEL = 300_000, 400, 0.05
RATES = {0.1: -2.6, 0.3: -1.0}  # event rate: mean of the log-odds
COHORTS = (  # stays per patient, event rate, events
    (1, 0.1, 50),
    (1, 0.3, 50),
    (3, 0.1, 50),
    (1, 0.1, 100),
    (1, 0.1, 200),
    (3, 0.1, 200),
)
SPREAD, DISTORTION = 1.2, (0.3, 1.4)  # of the log-odds; intercept and slope of wrong risks


def cohort(rng: np.random.Generator, n: int, middle: float, *, stays: int = 1) -> tuple[Array, Array, Array]:
    """Outcomes, risks and patients: true log-odds are normal; stays of one patient share most of them and a frailty."""
    patient = np.arange(n) // stays
    score = middle + SPREAD * (np.sqrt(0.7) * rng.normal(size=n)[patient] + np.sqrt(0.3) * rng.normal(size=n))
    frailty = rng.normal(size=n)[patient] if stays > 1 else 0.0
    outcome = (rng.random(n) < expit(score + frailty)).astype(float)
    return outcome, expit(DISTORTION[0] + DISTORTION[1] * score), patient


def coverage(repeats: int, seed: int) -> Iterator[dict[str, object]]:
    """Fraction of the intervals that contain the value in many stays, by metric and number of events."""
    for stays, rate, events in COHORTS:
        rng, middle = np.random.default_rng([seed, stays, events]), RATES[rate]
        outcome, risk, _ = cohort(rng, TRUTH_STAYS, middle, stays=stays)
        truth = {name: float(m(outcome, risk, np.ones((1, len(risk))))[0]) for name, m in RISK_METRICS.items()}
        n = round(events / outcome.mean())
        held = [_held(rng, n, middle, truth, stays=stays, seed=i) for i in range(repeats)]
        row = {"stays per patient": stays, "event rate": round(outcome.mean(), 2), "events": events}
        yield row | pd.DataFrame(held).mean().round(3).to_dict()


def _held(rng: np.random.Generator, n: int, middle: float, truth: dict, *, stays: int, seed: int) -> dict[str, float]:
    """Whether the interval of each metric contains the truth in one cohort; NaN without an interval."""
    outcome, risk, patient = cohort(rng, n, middle, stays=stays)
    estimates, replicates, _ = bootstrap_metrics(
        {"": risk_predictions(outcome, risk).metrics}, patient, n_resamples=RESAMPLES, random_state=seed
    )
    table = interval_table(estimates[""], replicates[""], class_counts=min(class_patients(outcome, patient)))
    low, high = (table.set_index("metric")[end] for end in ("low", "high"))
    return {m: float(low[m] <= truth[m] <= high[m]) if low[m] == low[m] else np.nan for m in truth}


def equal_models(rng: np.random.Generator, events: int, *, n_baselines: int, stays: int = 1) -> tuple[bool, bool]:
    """Whether any of several equal models is called better or worse; whether DeLong's test says so of the first two."""
    n = round(events / 0.125)
    patient = np.arange(n) // stays
    score = -2.6 + SPREAD * rng.normal(size=n)[patient]
    outcome = (rng.random(n) < expit(score)).astype(float)
    risks = [expit(score + 0.5 * rng.normal(size=n)) for _ in range(n_baselines + 1)]
    models = {f"model {i}": risk_predictions(outcome, risk) for i, risk in enumerate(risks)}
    estimates, replicates, _ = bootstrap_metrics(
        {name: one.metrics for name, one in models.items()},
        patient,
        n_resamples=RESAMPLES,
        random_state=int(rng.integers(2**31)),
    )
    counts = {"": min(class_patients(outcome, patient))}
    table = difference_table(estimates, replicates, primary="auroc", n_resamples=RESAMPLES, class_counts=counts)
    return bool(table["verdict"].str.contains("better").any()), delong(outcome, *risks[:2], patient).p < LEVEL


def subgroup_p(rng: np.random.Generator, events: int, *, n_groups: int, stays: int = 1, by_stay: bool = False) -> float:
    """P value of equal calibration in groups of patients whose calibration is the same, wrong as it is."""
    n = round(events * n_groups / 0.125)
    outcome, risk, patient = cohort(rng, n, -2.6, stays=stays)
    label = pd.Series(np.arange(n) if by_stay else patient).map(lambda i: f"group {i % n_groups}")
    return equal_calibration_p(outcome, risk, label, patients=patient)


def tests(repeats: int, seed: int) -> Iterator[dict[str, object]]:
    """Rejections at 5 % where nothing differs, with the 95 % interval of that fraction."""
    rng = np.random.default_rng(seed)
    for events, n_groups, stays in ((30, 2, 1), (50, 4, 1), (50, 2, 3), (50, 4, 3)):
        p = [subgroup_p(rng, events, n_groups=n_groups, stays=stays) for _ in range(5 * repeats)]
        where = f"{events} events in each group, {stays} stays per patient"
        yield _row(f"calibration of {n_groups} equal groups called different", where, np.array(p) < LEVEL)
    p = [subgroup_p(rng, 50, n_groups=3, stays=3, by_stay=True) for _ in range(5 * repeats)]
    yield _row("the same, 3 groups of stays, not of patients", "50 events, 3 stays", np.array(p) < LEVEL)
    for events, n_baselines, stays in ((50, 1, 1), (50, 4, 1), (50, 4, 3), (200, 4, 1)):
        called = [equal_models(rng, events, n_baselines=n_baselines, stays=stays) for _ in range(repeats)]
        better, delong_differs = np.array(called).T
        where = f"{events} events, {stays} stays per patient"
        yield _row(f"any of {n_baselines} equal baselines called better or worse", where, better)
        yield _row("DeLong, two equal models", where, delong_differs)


def _row(test: str, where: str, rejected: Array) -> dict[str, object]:
    k, n = int(rejected.sum()), len(rejected)
    low, high = beta.ppf(0.025, k, n - k + 1) if k else 0.0, beta.ppf(0.975, k + 1, n - k)
    return {"test": test, "where": where, "rejected": round(k / n, 4), "low": round(low, 4), "high": round(high, 4)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["coverage", "tests"])
    options = parser.parse_args()
    for part in (coverage, tests):
        if options.part in (None, part.__name__):
            for row in part(options.repeats, options.seed):
                print("; ".join(f"{name}: {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()

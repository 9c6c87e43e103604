"""False alarms and power of `clinicalgru drift`, on drawn patients whose distribution is known.

    python benchmarks/drift.py --repeats 1000 --seed 0

Each repeat draws 4,000 patients for training and 1,000 for comparison, with 30 variables: measured in 30 to 100 % of
the patients, .5 to 40 times, skewed values. Under no change all tests of a run count together, with four sites of 250.
Power counts an alarm of the right kind on the variable that was changed, by fraction of the patients that have it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.stats import beta, binomtest

from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.reference_values import PatientInputs, reference_of
from clinicalgru.serve.drift_tests import compare_inputs, compare_outcomes, compare_scores, run_limits

N_VARIABLES, N_TRAINED, N_NEW, N_SITES = 30, 4000, 1000, 4
SHARES = np.linspace(0.3, 1.0, N_VARIABLES)
AMOUNTS = np.linspace(0.5, 40, N_VARIABLES)
NAMES = [f"variable {number}" for number in range(N_VARIABLES)]
WIDE = 20.0  # times the limits, at which few runs tell whether p-values are right
SKEW, FACTOR = 0.3, 18.0  # SD of the log of a value; glucose in mg/dL is 18 times that in mmol/L
KINDS = {"shift": ("values",), "missing": ("missing",), "swap": ("values", "extremes")}


def draw(rng: np.random.Generator, n: int, changed: str = "", which: int = 0) -> PatientInputs:
    """Patients; of the variable `which`, values are .5 SD higher, 10 points of patients lack it, or 5 % swap units."""
    shape = (n, N_VARIABLES)
    count = np.where(rng.random(shape) < SHARES, 1 + rng.poisson(AMOUNTS, shape), 0).astype(float)
    typical, noise = rng.normal(0, 1, shape), 0.5
    if changed == "shift":
        typical[:, which] += 0.5 * np.sqrt(1 + noise**2 / (1 + AMOUNTS[which]))  # of the SD of patients' means
    if changed == "missing":
        count[rng.random(n) < 0.1 / SHARES[which], which] = 0
    within = noise * np.sqrt(2 * np.log(np.maximum(count, 1)))
    mean = 10 * np.exp(SKEW * (typical + rng.normal(0, noise, shape) / np.sqrt(np.maximum(count, 1))))
    low = 10 * np.exp(SKEW * (typical - within + rng.normal(0, 0.2, shape)))
    high = 10 * np.exp(SKEW * (typical + within + rng.normal(0, 0.2, shape)))
    for values in (mean, low, high):
        values[count == 0] = np.nan
    if changed == "swap":
        swapped = rng.random(n) < 0.05
        for values in (mean, low, high):
            values[swapped, which] *= FACTOR if which % 2 else 1 / FACTOR
    return PatientInputs(np.arange(n), count, mean, low, high, np.empty((n, 0)))


def part(inputs: PatientInputs, rows: np.ndarray) -> PatientInputs:
    """Some of the patients."""
    return PatientInputs(
        *(getattr(inputs, name)[rows] for name in ("stay", "count", "mean", "lowest", "highest", "static"))
    )


def risks(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated risks with a mean of 13 %, and outcomes."""
    risk = beta.rvs(1.0, 6.7, size=n, random_state=rng)
    return risk, (rng.random(n) < risk).astype(float)


def false_alarm(rng: np.random.Generator) -> dict[str, float]:
    """Alarms of one run under no change, by kind; and p-values below limits that are 20 times as wide."""
    reference = reference_of(draw(rng, N_TRAINED), NAMES, [])
    calibrated, died = risks(rng, N_NEW)
    groups = RiskGroups.of(died, calibrated, np.arange(N_NEW))
    new, (risk, outcome) = draw(rng, N_NEW), risks(rng, N_NEW)
    site = rng.integers(0, N_SITES, N_NEW)
    sets = []
    for rows in (np.arange(N_NEW), *(np.flatnonzero(site == number) for number in range(N_SITES))):
        tests = compare_inputs(reference, part(new, rows), NAMES, []) + compare_scores(groups, risk[rows])
        sets.append(tests + compare_outcomes(risk[rows], outcome[rows], N_NEW))
    overall, grouped = sets[0], [test for tests in sets[1:] for test in tests]
    found: dict[str, float] = {"at wide limits": 0, "expected at wide limits": 0}
    for test, limit in zip(overall + grouped, run_limits(overall, grouped), strict=True):
        found[test.kind] = found.get(test.kind, 0) + (test.p_value < limit)
        found["at wide limits"] += test.p_value < WIDE * limit
        found["expected at wide limits"] += WIDE * limit
    return found


def is_found(rng: np.random.Generator, changed: str, which: int) -> bool:
    """Whether a change of one variable is found, in a run that tests sites too."""
    reference = reference_of(draw(rng, N_TRAINED), NAMES, [])
    tests = compare_inputs(reference, draw(rng, N_NEW, changed, which), NAMES, [])
    risk, outcome = risks(rng, N_NEW)
    groups = RiskGroups.of(outcome, risk, np.arange(N_NEW))
    tests += compare_scores(groups, risk) + compare_outcomes(risk, outcome, N_NEW)
    limits = run_limits(tests, tests)[: len(tests)]
    return any(
        test.p_value < limit and test.variable == NAMES[which] and test.kind in KINDS[changed]
        for test, limit in zip(tests, limits, strict=True)
    )


def interval(count: int, n: int) -> str:
    """A share with its exact 95 % interval."""
    low, high = binomtest(count, n).proportion_ci()
    return f"{count} of {n} ({count / n:.1%}, 95 % interval {low:.1%} to {high:.1%})"


def main() -> None:
    """Print false alarms and power."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--power-repeats", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, start = np.random.default_rng(options.seed), time.monotonic()
    for changed in KINDS:
        which = rng.integers(0, N_VARIABLES, options.power_repeats)
        found = np.array([is_found(rng, changed, int(one)) for one in which])
        print(f"{changed}: {interval(int(found.sum()), len(found))}", flush=True)
        for low, high in ((0.3, 0.6), (0.6, 0.9), (0.9, 1.01)):
            rows = (SHARES[which] >= low) & (SHARES[which] < high)
            print(f"    measured in {low:.0%} to {min(high, 1):.0%}: {found[rows].sum()} of {rows.sum()}", flush=True)
    runs, kinds = 0, dict[str, float]()
    for repeat in range(options.repeats):
        alarms = false_alarm(rng)
        runs += any(alarms[kind] for kind in alarms if "wide" not in kind)
        kinds = {kind: kinds.get(kind, 0) + count for kind, count in alarms.items()}
        if repeat % 50 == 49:
            print(f"no change, runs with an alarm: {interval(runs, repeat + 1)}; alarms {kinds}", flush=True)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

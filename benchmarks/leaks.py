"""The leakage sentinel on fourteen planted leaks and twenty clean pipelines, as the table of docs/leakage.md.

python benchmarks/leaks.py > table.md
"""

from __future__ import annotations

import time
import warnings

import numpy as np

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.leakage.planted_leaks import clean_pipelines, planted_leaks
from clinicalgru.leakage.result import LeakageCheck

STAYS, COMPARED = 160, 24
SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
    "max_epochs": 2,
    "distillation": 0.0,
    "random_state": 0,
}
TASKS = {
    "GRUClassifier": ("binary", {"outcome": "in_hospital_death"}),
    "GRUMultiLabel": ("multilabel", {"outcome": ("in_hospital_death", "shock")}),
    "GRURegressor": ("regression", {"outcome": "days"}),
    "GRUEarlyWarning": ("early_warning", {"outcome": "septic", "outcome_time": "onset", "horizon_hours": 12.0}),
    "GRUForecaster": ("forecast", {"outcome": ""}),
}


def cohort_with_outcomes() -> Events:
    """A synthetic cohort with an outcome of each type."""
    cohort, rng = cg.simulate(STAYS, random_state=11), np.random.default_rng(0)
    severity = cohort.truth["risk"].to_numpy()
    septic = rng.random(STAYS) < np.clip(3 * severity, 0.1, 0.8)
    outcomes = cohort.outcomes.assign(
        shock=(rng.random(STAYS) < severity).astype(float),
        days=np.exp(rng.normal(1 + 2 * severity, 0.5)),
        septic=septic.astype(float),
        onset=np.where(septic, rng.uniform(4, 44, STAYS), np.nan),
    )
    return cg.read_events(cohort.measurements, stays=cohort.stays, outcomes=outcomes)


def fitted_models(events: Events) -> dict[str, object]:
    """Small fitted models of eight kinds."""
    models: dict[str, object] = {}
    for name, (task_type, fields) in TASKS.items():
        stays = cg.select(events, cg.Task(name=task_type, task_type=task_type, window_hours=(0.0, 24.0), **fields))
        models[name] = getattr(cg, name)(**SMALL).fit(stays, verbose=False)
        if name == "GRUClassifier":
            models["GRUEnsemble"] = cg.GRUEnsemble(cg.GRUClassifier(**SMALL), n_members=2).fit(stays, verbose=False)
            for method in ("logistic regression", "boosted trees"):
                models[method] = cg.SummaryBaseline(method).fit(stays)
    return models


def row(kind: str, name: str, check: LeakageCheck, seconds: float) -> str:
    """One row of the table."""
    by = ", ".join(check.leaks[:3]) + (f" and {len(check.leaks) - 3} more" if len(check.leaks) > 3 else "")
    largest = check.table["largest_difference"].max()
    difference = "a risk appeared or vanished" if np.isinf(largest) else f"{largest:.1e}"
    return f"| {kind} | {name} | {'found' if check.leaks else 'none'} | {by or '-'} | {difference} | {seconds:.1f} |"


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    cohort = cg.simulate(120, random_state=1)
    print("| planted | pipeline | leak | by which checks | largest difference | seconds |\n|---|---|---|---|---|---|")
    for kind, cases in (("leak", planted_leaks(cohort)), ("clean", clean_pipelines(cohort))):
        for name, case in cases.items():
            began = time.process_time()
            check = cg.check_no_future(**case.arguments(), n_stays=40)
            print(row(kind, name, check, time.process_time() - began), flush=True)
    events = cohort_with_outcomes()
    for name, model in fitted_models(events).items():
        began = time.process_time()
        check = cg.check_no_future(model, events, n_stays=COMPARED)
        print(row("clean", name, check, time.process_time() - began), flush=True)


if __name__ == "__main__":
    main()

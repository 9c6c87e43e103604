"""What the sequence is worth: the whole network, the one without its sequence, and boosted trees, on several tasks.

    python benchmarks/sequence_value.py --yaib yaib-demo --data physionet2012 [--only aki glucose] [--epochs 20]

Cross-validation in 2 folds of patients, one seed, no distillation, no auxiliary outcomes. Figures are area under the
precision-recall curve (higher is better) or mean absolute error (lower is better). Differences of the whole network
from the others are paired: patients are drawn with replacement, the same ones for both.

aki         yaib-demo, eICU: onset of acute kidney injury within 6 hours, after each hour
kidney      yaib-demo, eICU: creatinine of the second day, from the first day
glucose     PhysioNet 2012 set a: the next glucose, from the step before it
mortality   PhysioNet 2012 set a: death in hospital, as known at hours 6, 12, 24 and 48
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score

import clinicalgru as cg
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.baselines.tree_baselines import MedianTrees
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.training.folds import patient_folds

HOURS = (6.0, 12.0, 24.0, 48.0)
NETWORKS = {"whole network": "joint", "without its sequence": "summaries", "without its summaries": "sequence"}
TREES = "boosted trees"


class Question(NamedTuple):
    """A task: how its stays are read, what answers it, and what is compared.

    network, trees  classes of the models
    items           of a model and stays: a table of stay (position), truth and prediction
    """

    read: Callable[[argparse.Namespace], cg.Sequences]
    network: Callable[..., Any]
    trees: Callable[[], Any]
    items: Callable[[Any, cg.Sequences], pd.DataFrame]
    is_error: bool


def yaib(folder: Path, outcomes: pd.DataFrame, task: cg.Task) -> cg.Sequences:
    """Stays of a cohort of YAIB with these outcomes."""
    events = cg.read_events(
        folder / "dyn.parquet",
        source="yaib",
        stays=folder / "sta.parquet",
        outcomes=outcomes,
        columns={"patient_id": "stay_id"},
    )
    return cg.select(events, task)


def read_aki(arguments: argparse.Namespace) -> cg.Sequences:
    """The published labels are positive from 6 hours before the onset on."""
    folder = arguments.yaib / "aki" / "eicu_demo"
    label = pd.read_parquet(folder / "outc.parquet")
    first = label[label["label"]].groupby("stay_id")["time"].min().dt.total_seconds() / 3600
    outcomes = pd.DataFrame({"stay_id": label["stay_id"].unique()})
    outcomes["onset_hours"] = outcomes["stay_id"].map(first)
    outcomes["aki"] = outcomes["onset_hours"].notna().astype(float)
    fields: dict[str, Any] = {"horizon_hours": 6.0, "label_shift_hours": 6.0, "outcome_time": "onset_hours"}
    return yaib(folder, outcomes, cg.Task("aki", "aki", (0.0, 168.0), task_type="early_warning", **fields))


def read_kidney(arguments: argparse.Namespace) -> cg.Sequences:
    folder = arguments.yaib / "kidney_function" / "eicu_demo"
    outcomes = pd.read_parquet(folder / "outc.parquet").rename(columns={"label": "creatinine_day_2"})
    return yaib(folder, outcomes, cg.Task("kidney", "creatinine_day_2", (0.0, 24.0), task_type="regression"))


def read_set_a(arguments: argparse.Namespace, task: str) -> cg.Sequences:
    folder = arguments.data
    events = cg.read_events(folder / "set-a.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-a.txt")
    return cg.select(events, cg.Task.load(task))


def warnings_of(model: Any, stays: cg.Sequences) -> pd.DataFrame:
    label = EarlyWarning.fit_targets(stays).step_labels(stays)
    stay = np.repeat(np.arange(len(stays)), stays.n_steps)
    return pd.DataFrame({"stay": stay, "truth": label, "prediction": model.predict_proba(stays)[:, 1]}).dropna()


def numbers_of(model: Any, stays: cg.Sequences) -> pd.DataFrame:
    median = model.predict_quantiles(stays, (0.5,))[:, 0] if hasattr(model, "predict_quantiles") else None
    prediction = model.predict(stays) if median is None else median
    return pd.DataFrame({"stay": np.arange(len(stays)), "truth": stays.outcome, "prediction": prediction})


def glucose_of(model: Any, stays: cg.Sequences) -> pd.DataFrame:
    expected = model.expected(stays)
    rows = expected[(expected["variable"] == "glucose") & expected["last"].notna()]
    return rows.rename(columns={"value": "truth", "median": "prediction"})[["stay", "truth", "prediction"]].dropna()


def hourly_risks_of(model: Any, stays: cg.Sequences) -> pd.DataFrame:
    tables = []
    for hours in HOURS:
        cut = stays.truncate_at(np.minimum(hours, stays.end_hours))
        known = np.flatnonzero(cut.n_steps > 0)
        risk = model.predict_proba(cut[known])[:, 1]
        tables.append(pd.DataFrame({"stay": known, "truth": stays.outcome[known], "prediction": risk}))
    return pd.concat(tables)


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "aki": Question(read_aki, cg.GRUEarlyWarning, EarlyWarningTrees, warnings_of, False),
        "kidney": Question(read_kidney, cg.GRURegressor, MedianTrees, numbers_of, True),
        "glucose": Question(
            lambda arguments: read_set_a(arguments, "next_measurements"),
            cg.GRUForecaster,
            BoostedTreesForecaster,
            glucose_of,
            True,
        ),
        "mortality": Question(
            lambda arguments: read_set_a(arguments, "in_hospital_mortality"),
            cg.GRUClassifier,
            lambda: SummaryBaseline(TREES),
            hourly_risks_of,
            False,
        ),
    }
)


def out_of_fold(question: Question, stays: cg.Sequences, readout_inputs: str | None, *, epochs: int) -> pd.DataFrame:
    """Truth and prediction of all stays, from the model that was not trained on the stay; None: boosted trees."""
    has_event = np.isfinite(stays.outcome) if stays.outcome is not None and not question.is_error else None
    outcome = np.zeros(len(stays)) if has_event is None else stays.outcome
    outcome = np.isfinite(outcome).astype(float) if question.items is warnings_of else outcome
    fold, tables = patient_folds(stays.patient, outcome, n_folds=2, random_state=0), []
    for number in range(2):
        train, held = stays[fold != number], np.flatnonzero(fold == number)
        if readout_inputs is None:
            model = question.trees().fit(train)
        else:
            model = question.network(max_epochs=epochs, distillation=0.0)
            model.set_params(network__readout_inputs=readout_inputs).fit(train, verbose=False)
        table = question.items(model, stays[held])
        tables.append(table.assign(stay=held[table["stay"]]))
    return pd.concat(tables)


def figure(table: pd.DataFrame, weight: np.ndarray, *, is_error: bool) -> float:
    """Mean absolute error, or area under the precision-recall curve; weight (stay,) how often a stay was drawn."""
    weights = weight[table["stay"]]
    truth, prediction = table["truth"].to_numpy(), table["prediction"].to_numpy()
    if is_error:
        return float(np.average(np.abs(truth - prediction), weights=weights))
    return float(average_precision_score(truth, prediction, sample_weight=weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yaib", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--stays", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=[*QUESTIONS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only or QUESTIONS:
        question = QUESTIONS[name]
        stays = question.read(arguments)[: arguments.stays]
        print(f"{name}: {len(stays):,} stays; " + ("mean absolute error" if question.is_error else "AUPRC"), flush=True)
        rng, everyone = np.random.default_rng(0), np.ones(len(stays))
        n = len(stays)
        drawn = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(arguments.resamples)]
        base: np.ndarray | None = None
        for label, inputs in {**NETWORKS, TREES: None}.items():
            table = out_of_fold(question, stays, inputs, epochs=arguments.epochs)
            resampled = np.array([figure(table, one, is_error=question.is_error) for one in drawn])
            base = resampled if base is None else base
            low, high = np.percentile(base - resampled, [2.5, 97.5])
            own = figure(table, everyone, is_error=question.is_error)
            apart = "" if resampled is base else f"   whole network minus it: {low:+.4f} to {high:+.4f}"
            print(f"  {label:<24}{own:>9.4f}{apart}", flush=True)


if __name__ == "__main__":
    main()

"""Accuracy next to baselines, with intervals and paired differences: trained on one set, evaluated once on another.

    python benchmarks/accuracy.py mortality --data physionet2012 [--train a] [--test b]
    python benchmarks/accuracy.py sepsis --data physionet2019 [--train-stays 4000] [--networks 5]
    python benchmarks/accuracy.py forecast --data physionet2012 [--train a] [--test b]

mortality  PhysioNet 2012, death in hospital from the first 48 hours: one GRU, an ensemble of five, the hybrid with
           boosted trees and logistic regression, and the baselines alone. What else is recorded of the training
           stays (SAPS-I and SOFA of the first day, length of stay, later deaths) adds auxiliary
           losses. Event 1 uses the threshold that was best out of fold on the training set.
sepsis     PhysioNet 2019, hospital A, 80 % of the patients against the other 20 %: official normalised utility of
           hourly warnings, the threshold best on patients of the 80 % that the model was not trained on: out of fold
           for the ensemble and the hybrid, the one fold left out for one network or one fit of the trees. 8 epochs.
           At the end of a line: what the hybrid gains on it, patients drawn alike for both.
forecast   PhysioNet 2012, the next value of each measurement of the first 48 hours: one GRU, boosted trees for each
           variable, and the last value carried forward.

LightGBM and PyPOTS are left out where not installed. Nothing here has been chosen on the test set.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pypots_grud import available, by_grud
from sklearn.metrics import average_precision_score, roc_auc_score

import clinicalgru as cg
from clinicalgru import pipeline
from clinicalgru.evaluate.calibrators import CALIBRATORS
from clinicalgru.evaluate.logistic import mean_log_probabilities
from clinicalgru.evaluate.physionet2012 import event1, threshold_for_event1
from clinicalgru.evaluate.physionet2019 import best_threshold, normalised_utility
from clinicalgru.model.baselines.comparison import fit_baselines
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import features
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.training.folds import cross_fit, patient_folds, step_positions

Learned = tuple[np.ndarray, np.ndarray | None]  # risks of the evaluated stays, and out of fold of the trained ones
FOLDS, TREES = 5, "boosted trees"


def lightgbm(*, random_state: int = 0) -> Any:
    """LightGBM as ANCHORS of the field use it: small trees, each choosing among a third of the features."""
    from lightgbm import LGBMClassifier

    sizes = {"n_estimators": 300, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 30, "reg_lambda": 5.0}
    sampling = {"colsample_bytree": 0.3, "subsample": 0.8, "subsample_freq": 1, "n_jobs": 1, "verbose": -1}
    return LGBMClassifier(**sizes, **sampling, random_state=random_state)


def by_light_trees(train: cg.Sequences, test: cg.Sequences) -> Learned:
    table, outcome = features(train, indices=False), train.outcome.astype(int)
    risk = lightgbm().fit(table, outcome).predict_proba(features(test, indices=False))[:, 1]
    fold, out = patient_folds(train.patient, train.outcome, n_folds=FOLDS, random_state=0), np.empty(len(train))
    for number in range(FOLDS):
        rest = fold != number
        out[~rest] = lightgbm().fit(table[rest], outcome[rest]).predict_proba(table[~rest])[:, 1]
    return risk, out


class LightSteps(EarlyWarningTrees):
    """LightGBM in place of our trees of steps: the same tables, the same drawn steps."""

    def classifier(self) -> Any:
        return lightgbm(random_state=self.random_state)


def by_summaries(kind: str) -> Callable[[cg.Sequences, cg.Sequences], Learned]:
    def learned(train: cg.Sequences, test: cg.Sequences) -> Learned:
        fold = patient_folds(train.patient, train.outcome, n_folds=FOLDS, random_state=0)
        out = cross_fit([cg.SummaryBaseline(kind) for _ in range(FOLDS)], train, fold)
        return cg.SummaryBaseline(kind).fit(train).predict_proba(test)[:, 1], out

    return learned


def mortality(folder: Path, train_on: str, test_on: str) -> None:
    (train, further), (test, _) = (_set(folder, name) for name in (train_on, test_on))
    train, test = (
        train[train.n_measurements > 0],
        test.with_variables(train.variables).with_static_variables(train.static_variables),
    )
    test = test[test.n_measurements > 0]
    print(f"trained on {len(train):,} stays, evaluated on {len(test):,}", flush=True)
    risks, out = dict[str, np.ndarray](), dict[str, np.ndarray]()
    hybrid, took = _timed(lambda: cg.Hybrid().fit(train, auxiliary=further, verbose=False))
    ensemble = hybrid.ensemble_
    risks["hybrid"], out["hybrid"] = hybrid.predict_proba(test)[:, 1], hybrid.out_of_fold_[:, 1]
    risks["ensemble of 5"], out["ensemble of 5"] = ensemble.predict_proba(test)[:, 1], ensemble.out_of_fold_[:, 1]
    print(f"hybrid and ensemble fitted in {took:.0f} s; weights {hybrid.weights_}", flush=True)
    single, took = _timed(lambda: cg.GRUClassifier().fit(train, auxiliary=further, verbose=False))
    risks["one GRU"] = single.predict_proba(test)[:, 1]
    print(f"one GRU fitted in {took:.0f} s", flush=True)
    baselines = {kind: by_summaries(kind) for kind in ("logistic regression", "boosted trees")}
    if importlib.util.find_spec("lightgbm"):
        baselines["LightGBM"] = by_light_trees
    if available():
        baselines["PyPOTS GRU-D"] = by_grud
    for name, baseline in baselines.items():
        risks[name], kept = baseline(train, test)
        if kept is not None:  # calibrated as the networks are, on risks out of fold
            calibrator = CALIBRATORS["binary"].fit(train.outcome, kept)
            risks[name], out[name] = calibrator.predict(risks[name]), calibrator.predict(kept)
    order = ["one GRU", "ensemble of 5", "hybrid", *baselines]
    for name in order[:3]:
        others = {other: risks[other] for other in order if other != name}
        evaluation = cg.evaluate(test.outcome, risks[name], patients=test.patient, baselines=others, name=name)
        print(f"\n{evaluation}" if name == "one GRU" else f"\n{name}\n{evaluation.differences.to_string()}", flush=True)
    print("\nEvent 1, threshold fixed out of fold on the learned set")
    out["one GRU"] = out["ensemble of 5"]  # one network has none; those of the ensemble's members stand for them
    for name in (name for name in order if name in out):
        limit = threshold_for_event1(train.outcome, out[name])
        print(f"  {name:<22}{event1(test.outcome, risks[name] >= limit):.3f}")


def forecast(folder: Path, train_on: str, test_on: str) -> None:
    task = cg.Task.load("next_measurements")
    train, test = (_set(folder, name, task)[0] for name in (train_on, test_on))
    test = test.with_variables(train.variables).with_static_variables(train.static_variables)
    model, took = _timed(lambda: pipeline.fit(train, random_state=0))
    print(f"one GRU fitted on {len(train):,} stays in {took:.0f} s", flush=True)
    baselines = fit_baselines(train, random_state=0)
    print(cg.evaluate(model, test[test.n_measurements > 0], baselines=baselines, train=train))


def _set(folder: Path, name: str, task: cg.Task | None = None) -> tuple[cg.Sequences, pd.DataFrame]:
    """The stays of a set, and what else is recorded of them; None: deaths in hospital."""
    extract = folder / f"set-{name}.tar.gz"
    events = cg.read_events(extract, source="physionet2012", outcomes=folder / f"Outcomes-{name}.txt")
    task = task or cg.Task.load("in_hospital_mortality")
    return cg.select(events, task), events.auxiliary_targets(task)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def sepsis(folder: Path, train_stays: int | None, networks: int) -> None:
    events = cg.read_events(folder / "training_setA.zip", source="physionet2019")
    train, test = cg.split_patients(cg.select(events, cg.Task.load("early_sepsis_2019")), [0.8, 0.2], random_state=0)
    if train_stays:
        train = train[np.arange(min(train_stays, len(train)))]
    print(f"trained on {len(train):,} stays, evaluated on {len(test):,}", flush=True)
    ensemble = cg.GRUEnsemble(cg.GRUEarlyWarning(max_epochs=8), n_members=networks)
    hybrid, took = _timed(lambda: cg.Hybrid(ensemble, baselines=(TREES,)).fit(train, verbose=False))
    print(f"{networks} networks and as many trees fitted in {took:.0f} s; weights {hybrid.weights_}", flush=True)
    ensemble, trees = hybrid.ensemble_, hybrid.baselines_[TREES]
    first = train[ensemble.fold_ == 0]  # new to the first of each
    alone = {"one GRU": ensemble.members_[0], "boosted trees, one fit": trees[0]}
    if importlib.util.find_spec("lightgbm"):
        alone["LightGBM, one fit"] = LightSteps().fit(train[ensemble.fold_ != 0])
    predicted = {
        name: (one.predict_proba(test), _limit(first, one.predict_proba(first))) for name, one in alone.items()
    }
    several = mean_log_probabilities([one.predict_proba(test) for one in trees])
    predicted |= {
        f"boosted trees, {networks} fits": (several, _limit(train, _out_of_fold(trees, train, ensemble.fold_))),
        f"ensemble of {networks}": (ensemble.predict_proba(test), _limit(train, ensemble.out_of_fold_)),
        "hybrid": (hybrid.predict_proba(test), _limit(train, hybrid.out_of_fold_)),
    }
    _show_utility({name: (risk[:, 1], risk[:, 1] >= limit) for name, (risk, limit) in predicted.items()}, test)


def _out_of_fold(trees: list[Any], stays: cg.Sequences, fold: np.ndarray) -> np.ndarray:
    """(step, 2) of each stay by the one that was fitted to all other folds."""
    risk = np.empty((int(stays.n_steps.sum()), 2))
    for number, one in enumerate(trees):
        held = np.flatnonzero(fold == number)
        risk[step_positions(stays.n_steps, held)] = one.predict_proba(stays[held])
    return risk


def _limit(stays: cg.Sequences, risk: np.ndarray) -> float:
    """The best threshold for stays that these risks are new to. risk (step, 2)."""
    return best_threshold(risk[:, 1], **_rows(stays))


def _show_utility(predicted: dict[str, tuple[np.ndarray, np.ndarray]], test: cg.Sequences) -> None:
    """Utility of each model's alarms, how well its risks tell steps apart, and the last model against each other one.

    predicted  (step,) risks and alarms
    """
    label = EarlyWarning.fit_targets(test).step_labels(test)
    counts = ~np.isnan(label)
    alarms = {name: alarm for name, (_, alarm) in predicted.items()}
    resampled = _resampled(alarms, test)
    ours = list(predicted)[-1]
    for name, (risk, alarm) in predicted.items():
        score, (low, high) = normalised_utility(alarm, **_rows(test)), np.percentile(resampled[name], [2.5, 97.5])
        auroc, auprc = roc_auc_score(label[counts], risk[counts]), average_precision_score(label[counts], risk[counts])
        shown = f"utility {score:.3f} ({low:.3f}-{high:.3f})  AUROC of steps {auroc:.3f}, AUPRC {auprc:.3f}"
        low, high = np.percentile(resampled[ours] - resampled[name], [2.5, 97.5])
        print(f"  {name:<24}{shown}" + (f"  {ours}: {low:+.3f} to {high:+.3f}" if name != ours else ""), flush=True)


def _rows(stays: cg.Sequences) -> dict[str, np.ndarray]:
    stay = np.repeat(np.arange(len(stays)), stays.n_steps)
    return {"onset_hours": stays.outcome, "stay": stay, "hours": stays.hours[stays.is_new_step]}


def _resampled(alarms: dict[str, np.ndarray], stays: cg.Sequences, *, n_resamples: int = 200) -> pd.DataFrame:
    """(resample, model) utilities, patients drawn with replacement, the same ones for each model."""
    rows, chance = _rows(stays), np.random.default_rng(0)
    found = []
    for _ in range(n_resamples):
        drawn = chance.integers(0, len(stays), len(stays))
        index = step_positions(stays.n_steps, drawn)
        again = {
            "onset_hours": stays.outcome[drawn],
            "stay": np.repeat(np.arange(len(drawn)), stays.n_steps[drawn]),
            "hours": rows["hours"][index],
        }
        found.append({name: normalised_utility(alarm[index], **again) for name, alarm in alarms.items()})
    return pd.DataFrame(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=["mortality", "sepsis", "forecast"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", default="a")
    parser.add_argument("--test", default="b")
    parser.add_argument("--train-stays", type=int)
    parser.add_argument("--networks", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.question == "sepsis":
        sepsis(arguments.data, arguments.train_stays, arguments.networks)
    else:
        question = {"mortality": mortality, "forecast": forecast}[arguments.question]
        question(arguments.data, arguments.train, arguments.test)


if __name__ == "__main__":
    main()

"""The teacher: its risks are of stays it had not learned from, and it shapes the loss by its part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from family import fitted_case
from scipy.special import expit

import clinicalgru as cg
from clinicalgru.evaluate.logistic import logit
from clinicalgru.model.baselines import step_trees
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.features import step_features
from clinicalgru.model.heads.classification import Binary, MultiClass
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.network.collate import collate
from clinicalgru.model.training import distillation
from clinicalgru.model.training.auxiliary_losses import AuxiliaryLosses
from clinicalgru.model.training.distillation import MIN_EVENTS, N_FOLDS, Teacher
from clinicalgru.model.training.folds import patient_folds


@pytest.fixture(scope="module")
def teacher(parts):
    distilled = Teacher.fit(parts[0], Binary(), random_state=0)
    assert distilled is not None
    return distilled


@pytest.mark.slow
def test_the_teacher_has_not_learned_from_the_stays_it_judges(parts, teacher):
    stays = parts[0]
    seen = SummaryBaseline("boosted trees").fit(stays).predict_proba(stays)[:, 1]
    events = stays.outcome == 1
    new = teacher.risk.numpy()
    assert seen[events].mean() - seen[~events].mean() > 1.3 * (new[events].mean() - new[~events].mean())


@pytest.mark.parametrize("kind", ["binary", "early_warning"])
def test_no_tree_of_the_teacher_without_a_fold_was_trained_on_that_fold_or_on_the_stay_it_teaches(
    parts, kind, monkeypatch
):
    stays, fits = parts[0] if kind == "binary" else fitted_case(kind).train, []
    head = Binary() if kind == "binary" else EarlyWarning.fit_targets(stays)

    class Recorder:
        """A model whose risk is the number of its fit."""

        def fit(self, part):
            self.number = len(fits)
            fits.append(set(part.stay))
            return self

        def predict_proba(self, part):
            risk = np.full(int(part.n_steps.sum()) if head.per_step else len(part), (self.number + 1) / 100)
            return np.stack([1 - risk, risk], axis=1)

    monkeypatch.setattr(distillation, "MIN_EVENTS", 5)
    monkeypatch.setattr(distillation, "_trees", lambda head, random_state: Recorder())
    monkeypatch.setattr(distillation, "_calibrated", lambda risk, stays, head: risk)
    fold = patient_folds(stays.patient, head.strata(stays).astype(float), n_folds=5, random_state=0)
    teachers = Teacher.fit_folds(stays, head, fold, random_state=0)
    assert len(fits) == 10
    for k, teacher in enumerate(teachers):
        assert list(teacher.stay_id) == list(stays.stay[fold != k].astype(str))
        n_rows = stays.n_steps[fold != k] if head.per_step else np.ones(len(teacher.stay_id), dtype=int)
        for stay, risk in zip(np.repeat(teacher.stay_id, n_rows), teacher.risk.numpy(), strict=True):
            learned_from = fits[round(100 * float(risk)) - 1]
            assert stay not in learned_from
            assert not learned_from & set(stays.stay[fold == k])


def test_too_few_events_outside_of_a_fold_leave_it_without_a_teacher(parts):
    stays = parts[0][np.arange(60)]
    fold = np.arange(60) % 5
    assert Teacher.fit_folds(stays, Binary(), fold, random_state=0) == [None] * 5


def test_a_loss_is_least_where_the_network_says_what_the_teacher_says(parts, teacher):
    stays = parts[0][np.arange(20)]
    batch = collate(stays)
    risk = teacher.risk[torch.from_numpy(teacher.stay_id.get_indexer(stays.stay[batch.order].astype(str)))]
    same = torch.logit(risk)[None, :, None]
    least = teacher.loss(same, stays, batch)
    for step in (-0.5, 0.5):
        assert teacher.loss(same + step, stays, batch) > least


@pytest.mark.parametrize("part", [0.0, 0.25, 0.9])
def test_the_teacher_counts_by_its_part(parts, teacher, part):
    stays = parts[0][np.arange(20)]
    batch = collate(stays)
    logits = torch.randn(3, 20, 1, generator=torch.Generator().manual_seed(0))
    own = Binary().loss(logits, Binary().labels(stays, batch))
    distilled = AuxiliaryLosses(teacher=teacher, distillation=part).distilled(own, logits, stays, batch)
    torch.testing.assert_close(distilled, (1 - part) * own + part * teacher.loss(logits, stays, batch))


@pytest.mark.parametrize("n_rare", [19, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rare", [0, 1])
def test_twenty_stays_with_and_without_the_event_are_enough_for_distillation_and_nineteen_are_not(parts, n_rare, rare):
    stays = parts[0]
    many, few = np.flatnonzero(stays.outcome != rare), np.flatnonzero(stays.outcome == rare)[:n_rare]
    assert (len(few), MIN_EVENTS) == (n_rare, 20)
    teacher = Teacher.fit(stays[np.concatenate([many[:40], few])], Binary(), random_state=0)
    assert (teacher is not None) == (n_rare == 20)


def test_a_head_without_distillation_has_no_teacher(parts):
    assert Teacher.fit(parts[0], MultiClass((0.0, 1.0)), random_state=0) is None


def test_a_part_outside_zero_to_one_is_refused(parts):
    with pytest.raises(cg.ClinicalGRUError, match="distillation as a number of 0 or more and below 1"):
        cg.GRUClassifier(distillation=1.0).fit(parts[0], validation=parts[1], verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize(("distillation", "shown", "lines"), [(0.5, True, 1), (0.5, False, 0), (0.0, True, 0)])
def test_the_wait_for_the_teacher_is_announced(parts, capfd, distillation, shown, lines):
    model = cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1),
        max_epochs=1,
        distillation=distillation,
    )
    model.fit(parts[0], validation=parts[1], verbose=shown)
    assert capfd.readouterr().err.count("boosted trees are fitted") == lines


@pytest.mark.slow
def test_trees_of_steps_learn_from_some_that_count(monkeypatch):
    stays, rows = fitted_case("early_warning").train, []

    class Spy:
        def fit(self, table, due):
            rows.append((table, due))
            return self

    monkeypatch.setattr(EarlyWarningTrees, "classifier", lambda trees: Spy())
    monkeypatch.setattr(step_features, "CHUNK_STAYS", 7)
    monkeypatch.setattr(
        step_trees, "pooled_table", lambda table, patients, **_: table
    )  # means over patients hide the rows
    trees = EarlyWarningTrees().fit(stays)
    labels, whole = (
        EarlyWarning.fit_targets(stays).step_labels(stays),
        np.concatenate(list(step_features.step_features(stays))),
    )
    (table, due), counts = rows[0], ~np.isnan(labels)
    assert len(table) == len(due) == min(counts.sum(), step_trees.STEPS_PER_STAY * len(stays)) < counts.sum()
    of_step = pd.DataFrame(whole[counts][:, trees.classifier_.columns]).assign(due=labels[counts])
    drawn = pd.DataFrame(table).assign(due=due)
    assert len(drawn.merge(of_step.drop_duplicates(), how="left", indicator=True).query("_merge != 'both'")) == 0


def test_steps_are_drawn_as_often_as_they_weigh():
    weight = np.random.default_rng(0).exponential(size=500) * (np.arange(500) % 3 > 0)
    times = np.bincount(step_trees.systematic_sample(weight, 900, np.random.default_rng(1)), minlength=500)
    assert times.sum() == 900
    assert (np.abs(times - weight * 900 / weight.sum()) < 1).all()


def test_of_steps_that_weigh_alike_all_are_drawn_once():
    drawn = step_trees.systematic_sample(np.full(1000, 0.1), 1000, np.random.default_rng(2))
    np.testing.assert_array_equal(drawn, np.arange(1000))


@pytest.mark.slow
def test_risks_of_trees_of_weighed_steps_are_set_back_to_how_often_a_warning_is_due():
    stays = fitted_case("early_warning").train
    weighed = replace(stays, task=replace(stays.task, utility_function="physionet2019"))
    labels = EarlyWarning.fit_targets(stays).step_labels(stays)
    counts = ~np.isnan(labels)
    assert EarlyWarning.fit_targets(weighed).log_odds_offset > 0.2
    share = labels[counts].mean()
    alike, back = (EarlyWarningTrees().fit(one).predict_proba(stays)[counts, 1] for one in (stays, weighed))
    assert alike.mean() == pytest.approx(share, rel=0.1)
    lifted = expit(logit(back) + EarlyWarning.fit_targets(weighed).log_odds_offset)
    assert lifted.mean() > 2 * share
    assert 0.5 * share < back.mean() < 2 * share


@pytest.mark.slow
def test_what_was_recent_is_counted_as_one_would_by_hand():
    stays = fitted_case("early_warning").train[:15]
    ordered, new = stays, stays.is_new_step
    stay, hours = stays.stay_of_measurement[new], stays.hours[new]
    latest = step_features.latest_measurements(stays, np.cumsum(new) - 1, stay)
    found = step_features.recent_features(stays, latest, stay, hours, window_hours=6.0)
    rows = zip(stay.tolist(), hours.tolist(), found, strict=True)
    width, some = len(stays.variables), 0
    for stay, hour, row in rows:
        facts = (ordered.stay_of_measurement == stay) & (ordered.hours <= hour) & (ordered.hours > hour - 6 + 1e-6)
        for variable in range(width):
            values = ordered.value[facts & (ordered.variable == variable)].astype(float)
            assert row[variable] == len(values)
            expected = values.mean() if len(values) else np.nan
            assert row[width + variable] == pytest.approx(expected, rel=1e-4, nan_ok=True)
            some += len(values) > 0
    assert some > 100


def test_the_table_of_a_stay_is_the_same_alone_and_among_others(monkeypatch):
    """Rows go back from the order of a batch to that of the stays: each column of each step stands with its own."""
    monkeypatch.setattr(step_features, "CHUNK_STAYS", 7)
    stays = fitted_case("early_warning").train[:15]
    together = np.concatenate(list(step_features.step_features(stays)))
    alone = np.concatenate([table for one in range(len(stays)) for table in step_features.step_features(stays[[one]])])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("utility", ["", "physionet2019"])
def test_of_an_early_warning_the_teacher_judges_each_step_whatever_was_left_out_of_the_stay(utility):
    """And as a network judges whose steps are weighed, before it is set back."""
    stays = fitted_case("early_warning").train
    stays = replace(stays, task=replace(stays.task, utility_function=utility))
    teacher = Teacher.fit(stays, EarlyWarning.fit_targets(stays), random_state=0)
    assert teacher is not None
    fold = patient_folds(stays.patient, np.isfinite(stays.outcome).astype(float), n_folds=N_FOLDS, random_state=0)
    one = np.flatnonzero(fold == 0)[:12]
    alone = EarlyWarningTrees(random_state=0).fit(stays[fold != 0]).predict_proba(stays[one])[:, 1]
    alone = expit(logit(alone) + EarlyWarning.fit_targets(stays).log_odds_offset)
    assert (EarlyWarning.fit_targets(stays).log_odds_offset > 0) == bool(utility)
    part = stays[one]
    step_stay, hours = np.repeat(np.arange(len(part)), part.n_steps), part.hours[part.is_new_step]
    expected = {(s, h): risk for s, h, risk in zip(step_stay.tolist(), hours.tolist(), alone, strict=True)}
    fewer = part.filter_measurements(np.random.default_rng(0).random(len(part.value)) < 0.6)
    batch = collate(fewer, per_step=True)
    found = teacher.soft_labels(fewer, batch)
    which = zip(batch.order[batch.point_stay].tolist(), batch.point_hours.tolist(), strict=True)
    raw = logit(np.array([expected[point] for point in which]))
    found = np.asarray(found, dtype=float)
    line = np.polyfit(raw, logit(found), 1)  # the teacher is calibrated on the outcomes before it teaches
    assert line[0] > 0
    np.testing.assert_allclose(logit(found), np.polyval(line, raw), atol=1e-3)

"""The teacher: its risks are of stays it had not learned from, and it shapes the loss by its part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family import asked

import clinicalgru as cg
from clinicalgru.model import step_trees
from clinicalgru.model.baseline import SummaryBaseline
from clinicalgru.model.batch import collate
from clinicalgru.model.beside import Beside
from clinicalgru.model.early_warning import EarlyWarning
from clinicalgru.model.folds import patient_folds
from clinicalgru.model.heads import Binary
from clinicalgru.model.step_trees import StepTrees
from clinicalgru.model.teacher import FOLDS, RAREST, Teacher


@pytest.fixture(scope="module")
def teacher(parts):
    taught = Teacher.learn(parts[0], seed=0)
    assert taught is not None
    return taught


def test_the_teacher_has_not_learned_from_the_stays_it_judges(parts, teacher):
    stays = parts[0]
    seen = SummaryBaseline("boosted trees").fit(stays).predict_proba(stays)[:, 1]
    told = stays.outcome == 1
    new = teacher.risk.numpy()
    assert seen[told].mean() - seen[~told].mean() > 1.3 * (new[told].mean() - new[~told].mean())


def test_a_loss_is_least_where_the_network_says_what_the_teacher_says(parts, teacher):
    stays = parts[0][np.arange(20)]
    batch = collate(stays)
    risk = teacher.risk[torch.from_numpy(teacher.stays.get_indexer(stays.stay[batch.order].astype(str)))]
    same = torch.logit(risk)[None, :, None]
    least = teacher.loss(same, stays, batch)
    for step in (-0.5, 0.5):
        assert teacher.loss(same + step, stays, batch) > least


@pytest.mark.parametrize("part", [0.0, 0.25, 0.9])
def test_the_teacher_counts_by_its_part(parts, teacher, part):
    stays = parts[0][np.arange(20)]
    batch = collate(stays)
    logits = torch.randn(3, 20, 1, generator=torch.Generator().manual_seed(0))
    own = Binary().loss(logits, Binary().target(stays, batch))
    taught = Beside(teacher=teacher, distillation=part).taught(own, logits, stays, batch)
    torch.testing.assert_close(taught, (1 - part) * own + part * teacher.loss(logits, stays, batch))


def test_there_is_no_teacher_where_an_outcome_is_too_rare(parts):
    stays = parts[0]
    few = stays[np.concatenate([np.flatnonzero(stays.outcome == 0), np.flatnonzero(stays.outcome == 1)[: RAREST - 1]])]
    assert Teacher.learn(few, seed=0) is None


def test_a_part_outside_zero_to_one_is_refused(parts):
    with pytest.raises(cg.ClinicalGRUError, match="distillation from 0 to below 1"):
        cg.GRUClassifier(distillation=1.0).fit(parts[0], parts[1], progress=False)


@pytest.mark.parametrize(("distillation", "shown", "lines"), [(0.5, True, 1), (0.5, False, 0), (0.0, True, 0)])
def test_the_wait_for_the_teacher_is_announced(parts, capfd, distillation, shown, lines):
    model = cg.GRUClassifier(hidden_size=4, readout_size=4, members=1, epochs=1, distillation=distillation)
    model.fit(parts[0], parts[1], progress=shown)
    assert capfd.readouterr().err.count("teacher, learn first") == lines


def test_trees_of_steps_learn_from_some_of_each_stay(monkeypatch):
    stays, rows = asked("early_warning").train, []

    class Spy:
        def fit(self, table, labels, sample_weight):
            rows.append((len(table), len(labels)))
            assert (sample_weight == 1).all()  # a task without a utility
            return self

    monkeypatch.setattr(step_trees, "_trees", lambda seed: Spy())
    StepTrees().fit(stays)
    labels = EarlyWarning.learn(stays).step_labels(stays)
    late = int(np.isnan(labels).sum())
    assert stays.steps.max() > step_trees.STEPS
    most = int(np.minimum(stays.steps, step_trees.STEPS).sum())
    assert most - late <= rows[0][0] == rows[0][1] <= most


def test_what_was_recent_is_counted_as_one_would_by_hand():
    stays = asked("early_warning").train[:15]
    batch = collate(stays, every_step=True)
    ordered = stays[batch.order]
    found = step_trees.recent_at(ordered, batch, hours=6.0)
    rows = zip(batch.stay.tolist(), batch.point_hours.tolist(), found, strict=True)
    width, some = len(stays.variables), 0
    for stay, hour, row in rows:
        facts = (ordered.stay_of_fact == stay) & (ordered.hours <= hour) & (ordered.hours > hour - 6 + 1e-6)
        for variable in range(width):
            values = ordered.value[facts & (ordered.variable == variable)].astype(float)
            assert row[variable] == len(values)
            expected = values.mean() if len(values) else np.nan
            assert row[width + variable] == pytest.approx(expected, rel=1e-4, nan_ok=True)
            some += len(values) > 0
    assert some > 100


def test_the_table_of_a_stay_is_the_same_alone_and_among_others():
    """Rows go back from the order of a batch to that of the stays: each column of each step stands with its own."""
    stays = asked("early_warning").train[:15]
    together = step_trees.features_by_step(stays)
    alone = np.concatenate([step_trees.features_by_step(stays[[one]]) for one in range(len(stays))])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_of_an_early_warning_the_teacher_judges_each_step_whatever_was_left_out_of_the_stay():
    stays = asked("early_warning").train
    teacher = Teacher.learn(stays, seed=0)
    assert teacher is not None
    fold = patient_folds(stays.patient, np.isfinite(stays.outcome).astype(float), folds=FOLDS, seed=0)
    one = np.flatnonzero(fold == 0)[:12]
    alone = StepTrees(seed=0).fit(stays[fold != 0]).predict_proba(stays[one])[:, 1]
    part = stays[one]
    step_stay, hours = np.repeat(np.arange(len(part)), part.steps), part.hours[part.new_step]
    expected = {(s, h): risk for s, h, risk in zip(step_stay.tolist(), hours.tolist(), alone, strict=True)}
    fewer = part.without_facts(np.random.default_rng(0).random(len(part.value)) < 0.6)
    batch = collate(fewer, every_step=True)
    found = teacher.risks(fewer, batch)
    which = zip(batch.order[batch.point_stay].tolist(), batch.point_hours.tolist(), strict=True)
    np.testing.assert_allclose(found, [expected[point] for point in which], rtol=1e-5)

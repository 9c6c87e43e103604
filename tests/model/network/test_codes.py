"""Coded events: which are known, which are not, and that a network sees them beside measurements and alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import fact, stays_of, with_network
from sklearn.metrics import roc_auc_score

import clinicalgru as cg
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.network.codes import fit_code_vocabulary, has_observations, known_codes, unknown_codes
from clinicalgru.model.network.collate import collate

TINY = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=4),
    "max_epochs": 1,
    "distillation": 0.0,
}


def with_events(stays: Sequences, events: list[tuple[int, float, str]]) -> Sequences:
    """The stays with these coded events and no others: stay, hours, code; in order."""
    names = tuple(sorted({code for *_, code in events}))
    return replace(
        stays,
        code_vocabulary=names,
        code_starts=np.searchsorted([stay for stay, *_ in events], np.arange(len(stays) + 1)),
        code_hours=np.array([hours for _, hours, _ in events], dtype=float),
        code=np.array([names.index(code) for *_, code in events], dtype=np.int32),
    )


@pytest.fixture
def three_stays(test_stays):
    """One stay with measurements and codes, one with codes alone, one with measurements alone."""
    none = test_stays[[0, 1, 2]].filter_measurements(np.zeros(test_stays[[0, 1, 2]].n_measurements.sum(), bool))
    measured = stays_of(none, {0: [fact(0, 1.0, 80), fact(0, 4.0, 90)], 2: [fact(0, 2.0, 70)]})
    return with_events(measured, [(0, 0.5, "I10"), (0, 4.0, "N17"), (0, 4.0, "I10"), (1, 3.0, "N17"), (1, 9.0, "Z99")])


def test_steps_are_the_distinct_hours_of_measurements_and_codes_together(three_stays):
    batch = collate(three_stays, codes=True)
    for place, stay in enumerate(batch.order):
        one = three_stays[[stay]]
        expected = np.unique(np.concatenate([one.hours, one.code_hours]))
        assert batch.hours[batch.stay == place].tolist() == expected.tolist()
        at = (batch.stay == place)[batch.code_row]
        assert batch.hours[batch.code_row[at]].tolist() == one.code_hours.tolist()
        assert [three_stays.code_vocabulary[code] for code in batch.code[at]] == [
            one.code_vocabulary[code] for code in one.code
        ]
    assert int(batch.code_is_new.sum()) == 4  # the second I10 is not new
    assert (
        collate(three_stays).hours.tolist()
        == collate(replace(three_stays, code_hours=three_stays.code_hours + 7)).hours.tolist()
    )


def test_predictions_after_each_step_are_made_where_something_was_measured(three_stays):
    batch = collate(three_stays, per_step=True, codes=True)
    assert sorted(zip(batch.order[batch.point_stay], batch.point_hours.tolist(), strict=True)) == [
        (0, 1.0),
        (0, 4.0),
        (2, 2.0),
    ]
    assert sorted(zip(batch.order[batch.point_stay], batch.point_number.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (2, 0),
    ]


def test_the_vocabulary_holds_codes_of_enough_training_stays_and_others_are_counted(three_stays):
    known = fit_code_vocabulary(three_stays, min_stays=2)
    assert known == ("N17",)
    assert unknown_codes(three_stays, known).values.tolist() == [["I10", 2, 1], ["Z99", 1, 1]]
    kept = known_codes(three_stays, known)
    assert (kept.code_vocabulary, kept.code.tolist(), kept.code_starts.tolist()) == (known, [0, 0], [0, 1, 2, 2])
    assert has_observations(three_stays, known).tolist() == [True, True, True]
    assert has_observations(three_stays, ("I10",)).tolist() == [True, False, True]


def test_a_model_that_is_not_asked_to_look_at_codes_does_not(parts, test_stays):
    model = cg.GRUClassifier(**TINY).fit(parts[0], validation=parts[1], verbose=False)
    bare = test_stays.filter_coded(np.zeros(len(test_stays.code), bool))
    np.testing.assert_array_equal(model.predict_proba(bare), model.predict_proba(test_stays))


@pytest.fixture(scope="module")
def coded(parts):
    return cg.GRUClassifier(**TINY, use_codes=True).fit(parts[0], validation=parts[1], verbose=False)


def test_an_unseen_code_changes_nothing_and_a_known_one_does(coded, test_stays):
    stays, known = test_stays[:10], coded.network_.spec.code_vocabulary[0]
    none = coded.predict_proba(stays.filter_coded(np.zeros(len(stays.code), bool)))
    unseen, seen = (with_events(stays, [(i, 5.0, code) for i in range(10)]) for code in ("never seen", known))
    np.testing.assert_array_equal(coded.predict_proba(unseen), none)
    assert (np.abs(coded.predict_proba(seen) - none) > 1e-6).all()


@pytest.mark.slow
def test_a_code_after_the_prediction_changes_nothing(events, task, coded, cohort):
    later = cohort.measurements.copy()
    is_code = later["code"].notna() & (
        later["time"] > later.groupby("stay_id")["time"].transform("min") + np.timedelta64(60, "h")
    )
    again = cg.select(cg.read_events(later[~is_code], stays=cohort.stays, outcomes=cohort.outcomes), task)
    np.testing.assert_array_equal(coded.predict_proba(again), coded.predict_proba(cg.select(events, task)))


def test_a_stay_with_a_known_code_alone_is_scored_and_one_without_anything_is_not(coded, test_stays):
    none = test_stays[[0, 1]].filter_measurements(np.zeros(test_stays[[0, 1]].n_measurements.sum(), bool))
    stays = with_events(none, [(0, 5.0, coded.network_.spec.code_vocabulary[0])])
    assert np.isfinite(coded.predict_proba(stays[[0]])).all()
    with pytest.raises(cg.ClinicalGRUError, match="1 stays without any"):
        coded.predict_proba(stays)


@pytest.mark.slow
def test_codes_alone_find_the_planted_code():
    cohort = cg.simulate(1000, random_state=5, drivers={"lung_cancer": 3.0})
    history = cohort.measurements[cohort.measurements["code"].notna()]
    events = cg.read_events(history, stays=cohort.stays, outcomes=cohort.outcomes)
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"), codes=True)
    assert len(stays.value) == 0
    train, tune, test = cg.split_patients(stays, [0.6, 0.15, 0.25], random_state=0)
    plan = with_network(TINY, dropout=0.0) | {"max_epochs": 20, "learning_rate": 5e-3, "batch_size": 32}
    model = cg.GRUClassifier(**plan, use_codes=True).fit(train, validation=tune, verbose=False)
    planted = np.isin(
        np.arange(len(test)), test.stay_of_code[test.code == test.code_vocabulary.index("diagnosis//C34.9")]
    )
    found = roc_auc_score(test.outcome, model.predict_proba(test)[:, 1])
    assert found > 0.95 * roc_auc_score(test.outcome, planted) > 0.7


@pytest.mark.slow
def test_codes_of_the_mimic_demo_enter_through_meds(real_data):
    events = cg.read_events(real_data / "mimic-iv-demo-meds", source="meds", anchor="hospital")
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"), codes=True)
    train, tune = cg.split_patients(stays, [0.7, 0.3], random_state=0)
    model = cg.GRUClassifier(**TINY, use_codes=True).fit(train, validation=tune, verbose=False)
    known = model.network_.spec.code_vocabulary
    assert len(known) > 100
    assert set(known) <= set(stays.code_vocabulary)
    unseen = model.unknown_codes(tune)
    assert unseen["events"].sum() + len(known_codes(tune, known).code) == len(tune.code)
    with torch.no_grad():
        risk = model.predict_proba(tune)[:, 1]
    assert np.isfinite(risk).all()
    assert not np.allclose(risk, model.predict_proba(tune.filter_coded(tune.code_hours < 0))[:, 1])

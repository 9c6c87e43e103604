"""Stays that are cut at random hours: what an epoch sees of them, and what a network without them stays like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import clinicalgru as cg
from clinicalgru.model.estimators.untrained_network import network_spec
from clinicalgru.model.network.collate import Prefixes
from clinicalgru.model.training.cuts import cut_hours, fixed_cuts, points_of, with_cuts

SMALL = {"network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2), "distillation": 0.0}


def cuts_of(stays, n_cuts=3, **options):
    options = {"n_cuts": n_cuts, "measurement_dropout": 0.0, "rng": np.random.default_rng(1)} | options
    return with_cuts(stays, np.ones(len(stays.value), dtype=bool), **options)


def test_the_stays_come_first_and_unchanged_and_each_copy_has_its_outcome_and_an_earlier_end(parts):
    stays = parts[0][:20]
    both, _, none = cuts_of(stays).as_copies()
    assert not len(none.stay)
    np.testing.assert_array_equal(both[:20].value, stays.value)
    np.testing.assert_array_equal(both[:20].end_hours, stays.end_hours)
    copies = both[20:]
    assert len(copies) == 60
    assert (copies.end_hours < stays.end_hours[0]).all()
    assert (copies.end_hours >= stays.task.window_hours[0]).all()
    assert (copies.hours <= copies.end_hours[copies.stay_of_measurement]).all()
    made = cuts_of(stays)
    np.testing.assert_array_equal(both.stay, stays.stay[np.concatenate([made.stay_of, made.prefixes.stay])])
    assert sorted(copies.outcome) == sorted(np.tile(stays.outcome, 3))


def test_some_copies_are_nearly_empty_and_most_hours_are_those_of_the_stay_itself(parts):
    stays = parts[0][:60]
    made = cuts_of(stays)
    assert 0.5 < len(made.prefixes.stay) / 180 < 0.7
    copies = made.stays[60:]
    known = stays[made.stay_of[60:]].truncate_at(copies.end_hours).n_measurements
    assert (copies.n_measurements[known > 0] / known[known > 0] < 0.5).any()


@pytest.mark.parametrize(
    "options",
    [{}, {"attention": "multihead"}, {"attention": None, "n_layers": 2, "cell": "lstm"}, {"feedback_delay_hours": 3.0}],
)
def test_predictions_before_the_end_of_a_stay_are_those_of_the_stay_as_it_was_known_then(parts, options):
    stays = parts[0][:12]
    stays = stays.filter_measurements(stays.stay_of_measurement != 5)
    network = cg.GRUClassifier(cg.NetworkConfig(hidden_size=8, **options)).init_network(parts[0])[0].eval()
    assert network.is_causal
    made = cuts_of(stays)
    made = made._replace(
        prefixes=Prefixes(np.append(made.prefixes.stay, [5, 2]), np.append(made.prefixes.hours, [9, 0]))
    )
    whole = network.make_batch(made.stays, prefixes=made.prefixes)
    copied = network.make_batch(made.as_copies().stays)
    index = np.argsort(copied.order)[: len(whole.point_row)]
    end, prefix = np.argsort(whole.order), np.arange(len(whole.order), len(whole.point_row))
    chosen = np.concatenate([end, prefix])
    np.testing.assert_array_equal(whole.point_hours[chosen], copied.point_hours[index])
    with torch.no_grad():
        torch.testing.assert_close(network(whole)[:, chosen], network(copied)[:, index], rtol=1e-5, atol=1e-6)


def test_each_process_learns_from_its_stays_and_what_belongs_to_them(parts):
    made = cuts_of(parts[0][:11])
    shares = [made.of_rank(rank, 3) for rank in range(3)]
    assert sorted(np.concatenate([one.stays.stay for one in shares])) == sorted(made.stays.stay)
    assert sum(len(one.prefixes.stay) for one in shares) == len(made.prefixes.stay)

    def named(one):
        return list(zip(one.stays.stay[one.prefixes.stay], one.prefixes.hours, strict=True))

    assert sorted(pair for one in shares for pair in named(one)) == sorted(named(made))


def test_hours_for_validation_and_calibration_are_the_same_each_time_and_within_the_window(parts):
    stays = parts[0][:15]
    np.testing.assert_array_equal(cut_hours(stays), cut_hours(stays))
    assert (np.diff(cut_hours(stays), axis=1) > 0).all()
    assert (cut_hours(stays) <= stays.end_hours[:, None]).all()
    first, again = (fixed_cuts(stays, n_cuts=2, random_state=4) for _ in range(2))
    np.testing.assert_array_equal(first.end_hours, again.end_hours)
    assert len(first) == 30


def test_the_loss_sees_the_chosen_predictions_only(parts):
    stays = parts[0][:6]
    batch = cg.GRUClassifier(**SMALL).init_network(stays)[0].make_batch(stays)
    chosen = np.array([True, False, True, True, False, False])
    points = points_of(batch, chosen)
    np.testing.assert_array_equal(points.order, batch.order[chosen])
    assert torch.equal(points.point_stay, torch.arange(3))


@pytest.mark.slow
def test_without_cuts_the_network_has_no_hour_and_its_weight_changes_nothing(parts):
    train, tune, _, test = parts
    plain = cg.GRUClassifier(**SMALL, n_cuts=0, max_epochs=2).fit(train[:80], validation=tune, verbose=False)
    weighted = cg.GRUClassifier(**SMALL, n_cuts=0, cut_weight=7.0, max_epochs=2)
    weighted.fit(train[:80], validation=tune, verbose=False)
    assert plain.network_.spec.window_hours == ()
    assert not plain.answers_at_any_hour_
    assert "end of the window only" in cg.explain(plain, test[[0]]).trajectory_note
    np.testing.assert_array_equal(plain.predict_proba(test), weighted.predict_proba(test))


def test_the_hour_is_an_input_even_where_nothing_was_measured(parts):
    network = cg.GRUClassifier(**SMALL).init_network(parts[0])[0].eval()
    empty = parts[0][:4].filter_measurements(np.zeros(len(parts[0][:4].value), dtype=bool))
    with torch.no_grad():
        late, early = (network(network.make_batch(stays)) for stays in (empty, empty.truncate_at(3.0)))
    assert not torch.equal(late, early)


@pytest.mark.slow
def test_the_risk_at_an_hour_uses_nothing_later(fitted, test_stays):
    assert "not evaluated" in cg.explain(fitted, test_stays[[0]]).trajectory_note  # calibrated on few events
    stays = test_stays[:10]
    changed = replace(stays, value=np.where(stays.hours > 12, stays.value * 1.5 + 1, stays.value).astype(np.float32))
    np.testing.assert_array_equal(*(fitted.predict_proba(one.truncate_at(12.0)) for one in (stays, changed)))


@pytest.mark.parametrize("options", [{"n_cuts": -1}, {"n_cuts": 1.5}, {"cut_weight": -0.1}])
def test_numbers_of_cuts_and_weights_that_cannot_be_are_refused(parts, options):
    with pytest.raises(cg.ClinicalGRUError, match=next(iter(options))):
        cg.GRUClassifier(**SMALL, **options).fit(parts[0], validation=parts[1], verbose=False)


def test_an_outcome_that_moves_with_the_hour_is_not_asked_at_cuts(parts):
    model = cg.GRUClassifier(**SMALL)
    model.head_ = model._head(parts[0])
    assert network_spec(model, parts[0], outputs=1).window_hours == parts[0].task.window_hours
    for kind in (cg.GRUSurvival, cg.GRUEarlyWarning):
        assert not any(head.supports_cuts for head in kind.HEADS.values())

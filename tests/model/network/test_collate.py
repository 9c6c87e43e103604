"""Batch against a slow loop over stays and hours, and against Che et al. 2018, Eq. 2."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import fact, stays_of

import clinicalgru as cg
from clinicalgru.model.network.collate import StepSampling, collate


@pytest.fixture
def odd_stays(test_stays):
    """Stays of very unlike lengths: without facts, with one, with results known late, two values known at once."""
    few = test_stays[np.arange(6)]
    empty = few.filter_measurements(np.isin(few.stay_of_measurement, [0, 1, 2]))
    return stays_of(empty, {1: [fact(3, 5.0, 1.0)], 2: [fact(0, 1.0, 80), fact(0, 7.5, 90), fact(2, 7.5, 36.5)]})


def test_every_row_says_what_a_loop_over_hours_says(odd_stays):
    batch = collate(odd_stays)
    rows = {(int(s), float(h)): i for i, (s, h) in enumerate(zip(batch.stay, batch.hours.double(), strict=True))}
    assert len(rows) == len(batch.hours)
    for place, stay in enumerate(batch.order):
        one = odd_stays[[stay]]
        measured = one.hours - one.availability_lag
        hours = np.unique(one.hours)
        last: dict[int, tuple[float, float]] = {}
        for hour in hours:
            row = rows[place, float(np.float32(hour))]
            before = dict(last)
            now = np.flatnonzero(one.hours == hour)
            for i in now:
                last[int(one.variable[i])] = (float(one.value[i]), float(measured[i]))
            for v in range(len(one.variables)):
                assert bool(batch.mask[row, v]) == (v in one.variable[now])
                carried = int(batch.locf_index[row, v])
                if v in last:
                    assert float(batch.value[carried]) == pytest.approx(last[v][0])
                else:
                    assert carried == len(batch.value)
                since = hour - before[v][1] if v in before else hour - hours[0]
                assert float(batch.delta_hours[row, v]) == pytest.approx(since, abs=1e-4)


def test_sizes_and_last_rows_are_those_of_the_stays(odd_stays):
    batch = collate(odd_stays)
    steps = odd_stays.n_steps[batch.order]
    assert batch.sizes == [int((steps > k).sum()) for k in range(steps.max())]
    for place, count in enumerate(steps):
        row = int(batch.point_row[place])
        assert (
            row == -1
            if count == 0
            else float(batch.hours[row]) == np.float32(odd_stays[[batch.order[place]]].hours[-1])
        )


def test_a_late_result_enters_when_it_was_known_and_its_gap_counts_from_when_it_was_drawn(test_stays):
    none = test_stays[[0]].filter_measurements(np.zeros(test_stays[[0]].n_measurements.sum(), bool))
    stay = stays_of(none, {0: [fact(0, 0.0, 80), fact(1, 3.0, 2.0), fact(0, 5.0, 85)]})
    stay.availability_lag[1] = 2.5  # drawn at 0.5 h, known at 3 h
    batch = collate(stay)
    assert batch.delta_hours[:, 1].tolist() == [0.0, 3.0, 4.5]


def test_a_batch_of_stays_without_facts_is_possible(test_stays):
    batch = collate(test_stays[[0, 1]].filter_measurements(np.zeros(test_stays[[0, 1]].n_measurements.sum(), bool)))
    assert batch.sizes == []
    assert batch.point_row.tolist() == [-1, -1]


def test_a_batch_of_no_stays_is_possible(test_stays):
    """The share of a process for which the last batch has none."""
    for every_step in (False, True):
        batch = collate(test_stays[:0], per_step=every_step, indices=("sbp last - dbp last",))
        whole = collate(test_stays[:2], per_step=every_step, indices=("sbp last - dbp last",))
        assert len(batch.point_stay) == 0
        assert batch.summaries.shape == (0, whole.summaries.shape[1])


def test_a_sample_asks_so_many_points_of_each_stay_and_says_the_same_of_them(odd_stays):
    every = collate(odd_stays, per_step=True)
    some = collate(odd_stays, per_step=True, sample=StepSampling(3, np.random.default_rng(0)))
    n_sampled = np.bincount(some.point_stay, minlength=len(odd_stays))
    assert n_sampled.tolist() == np.minimum(odd_stays.n_steps[some.order], 3).tolist()
    where = {int(row): i for i, row in enumerate(every.point_row)}
    same = [where[int(row)] for row in some.point_row]
    np.testing.assert_array_equal(some.summaries, every.summaries[same])
    np.testing.assert_array_equal(some.point_hours, every.point_hours[same])
    np.testing.assert_array_equal(some.point_stay, every.point_stay[same])


def test_a_sample_of_no_steps_is_refused_before_training(parts):
    with pytest.raises(cg.ClinicalGRUError, match="max_steps_per_stay as a whole number of 1 or more"):
        cg.GRUClassifier(max_steps_per_stay=0).fit(parts[0], validation=parts[1], verbose=False)


def drawn_steps(one, copies, times, **sampling):
    """How often each time step of a stay is drawn, in batches of copies of the stay."""
    hours, drawn = np.unique(one.hours), np.zeros(int(one.n_steps[0]))
    for _ in range(times):
        batch = collate(one[np.zeros(copies, int)], per_step=True, sample=StepSampling(**sampling))
        step = np.searchsorted(hours, batch.point_hours.double().numpy() - 1e-3)
        drawn += np.bincount(step, minlength=len(drawn))
    return drawn


def test_every_step_is_asked_as_often_as_any_other(odd_stays):
    one = odd_stays[[int(odd_stays.n_steps.argmax())]]
    drawn = drawn_steps(one, 60, 10, max_per_stay=4, rng=np.random.default_rng(0))
    expected = 600 * 4 / int(one.n_steps[0])
    assert drawn.sum() == 600 * 4
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected)


def test_a_step_is_drawn_as_likely_as_what_follows_it_weighs(odd_stays):
    """Of one draw a stay, exactly so (Efraimidis and Spirakis 2006)."""
    one, weight = odd_stays[[int(odd_stays.n_steps.argmax())]], np.arange(len(odd_stays.variables)) + 1.0
    whole = collate(one, per_step=True)
    follows = np.append(whole.mask[1:].numpy() @ weight, 0.0)
    times = 3000
    drawn = drawn_steps(one, 150, 20, max_per_stay=1, rng=np.random.default_rng(0), variable_weights=weight)
    expected = times * follows / follows.sum()
    assert drawn.sum() == times
    assert drawn[-1] == 0  # nothing follows the last step
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected.max())


def test_steps_that_nothing_follows_are_drawn_where_there_are_no_others(odd_stays):
    weight, chance = np.zeros(len(odd_stays.variables)), np.random.default_rng(0)
    for count in (2, 1000):
        batch = collate(odd_stays, per_step=True, sample=StepSampling(count, chance, weight))
        drawn = np.bincount(batch.point_stay, minlength=len(odd_stays))
        np.testing.assert_array_equal(drawn, np.minimum(odd_stays.n_steps[batch.order], count))

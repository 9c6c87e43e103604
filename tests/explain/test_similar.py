"""Similar stays: nearest by the hidden state, other patients only, and small counts suppressed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg


def test_a_stay_of_the_same_measurements_is_the_most_similar_one(fitted, parts, test_stays):
    cohort = test_stays[np.arange(30)]
    stay = replace(cohort[[7]], patient=np.array(["somebody else"], dtype=object))
    found = cg.similar(fitted, stay, cohort, n_neighbors=3)
    assert found.table["position"].iloc[0] == 7
    assert found.table["distance"].iloc[0] == pytest.approx(0, abs=1e-5)
    assert found.table["distance"].is_monotonic_increasing
    assert found.table["outcome"].tolist() == cohort.outcome[found.table["position"]].tolist()


def test_a_patient_is_not_similar_to_himself(fitted, test_stays):
    found = cg.similar(fitted, test_stays[[7]], test_stays, n_neighbors=5)
    assert not set(test_stays.patient[found.table["position"]]) & {test_stays.patient[7]}


@pytest.mark.parametrize("n", [4, 30])
def test_what_happened_to_few_similar_patients_is_not_published(fitted, test_stays, n):
    real = replace(test_stays, simulated=False)
    shown = cg.similar(fitted, real[[7]], real, n_neighbors=n)
    for text in (str(shown), repr(shown), shown._repr_html_()):
        assert "suppressed" in text
        assert "position" not in text
    assert len(shown.table) == n  # the analyst has them
    assert "suppressed" not in str(cg.similar(fitted, test_stays[[7]], test_stays, n_neighbors=n))


def test_neighbours_at_the_same_distance_come_in_the_order_of_the_cohort(fitted, test_stays):
    twice = test_stays[np.repeat(np.arange(10), 2)]
    near = cg.similar(fitted, test_stays[[30]], twice, n_neighbors=6).table
    pairs = near["position"].to_numpy().reshape(3, 2)
    assert (pairs[:, 1] == pairs[:, 0] + 1).all()
    assert near["distance"].iloc[::2].tolist() == near["distance"].iloc[1::2].tolist()

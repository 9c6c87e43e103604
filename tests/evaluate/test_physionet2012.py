"""Event 1 of PhysioNet 2012, and the threshold chosen for it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.physionet2012 import event1, threshold_for_event1


def stays(random_state: int):
    random = np.random.default_rng(random_state)
    outcome = (random.random(120) < 0.2).astype(int)
    outcome[:2] = 0, 1
    return outcome, np.round(random.random(120) / 2 + outcome / 4, 2)


def test_event1_is_the_smaller_of_recall_and_precision():
    for random_state in range(20):
        outcome, risk = stays(random_state)
        flagged = risk >= 0.3
        expected = min(recall_score(outcome, flagged), precision_score(outcome, flagged))
        assert event1(outcome, flagged) == pytest.approx(expected)


def test_nobody_flagged_scores_0():
    assert event1([0, 1], [False, False]) == 0


def test_no_other_threshold_scores_higher_on_the_stays_it_was_chosen_on():
    for random_state in range(20):
        outcome, risk = stays(random_state)
        scores = {threshold: event1(outcome, risk >= threshold) for threshold in np.unique(risk)}
        assert scores[threshold_for_event1(outcome, risk)] == max(scores.values())


def test_risks_in_place_of_flags_are_refused():
    with pytest.raises(ArgumentError, match="Pass risk >= threshold"):
        event1([0, 1], [0.2, 0.7])

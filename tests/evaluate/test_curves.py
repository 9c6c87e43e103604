"""The curves drawn are the curves measured."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from clinicalgru.evaluate.curves import curves


def stays(random_state: int, *, number: int, share: float = 0.15, decimals: int = 15):
    random = np.random.default_rng(random_state)
    outcome = (random.random(number) < share).astype(float)
    outcome[:2] = 0, 1
    return outcome, np.round(1 / (1 + np.exp(-random.normal(size=number) - outcome)), decimals)


def true_areas(outcome, risk) -> tuple[float, float]:
    """Of all points; scikit-learn starts precision at 1, the curve here at the precision of the highest risk."""
    precision, recall, _ = precision_recall_curve(outcome, risk)
    return roc_auc_score(outcome, risk), auc(recall[:-1], precision[:-1]) + recall[-2] * precision[-2]


def drawn_areas(drawn) -> tuple[float, float]:
    return auc(*drawn.roc.to_numpy().T), auc(*drawn.precision_recall.to_numpy().T)


def test_a_short_curve_has_every_point_of_scikit_learn():
    outcome, risk = stays(0, number=200, decimals=2)
    outcome[risk == risk.max()] = 0  # so that precision starts at 0, not at 1
    drawn = curves(outcome, risk)
    expected = np.stack(roc_curve(outcome, risk, drop_intermediate=False)[:2], axis=1)
    np.testing.assert_allclose(drawn.roc, expected)
    precision, recall, _ = precision_recall_curve(outcome, risk)
    np.testing.assert_allclose(drawn.precision_recall.to_numpy()[1:], np.stack([recall, precision], axis=1)[-2::-1])
    assert drawn.precision_recall.iloc[0].tolist() == [0, precision[-2]]


@pytest.mark.parametrize("number", [600, 5_000, 100_000])
@pytest.mark.parametrize("share", [0.003, 0.06, 0.15, 0.5])
@pytest.mark.parametrize("decimals", [3, 15])
def test_a_thinned_curve_has_at_most_500_points_and_the_same_area(number, share, decimals):
    outcome, risk = stays(number, number=number, share=share, decimals=decimals)
    drawn = curves(outcome, risk)
    assert max(len(drawn.roc), len(drawn.precision_recall)) <= 500
    np.testing.assert_allclose(drawn_areas(drawn), true_areas(outcome, risk), atol=2e-5)  # 1e-4 is promised


def test_a_staircase_the_worst_case_for_thinning_keeps_its_area():
    outcome, risk = np.tile([0.0, 1.0], 2_000), np.linspace(0, 1, 4_000)
    np.testing.assert_allclose(drawn_areas(curves(outcome, risk)), true_areas(outcome, risk), atol=1e-4)


def test_curves_start_and_end_where_they_must_and_never_turn_back():
    drawn = curves(*stays(1, number=3_000))
    assert drawn.roc.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert drawn.precision_recall["recall"].iloc[[0, -1]].tolist() == [0, 1]
    assert (drawn.roc.diff().dropna() >= 0).all(axis=None)
    assert drawn.precision_recall["recall"].is_monotonic_increasing

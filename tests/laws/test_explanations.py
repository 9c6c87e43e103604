"""Laws of explanations, over every kind of task and every option of the network: 16, and the telescoping of moves."""

from __future__ import annotations

import numpy as np
import pytest
from family import fitted_case, predicted
from helpers import slow_but

import clinicalgru as cg
from clinicalgru.explain.attribution.contributions import contributions
from clinicalgru.explain.targets import member_networks

KINDS = ("multiclass", "multilabel", "regression", "survival", "early_warning")


def log_odds(risk):
    return np.log(risk) - np.log1p(-risk)


def total(why):
    return sum(frame["contribution"].sum() for frame in (why.measurements, why.static, why.coded_events, why.absent))


def some(stays, count=6):
    """Some stays with measurements, of different lengths."""
    stays = stays[np.flatnonzero(stays.n_measurements > 3)]
    return stays[np.argsort(stays.n_steps, kind="stable")[:: max(1, len(stays) // count)][:count]]


def test_16_contributions_sum_to_what_they_explain_whatever_the_network(model, test_stays):
    for i in (0, 1):
        stay = some(test_stays, count=2)[[i]]
        why = cg.explain(model, stay)
        assert abs(why.completeness_gap) <= 1e-3
        assert log_odds(why.risk) - log_odds(why.reference_risk) == pytest.approx(
            total(why) + why.completeness_gap, abs=1e-6
        )
        assert why.risk == pytest.approx(model.predict_proba(stay)[0, 1], abs=1e-6)
        assert why.risk_trajectory["risk"].iloc[-1] == pytest.approx(why.risk, abs=1e-6)
        assert why.attention["weight"].sum() == pytest.approx(1, abs=1e-5)
        assert (len(why.coded_events) > 0) == bool(len(stay.code) and model.network_.spec.code_vocabulary)


def test_many_stays_at_once_are_explained_as_each_alone(model, test_stays):
    stays = some(test_stays, count=3)
    together = contributions(model, stays)
    alone = [contributions(model, stays[[i]]) for i in range(len(stays))]
    np.testing.assert_allclose(together.parts, np.concatenate([one.parts for one in alone], axis=1), atol=1e-3)
    np.testing.assert_allclose(together.coded, np.concatenate([one.coded for one in alone]), atol=1e-3)
    np.testing.assert_allclose(together.number, np.concatenate([one.number for one in alone]), atol=1e-5)


def test_changes_sum_to_the_rise_from_nothing_measured_to_the_end(model, test_stays):
    stay = test_stays[[int(np.argmin(np.where(test_stays.n_measurements > 3, test_stays.n_measurements, 10**6)))]]
    moved = cg.movement(model, stay, n_permutations=4)
    rise = log_odds(model.predict_proba(stay)[0, 1]) - log_odds(moved.start_risk)
    assert moved.changes["contribution"].sum() == pytest.approx(rise, abs=1e-4)
    assert abs(moved.residual) < 1e-4
    np.testing.assert_allclose(
        moved.risk_trajectory["risk"], cg.explain(model, stay).risk_trajectory["risk"], atol=1e-6
    )


@pytest.mark.parametrize("kind", slow_but(("regression", "survival"), KINDS))
def test_16_contributions_sum_to_what_they_explain_for_every_type_of_task(kind):
    case = fitted_case(kind)
    spread = member_networks(case.model)[0].target.scale
    for i in range(4):
        why = cg.explain(case.model, some(case.test)[[i]])
        assert abs(why.completeness_gap) <= 1e-3 * spread
        rise = (
            why.risk - why.reference_risk if kind == "regression" else log_odds(why.risk) - log_odds(why.reference_risk)
        )
        assert rise == pytest.approx(total(why) + why.completeness_gap, abs=1e-6 * max(1, spread))


@pytest.mark.parametrize(
    ("kind", "output", "column"),
    [
        ("multiclass", 0.0, 0),
        ("multiclass", None, -1),
        ("multilabel", "shock", 1),
        ("survival", 100.0, 0),
        ("survival", None, 1),
        ("regression", None, None),
    ],
)
def test_what_is_explained_is_what_the_model_says(kind, output, column):
    case = fitted_case(kind)
    stay = some(case.test)[[2]]
    said = case.model.predict(stay)[0] if column is None else np.asarray(predicted(case.model, stay))[0, column]
    assert cg.explain(case.model, stay, target=output).risk == pytest.approx(said, rel=1e-5)


def test_early_warning_is_explained_at_the_hour_of_at_hours():
    case = fitted_case("early_warning")
    stay = some(case.test)[[3]]
    hours, risk = np.unique(stay.hours), case.model.predict_proba(stay)[:, 1]
    half = len(hours) // 2
    why = cg.explain(case.model, stay, at_hours=(hours[half] + hours[half + 1]) / 2)
    assert why.risk == pytest.approx(risk[half], abs=1e-6)
    assert why.measurements["hours"].max() == hours[half]
    np.testing.assert_allclose(why.risk_trajectory["risk"], risk[: half + 1], atol=1e-6)


def test_a_target_that_the_model_does_not_have_is_refused(fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="no target for a model with one output"):
        cg.explain(fitted, test_stays[[0]], target="shock")
    case = fitted_case("survival")
    with pytest.raises(cg.ClinicalGRUError, match="a horizon above 0"):
        cg.explain(case.model, case.test[[0]], target=1e9)
    case = fitted_case("multilabel")
    with pytest.raises(cg.ClinicalGRUError, match="a label among"):
        cg.explain(case.model, case.test[[0]], target="sepsis")
    with pytest.raises(cg.ClinicalGRUError, match="Use explain_forecast"):
        cg.explain(fitted_case("forecast").model, case.test[[0]])

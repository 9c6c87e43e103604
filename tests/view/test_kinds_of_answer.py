"""The widget and the page of other answers: survival by a horizon, early warning at an hour."""

from __future__ import annotations

import numpy as np
import pytest
from family import fitted_case

import clinicalgru as cg


def longest(case):
    return case.test[[int(np.argmax(case.test.n_measurements))]]


@pytest.fixture(scope="module")
def survival():
    """By hour 100: explanation, what-if, movement."""
    case = fitted_case("survival")
    stay = longest(case)
    arguments = {"target": 100.0}
    moved = cg.movement(case.model, stay, **arguments, n_permutations=4)
    return case.model, stay, cg.explain(case.model, stay, **arguments), cg.what_if(case.model, stay, **arguments), moved


@pytest.fixture(scope="module")
def warning():
    """At hour 9: explanation, what-if, movement."""
    case = fitted_case("early_warning")
    stay = longest(case)
    moved = cg.movement(case.model, stay, at_hours=9.0, n_permutations=4)
    what_if = cg.what_if(case.model, stay, at_hours=9.0)
    return case.model, stay, cg.explain(case.model, stay, at_hours=9.0), what_if, moved


@pytest.mark.slow
def test_the_widget_says_by_which_hour_and_plays_with_that_risk(survival):
    model, _, why, what_if, moved = survival
    view = cg.PatientView(why, what_if=what_if, movement=moved, threshold=0.3)
    assert "death, within 100 hours" in view.summary.value
    assert "Predicted risk of death, within 100 hours" in view.summary.value
    view.panel.variable = "heart_rate"
    view.panel.value = 190.0
    assert view.changed
    assert view.explanation.target_text == "within 100 hours"
    assert "What if: the risk would" in view.summary.value
    assert view.explanation.risk == pytest.approx(model.score_rows(what_if.stay)[0, 0], abs=1e-6)
    what_if.reset()


@pytest.mark.slow
def test_the_page_of_a_horizon_names_it_where_the_risk_stands(survival, tmp_path):
    why = survival[2]
    page = why.to_html(tmp_path / "why.html").read_text()
    assert page.count("death, within 100 hours") >= 2
    assert "within 100 hours" in cg.PatientView(why).save(tmp_path / "view.html").read_text()


def test_another_horizon_is_another_answer(survival):
    model, stay, why, _, moved = survival
    later = cg.explain(model, stay, target=300.0)
    assert later.risk > why.risk
    assert moved.risk == pytest.approx(why.risk, abs=1e-6)
    assert why.risk == pytest.approx(1 - model.predict_survival(stay, [100.0])[0, 0], abs=1e-5)


@pytest.mark.slow
def test_the_widget_of_an_early_warning_ends_at_the_hour_and_so_does_its_what_if(warning):
    model, stay, why, what_if, moved = warning
    view = cg.PatientView(why, what_if=what_if, movement=moved, threshold=0.3)
    assert view.slider.max == pytest.approx(why.risk_trajectory["hours"].max())
    assert why.risk_trajectory["hours"].max() <= 9.0 < stay.hours.max()
    assert what_if.explanation.risk == pytest.approx(why.risk, abs=1e-9)
    view.panel.variable = "heart_rate"
    view.panel.value = 190.0
    assert view.changed
    changed = what_if.stay
    assert changed.hours.max() <= 9.0
    assert view.explanation.risk == pytest.approx(model.predict_proba(changed)[-1, 1], abs=1e-6)
    what_if.reset()


@pytest.mark.slow
def test_the_page_of_an_early_warning_says_how_much_was_seen(warning, tmp_path):
    why = warning[2]
    page = why.to_html(tmp_path / "why.html").read_text()
    assert f"{why.risk_trajectory['hours'].max():.3g} hours observed" in page
    assert "Predicted risk of sepsis" in page

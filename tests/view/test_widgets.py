"""The widgets as state, without a browser."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.errors import ArgumentError, MissingPackageError
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.what_if.counterfactual import Counterfactual
from clinicalgru.view.pages import html_page
from clinicalgru.view.text.narrative import largest_change, narrative
from clinicalgru.view.widgets.training_view import plot_training
from clinicalgru.view.widgets.widget_base import figure_widget, update_figure_widget

from .test_pages import Elements


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """Pages without the 5 MB of plotly, which no test here reads."""
    monkeypatch.setattr(html_page, "get_plotlyjs", lambda: "/* plotly */")


LACTATE = Variable("lactate", "Lactate", "numeric", "mmol/L", plausible=(0.1, 40.0), reference=(0.5, 2.0))
GCS = Variable("gcs", "GCS", "ordinal", "1", plausible=(3.0, 15.0), reference=(15.0, 15.0))
INR = Variable("inr", "INR", "numeric", "1", plausible=(0.5, 20.0))
COLUMNS = ["hours", "variable", "value", "by_value", "by_measured", "by_timing", "contribution"]


def explained(*, lactate: float = 4.2, label: str = "stay", said=str) -> Explanation:
    """Lactate at hours 2 and 15, the coma scale at 1 and 22; the risk follows the last lactate."""
    effect = 0.2 * lactate
    rows = [
        (1.0, "gcs", 14.0, 0.1),
        (2.0, "lactate", 1.5, 0.2),
        (15.0, "lactate", lactate, effect),
        (22.0, "gcs", 9.0, 0.5),
    ]
    table = pd.DataFrame([(h, said(n), v, c, 0.0, 0.0, c) for h, n, v, c in rows], columns=COLUMNS)
    risk = 1 / (1 + np.exp(2.5 - effect - 0.8))
    course = pd.DataFrame({"hours": [1.0, 2, 15, 22, 24], "risk": [0.05, 0.08, 0.8 * risk, risk, risk]})
    variables = [replace(v, name=said(v.name), label=said(v.label), unit=said(v.unit)) for v in (LACTATE, GCS, INR)]
    return Explanation(
        stay_label=said(label), variables=tuple(variables), risk=risk, reference_risk=0.06, measurements=table,
        static=pd.DataFrame({"name": [said("age")], "value": [70.0], "contribution": [0.1]}), completeness_gap=0.0004,
        risk_trajectory=course, attention=pd.DataFrame({"hours": [1.0], "weight": [1.0]}),
        provenance={"outcome": said("death"), "task": said("death"), "simulated": "yes"},
    )  # fmt: skip


class Player:
    """What what_if() gives, by the book: refuses what is not plausible, else follows the last lactate."""

    def __init__(self, said=str):
        self.said = said
        self.explanation = self.now = explained(said=said)
        self.modifiable = list(self.explanation.variables[:2])
        self.calls = []

    def change(self, *, hours, variable, value):
        self.calls.append((hours, variable, value))
        if not 0.1 <= value <= 40:
            raise ArgumentError(f"{variable} from 0.1 to 40", "a value outside of it", "Give another value.")
        self.now = explained(lactate=value, said=self.said)
        return self.now

    def delete(self, *, hours, variable):
        keep = ~((self.now.measurements["variable"] == variable) & (self.now.measurements["hours"] == hours))
        self.now = replace(self.now, measurements=self.now.measurements[keep], risk=0.1)
        return self.now

    def add(self, *, hours, variable, value):
        rows = self.now.measurements
        if ((rows["variable"] == variable) & (rows["hours"] == hours)).any():
            raise ArgumentError(f"an hour without {variable}", "one where it was measured", "Use change or delete.")
        row = pd.DataFrame([(hours, variable, value, 0.3, 0.0, 0.0, 0.3)], columns=COLUMNS)
        self.now = replace(self.now, measurements=pd.concat([rows, row]).sort_values("hours"), risk=0.4)
        return self.now

    def counterfactual(self, target_risk):
        shifts = [("lactate", -1.2, "mmol/L", 3.0, 1.1), ("gcs", 0.4, "1", 11.0, 13.0)]
        shifts = [(self.said(name), *others) for name, *others in shifts]
        names = ["variable", "shift", "unit", "mean_before", "mean_after"]
        changed = 0.9 * target_risk if self.now.risk >= target_risk else self.now.risk
        return Counterfactual(
            valid=changed < target_risk <= self.now.risk, target_risk=target_risk, risk=self.now.risk,
            changed_risk=changed,
            distance=1.6, shifts=pd.DataFrame(shifts, columns=names), measurements=pd.DataFrame(),
        )  # fmt: skip

    def reset(self):
        self.now = self.explanation
        return self.now


@pytest.fixture
def view():
    player = Player()
    return cg.PatientView(player.explanation, what_if=player, threshold=0.25)


def drawn(view, name):
    return next(trace for trace in view.figure.data if trace.name == name)


def test_the_cursor_starts_at_the_end_and_moves_line_and_effects(view):
    assert view.cursor == 24.0
    assert "GCS" in view.effects.value
    view.cursor = 3.0
    assert view.figure.layout.shapes[-1].x0 == view.figure.layout.shapes[-1].x1 == 3.0
    assert view.slider.value == 3.0
    assert "by hour 3" in view.effects.value
    assert "1.5 mmol/L, 1 h ago" in view.effects.value
    view.slider.value = 0.5
    assert view.cursor == 0.5
    assert "Nothing was known by hour 0.5" in view.effects.value


def test_the_panel_offers_what_was_measured_and_starts_at_its_last_value(view):
    view.panel.variable = "lactate"
    assert (view.panel.hour, view.panel.value) == (15.0, 4.2)
    assert [name for _, name in view.panel._variable.options] == ["lactate", "gcs"]
    view.panel.hour = 2.0
    assert view.panel.value == 1.5
    assert (view.panel._slider.min, view.panel._slider.max) == (0.1, 40.0)
    assert "Reference: 0.5 mmol/L to 2 mmol/L" in view.panel.range.value


@pytest.mark.slow
def test_a_typed_value_changes_risk_figure_and_words_and_reset_brings_all_back(view):
    before, words = list(drawn(view, "predicted risk").y), view.summary.value
    view.panel.variable = "lactate"
    view.panel.value = 12.0
    now = explained(lactate=12.0)
    assert view.changed
    assert view.explanation.risk == now.risk
    assert list(drawn(view, "predicted risk").y) == now.risk_trajectory["risk"].tolist()
    assert list(drawn(view, "before the changes").y) == before
    assert f"{view.original.risk:.0%} → {now.risk:.0%}".replace("%", " %") in view.facts.value
    points = view.figure.data[[t.name for t in view.figure.data].index("predicted risk") + 4]
    assert (
        12.0 in points.y or 12.0 in view.figure.data[[t.name for t in view.figure.data].index("predicted risk") + 6].y
    )
    assert view.panel._slider.value == 12.0
    view.panel._reset.click()
    assert not view.changed
    assert view.summary.value == words
    assert view.panel.value == 4.2


def test_reset_brings_back_the_explanation_that_was_given_even_where_the_what_if_made_its_own():
    why, player = explained(), Player()
    view = cg.PatientView(why, what_if=player)
    view.panel.variable = "lactate"
    view.panel.value = 12.0
    assert view.changed
    view.panel._reset.click()
    assert view.explanation is why
    assert not view.changed


def test_the_slider_plays_too_once_for_each_value(view):
    view.panel.variable = "lactate"
    view.panel.model.calls.clear()
    view.panel._slider.value = 8.0
    assert view.panel.model.calls == [(15.0, "lactate", 8.0)]
    assert view.panel.value == 8.0


def test_a_browser_that_moves_the_slider_to_its_next_step_changes_nothing(view):
    view.panel.variable = "lactate"
    view.panel.model.calls.clear()
    view.panel._slider.value = 4.2 + 0.9 * view.panel._slider.step
    assert view.panel.model.calls == []
    assert not view.changed


def test_a_measurement_left_out_is_gone_from_the_list_until_reset(view):
    view.panel.variable = "lactate"
    view.panel._delete.click()
    assert [hour for _, hour in view.panel._hour.options] == [2.0]
    assert view.explanation.risk == 0.1
    view.panel._reset.click()
    assert [hour for _, hour in view.panel._hour.options] == [2.0, 15.0]


def test_what_is_refused_is_said_and_changes_nothing(view):
    view.panel.variable = "lactate"
    view.panel.value = 99.0
    assert "Expected lactate from 0.1 to 40" in view.notice.value
    assert not view.changed
    view.panel.value = 5.0
    assert view.notice.value == ""
    assert view.changed


def test_a_measurement_is_added_at_an_hour_where_there_is_none_and_can_then_be_changed(view):
    view.panel.variable = "lactate"
    assert (view.panel.new_hour, view.panel.new_value) == (24.0, 4.2)
    view.panel.new_hour, view.panel.new_value = 18.5, 7.0
    assert not view.changed
    view.panel._add.click()
    assert view.explanation.risk == 0.4
    assert (view.panel.hour, view.panel.value) == (18.5, 7.0)
    assert [hour for _, hour in view.panel._hour.options] == [2.0, 15.0, 18.5]
    points = [trace for trace in view.figure.data if trace.hovertext and "Lactate 7 mmol/L" in str(trace.hovertext)]
    assert list(points[0].x) == [2.0, 15.0, 18.5]
    view.panel._reset.click()
    assert [hour for _, hour in view.panel._hour.options] == [2.0, 15.0]
    assert not view.changed


def test_an_hour_with_a_measurement_takes_no_other_and_says_so(view):
    view.panel.variable = "lactate"
    view.panel.new_hour = 2.0
    view.panel._add.click()
    assert "an hour without lactate" in view.notice.value
    assert not view.changed
    assert view.panel.hour == 15.0


@pytest.mark.slow
def test_a_variable_that_was_never_measured_can_be_added():
    player = Player()
    player.modifiable = list(player.explanation.variables)
    view = cg.PatientView(player.explanation, what_if=player)
    assert view.panel._variable.options[-1] == ("INR: not measured at first", "inr")
    view.panel.variable = "inr"
    assert view.panel.hour is None
    assert view.panel._delete.disabled
    view.panel.new_hour, view.panel.new_value = 5.0, 2.5
    view.panel._add.click()
    assert (view.panel.hour, view.panel.value) == (5.0, 2.5)
    assert not view.panel._delete.disabled


def test_the_smallest_change_is_told_and_changes_nothing(view):
    view.panel._search.click()
    assert view.panel._search.description == "Smallest change across 25 %"
    shown_text = view.panel.result.value
    assert "takes the risk from 30 % to 22 %, below 25 %" in shown_text
    assert "Lactate from 3 mmol/L to 1.1 mmol/L; GCS from 11 to 13." in shown_text
    assert "not what would help the patient" in shown_text
    assert not view.changed
    view.panel.variable = "lactate"
    view.panel.value = 5.0
    assert view.panel.result.value == ""


def test_where_no_change_crosses_the_threshold_that_is_told(view):
    view.panel.threshold = 0.9
    view.panel._search.click()
    assert "No plausible change of what was measured takes the risk from 30 % above 90 %" in view.panel.result.value


def test_what_the_search_refuses_is_said_in_its_place_and_the_button_works_again(view, monkeypatch):
    def refuse(target_risk):
        raise ArgumentError("a model that gives a risk", "one that gives a number", "Try changes by hand.")

    monkeypatch.setattr(view.panel.model, "counterfactual", refuse)
    view.panel._search.click()
    assert "Expected a model that gives a risk" in view.panel.result.value
    assert not view.panel._search.disabled


def test_without_a_threshold_there_is_nothing_to_cross():
    player = Player()
    panel = cg.PatientView(player.explanation, what_if=player).panel
    assert panel._search not in panel.children


@pytest.mark.slow
def test_a_real_stay_is_added_to_and_its_smallest_change_is_the_one_of_the_what_if(fitted, test_stays):
    played = cg.what_if(fitted, test_stays[[2]])
    view = cg.PatientView(played.explanation, what_if=played, threshold=0.6 * played.explanation.risk)
    risk = drawn(view, "predicted risk").y
    view.panel.variable, view.panel.new_hour, view.panel.new_value = "lactate", 30.25, 9.0
    view.panel._add.click()
    assert view.explanation is played.current is not played.explanation
    assert drawn(view, "predicted risk").y != risk
    view.panel._search.click()
    assert played.counterfactual(view.panel.threshold).shifts["variable"].notna().all()
    assert "risk from" in view.panel.result.value


def test_a_variable_that_is_played_with_comes_into_the_picture():
    player = Player()
    view = cg.PatientView(player.explanation, what_if=player, top=1)
    assert view.variables == ["lactate"]
    view.panel.variable = "gcs"
    assert view.variables == ["lactate", "gcs"]
    assert "<b>GCS</b>" in [note.text for note in view.figure.layout.annotations]


def test_without_a_what_if_there_is_no_panel_and_a_threshold_out_of_range_is_refused():
    assert cg.PatientView(explained()).panel is None
    with pytest.raises(ArgumentError, match="threshold as a number above 0 and below 1"):
        cg.PatientView(explained(), threshold=25)


@pytest.mark.slow
def test_the_same_picture_is_saved_with_the_changes_in_it(view, tmp_path):
    view.panel.variable = "lactate"
    view.panel.value = 12.0
    page = view.save(tmp_path / "why.html").read_text(encoding="utf-8")
    assert "What if: the risk would be" in page
    assert '"before the changes"' in page
    assert "threshold 25 %" in page


def test_the_story_tells_the_jump_the_old_and_the_missing():
    shown_text = " ".join(narrative(explained()))
    assert "Predicted risk of death: 30 %" in shown_text
    assert "Not measured since: lactate for 9 h." in shown_text
    assert "Never measured in these hours: INR." in shown_text


def test_the_jump_is_the_largest_within_three_hours_and_not_the_first_one():
    course = pd.DataFrame({"hours": [0.0, 1, 2, 10, 20, 21], "risk": [0.1, 0.6, 0.61, 0.62, 0.3, 0.2]})
    assert largest_change(course) == (20.0, 21.0)
    assert largest_change(course.iloc[:1]) is None


def test_a_cohort_sorts_filters_and_pages():
    scores = pd.DataFrame(
        {"risk": [0.1, 0.7, np.nan, 0.4], "status": ["scored"] * 2 + ["not scored", "scored"], "reason": ""}
    )
    view = cg.CohortView(scores)
    assert view.positions == [1, 3, 0, 2]
    view.descending = False
    assert view.positions == [0, 3, 1, 2]
    view.risk_range = (0.3, 1.0)
    assert view.positions == [3, 1]
    view.risk_range, view.status = (0.0, 1.0), "not scored"
    assert view.positions == [2]
    view.status, view.sort = "all", "Stay"
    assert view.positions == [0, 1, 2, 3]
    view.browser.sorted_by = {"column": 1, "times": 1}
    assert (view.sort, view.positions) == ("Risk", [1, 3, 0, 2])
    view.browser.sorted_by = {"column": 1, "times": 2}
    assert view.positions == [0, 3, 1, 2]


def test_a_large_cohort_sends_one_page_at_a_time():
    scores = pd.DataFrame({"risk": np.linspace(0, 1, 45), "status": "scored", "reason": ""})
    view = cg.CohortView(scores)
    assert (len(view.browser.rows), view.browser.pages) == (20, 3)
    view.browser.page = 2
    assert [row["position"] for row in view.browser.rows] == [4, 3, 2, 1, 0]
    assert view.browser.status == "Showing 41 to 45 of 45 stays; 45 in all"
    view.risk_range = (0.9, 1.0)
    assert view.browser.page == 0


def test_a_click_opens_the_stay_through_the_function_and_a_refusal_is_said():
    import ipywidgets

    scores = pd.DataFrame({"risk": [0.1, 0.7], "status": "scored", "reason": ""})
    opened = []

    def patient(position):
        opened.append(position)
        if position == 0:
            raise ArgumentError("a stay with measurements", "none", "Choose another.")
        return ipywidgets.HTML("here")

    view = cg.CohortView(scores, open_stay=patient)
    view.browser.selected = 1
    assert opened == [1]
    assert view.opened.children[0].value == "here"
    view.selected = 0
    assert "cannot be opened" in view.opened.children[0].value


def test_a_cohort_names_nobody_unless_asked():
    scores = pd.DataFrame({"stay_id": ["0042", "0077"], "risk": [0.1, 0.7], "status": "scored", "reason": ""})
    assert "0042" not in str(cg.CohortView(scores).browser.rows)
    assert "0042" in str(cg.CohortView(scores, show_id=True).browser.rows)


def test_a_table_that_score_did_not_make_is_refused():
    with pytest.raises(ArgumentError, match="the columns risk, status, reason"):
        cg.CohortView(pd.DataFrame({"risk": [0.1]}))


@pytest.mark.slow
def test_training_is_drawn_epoch_by_epoch_and_starts_again(parts):
    view = cg.TrainingView()
    network = cg.NetworkConfig(hidden_size=8, ensemble_size=2)
    model = cg.GRUClassifier(network, max_epochs=2, distillation=0.0, random_state=0)
    model.fit(parts[0], validation=parts[1], verbose=False, callbacks=(view,))
    assert view.history == model.history_
    assert list(view.figure.data[1].y) == [entry["val_loss"] for entry in model.history_]
    assert "Epoch 2" in view.state.value
    view.on_epoch_end({"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}, best=1)
    assert len(view.history) == 1


def test_the_curves_of_a_loaded_model_are_drawn_from_its_history(fitted, tmp_path):
    view = cg.TrainingView(fitted.history_)
    best = min(fitted.history_, key=lambda entry: entry["val_loss"])
    assert view.figure.data[2].x[0] == best["epoch"]
    assert "Loss by epoch" in view.save(tmp_path / "training.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_data_view_shows_ledger_hours_and_values(events, parts, tmp_path):
    view = cg.DataView(events)
    assert "rows in" in view._body.children[0].value
    view.tab = "Measured by hour"
    assert len(view.figure.data[0].y) == len(events.variables)
    view.tab, view.variable = "Values", "lactate"
    assert view.figure.layout.shapes[0].x0 == 0.5
    assert "Plausible" in view._body.children[1].value
    assert "Measured by hour" in view.save(tmp_path / "data.html").read_text(encoding="utf-8")
    cohort = cg.DataView(parts[0], hours=12)
    assert "stays in the extract" in cohort._body.children[0].value
    with pytest.raises(ArgumentError, match="a variable among"):
        cohort.variable = "luck"


@pytest.mark.slow
def test_small_cells_of_real_patients_say_no_more_than_that(three, events):
    real = cg.DataView(cg.read_events(three, max_rejected=0.5))
    assert real.min_cell_size == 11
    assert "suppressed" in real._body.children[0].value
    real.tab = "Measured by hour"
    said = set(np.ravel(real.figure.data[0].hovertext).tolist())
    assert not [one for one in said if re.search(r"\d+ stays", one) and "fewer than 11" not in one]
    assert cg.DataView(events).min_cell_size == 0


def test_figures_follow_the_theme_and_refuse_to_become_another():
    shown = figure_widget(plot_training([{"epoch": 1, "train_loss": 0.6, "val_loss": 0.5}]))
    assert shown.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
    assert shown._config["showSendToCloud"] is False
    update_figure_widget(shown, plot_training([{"epoch": 1, "train_loss": 0.6, "val_loss": 0.4}]))
    assert shown.data[1].y == (0.4,)


TAGS = ("script", "img", "svg", "iframe", "a", "b", "details", "object", "embed", "math", "form", "input")
INJECTED = [
    made
    for name in TAGS
    for made in (
        f"<{name} onload=alert(1)>", f"</p></td></table><{name} src=x onerror=alert(1)>",
        f"\"><{name} autofocus onfocus=alert(1)>", f"&lt;{name}&gt;<{name}>",
        f"<{name.upper()}\n/onmouseover=alert(1)>",
    )
]  # fmt: skip


def markup_of(widget) -> str:
    """All HTML that a widget and its children hold."""
    own = [widget.value] if type(widget).__name__ == "HTML" else []
    return "".join([*own, *(markup_of(child) for child in getattr(widget, "children", ()))])


def counted(html: str):
    return Elements(html).found


@pytest.fixture(scope="module")
def clean():
    player = Player()
    view = cg.PatientView(player.explanation, what_if=player, threshold=0.25)
    view.panel._search.click()
    return counted(markup_of(view))


def test_there_are_sixty_payloads():
    assert len(set(INJECTED)) == 60


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["".join(INJECTED[n::4]) for n in range(4)])
def test_no_word_from_the_data_becomes_an_element_of_a_widget(payload, clean, tmp_path):
    said = lambda word: f"{word}{payload}"  # noqa: E731
    player = Player(said)
    view = cg.PatientView(player.explanation, what_if=player, threshold=0.25)
    view.panel._search.click()
    assert counted(markup_of(view)) == clean
    texts = [view.figure.layout.to_plotly_json(), [trace.to_plotly_json() for trace in view.figure.data]]
    assert not re.search(r"<(?!b>|/b>|br>)", str(texts))
    assert counted(player.explanation._repr_html_()) == counted(explained()._repr_html_())
    scores = pd.DataFrame({"stay_id": [said("1")], "risk": [0.5], "status": [said("scored")], "reason": [said("none")]})
    cohort = cg.CohortView(scores, show_id=True, trajectories=[[0.1, 0.5]])
    plain = cg.CohortView(scores.assign(stay_id="1", status="scored", reason="none"), trajectories=[[0.1, 0.5]])
    assert counted(cohort.save(tmp_path / "a.html").read_text()) == counted(plain.save(tmp_path / "b.html").read_text())
    shown, calm = (
        view_.save(tmp_path / f"{n}.html").read_text()
        for n, view_ in enumerate((view, cg.PatientView(explained(), what_if=Player(), threshold=0.25)))
    )
    assert counted(shown) == counted(calm)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: cg.PatientView(5), "explanation as Explanation; got the number 5"),
        (lambda: cg.PatientView(explained(), top=0), "top as a whole number of 1 or more; got 0"),
        (lambda: cg.CohortView("x"), "scores as DataFrame; got text"),
        (lambda: cg.CohortView(pd.DataFrame({"risk": [0.1], "status": "", "reason": ""}), open_stay=3), "a function"),
        (lambda: cg.DataView(None), "data as Events or Sequences; got None"),
        (lambda: cg.TrainingView(5), "history as a list of epoch, train_loss, val_loss; got the number 5"),
    ],
)
def test_a_view_of_something_else_is_refused(build, expected):
    with pytest.raises(ArgumentError, match=re.escape(expected)):
        build()


def test_without_ipywidgets_the_error_names_the_extra(monkeypatch):
    name = "clinicalgru.view.widgets.notebook_packages"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(MissingPackageError, match=re.escape('pip install "clinicalgru[notebook]"')):
        importlib.import_module(name)


def test_a_saved_notebook_holds_a_picture_and_a_table_of_each_widget():
    scores = pd.DataFrame({"risk": [0.4, 0.1], "status": "scored", "reason": ""})
    history = [{"epoch": 1, "train_loss": 0.5, "val_loss": 0.4}]
    views = (cg.PatientView(explained()), cg.CohortView(scores), cg.TrainingView(history))
    for view in views:
        bundle = view._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        assert "<table" in bundle["text/html"]
        assert "<script" not in bundle["text/html"]
    assert "data:image/svg+xml;base64," in views[0]._repr_mimebundle_()["text/html"]
    noted = replace(explained(), trajectory_note="At hour 2 the risk, in grey, is not calibrated.")
    assert "At hour 2 the risk, in grey, is not calibrated." in cg.PatientView(noted)._static_html()

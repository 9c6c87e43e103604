"""What was expected of one stay: the result, the page, and what both keep to themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from family import fitted_case

import clinicalgru as cg
from clinicalgru import pipeline
from clinicalgru.view.pages.forecast_page import variables_by_anomaly


@pytest.fixture(scope="module")
def found():
    case = fitted_case("forecast")
    return cg.explain_forecast(case.model, case.test[[int(np.argmax(case.test.n_measurements))]])


def test_what_came_outside_is_counted_and_listed_oddest_first(found):
    rows, judged = found.outside_interval, found.predicted
    inside = (judged["value"] >= judged["low"]) & (judged["value"] <= judged["high"])
    assert 0 < len(rows) == (~inside).sum() < len(judged)
    assert rows["anomaly"].is_monotonic_decreasing
    assert str(found).splitlines()[0] == f"stay: {len(rows)} of {len(judged)} measurements outside their 90 % interval"
    assert str(rows["variable"][0]) in str(found).splitlines()[1]
    assert f"{len(rows):,} of {len(judged):,}" in found._repr_html_()


def test_a_wider_interval_leaves_fewer_outside():
    case = fitted_case("forecast")
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    counts = [len(cg.explain_forecast(case.model, stay, coverage=part).outside_interval) for part in (0.5, 0.9, 0.99)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2]


def test_what_is_expected_next_is_the_forecast_after_the_last_step(found):
    case = fitted_case("forecast")
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    last = case.model.predict(stay).groupby("variable").last()
    ahead = found.next_values.set_index("variable")
    for name in ("median", "low", "high"):
        assert ahead[name].to_dict() == last[name].to_dict()
    seen = found.measurements.groupby("variable")["value"].last()
    assert ahead["last"].dropna().to_dict() == seen.to_dict()


@pytest.mark.slow
def test_the_figure_has_a_cross_for_each_that_came_outside(found):
    drawn = found.plot("timeline", variables=variables_by_anomaly(found))
    symbols = [
        one for trace in drawn.data for one in (trace.marker.symbol if isinstance(trace.marker.symbol, tuple) else [])
    ]
    assert symbols.count("x") == len(found.outside_interval)
    assert len(symbols) == len(found.measurements)


def test_of_a_very_long_stay_some_points_are_drawn_and_that_is_said(found):
    name = variables_by_anomaly(found)[0]
    one = found.measurements[found.measurements["variable"] == name]
    many = one.iloc[np.arange(5000) % len(one)].assign(hours=np.arange(5000.0))
    drawn = replace(found, measurements=many, at_hours=4999.0).plot("timeline", variables=[name])
    assert max(len(trace.x) for trace in drawn.data) < 1100
    assert any("of 5,000 drawn" in note.text for note in drawn.layout.annotations)


@pytest.mark.slow
def test_the_page_holds_no_identifier_and_shows_a_hostile_label_letter_by_letter(found, tmp_path):
    case = fitted_case("forecast")
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    hostile = "<script>alert(1)</script>"
    odd = variables_by_anomaly(found)[0]
    variables = tuple(replace(one, label=hostile) if one.name == odd else one for one in found.variables)
    text = replace(found, variables=variables).to_html(tmp_path / "page.html").read_text()
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert str(stay.stay[0]) not in text.partition("<script>")[0]
    assert str(stay.patient[0]) not in text.partition("<script>")[0]
    assert "Outside the prediction interval" in text
    assert str(stay.stay[0]) in cg.explain_forecast(case.model, stay, show_id=True).stay_label


@pytest.mark.slow
def test_a_stay_that_came_as_expected_has_a_page_too(found, tmp_path):
    calm = found.measurements.assign(low=-1e9, high=1e9)
    text = replace(found, measurements=calm).to_html(tmp_path / "page.html").read_text()
    assert "All measurements lie inside their prediction interval." in text


@pytest.mark.slow
def test_of_a_stay_of_one_step_nothing_was_expected_but_something_is_next(tmp_path):
    case = fitted_case("forecast")
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    first = cg.explain_forecast(case.model, stay.prefixes(stay.hours[:1]))
    assert len(first.predicted) == 0 < len(first.measurements)
    assert first.next_values["last"].notna().any()
    text = first.to_html(tmp_path / "page.html").read_text()
    assert "No measurement has a prediction yet." in text
    assert "0 of 0" in str(first)
    at_first = cg.explain_forecast(case.model, stay, at_hours=float(stay.hours[0]))
    assert str(at_first) == str(first)
    assert at_first.next_values.equals(first.next_values)
    with pytest.raises(cg.ClinicalGRUError, match="one stay with a measurement"):
        cg.explain_forecast(case.model, stay, at_hours=float(stay.hours[0]) - 1)


def test_the_command_line_has_no_output_to_choose_of_a_forecast():
    model = fitted_case("forecast").model
    assert pipeline.parse_target(model, None) is None
    for said in ("heart_rate", "24"):
        with pytest.raises(cg.ClinicalGRUError, match="no --target with a forecast"):
            pipeline.parse_target(model, said)


@pytest.mark.parametrize("which", [[0, 1], []])
def test_other_than_one_stay_is_refused(which):
    case = fitted_case("forecast")
    with pytest.raises(cg.ClinicalGRUError, match="one stay with a measurement"):
        cg.explain_forecast(case.model, case.test[which])


def test_a_model_of_a_risk_is_refused():
    case = fitted_case("regression")
    with pytest.raises(cg.ClinicalGRUError, match="a fitted GRUForecaster; got a GRURegressor"):
        cg.explain_forecast(case.model, case.test[[0]])


@pytest.mark.slow
def test_no_interval_on_the_page_holds_a_value_that_cannot_be_and_marks_say_the_side(found, tmp_path):
    wide = {"low": -1e6, "high": 1e6}
    ahead = found.next_values.assign(**wide)
    gcs = next(one for one in found.variables if one.name == "gcs")
    text = replace(found, next_values=ahead).to_html(tmp_path / "page.html").read_text()
    assert f"({gcs.plausible[0]:g} to {gcs.plausible[1]:g})" in text
    table = text.partition("Outside the prediction interval")[2].partition("Next measurements")[0]
    rows = found.outside_interval.head(12)
    assert table.partition("<tbody>")[2].count("▲") == (rows["value"] > rows["high"]).sum()
    assert table.partition("<tbody>")[2].count("▼") == (rows["value"] < rows["low"]).sum()

"""A figure shows the numbers it was given, each with more than a colour."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from clinicalgru.explain.points import point_rate
from clinicalgru.view.plots import contribution_plots
from clinicalgru.view.plots import evaluation_plots as plots
from clinicalgru.view.plots.timeline import plot_patient

from .conftest import make_evaluation, make_explanation

OF_AN_EVALUATION = (
    plots.plot_roc,
    plots.plot_precision_recall,
    plots.plot_calibration,
    plots.plot_differences,
)
OF_AN_EXPLANATION = (
    contribution_plots.plot_attention,
    contribution_plots.plot_contributions,
    plot_patient,
)
FIGURES = (
    *((draw, make_evaluation) for draw in OF_AN_EVALUATION),
    *((draw, make_explanation) for draw in OF_AN_EXPLANATION),
)


def traces(figure) -> dict:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_roc_draws_every_model_as_given_and_names_its_auroc(evaluation):
    drawn = traces(plots.plot_roc(evaluation))
    for model, curves in evaluation.curves.items():
        shown = next(trace for name, trace in drawn.items() if name.startswith(model))
        estimate = evaluation.metrics.query("model == @model and metric == 'auroc'")["estimate"].item()
        assert shown.name == f"{model} {estimate:.3f}"
        assert list(shown.x) == curves.roc["false_positive_rate"].tolist()
        assert list(shown.y) == curves.roc["true_positive_rate"].tolist()


def test_precision_and_recall_are_steps_and_chance_is_the_event_rate(evaluation):
    figure = plots.plot_precision_recall(evaluation)
    assert set(figure.data[0].y) == {evaluation.events / evaluation.stays}
    assert {trace.line.shape for trace in figure.data[1:]} == {"vh"}


def test_calibration_intervals_reach_from_low_to_high(evaluation):
    shown = traces(plots.plot_calibration(evaluation))[evaluation.name]
    groups = evaluation.curves[evaluation.name].calibration
    assert [y + up for y, up in zip(shown.y, shown.error_y.array, strict=True)] == pytest.approx(groups["high"])
    assert [y - d for y, d in zip(shown.y, shown.error_y.arrayminus, strict=True)] == pytest.approx(groups["low"])


def test_a_difference_is_filled_only_where_its_interval_leaves_out_0(evaluation):
    for trace in plots.plot_differences(evaluation).data:
        for x, up, down, symbol in zip(
            trace.x, trace.error_x.array, trace.error_x.arrayminus, trace.marker.symbol, strict=True
        ):
            assert symbol.endswith("-open") == (x - down <= 0 <= x + up)


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_precision_recall, plots.plot_calibration])
def test_models_differ_in_dash_as_well_as_in_colour(evaluation, draw):
    lines = [trace.line for trace in draw(evaluation).data]
    assert len({line.dash for line in lines[1:]}) == len({line.color for line in lines[1:]}) == 3


@pytest.mark.parametrize(
    "draw",
    [
        plots.plot_roc,
        plots.plot_precision_recall,
        plots.plot_calibration,
        plots.plot_differences,
    ],
)
def test_an_evaluation_without_rivals_is_drawn(evaluation, draw):
    own = evaluation.metrics.query("model == @evaluation.name")
    curves = {evaluation.name: evaluation.curves[evaluation.name]}
    alone = replace(evaluation, metrics=own, differences=evaluation.differences.iloc[:0], curves=curves)
    assert draw(alone).layout.height > 0


def test_contributions_show_the_strongest_first_and_their_three_parts(explanation):
    figure = contribution_plots.plot_contributions(explanation, top=5)
    rows, rate = explanation.measurements, point_rate(explanation)
    rows = rows.loc[rows["contribution"].abs().sort_values(ascending=False).index[:5]]
    for name, column in (
        ("its value", "by_value"), ("being measured", "by_measured"), ("its timing", "by_timing"),
        ("sum", "contribution"),
    ):  # fmt: skip
        assert list(traces(figure)[name].x) == pytest.approx((100 * rate * rows[column]).tolist())  # points
    assert len({trace.marker.pattern.shape for trace in figure.data[:3]}) == 3
    assert figure.layout.yaxis.ticktext[0] == contribution_plots.label(explanation, next(rows.itertuples()))
    assert "in points" in figure.layout.xaxis.title.text


def test_attention_shows_each_weight_at_its_hour(explanation):
    bars = contribution_plots.plot_attention(explanation).data[0]
    assert list(bars.x) == explanation.attention["hours"].tolist()
    assert list(bars.y) == explanation.attention["weight"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "make"), FIGURES)
def test_plotly_is_given_no_tag_or_formula_from_the_data(draw, make):
    figure = json.loads(draw(make(lambda word: f"{word}<a href='x'>$y$")).to_json())
    assert "<a" not in json.dumps(figure)
    assert "$" not in json.dumps(figure)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "make"), FIGURES)
def test_no_figure_offers_to_send_its_data_to_a_server(draw, make):
    assert draw(make()).layout.modebar.remove == ("sendChartToCloud",)

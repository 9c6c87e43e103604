"""Performance by hour: what the stays give that are cut there, and where it is shown."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.by_hour import evaluate_by_hour
from clinicalgru.evaluate.evaluation_text import hours_table


def test_each_hour_has_the_metrics_of_the_stays_as_they_were_known_then(fitted, test_stays):
    table = evaluate_by_hour(fitted, test_stays, hours=[12, 4], n_resamples=5)
    assert table["hours"].unique().tolist() == [4.0, 12.0]
    cut = test_stays.truncate_at(4.0)
    seen = fitted.has_observations(cut)
    one = cg.evaluate(cut.outcome[seen], fitted.predict_proba(cut[seen])[:, 1], n_resamples=5).metrics
    both = table[table["hours"] == 4].set_index("metric")["estimate"]
    for metric, estimate in both.items():
        assert estimate == pytest.approx(one.set_index("metric")["estimate"][metric], rel=1e-9)


def test_the_last_hour_is_the_end_of_the_window_and_agrees_with_the_evaluation(fitted, test_stays):
    evaluation = cg.evaluate(fitted, test_stays, n_resamples=5)
    assert evaluation.by_hour["hours"].unique().tolist() == [1, 2, 4, 6, 12, 24, 36, 48]
    last = evaluation.by_hour.query("hours == 48").set_index("metric")["estimate"]
    whole = evaluation.metrics.set_index("metric")["estimate"]
    np.testing.assert_allclose(last, whole[last.index], rtol=1e-9)
    assert len(evaluation.to_dict()["by_hour"]) == len(evaluation.by_hour)


def test_it_is_printed_drawn_and_on_the_page(fitted, test_stays, tmp_path):
    evaluation = cg.evaluate(fitted, test_stays, n_resamples=5)
    assert "hour 12" in str(evaluation)
    assert "hour 12" in evaluation._repr_html_()
    assert len(evaluation.plot("by hour").data) == 3
    page = evaluation.to_html(tmp_path / "e.html", provenance={"simulated": "yes"}).read_text(encoding="utf-8")
    assert "Performance by hour" in page


def test_an_evaluation_without_hours_has_no_such_figure(fitted, test_stays):
    plain = cg.evaluate(fitted, test_stays, by_hour=False, n_resamples=5)
    assert plain.by_hour.empty
    with pytest.raises(ArgumentError, match="by hour"):
        plain.plot("by hour")


def test_hours_outside_the_window_and_risks_without_a_model_are_refused(fitted, test_stays):
    with pytest.raises(ArgumentError, match="hours"):
        evaluate_by_hour(fitted, test_stays, hours=[50])
    with pytest.raises(ArgumentError, match="by_hour"):
        cg.evaluate([0, 1], [0.2, 0.7], by_hour=True, n_resamples=5)


@pytest.mark.parametrize(
    ("ratio", "slope", "verdict"),
    [
        ((0.95, 1.05), (0.9, 1.1), "yes"),
        ((1.02, 1.08), (0.9, 1.1), "yes"),  # off, but within the limits
        ((0.8, 1.3), (0.9, 1.1), "unclear"),
        ((0.95, 1.05), (1.05, 1.95), "no"),
        ((1.04, 1.11), (0.9, 1.1), "no"),
        ((np.nan, np.nan), (np.nan, np.nan), "unclear"),
    ],
)
def test_an_hour_is_called_calibrated_only_where_both_intervals_show_it(ratio, slope, verdict):
    ends = {"auroc": (0.7, 0.8), "observed_expected": ratio, "calibration_slope": slope}
    rows = [{"hours": 6.0, "metric": m, "estimate": np.mean(e), "low": e[0], "high": e[1]} for m, e in ends.items()]
    assert hours_table(SimpleNamespace(by_hour=pd.DataFrame(rows)))["calibrated"].tolist() == [verdict]


def test_hours_without_an_interval_are_shown_as_such(fitted, test_stays, tmp_path):
    evaluation = cg.evaluate(fitted, test_stays, n_resamples=5)
    hours = evaluation.by_hour.assign(low=np.nan, high=np.nan)
    page = replace(evaluation, by_hour=hours).to_html(tmp_path / "e.html").read_text(encoding="utf-8")
    assert "may be chance" in page
    assert "95 % intervals from other resamples" not in page
    shown = replace(evaluation, by_hour=hours.assign(low=0.1, high=0.9)).to_html(tmp_path / "f.html")
    assert "95 % intervals from other resamples" in shown.read_text(encoding="utf-8")

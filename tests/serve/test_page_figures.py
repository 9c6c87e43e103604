"""Figures that pages show against scikit-learn, statsmodels and scipy, from the stored predictions alone."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.spatial import KDTree
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn.metrics import (
    auc,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

import clinicalgru as cg
from clinicalgru.serve.predictions_file import read_predictions, write_predictions
from clinicalgru.serve.validate import known_stays

TASK = cg.Task.load("in_hospital_mortality")
pytestmark = pytest.mark.slow
EXACT = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Text of the page of an evaluation, a report and a validation, and the stored predictions of each."""
    folder = tmp_path_factory.mktemp("pages")
    train = cg.select(cg.read_events(cg.simulate(300)), TASK)
    model = cg.SummaryBaseline("logistic regression").fit(train)
    events = cg.read_events(cg.simulate(800, random_state=6))
    test = known_stays(model, events)
    evaluation = cg.evaluate(model, test, n_resamples=20)
    cg.save(model, folder / "bundle")
    stored = write_predictions(evaluation, test, model.predict_proba(test)[:, 1], folder / "predictions.parquet")
    results = {
        "evaluate": evaluation,
        "report": cg.report(folder / "bundle", predictions=stored),
        "validate": cg.validate(model, events, n_resamples=20),
    }
    table = read_predictions(stored)[0]
    texts = {name: result.to_html(folder / f"{name}.html").read_text() for name, result in results.items()}
    return texts, *(table[name].to_numpy() for name in ("outcome", "risk", "patient")), train.outcome.mean()


def traces(page, name):
    """Points of the figures of a page, by the beginning of their name."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.S)
    return [one for each in found for one in json.loads(each)["data"] if (one.get("name") or "").startswith(name)]


def tables(page):
    """Cells of each table by the name of its first column, then by the first cell of a row."""
    text, found = re.sub(r"<script.*?</script>", "", page, flags=re.S), {}
    for one in re.findall(r"<table.*?</table>", text, flags=re.S):
        parts = re.findall(r"<tr.*?</tr>", one, flags=re.S)
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", part, flags=re.S) for part in parts]
        cells = [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in rows]
        found.setdefault(tuple(cells[0][:2]), {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[1:]})
    return found


def number(text):
    """The first number of a cell, and half a unit of its last digit."""
    shown = re.match(r"[−-]?[\d.]+(e-?\d+)?", text)[0].replace("−", "-")
    return float(shown), 0.5 * 10.0 ** -len(shown.partition(".")[2]) + 1e-9


def recalibration(outcome, risk):
    """Slope, and calibration in the large, by statsmodels."""
    score = logit(risk)
    slope = sm.GLM(outcome, sm.add_constant(score), family=sm.families.Binomial()).fit(tol=1e-14).params[1]
    level = sm.GLM(outcome, np.ones(len(outcome)), family=sm.families.Binomial(), offset=score).fit(tol=1e-14).params[0]
    return slope, level


def by_metric(outcome, risk):
    slope, level = recalibration(outcome, risk)
    return {
        "AUROC": roc_auc_score(outcome, risk),
        "AUPRC": average_precision_score(outcome, risk),
        "Brier score": brier_score_loss(outcome, risk),
        "Log loss": log_loss(outcome, risk),
        "Calibration slope": slope,
        "Calibration in the large": level,
        "Observed : expected": outcome.sum() / risk.sum(),
    }


@pytest.mark.parametrize("name", ["evaluate", "validate"])
def test_curves_that_are_embedded_in_a_page_are_those_of_scikit_learn(pages, name):
    texts, outcome, risk, *_ = pages
    ranking, recall_curve = (one for one in traces(texts[name], "GRU 0."))
    false, true, _ = roc_curve(outcome, risk, drop_intermediate=False)
    assert distance_to_points(ranking, false, true) <= 1e-9
    assert auc(ranking["x"], ranking["y"]) == pytest.approx(roc_auc_score(outcome, risk), abs=1e-9)  # of its corners
    precision, recall, _ = precision_recall_curve(outcome, risk)
    assert distance_to_points(recall_curve, recall, precision) <= 1e-9
    assert (recall_curve["x"][0], recall_curve["x"][-1]) == (0.0, 1.0)
    assert len(recall_curve["x"]) > 50


def distance_to_points(trace, x, y):
    """The largest distance of a drawn point from the nearest one of a curve."""
    drawn = np.column_stack([trace["x"], trace["y"]])
    return KDTree(np.column_stack([x, y])).query(drawn)[0].max()


@pytest.mark.parametrize("name", ["evaluate", "validate"])
def test_calibration_groups_and_curve_of_a_page_are_those_of_pandas_scipy_and_statsmodels(pages, name):
    texts, outcome, risk, patient, _ = pages
    groups, curve = (one for one in traces(texts[name], "GRU") if one["name"] == "GRU")
    table = pd.DataFrame({"risk": risk, "outcome": outcome, "patient": patient})
    edges = np.quantile(risk, np.arange(1, 10) / 10)  # qcut rounds 7 / 10 otherwise, where a stay is at the edge
    by_group = table.groupby(pd.cut(risk, [-np.inf, *edges, np.inf], labels=False))
    means = by_group.mean()
    np.testing.assert_allclose(groups["x"], means["risk"], **EXACT)
    np.testing.assert_allclose(groups["y"], means["outcome"], **EXACT)
    single = by_group["patient"].nunique() == by_group.size()
    assert single.any()
    for at in np.flatnonzero(single):
        events, stays = int(by_group["outcome"].sum().iloc[at]), int(by_group.size().iloc[at])
        wilson = binomtest(events, stays).proportion_ci(method="wilson")
        ends = groups["y"][at] - groups["error_y"]["arrayminus"][at], groups["y"][at] + groups["error_y"]["array"][at]
        np.testing.assert_allclose(ends, (wilson.low, wilson.high), **EXACT)
    knots = np.quantile(logit(risk), [0.05, 0.35, 0.65, 0.95])
    fit = sm.GLM(outcome, spline(logit(risk), knots), family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    at = np.array(curve["x"])
    np.testing.assert_allclose(curve["y"], expit(spline(logit(at), knots) @ fit.params), **EXACT)
    distance = 100 * np.abs(fit.fittedvalues - risk).mean()
    shown, digit = number(re.search(r"risk are ([\d.]+) percentage points apart", texts[name])[1])
    assert abs(shown - distance) <= digit


def spline(score, knots):
    """Restricted cubic spline of Harrell, section 2.4.5, without standardisation."""
    first, second, third, last = knots
    columns = [np.ones(len(score)), score]
    for knot in (first, second):
        cubes = [np.maximum(score - one, 0) ** 3 for one in (knot, third, last)]
        columns.append(
            cubes[0] - cubes[1] * (last - knot) / (last - third) + cubes[2] * (third - knot) / (last - third)
        )
    return np.column_stack(columns)


@pytest.mark.parametrize("name", ["evaluate", "validate"])
def test_metrics_that_a_page_tabulates_are_right_to_the_last_digit(pages, name):
    texts, outcome, risk, *_ = pages
    rows = tables(texts[name])[("Metric", "GRU")]
    expected = by_metric(outcome, risk)
    assert {label.split(" (")[0] for label in rows} == set(expected)
    for label, row in rows.items():
        shown, digit = number(row["GRU"])
        assert abs(shown - expected[label.split(" (")[0]]) <= digit, label


@pytest.mark.parametrize("name", ["evaluate", "validate"])
def test_operating_points_and_net_benefit_of_a_page_are_those_of_the_confusion_matrix(pages, name):
    texts, outcome, risk, _, train_rate = pages
    rows = tables(texts[name])[("", "Threshold")]
    thresholds = {5.0, 10.0, 20.0, 30.0, 50.0}
    compared = 0
    for row in rows.values():
        threshold = number(row["Threshold"])[0]
        if threshold not in thresholds or not row[""].startswith("from"):
            continue
        (tn, fp), (fn, tp) = confusion_matrix(outcome, risk >= threshold / 100)
        with np.errstate(invalid="ignore"):
            expected = {"Sensitivity": tp / (tp + fn), "Specificity": tn / (tn + fp), "PPV": tp / (tp + fp)}
            expected |= {"NPV": tn / (tn + fn), "Alerts per 100 stays": 100 * (tp + fp) / len(outcome)}
        for column, value in expected.items():
            if np.isfinite(value):
                shown, digit = number(row[column])
                assert abs(shown - value) <= digit, (threshold, column)
                compared += 1
    assert compared >= 20
    found = re.search(r"from a risk of ([\d.]+) %.*? net benefit of ([−\d.]+)", texts[name])
    rate = train_rate
    tp, fp = ((risk >= rate) & (outcome == value) for value in (1, 0))
    benefit = (tp.sum() - fp.sum() * rate / (1 - rate)) / len(outcome)
    shown, digit = number(found[2])
    assert abs(shown - benefit) <= digit


def test_each_figure_that_a_report_shows_is_right_to_the_last_digit(pages):
    texts, outcome, risk, patient, _ = pages
    rows = tables(texts["report"])[("Figure", "Stored")]
    names = {
        "auroc": "AUROC",
        "auprc": "AUPRC",
        "brier": "Brier score",
        "log_loss": "Log loss",
        "calibration_slope": "Calibration slope",
        "calibration_intercept": "Calibration in the large",
        "observed_expected": "Observed : expected",
    }
    shown = {name: number(rows[f"metrics: {name}, estimate"]["Recomputed"]) for name in names}
    assert sum(label.startswith("metrics: ") and label.endswith("estimate") for label in rows) == len(names)
    expected = by_metric(outcome, risk)
    for name, label in names.items():
        assert abs(shown[name][0] - expected[label]) <= shown[name][1], name
    counts = {"stays": len(outcome), "patients": len(np.unique(patient)), "events": int(outcome.sum())}
    assert {name: number(rows[name]["Stored"])[0] for name in counts} == counts
    text = tables(texts["report"])[("Item", "Section")]["23"]["Text"]
    assert f"{expected['AUROC']:.3f}" in text

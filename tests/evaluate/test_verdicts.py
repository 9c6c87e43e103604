"""What an evaluation says: few events, perfect rankings, many comparisons, calibration in words."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from scipy.stats import binomtest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import metric_interval, percentile_interval
from clinicalgru.evaluate.calibration_curve import calibration_curve
from clinicalgru.evaluate.evaluation import evaluate, evaluate_predictions
from clinicalgru.evaluate.evaluation_summary import summary_sentences
from clinicalgru.evaluate.multi_metrics import multilabel_predictions
from clinicalgru.evaluate.multiplicity import weighted_holm
from clinicalgru.evaluate.operating_points import operating_points


def cohort(n, random_state=0, *, center=-2.0):
    """Outcomes, and the risks by which they were drawn."""
    rng = np.random.default_rng(random_state)
    risk = 1 / (1 + np.exp(-rng.normal(center, 1.3, n)))
    return (rng.random(n) < risk).astype(float), risk


@pytest.mark.parametrize("events", [1, 5, 19, 981, 999])
def test_of_few_events_or_few_others_there_is_no_interval_and_no_verdict(events):
    outcome = np.arange(1000) < events
    risk = np.random.default_rng(events).random(1000)
    evaluation = evaluate(outcome, risk, baselines={"other": 1 - risk}, n_resamples=60)
    for table in (evaluation.metrics, evaluation.differences, evaluation.net_benefit):
        assert table[["low", "high"]].isna().all(axis=None)
    assert evaluation.differences["verdict"].str.startswith("too few").all()
    [sentence] = summary_sentences(evaluation)
    assert re.search(r"too few (events|stays without the event) \(.+\); about \d+ are needed", sentence)
    assert "nan" not in str(evaluation)
    fewer = min(events, 1000 - events)
    assert f"({fewer})" in sentence if fewer >= 11 else "(fewer than 11)" in sentence


def test_from_twenty_events_on_there_are_intervals():
    evaluation = evaluate(np.arange(1000) < 20, np.random.default_rng(0).random(1000), n_resamples=60)
    assert evaluation.metrics[["low", "high"]].notna().all(axis=None)
    assert "Imprecise: the AUROC may lie anywhere" in str(evaluation)


def test_a_rare_label_has_no_interval_and_a_common_one_has():
    rng = np.random.default_rng(0)
    outcome = np.column_stack([np.arange(400) < 7, np.arange(400) % 2])
    predictions = multilabel_predictions(outcome, rng.random((400, 2)), labels=["rare", "common"])
    table = evaluate_predictions({"model": predictions}, n_resamples=50).metrics.set_index("metric")
    assert np.isnan(table.loc["auroc_rare", "low"])
    assert np.isfinite(table.loc["auroc_common", "low"])


def test_a_perfect_ranking_of_thirty_events_has_the_interval_of_thirty_successes():
    outcome = np.arange(300) < 30
    row = evaluate(outcome, np.where(outcome, 0.9, 0.1), n_resamples=60).metrics.iloc[0]
    exact = binomtest(30, 30).proportion_ci(0.95)
    assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high))


def test_no_interval_from_fewer_than_95_percent_of_the_resamples():
    assert np.isnan(percentile_interval(np.arange(94.0), 100)).all()
    assert np.isfinite(percentile_interval(np.arange(95.0), 100)).all()
    assert np.isnan(metric_interval("auroc", 0.8, np.linspace(0.7, 0.9, 68), n_resamples=100)).all()


def test_an_interval_near_1_stays_below_it_and_has_a_width():
    outcome, _ = cohort(600)
    risk = np.clip(outcome * 0.6 + 0.2 + np.random.default_rng(1).normal(0, 0.15, 600), 0, 1)
    row = evaluate(outcome, risk, n_resamples=300).metrics.iloc[0]
    assert 0.95 < row["low"] < row["estimate"] < row["high"] < 1
    assert row["estimate"] - row["low"] > row["high"] - row["estimate"]


def test_holm_with_equal_weights_is_the_published_procedure():
    """Smallest p times the number of tests, next times one fewer, and so on; never falling."""
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(weighted_holm(p, np.ones(4)), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(weighted_holm(p, np.full(4, 0.3)), [0.03, 0.06, 0.06, 0.02])
    assert np.isnan(weighted_holm(np.array([np.nan, 0.01]), np.ones(2))[0])


def test_holm_keeps_the_error_of_independent_tests_below_five_percent():
    rng = np.random.default_rng(0)
    p, weights = rng.random((20_000, 8)), np.array([0.5, *[0.5 / 7] * 7])
    wrong = np.mean([(weighted_holm(row, weights) < 0.05).any() for row in p[:6000]])
    assert wrong == pytest.approx(0.05, abs=0.009)


def equal_models(rng, n_baselines):
    """Outcomes, and risks of models that are equally good."""
    score = rng.normal(-1.8, 1.2, 400)
    outcome = (rng.random(400) < 1 / (1 + np.exp(-score))).astype(float)
    noisy = score * 0.8 - 0.3 + rng.normal(0, 0.5, (n_baselines + 1, 400))
    return outcome, 1 / (1 + np.exp(-noisy))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_baselines", "repeats"),
    [(4, 40), pytest.param(1, 150, marks=pytest.mark.lab), pytest.param(4, 150, marks=pytest.mark.lab)],
)
def test_equal_models_are_rarely_called_better(n_baselines, repeats):
    rng, wrong = np.random.default_rng(3), 0
    for number in range(repeats):
        outcome, risks = equal_models(rng, n_baselines)
        baselines = {f"model {i}": risk for i, risk in enumerate(risks[1:])}
        verdicts = evaluate(outcome, risks[0], baselines=baselines, n_resamples=200, random_state=number).differences[
            "verdict"
        ]
        wrong += verdicts.str.endswith("better").any()
    assert binomtest(int(wrong), repeats, 0.05, alternative="greater").pvalue > 0.01


def test_the_primary_metric_is_named_before_and_takes_half_of_the_error():
    outcome, risk = cohort(800)
    noisy = np.clip(risk + np.random.default_rng(1).normal(0, 0.05, 800), 0, 1)
    tables = {
        primary: evaluate(outcome, risk, baselines={"b": noisy}, primary=primary, n_resamples=200).differences
        for primary in ("auroc", "brier")
    }
    adjusted = {name: table.set_index("metric")["p_adjusted"] for name, table in tables.items()}
    assert adjusted["brier"]["brier"] <= adjusted["auroc"]["brier"]
    for name in ("calibration_slope", "nothing"):
        with pytest.raises(cg.ClinicalGRUError, match="primary among"):
            evaluate(outcome, risk, primary=name, n_resamples=20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda risk: risk / 7, r"Risks are \d\.\d times too low here .* recalibrate before any use"),
        (lambda risk: np.clip(risk * 3.5, 0, 1), r"times too high here \(observed : expected 0\.\d\d"),
        (lambda risk: np.clip(risk * 1.5, 0, 1), r"Risks are \d\d % too high here"),
        (lambda risk: risk, "On average the risks (fit|may fit)"),
        (lambda risk: risk**3 / (risk**3 + (1 - risk) ** 3), "too extreme"),
    ],
)
def test_calibration_is_said_in_words_on_page_and_in_text(change, words, tmp_path):
    outcome, risk = cohort(3000)
    evaluation = evaluate(outcome, change(risk), n_resamples=100)
    page = unescape(evaluation.to_html(tmp_path / "page.html").read_text())
    for text in (str(evaluation), evaluation._repr_html_(), page):
        assert re.search(words, unescape(text))
    assert "Observed : expected" in page[page.index("In short") : page.index("Curves")]


def test_net_benefit_is_said_at_a_stated_threshold():
    outcome, risk = cohort(2000)
    text = str(evaluate(outcome, risk, threshold=0.2, n_resamples=100))
    benefit = np.mean((risk >= 0.2) & (outcome == 1)) - 0.25 * np.mean((risk >= 0.2) & (outcome == 0))
    assert f"Acting from a risk of 20 % on has a net benefit of {benefit:.3f}" in text
    assert "more than both" in text
    flipped = str(evaluate(outcome, 1 - risk, threshold=0.2, n_resamples=100))
    assert "do not use it at this threshold" in flipped


def test_the_event_rate_in_training_stands_next_to_that_of_the_test():
    stays = cg.select(cg.read_events(cg.simulate(500, random_state=2)), cg.Task.load("in_hospital_mortality"))
    train, test = cg.split_patients(stays, [0.5, 0.5], random_state=0)
    model = cg.SummaryBaseline("logistic regression").fit(train)
    evaluation = evaluate(model, test, n_resamples=20)
    rate = train.outcome.mean()
    assert evaluation.training_rate == pytest.approx(rate)
    shown = " ".join(summary_sentences(evaluation, min_cell_size=0))
    assert f"Event rate here {100 * test.outcome.mean():.1f} %, in training {100 * rate:.1f} %" in shown


def test_forty_events_of_four_patients_are_too_few_for_any_interval(tmp_path):
    rng = np.random.default_rng(0)
    outcome, patient = np.r_[np.ones(40), np.zeros(500)], np.r_[np.repeat(np.arange(4), 10), np.arange(4, 504)]
    risk = np.clip(0.1 * outcome + rng.uniform(0, 0.8, 540), 0, 1)
    evaluation = evaluate(outcome, risk, baselines={"other": rng.random(540)}, patients=patient, n_resamples=50)
    assert evaluation.class_patients == (4, 500)
    assert evaluation.metrics["low"].isna().all()
    assert (evaluation.differences["verdict"].str.contains("too few patients with the event")).all()
    assert "too few patients with the event (fewer than 11)" in str(evaluation)
    assert evaluate(outcome, risk, n_resamples=50).metrics["low"].notna().any()


def test_the_distance_of_well_calibrated_risks_from_few_events_is_said_to_be_chance():
    rng = np.random.default_rng(3)
    for stays, few in ((400, True), (2000, False)):
        risk = rng.beta(2, 16, stays)
        text = str(evaluate(rng.random(stays) < risk, risk, n_resamples=20))
        assert "percentage points apart" in text
        assert ("With so few events chance alone gives a distance" in text) is few


def test_many_stays_of_few_patients_with_the_event_give_no_interval_and_no_curve():
    """60 stays with the event are those of 5 patients, or of 60: the numbers are the same, what they show is not."""
    outcome = np.repeat([1.0, 0.0], [60, 600])
    risk = np.clip(np.random.default_rng(0).beta(2, 8, 660) + 0.1 * outcome, 0.01, 0.99)
    few = np.concatenate([np.repeat(np.arange(5), 12), 5 + np.arange(600)])
    points = [operating_points(outcome, risk, thresholds=[0.2], patients=p, n_resamples=50) for p in (few, None)]
    few_points, many_points = (table.set_index("metric") for table in points)
    assert few_points["estimate"].equals(many_points["estimate"])
    assert np.isnan(few_points["low"]["sensitivity"])
    assert few_points["low"]["ppv"] > 0  # of the patients from that risk on
    assert many_points["low"]["sensitivity"] > 0
    with pytest.raises(ArgumentError, match="20 patients with and without the event"):
        calibration_curve(outcome, risk, patients=few, n_resamples=2)
    assert evaluate(outcome, risk, patients=few, n_resamples=20).calibration_curve is None


def test_events_of_labels_count_by_patient_too():
    rng, few = np.random.default_rng(0), np.concatenate([np.repeat(np.arange(5), 12), 5 + np.arange(340)])
    label = np.repeat([1.0, 0.0], [60, 340])
    two = np.stack([label, rng.random(400) < 0.3], axis=1)
    predictions = multilabel_predictions(two, np.clip(rng.random((400, 2)), 0.01, 0.99), labels=["rare", "common"])
    for patients, known in ((few, False), (None, True)):
        metrics = evaluate_predictions({"": predictions}, patients=patients, n_resamples=20).metrics.set_index("metric")
        assert np.isfinite(metrics["low"]["auroc_rare"]) == known
        assert np.isfinite(metrics["low"]["auroc_common"])

"""The evaluation: what it contains, which model it names better, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import clinicalgru.errors
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.decision_curve import decision_curve
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.evaluate.metric_descriptions import METRICS, compare_text
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.subgroups import subgroups


@pytest.fixture(scope="module")
def cohort():
    """Outcome, good risks (their own truth), the same with noise, and patients with one to three stays."""
    random = np.random.default_rng(0)
    logit = random.normal(-1.5, 1.5, 900)
    outcome = (random.random(900) < 1 / (1 + np.exp(-logit))).astype(int)
    noisy = 1 / (1 + np.exp(-logit - random.normal(0, 1.5, 900)))
    return outcome, 1 / (1 + np.exp(-logit)), noisy, np.sort(random.integers(0, 500, 900))


@pytest.fixture(scope="module")
def judged(cohort):
    outcome, good, noisy, patients = cohort
    return evaluate(
        outcome, good, patients=patients, baselines={"noise": noisy, "itself": good}, n_resamples=300, random_state=4
    )


def test_every_model_gets_every_metric_inside_its_interval(judged):
    assert list(judged.metrics.columns) == ["model", "metric", "estimate", "low", "high"]
    assert list(zip(judged.metrics["model"], judged.metrics["metric"], strict=True)) == [
        (model, metric) for model in ("GRU", "noise", "itself") for metric in RISK_METRICS
    ]
    assert (judged.metrics["low"] < judged.metrics["estimate"]).all()
    assert (judged.metrics["estimate"] < judged.metrics["high"]).all()
    assert list(judged.curves) == ["GRU", "noise", "itself"]


def test_counts_are_those_of_the_cohort(judged, cohort):
    outcome, _, _, patients = cohort
    assert (judged.stays, judged.patients, judged.events) == (900, len(np.unique(patients)), outcome.sum())
    assert f"900 stays of {len(np.unique(patients))} patients, {outcome.sum()} with the event" in str(judged)


def test_a_model_differs_from_itself_by_exactly_0(judged):
    itself = judged.differences.query("baseline == 'itself'")
    assert (itself[["estimate", "low", "high"]] == 0).all(axis=None)
    assert set(itself["verdict"]) == {"no clear difference", "no verdict: 1 is best", "no verdict: 0 is best"}


def test_a_difference_is_the_model_minus_the_baseline(judged):
    estimate = judged.metrics.pivot(index="metric", columns="model", values="estimate")
    noise = judged.differences.query("baseline == 'noise'").set_index("metric")
    np.testing.assert_allclose(noise["estimate"], (estimate["GRU"] - estimate["noise"])[noise.index])
    assert ((noise["low"] < noise["estimate"]) & (noise["estimate"] < noise["high"])).all()


def test_differences_are_paired_and_so_narrower_than_the_two_intervals_apart(judged, cohort):
    wide = judged.metrics.assign(width=judged.metrics.eval("high - low")).pivot(
        index="metric", columns="model", values="width"
    )
    paired = judged.differences.query("baseline == 'noise'").set_index("metric").eval("high - low")
    assert paired["auroc"] < np.hypot(wide["GRU"], wide["noise"])["auroc"]


def test_the_loser_is_printed_as_plainly_as_the_winner(cohort):
    outcome, good, noisy, patients = cohort
    lost = evaluate(outcome, noisy, patients=patients, baselines={"trees": good}, n_resamples=200)
    verdicts = lost.differences.set_index("metric")["verdict"]
    assert (verdicts[["auroc", "auprc", "brier", "log_loss"]] == "trees better").all()
    assert str(lost).count("trees better") == 4
    won = evaluate(outcome, good, patients=patients, baselines={"trees": noisy}, n_resamples=200)
    assert str(won).count("GRU better") == 4


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("auroc", 0.01, 0.02, "GRU better"),
        ("auroc", -0.02, -0.01, "trees better"),
        ("auroc", -0.01, 0.02, "no clear difference"),
        ("brier", 0.01, 0.02, "trees better"),
        ("log_loss", -0.02, -0.01, "GRU better"),
        ("auprc", np.nan, np.nan, "not estimable"),
        ("calibration_slope", 0.2, 0.3, "no verdict: 1 is best"),
        ("calibration_intercept", 0.2, 0.3, "no verdict: 0 is best"),
    ],
)
def test_the_verdict_follows_the_interval_and_what_is_better_for_the_metric(metric, low, high, expected):
    assert compare_text(metric, name="GRU", baseline="trees", low=low, high=high) == expected


def test_the_same_seed_gives_the_same_numbers_and_the_input_is_left_alone(judged, cohort):
    outcome, good, noisy, patients = (column.copy() for column in cohort)
    again = evaluate(
        outcome, good, patients=patients, baselines={"noise": noisy, "itself": good}, n_resamples=300, random_state=4
    )
    pd.testing.assert_frame_equal(again.metrics, judged.metrics)
    pd.testing.assert_frame_equal(again.differences, judged.differences)
    assert all((now == before).all() for now, before in zip((outcome, good, noisy, patients), cohort, strict=True))


def test_names_of_patients_do_not_matter(judged, cohort):
    outcome, good, noisy, patients = cohort
    named = pd.Series([f"P{number}" for number in patients], index=range(7, 907))
    again = evaluate(
        outcome, good, patients=named, baselines={"noise": noisy, "itself": good}, n_resamples=300, random_state=4
    )
    pd.testing.assert_frame_equal(again.metrics, judged.metrics)


def test_the_text_shows_each_figure_with_its_interval(judged):
    row = judged.metrics.query("model == 'noise' and metric == 'auroc'").iloc[0]
    assert f"{row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in str(judged)
    assert "95 % interval, 300 resamples of patients; random_state 4" in str(judged)
    assert all(METRICS[metric].label in str(judged) for metric in RISK_METRICS)


def test_markup_in_a_name_is_escaped_in_a_notebook(cohort):
    outcome, good, noisy, _ = cohort
    html = evaluate(outcome, good, baselines={"<script>": noisy}, name="<b>", n_resamples=20)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


def test_the_dictionary_is_json_and_unknown_numbers_are_null():
    apart = evaluate([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], n_resamples=100)
    read = json.loads(json.dumps(apart.to_dict(), allow_nan=False))
    slope = next(row for row in read["metrics"] if row["metric"] == "calibration_slope")
    assert slope == {"model": "GRU", "metric": "calibration_slope", "estimate": None, "low": None, "high": None}
    assert read["curves"]["GRU"]["roc"]["true_positive_rate"][-1] == 1
    assert read["stays"] == 4


def test_resamples_with_one_outcome_only_are_counted_and_left_out():
    few = evaluate([0, 0, 0, 1, 0, 0, 1, 0], [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7], n_resamples=2000)
    assert few.dropped / 2000 == pytest.approx(0.75**8, abs=0.03)
    assert f"{few.dropped:,} of them dropped" in str(few)
    assert few.metrics[["low", "high"]].isna().all(axis=None)  # with two events nothing can be told
    assert "too few events (fewer than 11); about" in str(few)


def test_no_usable_resample_leaves_intervals_unknown_not_wrong():
    judged = (evaluate([0, 1], [0.2, 0.7], n_resamples=1, random_state=random_state) for random_state in range(50))
    unlucky = next(evaluation for evaluation in judged if evaluation.dropped)
    assert unlucky.metrics[["low", "high"]].isna().all(axis=None)
    assert unlucky.metrics["estimate"].iloc[0] == 1


def test_columns_of_pandas_of_any_kind_are_read():
    outcome = pd.Series([False, True, True, False], dtype="boolean")
    risk = pd.Series([0.1, 0.8, 0.4, 0.5], dtype="Float32")
    auroc = evaluate(outcome, risk, n_resamples=10).metrics["estimate"].iloc[0]
    assert auroc == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": [0, 1, 1]}, "risk for each of 3 stays; got 4"),
        ({"outcome": [0, 1, 2, 1]}, "1 of 4 stays with another value"),
        (
            {"outcome": [0, 1, np.nan, np.nan]},
            "2 of 4 stays with an unknown one. Select the stays with a known outcome",
        ),
        ({"outcome": pd.Series([0, 1, None, 1], dtype="Int64")}, "1 of 4 stays with an unknown one"),
        ({"outcome": [1, 1, 1, 1]}, "only outcome 1 in 4 stays"),
        ({"outcome": []}, "at least one stay"),
        ({"outcome": ["died", "died", "lived", "lived"]}, "a number for each outcome"),
        ({"risk": [0.1, np.nan, 0.2, 0.3]}, "1 of 4 stays with an unknown one"),
        ({"risk": [0.1, 1.5, -2, 0.3]}, "2 of 4 stays with a value outside. Pass probabilities, not logits"),
        ({"risk": np.full((4, 2), 0.5)}, r"shape \(4, 2\). Pass one column; for predict_proba"),
        ({"baselines": {"trees": [0.1, 0.2]}}, "one risk of trees for each of 4 stays; got 2"),
        ({"baselines": {"GRU": [0.1, 0.2, 0.3, 0.4]}}, "'GRU' twice"),
        ({"patients": ["a", "b"]}, "a patient for each of 4 stays"),
        ({"n_resamples": 0}, "n_resamples as a whole number of 1 or more; got 0"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_a_fix(change, message):
    sound = {"outcome": [0, 1, 0, 1], "risk": [0.1, 0.6, 0.4, 0.3]}
    arguments = sound | change
    outcome, risk = arguments.pop("outcome"), arguments.pop("risk")
    with pytest.raises(ArgumentError, match=message):
        evaluate(outcome, risk, **arguments)


def test_a_refused_value_is_not_quoted():
    with pytest.raises(ArgumentError) as refusal:
        evaluate(["Smith", "Jones"], [0.1, 0.2])
    assert "Smith" not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.slow
def test_importing_evaluate_loads_neither_scikit_learn_nor_torch():
    loaded = "[m for m in ('sklearn', 'scipy.stats', 'torch') if m in sys.modules]"
    code = f"import sys, clinicalgru.evaluate.evaluation; print({loaded})"
    root = Path(clinicalgru.errors.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "[]\n"


INDEX = [7, 3, 9, 5]
OUTCOME = pd.Series([0, 1, 0, 1], index=INDEX)
RISK = pd.Series([0.1, 0.6, 0.4, 0.3], index=INDEX)


def test_equal_indexes_in_the_same_order_pass_and_so_do_arrays():
    for risk in (RISK, RISK.to_numpy(), RISK.tolist()):
        assert evaluate(OUTCOME, risk, patients=pd.Series(list("abcd"), index=INDEX), n_resamples=5).stays == 4


@pytest.mark.parametrize("other", [RISK.sort_index(), RISK.reset_index(drop=True)], ids=["permuted", "renumbered"])
def test_pandas_objects_with_different_indexes_are_refused(other):
    """Positions would pair the outcome of one stay with the risk of another, in silence."""
    calls = [
        lambda: evaluate(OUTCOME, other, n_resamples=5),
        lambda: evaluate(OUTCOME, RISK, baselines={"trees": other}, n_resamples=5),
        lambda: evaluate(OUTCOME, RISK, patients=other, n_resamples=5),
        lambda: decision_curve(OUTCOME, other, n_resamples=5),
        lambda: decision_curve(OUTCOME, RISK, baselines={"trees": other}, n_resamples=5),
        lambda: subgroups(OUTCOME, other, list("aabb"), n_resamples=5),
        lambda: subgroups(OUTCOME, RISK, other, n_resamples=5),
    ]
    for call in calls:
        with pytest.raises(ArgumentError, match="with the index of outcome"):
            call()


def test_a_permuted_index_is_named_with_what_to_do():
    with pytest.raises(ArgumentError, match=r"another order\. Align them: risk = risk\.loc\[outcome\.index\]"):
        evaluate(OUTCOME, RISK.sort_index())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((LogisticRegression(), [[1.0]]), {}, "a clinicalgru model or an array of outcomes"),
        ((None, [0.1]), {}, r"outcome of shape \(n_stays,\); got None"),
        (([0, 1], [0.1, 0.2]), {"baselines": [0.1, 0.2]}, "baselines as Mapping; got a list of length 2"),
        (([0, 1], [0.1, 0.2]), {"n_resamples": 2.5}, "n_resamples as a whole number"),
        (([0, 1], [0.1, 0.2]), {"random_state": "a"}, "random_state as a whole number"),
        (([0, 1], [0.1, 0.2]), {"name": 5}, "name as str; got the number 5"),
        (([0, 1], [0.1, 0.2]), {"patients": 5}, "patients as one column; got the number 5"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused_by_name(arguments, options, message):
    with pytest.raises(ArgumentError, match=message):
        evaluate(*arguments, **options)


def test_every_metric_says_what_0_and_a_half_and_1_mean():
    for name, about in METRICS.items():
        assert about.at_zero, name
        assert about.at_half, name
        assert about.at_one, name
        assert about.direction in ("higher", "lower", "0", "1", "")
    assert set(RISK_METRICS) <= set(METRICS)
    assert METRICS["r_squared"].label == "R²"

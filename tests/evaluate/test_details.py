"""What an evaluation holds besides its metrics: points, curve, groups, alarms, weights; and what is shown of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.average_calibration import average_calibration
from clinicalgru.evaluate.calibration_groups import survival_groups
from clinicalgru.evaluate.details import default_groups
from clinicalgru.evaluate.details_text import ALARMS, POINTS, SUPPRESSED, captioned_tables, detail_tables
from clinicalgru.evaluate.early_warning import early_warning_predictions
from clinicalgru.evaluate.evaluation import evaluate_predictions
from clinicalgru.evaluate.evaluation_summary import summary_sentences
from clinicalgru.evaluate.multi_metrics import multilabel_predictions
from clinicalgru.evaluate.physionet2012 import event2
from clinicalgru.model.baselines.missingness import missingness_alone

CHANCE = np.random.default_rng(1)
RISK = CHANCE.beta(1, 3, 1200)
SITE = np.where(CHANCE.random(1200) < 0.5, "north", "south")
OUTCOME = (CHANCE.random(1200) < np.where(SITE == "north", RISK, RISK / 3)).astype(float)


@pytest.fixture(scope="module")
def evaluation():
    return cg.evaluate(OUTCOME, RISK, groups={"site": SITE}, threshold=0.25, n_resamples=60)


def test_text_page_and_dictionary_show_curve_points_and_groups(evaluation, tmp_path):
    page = evaluation.to_html(tmp_path / "page.html").read_text()
    for shown in (str(evaluation), page, evaluation._repr_html_()):
        assert "Calibration differs between groups by site." in shown
        assert "(ICI)" in shown
        assert "Sensitivity" in shown
        assert "north" in shown
    assert "Flexible calibration curve" in page
    held = evaluation.to_dict()
    assert held["calibration_curve"]["ici"] == evaluation.calibration_curve.ici
    assert held["subgroups"]["site"]["calibration_p"] < 0.001
    assert {row["point"] for row in held["operating_points"]} >= {"risk >= 0.25", "sensitivity >= 0.8"}


def test_the_row_of_all_stays_has_the_intervals_of_the_metrics(evaluation):
    own = evaluation.metrics.set_index("metric")[["estimate", "low", "high"]]
    everyone = evaluation.subgroups["site"].table.query("group == 'all'").set_index("metric")
    pd.testing.assert_frame_equal(everyone[["estimate", "low", "high"]], own.loc[everyone.index], check_names=False)


def test_of_shown_operating_points_no_two_differ_by_few_stays(evaluation):
    points = detail_tables(evaluation)[POINTS]
    shown = points.index[points["PPV"] != SUPPRESSED]
    assert len(shown) < len(points) == 7  # those left out are said to be suppressed
    assert {"risk >= 0.25", "sensitivity >= 0.8"} <= set(shown)
    table = evaluation.operating_points.pivot(index="point", columns="metric", values="estimate").loc[shown]
    caught = (table["sensitivity"] * OUTCOME.sum()).round().to_numpy()
    false = ((1 - table["specificity"]) * (1 - OUTCOME).sum()).round().to_numpy()
    for counts in (np.append(caught, [0, OUTCOME.sum()]), np.append(false, [0, (1 - OUTCOME).sum()])):
        gaps = np.abs(counts[:, None] - counts)
        assert not ((gaps > 0) & (gaps < 11)).any()
    assert len(detail_tables(evaluation, min_cell_size=0)[POINTS]) == 7


def test_a_caption_says_why_thresholds_are_suppressed_only_where_one_is(evaluation):
    assert any("suppressed: from that risk on" in caption for caption in captioned_tables(evaluation))
    assert not any("suppressed" in caption for caption in captioned_tables(evaluation, min_cell_size=0))
    assert "suppressed: from that risk on" in str(evaluation)


def test_a_group_of_too_few_events_shows_no_figure_of_them():
    group = np.where(OUTCOME.cumsum() <= 15, "few", "many")  # 15 are not suppressed, and too few for a metric
    evaluation = cg.evaluate(OUTCOME, RISK, groups={"group": group}, n_resamples=20)
    assert OUTCOME[group == "few"].sum() == 15
    shown = next(table for name, table in detail_tables(evaluation).items() if name.startswith("By group"))
    assert set(shown.loc["few"].iloc[2:]) == {"too few events"}
    assert "too few" not in "".join(shown.loc["many"])


def test_tests_of_several_groupings_are_corrected_for_their_number():
    halves = {name: np.random.default_rng(seed).integers(0, 2, 1200).astype(str) for name, seed in (("a", 1), ("b", 2))}
    alone = [
        cg.evaluate(OUTCOME, RISK, groups={n: g}, n_resamples=5).subgroups[n].calibration_p for n, g in halves.items()
    ]
    both = cg.evaluate(OUTCOME, RISK, groups=halves, n_resamples=5)
    assert min(g.calibration_p for g in both.subgroups.values()) == pytest.approx(min(2 * min(alone), 1))
    assert any("Holm's correction for 2 groupings" in name for name in detail_tables(both))


def test_weights_count_as_scikit_learn_counts_them():
    weight = CHANCE.uniform(0.5, 3, 1200)
    weighted = cg.evaluate(OUTCOME, RISK, sample_weight=weight, n_resamples=5)
    ours = weighted.metrics.set_index("metric")["estimate"]
    assert ours["auroc"] == pytest.approx(roc_auc_score(OUTCOME, RISK, sample_weight=weight))
    assert ours["auprc"] == pytest.approx(average_precision_score(OUTCOME, RISK, sample_weight=weight))
    assert ours["brier"] == pytest.approx(brier_score_loss(OUTCOME, RISK, sample_weight=weight))
    assert ours["log_loss"] == pytest.approx(log_loss(OUTCOME, RISK, sample_weight=weight))
    assert ours["observed_expected"] == pytest.approx((weight @ OUTCOME) / (weight @ RISK))
    assert "weighted" in weighted.notes["Weights"]
    for wrong in (weight[:-1], -weight, np.full(1200, np.nan), ["a"] * 1200):
        with pytest.raises(ArgumentError, match="weight"):
            cg.evaluate(OUTCOME, RISK, sample_weight=wrong, n_resamples=5)


def test_equal_weights_change_nothing():
    plain, weighted = (cg.evaluate(OUTCOME, RISK, sample_weight=w, n_resamples=20) for w in (None, np.full(1200, 7)))
    pd.testing.assert_frame_equal(plain.metrics, weighted.metrics)


def test_stays_are_divided_by_how_much_was_measured_sex_and_labels():
    stays = cg.select(cg.read_events(cg.simulate(150, random_state=0)), cg.Task.load("in_hospital_mortality"))
    groups = default_groups(stays)
    amount = (
        pd.Series(stays.n_measurements).groupby(groups["number of measurements"], observed=True).agg(["min", "max"])
    )
    assert (amount["max"].to_numpy()[:-1] <= amount["min"].to_numpy()[1:]).all()
    assert set(groups["sex"]) <= {"female", "male", None, np.nan}
    site = pd.DataFrame({"site": np.tile(["north", "south"], len(stays))[: len(stays)]})
    assert list(default_groups(replace(stays, groups=site))["site"]) == list(site["site"])
    assert default_groups(stays[:50]) == {}
    assert default_groups(RISK) == {}


def test_sex_has_the_names_of_its_categories_whatever_their_codes():
    """Static covariates hold the position of a category, which need not be its code."""
    stays = cg.select(cg.read_events(cg.simulate(150)), cg.Task.load("in_hospital_mortality"))
    position = [variable.name for variable in stays.static_variables].index("sex")
    named = default_groups(stays)["sex"]
    variables = list(stays.static_variables)
    variables[position] = replace(variables[position], categories={"1": "female", "2": "male"})
    assert (default_groups(replace(stays, static_variables=tuple(variables)))["sex"] == named).all()


def test_an_imprecise_auroc_says_of_what_more_are_needed():
    outcome, risk = np.repeat([0.0, 1.0], [200, 21]), np.random.default_rng(0).random(221)
    for true, what in ((outcome, "events"), (1 - outcome, "stays without the event")):
        sentences = summary_sentences(cg.evaluate(true, risk, n_resamples=50))
        assert f"{what} are needed for an AUROC within 0.05" in " ".join(sentences)


def test_risks_of_0_and_1_are_put_in_words_without_nan():
    outcome = np.repeat([0.0, 1.0], [200, 60])
    perfect = cg.evaluate(outcome, outcome, n_resamples=50)
    assert perfect.calibration_curve is None
    assert "nan" not in " ".join(summary_sentences(perfect))
    none = cg.evaluate(outcome, np.zeros(260), n_resamples=50)
    assert "All risks are 0" in " ".join(summary_sentences(none))


def test_weights_say_how_much_information_they_leave():
    """One stay that weighs as much as all others leaves 4 n / (n + 3) stays: Kish's formula by hand."""
    weight = np.r_[1199.0, np.ones(1199)]
    note = cg.evaluate(OUTCOME, RISK, sample_weight=weight, n_resamples=20).notes["Weights"]
    assert f"{(2 * 1199) ** 2 / (1199**2 + 1199):,.0f} stays of equal weight" in note


def test_an_early_warning_shows_its_alarms(tmp_path):
    stay = np.repeat(np.arange(80), 24)
    onset = np.where(np.arange(80) % 2 == 0, 30.0, np.inf)
    hourly = pd.DataFrame({"stay": stay, "hours": np.tile(np.arange(24.0), 80), "risk": CHANCE.random(len(stay)) * 0.4})
    hourly["risk"] += 0.3 * (stay % 2 == 0)
    evaluation = evaluate_predictions({"GRU": early_warning_predictions(hourly, onset, threshold=0.5)}, n_resamples=5)
    row = evaluation.alarms.iloc[0]
    assert row["threshold"] == 0.5
    assert f"{row['ppv_per_alarm']:.2f}" in detail_tables(evaluation)[ALARMS].to_string()
    assert "six hours of silence" in evaluation.to_html(tmp_path / "page.html").read_text()
    low, high = (row[f"ppv_per_alarm_{end}"] for end in ("low", "high"))
    assert f"({low:.2f} to {high:.2f})" in detail_tables(evaluation)[ALARMS].to_string()
    assert f"({100 * low:.0f} to {100 * high:.0f}) of 100 are right" in " ".join(summary_sentences(evaluation))
    always = early_warning_predictions(hourly.assign(risk=0.9), onset, threshold=0.5)
    every = evaluate_predictions({"GRU": always}, n_resamples=20).metrics.set_index("metric")
    assert every.loc["false_alert_rate", ["estimate", "high"]].tolist() == [1, 1]
    assert every.loc["false_alert_rate", "low"] == pytest.approx(0.025 ** (1 / 40))  # 40 of 40: Clopper and Pearson
    few = replace(evaluation, alarms=evaluation.alarms.assign(alarms=3))
    assert _is_one_suppressed_row(detail_tables(few)[ALARMS])


def _is_one_suppressed_row(table):
    return table.index.tolist() == ["all thresholds"] and (table == SUPPRESSED).all(axis=None)


def test_where_all_operating_points_are_suppressed_the_table_says_so(tmp_path):
    """No threshold is named: one of them is the rate of the few events."""
    few = cg.evaluate(np.repeat([0.0, 1.0], [195, 5]), np.linspace(0.01, 0.9, 200), n_resamples=5)
    assert _is_one_suppressed_row(detail_tables(few)[POINTS])
    for text in (str(few), few._repr_html_(), few.to_html(tmp_path / "page.html").read_text()):
        assert POINTS in text
        assert "all thresholds" in text
    assert len(detail_tables(few, min_cell_size=0)[POINTS]) > 1


def test_missingness_alone_sees_no_value():
    """Other values give the same text; who is measured more often is found."""
    stays = cg.select(cg.read_events(cg.simulate(300, random_state=3)), cg.Task.load("in_hospital_mortality"))
    often = (stays.n_measurements > np.median(stays.n_measurements)).astype(float)
    stays = replace(stays, outcome=often)
    train, test = stays[::2], stays[1::2]
    text = missingness_alone(train, test)
    assert float(text.split("AUROC ")[1].split()[0]) > 0.9
    assert missingness_alone(replace(train, value=train.value * 0 + 1), test) == text


def event2_by_loops(outcome, risk):
    """The challenge's own order of operations, one decile after the other."""
    rows = sorted(zip(risk, range(len(risk)), strict=True))
    size, total, means = len(rows) // 10, 0.0, []
    for decile in range(10):
        chosen = rows[decile * size : (decile + 1) * size]
        mean = sum(r for r, _ in chosen) / size
        observed = sum(outcome[i] for _, i in chosen)
        total += (observed - size * mean) ** 2 / (size * mean * (1 - mean) + 0.001)
        means.append(mean)
    return total / (means[9] - means[0])


def test_event2_is_that_of_the_challenge():
    assert event2(OUTCOME[:597], RISK[:597]) == pytest.approx(event2_by_loops(OUTCOME[:597], RISK[:597]), rel=1e-12)
    assert np.isnan(event2([0, 1], [0.1, 0.2]))
    assert np.isnan(event2([0, 1] * 10, [0.3] * 20))


def test_on_average_each_output_fits_where_its_interval_holds_the_prediction():
    """Observed as predicted fits; twice as often does not, and the sentence says in which direction."""
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.1, 0.4, (3000, 2))
    outcome = (rng.random((3000, 2)) < risk * [1, 2]).astype(float)
    predictions = multilabel_predictions(outcome, risk, labels=["shock", "long_stay"])
    evaluation = evaluate_predictions({"GRU": predictions}, n_resamples=5)
    shock, long_stay = summary_sentences(evaluation)
    assert shock.startswith("Shock: fits on average, predicted 25 %")
    assert long_stay.startswith("Long stay: too low on average, predicted 25 %, observed")


def test_a_wide_interval_is_no_fit_on_average():
    """With 200 stays the event may be a fifth more or less frequent than predicted: that is not called a fit."""
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.1, 0.4, (200, 1))
    outcome = (rng.random((200, 1)) < risk).astype(float)
    predictions = multilabel_predictions(outcome, risk, labels=["shock"])
    (shock,) = average_calibration(evaluate_predictions({"GRU": predictions}, n_resamples=5))
    assert shock.startswith("Shock: may fit on average; the interval is wide, predicted")


def test_survival_groups_join_until_each_has_enough_events():
    """No event among those of low risk: they join their neighbours and are still counted."""
    risk = np.linspace(0, 1, 600)
    event = (risk > 0.8).astype(float)
    groups = survival_groups(np.column_stack([np.where(event, 5.0, 50.0), event]), risk, hours=10.0)
    assert groups["stays"].sum() == 600
    assert (groups["stays"] * groups["observed"]).sum() == pytest.approx(event.sum(), rel=1e-6)
    assert ((groups["stays"] * groups["observed"]).round() >= 11).all()

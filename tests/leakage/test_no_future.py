"""The leakage sentinel: planted leaks are found, clean pipelines pass, and what it cannot do it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import slow_but

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.leakage.cohort_checks import lowest_auroc
from clinicalgru.leakage.perturbations import _corrupted
from clinicalgru.leakage.planted_leaks import CLEAN, LEAKY, clean_pipelines, planted_leaks
from clinicalgru.leakage.raw_tables import raw_tables

FURTHER_LEAKS = ("discharge code", "later descriptor", "patient in two splits", "preprocessing on all rows")
FURTHER_CLEAN = ("home medication", "first weight", "preprocessing on training rows")


@pytest.fixture(scope="module")
def small():
    return cg.simulate(40, random_state=2)


@pytest.fixture(scope="module")
def leaks(small):
    return planted_leaks(small)


@pytest.fixture(scope="module")
def clean(small):
    return clean_pipelines(small)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LEAKY, *FURTHER_LEAKS])
def test_each_planted_leak_is_found(leaks, name):
    check = cg.check_no_future(**leaks[name].arguments(), n_stays=24)
    assert not check.passed
    assert "LEAK" in check.sentence


@pytest.mark.parametrize("name", slow_but(("last known value", "home medication"), [*CLEAN, *FURTHER_CLEAN]))
def test_a_clean_pipeline_raises_no_alarm(clean, name):
    check = cg.check_no_future(**clean[name].arguments(), n_stays=16)
    assert check.leaks == ()
    assert check.largest_difference <= 1e-6


@pytest.mark.slow
def test_the_result_names_the_stays_but_prints_none(leaks, tmp_path):
    check = cg.check_no_future(**leaks["backfill"].arguments(), n_stays=16)
    moved = check.moved[check.moved["check"] == "later rows deleted"]
    counts = check.table.set_index("check")["n_moved"]
    assert len(moved) == counts["later rows deleted"] > 0
    texts = (str(check), check._repr_html_(), check.to_html(tmp_path / "leaks.html").read_text(), f"{check.to_dict()}")
    assert not any(stay in text for text in texts for stay in moved["stay_id"])
    assert set(moved["stay_id"]) <= set(leaks["backfill"].tables["stays"]["stay_id"])


def test_a_column_that_is_known_later_is_found_where_it_is_named(clean):
    tables = dict(clean["last known value"].tables)
    tables["stays"] = tables["stays"].assign(weight_at_discharge=np.arange(len(tables["stays"])))

    def pipeline(tables):
        return tables["stays"].set_index("stay_id")["weight_at_discharge"] / 100

    given = {"prediction_time": 24, "known_later": ["weight_at_discharge"], "n_stays": 16}
    assert cg.check_no_future(pipeline, tables, **given).leaks == ("later columns exchanged",)


def test_a_number_that_is_the_outcome_is_found_alone(small):
    """The outcome as a descriptor, and a window that ends at death."""
    tables = raw_tables(small)
    died = (np.arange(200) % 4 == 0).astype(float)
    stays = pd.DataFrame({"stay_id": [f"{i}" for i in range(200)], "start": 0.0, "score": died * 2 + 1})
    rows = pd.DataFrame({"stay_id": stays["stay_id"], "time": 1.0, "variable": "heart_rate", "value": 80.0})
    tables = {"measurements": rows, "stays": stays, "outcomes": stays[["stay_id"]].assign(died=died)}
    due = pd.Series(np.where(died == 1, 20.0, 48.0), index=stays["stay_id"])
    check = cg.check_no_future(lambda tables: np.zeros(len(tables["stays"])), tables, prediction_time=due)
    assert set(check.leaks) == {"window length does not predict alone", "single variable does not predict alone"}
    note = check.table.set_index("check")["note"]["single variable does not predict alone"]
    assert "descriptor score separates died" in note


def test_the_lowest_auroc_is_that_of_scikit_learn_less_its_error():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    event = rng.random(2000) < 0.3
    values = np.stack([event + rng.normal(size=2000), -3.0 * event + rng.normal(size=2000)], axis=1)
    auroc = [roc_auc_score(event, values[:, 0]), 1 - roc_auc_score(event, values[:, 1])]
    low = lowest_auroc(values, event)
    assert (low < auroc).all()
    assert (low > np.array(auroc) - 0.03).all()


@pytest.mark.slow
def test_a_copied_stay_in_another_part_is_found(small):
    tables = raw_tables(small)
    first = tables["stays"]["stay_id"][0]
    copies = {
        name: table[table["stay_id"] == first].assign(stay_id="copy", patient_id="other")
        for name, table in tables.items()
    }
    copies["measurements"] = copies["measurements"].assign(value=lambda rows: rows["value"])
    both = {name: pd.concat([table, copies[name]], ignore_index=True) for name, table in tables.items()}
    others = [stay for stay in tables["stays"]["stay_id"] if stay != first]

    def nothing(tables):
        return np.zeros(len(tables["stays"]))

    check = cg.check_no_future(
        nothing, both, prediction_time=24, splits={"train": [*others, "copy"], "test": [first]}, n_stays=4
    )
    assert check.leaks == ("no near-duplicate in another part",)
    check = cg.check_no_future(
        nothing, tables, prediction_time=24, splits={"train": others, "test": [first]}, n_stays=4
    )
    assert "no near-duplicate in another part" not in check.leaks


def test_a_pipeline_that_is_not_repeatable_is_named(small):
    rng = np.random.default_rng(0)
    check = cg.check_no_future(lambda tables: rng.random(len(tables["stays"])), small, prediction_time=24, n_stays=4)
    assert "same tables again" in check.leaks


def test_a_risk_that_vanishes_counts_as_infinite(small):
    def of_stays_with_later_rows(tables):
        rows = tables["measurements"].merge(tables["stays"][["stay_id", "start"]])
        later = rows[rows["time"] > rows["start"] + pd.Timedelta(hours=24)]
        return pd.Series(0.5, index=later["stay_id"].unique())

    check = cg.check_no_future(of_stays_with_later_rows, small, prediction_time=24, n_stays=8)
    assert "later rows deleted" in check.leaks
    assert check.largest_difference == np.inf
    assert check.to_dict()["largest_difference"] is None


@pytest.mark.slow
def test_our_own_line_from_rows_to_risk_sees_nothing_later(fitted, cohort, events, parts):
    splits = {"train": parts[0].stay, "test": parts[3].stay}
    for data in (cohort, events):
        check = cg.check_no_future(fitted, data, n_stays=6, splits=splits)
        assert check.leaks == (), check
        assert (check.table["result"] != "not tried").sum() >= 16


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (5, {"prediction_time": 1}, "an extract as tables"),
        ({"measurements": pd.DataFrame()}, {"prediction_time": 1}, "a table of stays"),
        ({"stays": pd.DataFrame({"a": [1]})}, {"prediction_time": 1}, "a column stay_id"),
        ({"stays": pd.DataFrame({"stay_id": [1, 1]})}, {"prediction_time": 1}, "one row for each stay_id"),
        ({"stays": pd.DataFrame({"stay_id": [1, 2]})}, {}, "a prediction time"),
        ({"stays": pd.DataFrame({"stay_id": [1, 2]})}, {"prediction_time": "due"}, "a prediction time"),
    ],
)
def test_bad_tables_are_one_error(data, options, message):
    with pytest.raises(ArgumentError, match=message):
        cg.check_no_future(lambda tables: 0, data, **options)


def test_a_pipeline_that_returns_something_else_is_one_error(small):
    with pytest.raises(ArgumentError, match="one risk per stay"):
        cg.check_no_future(lambda tables: 0.5, small, prediction_time=24, n_stays=4)


def test_a_pipeline_without_a_risk_is_one_error(small):
    with pytest.raises(ArgumentError, match="a risk of some stay"):
        cg.check_no_future(lambda tables: pd.Series(dtype=float), small, prediction_time=24, n_stays=4)


def test_corruption_leaves_codes_of_digits_codes_and_rows_that_are_not_chosen_as_they_are():
    table = pd.DataFrame(
        {
            "variable": ["diagnosis"] * 3 + ["sex"] * 2 + ["lactate"] * 3,
            "code": ["00845", "V1582", "0383", None, None, None, None, None],
            "value": [None, None, None, "female", "male", 1.5, 2.5, 4.0],
        }
    )
    chosen = np.array([True, True, True, False, False, False, True, True])
    changed = _corrupted(table, chosen, np.random.default_rng(0))
    assert sorted(changed["code"][:3]) == sorted(table["code"][:3])
    assert changed["value"][3:5].tolist() == ["female", "male"]
    assert float(changed["value"][5]) == 1.5
    assert (changed["value"][6:].astype(float) != [2.5, 4.0]).all()
    without = table[5:].reset_index(drop=True)
    assert _corrupted(without, np.ones(3, dtype=bool), np.random.default_rng(0))["code"].isna().all()


def test_a_column_of_a_single_class_has_no_auroc():
    with np.errstate(all="raise"):
        assert lowest_auroc(np.ones((1, 1)), np.array([False])).tolist() == [0.0]

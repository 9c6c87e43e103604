"""Labels of stays (site, ward), splits by them and by time, Table 1 and cross-validation: no patient in two parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.task.table_one import _quartiles, count_decimals

TASK = cg.Task.load("in_hospital_mortality")


@pytest.fixture(scope="module")
def stays() -> cg.Sequences:
    cohort = cg.simulate(60, random_state=0)
    table = cohort.stays.assign(SITE=["A", "B", "B", None] * 15, bed=range(60))
    options = {"stays": table, "outcomes": cohort.outcomes, "group_columns": ["site", "bed"]}
    return cg.select(cg.read_events(cohort.measurements, **options), TASK)


def test_groups_are_labels_and_no_static_covariates(stays, tmp_path):
    assert list(stays.groups) == ["site", "bed"]
    assert not {"site", "bed"} & set(stays.columns)
    assert stays[[5, 2]].groups.equals(stays.groups.iloc[[5, 2]].reset_index(drop=True))
    stays.save(tmp_path / "stays")
    pd.testing.assert_frame_equal(cg.Sequences.open(tmp_path / "stays").groups, stays.groups, check_dtype=False)


def test_groups_are_those_of_their_stays_and_serve_criteria_and_subgroups(stays):
    cohort = cg.simulate(60, random_state=0)
    table = cohort.stays.assign(SITE=["A", "B", "B", None] * 15)
    options = {"stays": table.sample(frac=1, random_state=1), "outcomes": cohort.outcomes, "group_columns": "site"}
    events = cg.read_events(cohort.measurements, **options)
    only = replace(TASK, include=(*TASK.include, *cg.Task.from_dict(
        TASK.to_dict() | {"include": [{"column": "site", "among": ["A"], "label": "site A"}]}).include))  # fmt: skip
    selected = cg.select(events, only)
    expected = table.loc[table["SITE"] == "A", "stay_id"]
    assert set(selected.groups["site"]) == {"A"}
    assert set(selected.stay) <= set(expected)
    result = cg.subgroups(stays.outcome, np.full(len(stays), 0.2), stays.groups["site"], min_cell_size=0, n_resamples=5)
    assert set(result.table["group"]) == {"all", "A", "B", "unknown"}


def test_a_split_by_group_or_time_puts_no_patient_in_two_parts(stays):
    twice = replace(stays, patient=np.array([f"{i // 2}" for i in range(len(stays))], dtype=object))
    middle = np.sort(stays.index_time)[len(stays) // 2].view("datetime64[us]")
    with pytest.warns(cg.ClinicalGRUWarning, match="left out: their patients' first stay"):
        by_site = cg.split_by(twice, "site")
    with pytest.warns(cg.ClinicalGRUWarning, match="left out"):
        past, future = cg.split_by_time(twice, middle)
    for parts in (list(by_site.values()), [past, future]):
        patients = [set(part.patient) for part in parts]
        assert sum(map(len, patients)) == len(set.union(*patients)) == len(set(twice.patient))
    assert past.index_time.max() < middle.astype("datetime64[us]").astype(np.int64) <= future.index_time.min()
    assert set(by_site["A"].groups["site"]) == {"A"}
    with pytest.warns(cg.ClinicalGRUWarning):
        assert len(cg.split_by(stays, "bed")) == len(set(stays.patient))
    for wrong in ("site", "2999-01-01"):
        with pytest.raises(cg.ClinicalGRUError):
            cg.split_by_time(stays, wrong)
    with pytest.raises(cg.ClinicalGRUError, match="group_columns="):
        cg.split_by(stays, "ward")


@pytest.mark.slow
def test_table_one_counts_as_pandas_does_and_suppresses_small_cells(stays, tmp_path):
    shown = cg.table_one(stays).table.set_index(["characteristic", "level"])
    died = stays.outcome == 1
    assert shown.loc[("stays", ""), "with"] == f"{died.sum():,}"
    at_a = (stays.groups["site"] == "A").to_numpy()
    assert shown.loc[("site", "A"), "without"] == f"{(at_a & ~died).sum()} ({(at_a & ~died).sum() / (~died).sum():.1%})"
    heart_rate = stays.to_frame().query("variable == 'heart_rate'").drop_duplicates("stay")["value"]
    known = f"median (quartiles), known in {len(heart_rate) / len(stays):.0%}"
    assert shown.loc[("Heart rate, /min", known), "all"].startswith(f"{heart_rate.median():.0f} (")
    hidden = cg.table_one(replace(stays, groups=stays.groups[["site"]]), min_cell_size=11)
    cells = hidden.table.set_index(["characteristic", "level"])
    assert set(cells.loc[("stays", ""), ["without", "with"]]) == {"suppressed"}
    few = stays.to_frame().query("variable == 'lactate'")["stay"].nunique()
    assert 0 < len(stays) - few < 40
    lacking = cg.table_one(stays, min_cell_size=len(stays) - few + 1).table.set_index("characteristic")
    assert lacking.loc["Lactate, mmol/L", "level"] == "median (quartiles)"  # how many lack a value is a small count
    page = hidden.to_html(tmp_path / "cohort.html").read_text(encoding="utf-8")
    assert f">{died.sum()}<" not in page
    assert hidden.note in page


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([7.31, 7.34, 7.38, 7.41, 7.44], "7.38 (7.34 to 7.41)"),
        ([0.6, 0.8, 1.1, 1.6, 3.0], "1.1 (0.8 to 1.6)"),
        ([61.2, 70.4, 80.3, 91.7, 120.1], "80 (70 to 92)"),
        ([135.0, 136.0, 136.0, 137.0, 137.0], "136 (136 to 137)"),
        ([900.5, 1200.5, 1800.5, 2600.5, 4000.5], "1,800 (1,200 to 2,600)"),
        ([2.5, 2.5, 2.5, 2.5, 2.5], "2.5 (2.5 to 2.5)"),
    ],
)
def test_quartiles_have_as_many_decimals_as_their_spread_needs(values, text):
    assert _quartiles(np.array(values), 0, count_decimals(np.array(values))) == text


def test_cross_validation_holds_each_patient_out_once(stays):
    result = cg.cross_validate(cg.SummaryBaseline("logistic regression"), stays, n_folds=2, n_resamples=2)
    assert sorted(set(result.fold)) == [1, 2]
    assert result.folds.groupby("metric").size().eq(2).all()
    row = result.summary.set_index("metric").loc["auroc"]
    assert row["min"] <= row["mean"] <= row["max"]
    with pytest.raises(cg.ClinicalGRUError, match="an estimator"):
        cg.cross_validate("GRU", stays)


def test_what_is_refused_says_what_to_do():
    cohort = cg.simulate(20, random_state=0)
    with pytest.raises(cg.ClinicalGRUError, match="as group_columns= names it"):
        cg.read_events(cohort.measurements, stays=cohort.stays, group_columns="ward")
    with pytest.raises(cg.ClinicalGRUError, match="stays= with group_columns"):
        cg.read_events(cohort.measurements, group_columns="ward")

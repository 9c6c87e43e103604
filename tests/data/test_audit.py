"""The audit: every planted defect is found, clean cohorts are left in peace, and nobody is named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from defects import DEFECTS, planted, schedule

import clinicalgru as cg
from clinicalgru.data.audit.finding import CATEGORIES, SEVERITIES, Check, Finding
from clinicalgru.data.audit.result import Audit
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.errors import ArgumentError

STAYS = 120


@pytest.fixture(scope="module")
def cohorts() -> list[SimulatedCohort]:
    return [cg.simulate(STAYS, random_state=random_state) for random_state in range(4)]


def found(cohort: SimulatedCohort, names: tuple[str, ...], random_state: int) -> set[str]:
    t = planted(cohort, names, random_state)
    events = cg.read_events(t.rows, stays=t.stays, outcomes=t.outcomes, max_rejected=1)
    return {finding.check.name for finding in cg.audit(events, site_column="icu_type").flagged}


def recall(cohorts: list[SimulatedCohort], count: int) -> tuple[list[str], int]:
    """What was missed, and how many were planted."""
    missed, total = [], 0
    for i, names in enumerate(schedule(count)):
        flagged = found(cohorts[i % len(cohorts)], names, i)
        missed += [name for name in names if name not in flagged]
        total += len(names)
    return missed, total


@pytest.mark.slow
def test_each_check_can_be_planted():
    checks = {check.name for check in cg.audit(cg.read_events(cg.simulate(30)), site_column="icu_type").checks}
    assert checks - {"rejected: other"} == set(DEFECTS)
    assert len(checks) >= 30


@pytest.mark.slow
def test_planted_defects_are_found(cohorts):
    missed, total = recall(cohorts, 6)
    assert total == 24
    assert missed == []


@pytest.mark.slow
@pytest.mark.lab
def test_of_200_planted_defects_98_of_100_are_found(cohorts):
    missed, total = recall(cohorts, 56)
    assert total >= 200
    assert len(missed) <= 0.02 * total, missed


@pytest.mark.slow
def test_clean_wards_raise_hardly_any_false_alarm():
    alarms = checks = 0
    for random_state in range(100, 106):
        audit = cg.audit(cg.read_events(cg.simulate(STAYS, random_state=random_state)), site_column="icu_type")
        alarms += len({finding.check.name for finding in audit.flagged})
        checks += len(audit.checks)
    assert alarms <= 0.02 * checks


@pytest.mark.slow
def test_examples_are_the_row_numbers_of_the_table_for_people(cohorts):
    cohort = cohorts[0]
    rows = cohort.measurements.copy()
    hearts = rows.index[rows["variable"] == "heart_rate"][[10, 400, 900]]
    rows.loc[hearts, ["time", "available_at"]] = pd.Timestamp("2200-01-01")
    events = cg.read_events(rows, stays=cohort.stays)
    finding = next(one for one in cg.audit(events) if one.check.name == "in the future")
    table = events.to_frame()
    assert finding.count == 3
    assert list(finding.examples) == np.flatnonzero(table["time"] >= pd.Timestamp("2100-01-01")).tolist()
    assert set(table.iloc[list(finding.examples)]["variable"]) == {"heart_rate"}


@pytest.mark.slow
def test_counts_are_those_of_a_plain_computation(cohorts):
    cohort = cohorts[1]
    stays = cohort.stays.copy()
    stays.loc[[3, 50], "end"] = stays.loc[[3, 50], "start"] - pd.Timedelta(hours=2)
    events = cg.read_events(cohort.measurements, stays=stays, outcomes=cohort.outcomes)
    by_name = {finding.check.name: finding for finding in cg.audit(events)}
    table = events.to_frame().merge(events.stays[["patient_id", "stay_id", "end"]], on=["patient_id", "stay_id"])
    late = table["time"].astype("int64") > table["end"].astype("int64") + 3_600_000_000
    assert by_name["measured after the stay"].count == late.sum()
    ends = events.stays["end"] < events.stays["start"]
    assert by_name["end before start"].examples == tuple(np.flatnonzero(ends))


@pytest.mark.slow
def test_the_audit_names_no_patient_and_no_value():
    cohort = cg.simulate(40, random_state=9)
    rows, stays = cohort.measurements.copy(), cohort.stays.copy()
    rows.loc[rows.index[:40], "value"] = 98765.4321
    stays["end"] = stays["start"] - pd.Timedelta(hours=1)
    audit = cg.audit(cg.read_events(rows, stays=stays, outcomes=cohort.outcomes, max_rejected=1))
    said = f"{audit} {json.dumps(audit.to_dict())} {audit._repr_html_()} {audit.to_frame().to_string()}"
    assert audit.flagged
    assert "98765" not in said
    assert not [name for name in (*stays["patient_id"], *stays["stay_id"]) if name in said]


@pytest.mark.slow
def test_the_table_holds_every_check_with_its_limit(cohorts):
    audit = cg.audit(cg.read_events(cohorts[2]))
    table = audit.to_frame()
    assert set(table["category"]) == set(CATEGORIES)
    assert set(table["severity"]) == set(SEVERITIES)
    assert (table["flagged"] == (table["count"] > 0) & (table["fraction"] > table["max_fraction"])).mean() > 0.9
    assert json.loads(json.dumps(audit.to_dict()))["checks"] == len(audit.checks)


@pytest.mark.slow
def test_hours_since_the_start_are_audited_without_the_checks_of_dates():
    rows = pd.DataFrame(
        {"patient_id": ["1"] * 4, "time": [0.0, 1.0, 2.0, 60.0], "variable": "heart_rate", "value": 80.0}
    )
    audit = cg.audit(cg.read_events(rows))
    assert "in the future" not in {check.name for check in audit.checks}
    assert len(audit.checks) >= 30


def test_events_without_rows_are_audited():
    rows = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": "heart_rate", "value": ["900"]})
    audit = cg.audit(cg.read_events(rows, max_rejected=1))
    assert audit.n_measurements == 0


@pytest.mark.slow
def test_an_unknown_site_column_is_refused(cohorts):
    with pytest.raises(ArgumentError, match="column of the stays"):
        cg.audit(cg.read_events(cohorts[0]), site_column="hospital")


@pytest.mark.slow
def test_the_audit_changes_nothing(cohorts):
    events = cg.read_events(cohorts[0])
    before, stays = events.measurements.to_pandas(), events.stays.copy()
    cg.audit(events, site_column="icu_type")
    pd.testing.assert_frame_equal(events.measurements.to_pandas(), before)
    pd.testing.assert_frame_equal(events.stays, stays)


@pytest.mark.slow
def test_the_command_prints_json_and_writes_the_page(tmp_path):
    from typer.testing import CliRunner

    from clinicalgru.cli.main import app

    folder = cg.simulate(40, random_state=2).write(tmp_path / "cohort")
    page, stays = tmp_path / "audit.html", folder / "stays.parquet"
    arguments = ["audit", str(folder / "measurements.parquet"), "--stays", str(stays), "--json", "--page", str(page)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["checks"] >= 30
    assert page.exists()


def test_small_cells_of_findings_are_withheld_with_their_rows():
    check = Check("frozen sensor", "plausibility", "warning", 0.0, 1, "stays", "The same value for hours.")
    few, most, many = (
        Finding(check, "map", 3, 400, (7, 9)),
        Finding(check, "sbp", 395, 400, (5,)),
        Finding(check, "dbp", 40, 400, (6,)),
    )
    audit = Audit((few, most, many), n_measurements=9_000, n_stays=400, source="long: a.csv")
    text = audit.as_text()
    assert [("First: 7, 9" in text), ("First: 5" in text), ("First: 6" in text)] == [False, False, True]
    assert text.count("suppressed") == 2
    findings = audit.to_dict(min_cell_size=11)["findings"]
    assert [(one["count"], one["fraction"], one["examples"]) for one in findings] == [
        (None, None, []),
        (None, None, []),
        (40, 0.1, [6]),
    ]
    assert "suppressed" not in str(audit)

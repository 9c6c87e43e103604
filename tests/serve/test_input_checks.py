"""The input is compared with what the model learned from: the right number, or none."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import InputMismatch, TooFewScored
from clinicalgru.model.input_profile import input_profile
from clinicalgru.serve.stay_status import DUE, TOO_FEW_MEASUREMENTS, UNMEASURED

LATER = "2150-01-01"
LABORATORY = ("lactate", "creatinine", "bun", "wbc", "platelets", "hematocrit", "sodium", "potassium", "glucose")


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts[0])


@pytest.fixture(scope="module")
def tonight():
    return cg.simulate(120, random_state=11)


def scored(model, cohort, rows=None, stays=None, **options):
    rows, stays = cohort.measurements if rows is None else rows, cohort.stays if stays is None else stays
    return cg.score(model, rows, stays=stays, as_of=LATER, **options)


@pytest.mark.slow
def test_another_draw_of_the_same_patients_raises_nothing(model, tonight, caplog):
    table = scored(model, tonight, strict=True, min_scored=0.95)
    due = table[table["reason_code"].isin(DUE) & (table["reason_code"] != UNMEASURED)]
    assert (due["status"] == "scored").mean() >= 0.995
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["hours older" in record.message for record in warned] == [True]


@pytest.mark.slow
def test_each_difference_is_a_warning_and_strict_writes_nothing(model, tonight, caplog, tmp_path):
    rows, stays = tonight.measurements, tonight.stays
    plain = rows[~rows["variable"].isin(LABORATORY)]
    changed = {
        "absent: 8 variables, .* bun 90%": (plain, stays),
        ", creatinine 92%,": (plain, stays),
        "age: many values are outside": (rows, stays.assign(age=4.0)),
        "measurements in a stay": (rows.groupby("stay_id").head(30), stays),
        "heart_rate: absent": (rows[rows["variable"] != "heart_rate"], stays),
    }
    for words, (some, of) in changed.items():
        caplog.clear()
        with pytest.raises(InputMismatch, match=words):
            scored(model, tonight, some, of, strict=True, out=tmp_path / "out")
        assert any(re.search(words, record.message) for record in caplog.records)
        assert all(record.name == "clinicalgru" for record in caplog.records)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor", "unit"), [("lactate", 9.008, "mg/dL"), ("bun", 2.14, "mg{urea}/dL")])
def test_a_variable_in_another_unit_is_named_with_the_unit(model, tonight, caplog, name, factor, unit):
    rows = tonight.measurements.copy()
    rows.loc[rows["variable"] == name, "value"] *= factor
    scored(model, tonight, rows)
    assert any(record.message.startswith(f"{name}: many values") for record in caplog.records)
    assert any(unit in record.message for record in caplog.records)


@pytest.mark.slow
def test_a_stay_with_one_measurement_gets_no_number(model, tonight):
    rows = tonight.measurements
    heart_rates = rows[rows["variable"] == "heart_rate"].groupby("stay_id").head(1)
    table = scored(model, tonight, heart_rates)
    due = table[table["reason_code"].isin(DUE)]
    assert set(due["status"]) <= {"too little known", "not scored"}
    assert (due["reason_code"] == TOO_FEW_MEASUREMENTS).any()
    assert due["risk"].isna().all()
    with pytest.raises(TooFewScored, match=r"0\.0%"):
        scored(model, tonight, heart_rates, min_scored=0.5)


def test_no_number_of_the_profile_is_that_of_a_few_patients(parts):
    """Whatever a group of ten or fewer holds leaves no trace but in means of eleven or more."""
    stays = parts[0]
    few = stays[: MIN_CELL_SIZE - 1]
    profile = input_profile(few)
    assert profile["measurements"] == []
    assert profile["limits"] == {"measurements": None, "variables": None}
    for entry in (*profile["variables"].values(), *profile["static_variables"].values()):
        assert entry["quantiles"] == []
        assert entry["share"] in (0.0, 1.0)
        assert entry.get("per_stay") is None
    shown = json.dumps(input_profile(stays))
    lactate = [variable.name for variable in stays.variables].index("lactate")
    for value in stays.value[stays.variable == lactate][:50]:
        assert f"{value:.6g}" not in shown or len(f"{value:.6g}") < 5


def test_quantiles_are_means_of_groups_of_patients(parts):
    stays = parts[0]
    number = [variable.name for variable in stays.static_variables].index("age")
    age = pd.Series(stays.static[:, number]).groupby(stays.patient).mean().dropna().sort_values().to_numpy()
    quantiles = input_profile(stays)["static_variables"]["age"]["quantiles"]
    assert len(quantiles) == min(10, len(age) // MIN_CELL_SIZE)
    np.testing.assert_allclose(quantiles, [group.mean() for group in np.array_split(age, len(quantiles))], rtol=1e-3)


def test_a_bundle_keeps_the_profile(model, tmp_path):
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.trained_on_["inputs"] == model.trained_on_["inputs"]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0, capsys.readouterr()


@pytest.mark.slow
def test_each_refusal_has_an_exit_code_of_its_own(model, tonight, tmp_path, capsys):
    files = tonight.write(tmp_path / "extract")
    bundle = cg.save(model, tmp_path / "bundle")
    tables = (files / "measurements.parquet", "--stays", files / "stays.parquet")
    start = pd.to_datetime(tonight.stays["start"]).min()
    rows = pd.read_parquet(tables[0])
    few, empty = tmp_path / "few.parquet", tmp_path / "empty.parquet"
    rows[~rows["variable"].isin(LABORATORY)].to_parquet(few)
    rows.head(0).to_parquet(empty)
    rows[rows["variable"] == "heart_rate"].groupby("stay_id").head(1).to_parquet(one := tmp_path / "one.parquet")

    def code(number, *arguments):
        ended = run(capsys, "score", bundle, *arguments, "--out", tmp_path / f"out{number}")
        assert "Traceback" not in ended[1].err
        return ended[0]

    assert code(0, *tables, "--as-of", LATER, "--log", tmp_path / "runs.jsonl") == 0
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert {line["level"] for line in lines} <= {"info", "warning"}
    assert lines[0]["ledger"]["rows in"] == len(rows)
    assert lines[-1]["message"] == "finished"
    assert lines[-1]["statuses"]["scored"] > 50
    assert not any(stay in json.dumps(lines) for stay in tonight.stays["stay_id"])
    assert code(2, tmp_path / "none.parquet") == 2
    assert code(3, few, *tables[1:], "--as-of", LATER, "--strict", "--log", tmp_path / "runs.jsonl") == 3
    last = json.loads((tmp_path / "runs.jsonl").read_text().splitlines()[-1])
    assert (last["level"], last["exit_code"]) == ("error", 3)
    assert code(4, one, *tables[1:], "--as-of", LATER, "--min-scored", "0.5") == 4
    assert code(5, *tables, "--as-of", start + pd.Timedelta("1h")) == 5
    assert code(6, empty) in (2, 5)
    assert code(7, empty, *tables[1:]) in (2, 5)
    assert not any((tmp_path / f"out{number}").exists() for number in (2, 3, 4))

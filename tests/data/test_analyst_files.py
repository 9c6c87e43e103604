"""What an analyst has on the first day: digits for times, text for outcomes, pounds for kilograms, other formats."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import three_rows

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.cli.option_text import as_options
from clinicalgru.data.ingest.table_files import EXPORTS
from clinicalgru.errors import DataWarning, InputError, TaskError


def digits(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    time = pd.to_datetime(rows["time"]).dt.strftime("%Y%m%d%H%M")
    return rows.drop(columns="available_at").assign(time=time if kind == "text" else time.astype(kind))


@pytest.mark.parametrize("kind", ["text", "int64", "float64"])
def test_digits_are_times_where_a_format_reads_them_and_other_tables_stay_iso(kind):
    rows = three_rows()
    stays = rows.groupby(["patient_id", "stay_id"], as_index=False)["time"].min().rename(columns={"time": "start"})
    plain = cg.read_events(rows.drop(columns="available_at"), stays=stays)
    read = cg.read_events(digits(rows, kind), stays=stays, time_format="%Y%m%d%H%M")
    pd.testing.assert_frame_equal(read.to_frame(), plain.to_frame())
    pd.testing.assert_series_equal(read.stays["start"], plain.stays["start"])


def test_a_column_that_only_partly_is_iso_is_not_read_with_another_format_than_the_one_named():
    rows = three_rows()
    stays = rows.groupby(["patient_id", "stay_id"], as_index=False)["time"].min().rename(columns={"time": "start"})
    stays.loc[1, "start"] = "1 February 2031"
    with pytest.raises(InputError, match="start"):
        cg.read_events(digits(rows, "text"), stays=stays, time_format="%Y%m%d%H%M")


def test_a_mapped_outcome_of_text_is_used_and_the_error_says_how_to_map_one():
    rows = three_rows()
    outcomes = pd.DataFrame({"stay_id": ["1", "2", "3", "4"], "went": ["Home", "Died", "Home", "Home"]})
    task = replace(cg.Task.load("in_hospital_mortality"), window_hours=(0, 1))
    with pytest.raises(TaskError, match=r"columns=\{'outcomes': \{'in_hospital_death': 'its name'\}\}"):
        cg.select(cg.read_events(rows, outcomes=outcomes), task)
    events = cg.read_events(rows, outcomes=outcomes, columns={"outcomes": {"in_hospital_death": "went"}})
    with pytest.raises(TaskError, match="positive_values"):
        cg.select(events, task)
    named = replace(task, positive_values=("Died",), negative_values=("Home",))
    assert cg.select(events, named).outcome.sum() == 1


def body(weight: float, height: float | None) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ids = pd.DataFrame({"patient_id": [f"p{n}" for n in range(40)], "stay_id": [f"s{n}" for n in range(40)]})
    table = ids.assign(admission_weight=rng.normal(weight, 0.1 * weight, 40))
    return table if height is None else table.assign(height=rng.normal(height, 5, 40))


@pytest.mark.parametrize(
    ("weight", "height", "units", "is_odd"),
    [(80, 170, {}, False), (25, 125, {}, False), (176, 170, {}, True), (176, None, {}, True), (80, None, {}, False),
     (176, 170, {"admission_weight": "[lb_av]"}, False)],
)  # fmt: skip
def test_pounds_in_a_column_of_kilograms_are_warned_of(weight, height, units, is_odd):
    stays = body(weight, height)
    rows = stays[["patient_id", "stay_id"]].assign(time="1", variable="heart_rate", value="80", unit="/min")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cg.read_events(rows, stays=stays, units=units)
    assert [one.category for one in caught] == [DataWarning] * is_odd


@pytest.mark.parametrize("ending", sorted(ending for endings in EXPORTS for ending in endings))
def test_a_format_that_is_not_read_has_one_error_with_what_to_do(ending, tmp_path):
    (tmp_path / f"labs{ending}").write_bytes(b"x")
    with pytest.raises(InputError) as error:
        cg.read_events(tmp_path / f"labs{ending}")
    assert "{" not in str(error.value)
    advice = ("run python -c", "source='sql'", "in r", "dataframe", "unpack it")
    assert any(word in error.value.fix.lower() for word in advice)


def test_the_command_line_says_options_where_the_library_says_arguments():
    shown = as_options("pass columns={'outcomes': {'died': 'its name'}}, units={'height': '[in_i]'} or source=.")
    assert shown == "pass --columns 'outcomes:died=its name', --units 'height=[in_i]' or --source."
    for kept in ("pd.read_json(file, lines=True)", "n_resamples=20", "my_units={'a': 'b'}", "x.decimal=','"):
        assert as_options(kept) == kept


def test_a_draft_is_written_where_the_reading_file_already_names_it(tmp_path):
    three_rows().replace({"lactate": "Laktat"}).to_csv(tmp_path / "labs.csv", index=False)
    (tmp_path / "reading.yaml").write_text("names: names.yaml\n")
    with pytest.raises(SystemExit) as ended:
        main(["map", str(tmp_path / "labs.csv"), "--reading", str(tmp_path / "reading.yaml"),
              "--draft", str(tmp_path / "names.yaml")])  # fmt: skip
    assert ended.value.code == 0
    assert "Laktat" in (tmp_path / "names.yaml").read_text()

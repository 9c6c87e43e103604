"""The Synthea CDM against plain pandas; the same from files, Parquet and PostgreSQL; and what a CDM may hold."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clinicalgru as cg
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import Events
from clinicalgru.errors import ArgumentError, InputError

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def synthea(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The raw tables as text."""
    archive = zipfile.ZipFile(next((real_data / "omop-synthea").glob("*.zip")))
    names = ["PERSON", "VISIT_OCCURRENCE", "MEASUREMENT", "OBSERVATION", "DEATH", "CONCEPT", "OBSERVATION_PERIOD"]
    names += ["CONDITION_OCCURRENCE", "DRUG_EXPOSURE", "PROCEDURE_OCCURRENCE", "VISIT_DETAIL"]
    return {name: pd.read_csv(archive.open(f"{name}.csv"), dtype=str, keep_default_na=False) for name in names}


@pytest.fixture(scope="module")
def events(real_data: Path) -> Events:
    return cg.read_events(next((real_data / "omop-synthea").glob("*.zip")), source="omop", anchor="visit")


@pytest.mark.slow
def test_the_ledger_holds_every_row_of_the_tables(synthea, events):
    taken = ["MEASUREMENT", "OBSERVATION", "CONDITION_OCCURRENCE", "DRUG_EXPOSURE", "PROCEDURE_OCCURRENCE"]
    assert events.ledger.rows_in == sum(len(synthea[name]) for name in taken) == 21_141


def test_values_are_those_of_the_raw_table(synthea, events):
    """By hand: concepts of the dictionary, also through their LOINC code; all units but one are its own."""
    dictionary, concept = Dictionary.load(), synthea["CONCEPT"].query("vocabulary_id == 'LOINC'")
    loinc = concept.set_index("concept_id")["concept_code"].map(dictionary.names("loinc")).dropna().to_dict()
    raw = synthea["MEASUREMENT"].query("value_as_number != ''")
    name = raw["measurement_concept_id"].map(loinc | dictionary.names("omop"))
    value, has_dates = raw["value_as_number"].astype(float), pd.to_datetime(raw["measurement_datetime"])
    value = value.where(raw["unit_source_value"] != "pg/mL", value / 1000).where(name == "troponin_i", value)
    table = pd.DataFrame({"stay_id": raw["visit_occurrence_id"], "time": has_dates, "variable": name, "value": value})
    series = table["variable"].map(lambda known: isinstance(known, str) and not dictionary[known].static)
    table = table[series.astype(bool)]
    low, high = (table["variable"].map(lambda known, i=i: dictionary[known].plausible[i]) for i in (0, 1))
    kept = table[table["value"].between(low, high)].groupby(["stay_id", "time", "variable"])["value"].mean()
    ours = events.to_frame().set_index(["stay_id", "time", "variable"])["value"].sort_index()
    pd.testing.assert_series_equal(ours, kept.sort_index(), check_index_type=False)
    assert events.ledger.converted == {"troponin_i: pg/mL -> ug/L": 12}


def test_stays_ages_and_deaths_are_those_of_the_raw_tables(synthea, events):
    visits = synthea["VISIT_OCCURRENCE"].merge(synthea["PERSON"], on="person_id").merge(synthea["DEATH"], "left")
    visits = visits.set_index("visit_occurrence_id").loc[events.stays["stay_id"]]
    start, end = (pd.to_datetime(visits[f"visit_{name}_datetime"]) for name in ("start", "end"))
    years = (start - pd.to_datetime(visits["birth_datetime"])).dt.total_seconds() / (365.25 * 86_400)
    np.testing.assert_allclose(events.stays["age"], years.clip(lower=0), atol=1e-9)
    np.testing.assert_array_equal(events.stays["sex"], (visits["gender_concept_id"] == "8507").astype(float))
    died = pd.to_datetime(visits["death_date"]).between(start, end)
    np.testing.assert_array_equal(events.stays["in_hospital_death"], died.astype(float))
    assert died.sum() == 3
    np.testing.assert_allclose(events.stays["length_of_stay"], (end - start).dt.total_seconds() / 86_400)


@pytest.mark.slow
def test_hospital_stays_are_inpatient_and_emergency_visits_and_their_rows(synthea, real_data, events):
    few = cg.read_events(next((real_data / "omop-synthea").glob("*.zip")), source="omop")
    visits = synthea["VISIT_OCCURRENCE"]
    inside = visits[visits["visit_concept_id"].isin(["9201", "9203"])]["visit_occurrence_id"]
    assert sorted(few.stays["stay_id"]) == sorted(inside)
    every = events.to_frame()
    expected = every[every["stay_id"].isin(inside)].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.to_frame(), expected)
    assert few.ledger.notes["visits of another kind, not taken as stays"] == len(visits) - len(inside)


def test_diagnoses_are_known_when_their_visit_ends(synthea, events):
    ends = events.stays["end"].to_numpy(dtype="int64")[events.coded["stay"].to_numpy()]
    kind = np.array([word.split("//")[0] for word in events.code_vocabulary])[events.coded["code"].to_numpy()]
    assert (events.coded["available"].to_numpy() >= ends)[kind == "diagnosis"].all()
    assert set(kind) == {"diagnosis", "drug", "procedure"}


def as_tables(events: Events) -> tuple[Any, ...]:
    return events.to_frame(), events.stays, events.coded.to_pandas(), events.code_vocabulary, events.ledger.rejected


def assert_same(ours: Events, theirs: Events) -> None:
    for left, right in zip(as_tables(ours), as_tables(theirs), strict=True):
        if isinstance(left, pd.DataFrame):
            pd.testing.assert_frame_equal(left, right)
        else:
            assert left == right


@pytest.mark.slow
def test_parquet_with_typed_columns_gives_the_same(synthea, events, tmp_path):
    for name, table in synthea.items():
        typed = table.replace("", None)
        for column in typed:
            if column.endswith("_id") and name != "CONCEPT":
                typed[column] = typed[column].astype(float).astype("float64" if "visit_detail" in column else "Int64")
            elif column.endswith("datetime"):
                typed[column] = pd.to_datetime(typed[column])
            elif column.endswith("as_number"):
                typed[column] = typed[column].astype(float)
        (tmp_path / name.lower()).mkdir()
        half = len(typed) // 2
        typed[:half].to_parquet(tmp_path / name.lower() / "part-0.parquet")
        typed[half:].to_parquet(tmp_path / name.lower() / "part-1.parquet")
    assert_same(cg.read_events(tmp_path, source="omop", anchor="visit"), events)


def kind_of(column: str) -> str:
    if column.endswith("datetime"):
        return "timestamp"
    if column.endswith("_date"):
        return "date"
    if column in ("value_as_number", "quantity", "range_low", "range_high"):
        return "numeric"
    named = column in ("domain_id", "vocabulary_id", "concept_class_id")
    return "bigint" if column.endswith("_id") and not named else "text"


def load(address: str, tables: dict[str, pd.DataFrame]) -> None:
    """The tables into a schema `cdm` with the CDM's own types: numeric, date, timestamp, bigint."""
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS cdm CASCADE")
        cursor.execute("CREATE SCHEMA cdm")
        for name, table in tables.items():
            cursor.adbc_ingest("loading", table.astype("string").replace("", None), mode="replace")
            cells = ", ".join(f'"{column}"::{kind_of(column)}' for column in table)
            cursor.execute(f"CREATE TABLE cdm.{name.lower()} AS SELECT {cells} FROM loading")
            cursor.execute("DROP TABLE loading")
        connection.commit()


@pytest.mark.slow
def test_postgresql_gives_the_same_as_the_files(synthea, events, postgres):
    load(postgres, synthea)
    schema = "?options=-csearch_path%3Dcdm"
    assert_same(cg.read_events(postgres + schema, source="omop", anchor="visit"), events)
    with pytest.raises(InputError, match="a table person"):
        cg.read_events(postgres, source="omop")
    with pytest.raises(ArgumentError, match="postgresql://"):
        cg.read_events("mysql://127.0.0.1/cdm", source="omop")


PERSON = {"person_id": "1", "gender_concept_id": "8532", "year_of_birth": "1970"}
VISIT = {
    "visit_occurrence_id": "10", "person_id": "1", "visit_concept_id": "9201", "visit_start_date": "2031-05-04",
    "visit_start_datetime": "2031-05-04 08:00:00", "visit_end_date": "2031-05-06", "visit_end_datetime": "",
}  # fmt: skip
ROW = {
    "person_id": "1", "measurement_concept_id": "3027018", "measurement_date": "2031-05-04",
    "measurement_datetime": "2031-05-04 10:00:00", "operator_concept_id": "0", "value_as_number": "70",
    "value_as_concept_id": "0", "unit_concept_id": "8541", "unit_source_value": "", "value_source_value": "70",
    "visit_occurrence_id": "10", "visit_detail_id": "",
}  # fmt: skip
DETAIL = {
    "visit_detail_id": "100", "person_id": "1", "visit_detail_concept_id": "32037", "visit_occurrence_id": "10",
    "visit_detail_start_date": "2031-05-05", "visit_detail_start_datetime": "2031-05-05 00:00:00", "care_site_id": "",
    "visit_detail_end_date": "2031-05-05", "visit_detail_end_datetime": "2031-05-05 23:00:00",
}  # fmt: skip


def tiny(folder: Path, rows: list[dict[str, str]], **more: list[dict[str, str]]) -> Path:
    later = {"visit_occurrence_id": "11", "visit_concept_id": "9202"}
    later |= {"visit_start_date": "2031-05-05", "visit_start_datetime": "2031-05-05", "visit_end_date": "2031-05-05"}
    tables = {"person": [PERSON], "visit_occurrence": [VISIT, VISIT | later], "measurement": rows, "death": []} | more
    for name, content in tables.items():
        columns = list(content[0]) if content else ["person_id", "death_date"]
        pd.DataFrame(content, columns=columns).to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"operator_concept_id": "4171756"}, "censored value (< or >)"),
        ({"operator_concept_id": "4171755"}, "censored value (< or >)"),
        ({"value_source_value": "< 70"}, "censored value (< or >)"),
        ({"value_as_number": "", "value_as_concept_id": "45877994"}, "non-numeric"),
        ({"value_as_number": "", "value_source_value": ""}, "missing value"),
        ({"visit_occurrence_id": "11"}, "outside every stay"),
        ({"visit_occurrence_id": "", "measurement_datetime": "2031-06-01 10:00:00"}, "outside every stay"),
        ({"visit_occurrence_id": "99"}, "stay not in the stays table"),
        ({"unit_concept_id": "8840"}, "unknown unit"),
        ({"unit_concept_id": "123456789"}, "unknown unit"),
        ({"measurement_concept_id": "123456789"}, "unmapped code"),
        ({"measurement_datetime": "yesterday"}, "time not readable"),
    ],
)
def test_what_cannot_be_used_is_counted_by_its_reason(tmp_path, more, reason):
    events = cg.read_events(tiny(tmp_path, [ROW, ROW | more]), source="omop", max_rejected=1)
    assert events.ledger.rejected == {reason: 1}
    assert events.to_frame()["value"].tolist() == [70]


@pytest.mark.slow
def test_an_operator_equal_and_an_open_visit_row_are_used(tmp_path):
    rows = [ROW, ROW | {"operator_concept_id": "4172703", "visit_occurrence_id": "10.0", "value_as_number": "80"}]
    rows.append(ROW | {"visit_occurrence_id": "", "measurement_datetime": "2031-05-06 22:00:00"})
    frame = cg.read_events(tiny(tmp_path, rows), source="omop").to_frame()
    assert frame["value"].tolist() == [75, 70]
    assert set(frame["stay_id"]) == {"10"}


@pytest.mark.slow
def test_a_date_without_a_time_is_known_at_the_end_of_the_day(tmp_path):
    frame = cg.read_events(tiny(tmp_path, [ROW | {"measurement_datetime": ""}]), source="omop").to_frame()
    assert frame["time"].tolist() == [pd.Timestamp("2031-05-04")]
    assert frame["available_at"].tolist() == [pd.Timestamp("2031-05-04T23:59:59.999999")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "known"),
    [
        ({"measurement_datetime": "2031-05-04 00:00:00"}, "2031-05-04 23:59:59.999999"),
        ({"measurement_datetime": "2031-05-04T00:00:00.000"}, "2031-05-04 23:59:59.999999"),
        ({"measurement_datetime": "2031-05-04 00:00"}, "2031-05-04 23:59:59.999999"),
        ({"measurement_datetime": "2031-05-04"}, "2031-05-04 23:59:59.999999"),
        ({"measurement_datetime": "2031-05-04 00:00:01"}, "2031-05-04 00:00:01"),
        ({"measurement_datetime": "2031-05-05 00:00:00"}, "2031-05-05 00:00:00"),  # of another day: a time of day
    ],
)
def test_midnight_of_the_day_of_a_row_is_a_date(tmp_path, more, known):
    rows = [ROW | more, ROW | {"measurement_datetime": "2031-05-05 15:00:00", "measurement_date": "2031-05-05"}]
    frame = cg.read_events(tiny(tmp_path, rows), source="omop").to_frame()
    assert frame.sort_values("time")["available_at"].tolist()[0] == pd.Timestamp(known)


@pytest.mark.slow
@pytest.mark.parametrize(("other", "known"), [("00:00:00", "23:59:59.999999"), ("07:00:00", "00:00:00")])
def test_without_a_date_a_column_of_midnights_holds_dates(tmp_path, other, known):
    rows = [ROW | {"measurement_datetime": moment} for moment in ("2031-05-04 00:00:00", f"2031-05-05 {other}")]
    rows = [{name: cell for name, cell in row.items() if name != "measurement_date"} for row in rows]
    frame = cg.read_events(tiny(tmp_path, rows), source="omop").to_frame()
    assert frame.sort_values("time")["available_at"].tolist()[0] == pd.Timestamp(f"2031-05-04 {known}")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "2031-05-06 00:00:00", "2031-05-06"])
def test_a_visit_that_ends_on_a_date_ends_with_that_day(tmp_path, end):
    visit = VISIT | {"visit_end_datetime": end, "visit_start_datetime": "2031-05-04 00:00:00"}
    stays = cg.read_events(tiny(tmp_path, [ROW], visit_occurrence=[visit]), source="omop").stays
    assert pd.to_datetime(stays["end"], unit="us").tolist() == [pd.Timestamp("2031-05-06 23:59:59.999999")]
    assert stays["length_of_stay"].tolist() == [2.0]


LONG = ("-8863258302371826543", "9223372036854775807", "9007199254740993")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "int64", "decimal"])
def test_identifiers_below_zero_and_beyond_53_bits_stay_exact(tmp_path, form):
    """Numbers one apart beyond 2^53 are one number in floating point."""
    people = [*LONG, "9007199254740992"]
    tables = {
        "person": [PERSON | {"person_id": who} for who in people],
        "visit_occurrence": [VISIT | {"person_id": who, "visit_occurrence_id": who} for who in people],
        "measurement": [ROW | {"person_id": who, "visit_occurrence_id": who} for who in people],
    }
    for name, rows in tables.items():
        frame = pd.DataFrame(rows)
        keys = [key for key in ("person_id", "visit_occurrence_id") if key in frame]
        if form == "csv":
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            continue
        dtype = "int64" if form == "int64" else pd.ArrowDtype(pa.decimal128(38, 0))
        frame.astype(dict.fromkeys(keys, dtype)).to_parquet(tmp_path / f"{name}.parquet", index=False)
    events = cg.read_events(tmp_path, source="omop")
    assert sorted(events.stays["patient_id"]) == sorted(events.stays["stay_id"]) == sorted(people)
    assert sorted(events.to_frame()["patient_id"]) == sorted(people)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_identifiers_that_floating_point_rounded_are_refused(tmp_path, form):
    folder = tiny(tmp_path, [ROW])
    frame = pd.DataFrame([PERSON]).assign(person_id=[float(LONG[1])])
    (folder / "person.csv").unlink()
    frame.to_csv(folder / "person.csv", index=False) if form == "csv" else frame.to_parquet(folder / "person.parquet")
    with pytest.raises(InputError, match=r"person.*row \d: Expected person_id in full"):
        cg.read_events(folder, source="omop")


@pytest.mark.slow
def test_units_come_from_the_vocabulary_or_the_source_value(tmp_path):
    """Temperatures of 98.6 degrees Fahrenheit, written in four ways."""
    units = [("2000000001", ""), ("2000000002", ""), ("0", "degF"), ("2000000003", "degF")]
    rows = [
        ROW | {"measurement_concept_id": "3020891", "value_as_number": "98.6", "unit_concept_id": unit}
        | {"unit_source_value": text, "measurement_datetime": f"2031-05-04 1{hour}:00:00"}
        for hour, (unit, text) in enumerate(units)
    ]  # fmt: skip
    unit = {"concept_id": "2000000001", "concept_name": "degree Fahrenheit", "domain_id": "Unit"}
    unit |= {"vocabulary_id": "UCUM", "concept_code": "[degF]"}
    own = unit | {
        "concept_id": "2000000002",
        "vocabulary_id": "House units",
        "concept_code": "17",
        "concept_name": "degF",
    }
    folder = tiny(tmp_path, rows)
    pd.DataFrame([unit, own]).to_csv(folder / "2b_concept.csv", index=False)
    frame = cg.read_events(folder, source="omop").to_frame()
    np.testing.assert_allclose(frame["value"], [37.0] * 4)


@pytest.mark.slow
def test_of_synthea_every_day_is_known_at_its_end_only(synthea, events):
    """Every datetime of the extract is at midnight."""
    frame = events.to_frame()
    assert (frame["available_at"] - frame["time"] == pd.Timedelta("1D") - pd.Timedelta("1us")).all()
    ends = pd.to_datetime(events.stays["end"].astype("int64"), unit="us")
    assert (ends.dt.time.astype(str) == "23:59:59.999999").all()


@pytest.mark.slow
@pytest.mark.parametrize(("death", "died"), [("2031-05-06", 1.0), ("2031-05-07", 0.0), ("2031-05-03", 0.0)])
def test_who_dies_on_a_day_of_the_visit_died_in_hospital(tmp_path, death, died):
    folder = tiny(tmp_path, [ROW], death=[{"person_id": "1", "death_date": death}])
    assert cg.read_events(folder, source="omop").stays["in_hospital_death"].tolist() == [died]


@pytest.mark.slow
@pytest.mark.parametrize("timezone", [None, "Europe/Berlin", "America/New_York", "Asia/Tokyo"])
def test_days_are_those_of_the_declared_time_zone(tmp_path, timezone):
    whole = VISIT | {"visit_start_datetime": ""}
    folder = tiny(tmp_path, [ROW], visit_occurrence=[whole], death=[{"person_id": "1", "death_date": "2031-05-06"}])
    events = cg.read_events(folder, source="omop", timezone=timezone)
    assert events.stays["length_of_stay"].tolist() == [2.0]
    assert events.stays["in_hospital_death"].tolist() == [1.0]
    (folder / "death.csv").write_text("person_id,death_date\n1,2031-05-07\n")
    assert cg.read_events(folder, source="omop", timezone=timezone).stays["in_hospital_death"].tolist() == [0.0]


@pytest.mark.slow
def test_without_a_death_table_nobody_is_called_alive(tmp_path):
    (tiny(tmp_path, [ROW]) / "death.csv").unlink()
    assert cg.read_events(tmp_path, source="omop").stays["in_hospital_death"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "followed", "expected"),
    [("2031-06-01", "2032-01-01", 1.0), ("2031-06-20", "2032-01-01", 0.0), ("2031-06-20", "2031-06-01", np.nan)],
)
def test_a_readmission_counts_within_30_days_and_is_unknown_beyond_the_record(tmp_path, start, followed, expected):
    again = VISIT | {"visit_occurrence_id": "12", "visit_start_datetime": start, "visit_end_date": start}
    clinic = VISIT | {"visit_occurrence_id": "13", "visit_concept_id": "9202", "visit_start_datetime": "2031-05-09"}
    period = {"person_id": "1", "observation_period_end_date": followed}
    folder = tiny(tmp_path, [ROW], visit_occurrence=[VISIT, clinic, again], observation_period=[period])
    stays = cg.read_events(folder, source="omop").stays.set_index("stay_id")
    np.testing.assert_array_equal(stays.loc["10", "readmission_30d"], expected)


@pytest.mark.slow
def test_icu_stays_are_named_by_concept_or_care_site(tmp_path):
    by_site = DETAIL | {"visit_detail_id": "101", "visit_detail_concept_id": "0", "care_site_id": "7"}
    cohort = DETAIL | {"visit_detail_id": "102", "visit_detail_concept_id": "9201", "care_site_id": "8"}
    sites = [
        {"care_site_id": "7", "care_site_name": "Medical ICU (MICU)"},
        {"care_site_id": "8", "care_site_name": "3B"},
    ]
    rows = [ROW | {"visit_detail_id": name} for name in ("100", "101", "102")]
    rows.append(ROW | {"measurement_datetime": "2031-05-04 09:00:00"})  # of no detail, before the first
    folder = tiny(tmp_path, rows, visit_detail=[DETAIL, by_site, cohort], care_site=sites)
    events = cg.read_events(folder, source="omop", anchor="icu")
    assert events.stays["stay_id"].tolist() == ["100", "101"]
    assert events.to_frame()["stay_id"].tolist() == ["100", "101"]
    assert events.ledger.rejected == {"outside every stay": 2}
    assert events.stays["age"].between(60, 62).all()


@pytest.mark.slow
def test_messages_name_the_columns_of_the_cdm(tmp_path):
    folder = tiny(tmp_path, [ROW, ROW | {"measurement_datetime": "Mrs-Canary-77"}])
    with pytest.raises(InputError, match=r"measurement.csv, row 3, column measurement_datetime") as error:
        cg.read_events(folder, source="omop")
    assert "Canary" not in str(error.value)
    with pytest.raises(InputError, match=r"visit_occurrence.csv, row 2, column visit_start_datetime"):
        cg.read_events(
            tiny(tmp_path, [ROW], visit_occurrence=[VISIT | {"visit_start_datetime": "soon"}]), source="omop"
        )
    with pytest.raises(InputError, match="unique visit identifiers"):
        cg.read_events(tiny(tmp_path, [ROW], visit_occurrence=[VISIT, VISIT]), source="omop")
    with pytest.raises(ArgumentError, match="an anchor of omop"):
        cg.read_events(folder, source="omop", anchor="ward")


def ancestor(below: str, above: str, levels: int) -> dict[str, str]:
    return {
        "ancestor_concept_id": above, "descendant_concept_id": below,
        "min_levels_of_separation": str(levels), "max_levels_of_separation": str(levels),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("tabs", [False, True])
def test_a_concept_below_a_known_one_is_its_variable_and_counted_as_such(tmp_path, tabs):
    """Heart rate is 3027018, temperature 3020891; the nearest known ancestor wins, two as near leave it unmapped."""
    tree = [ancestor("900", "900", 0), ancestor("900", "3027018", 1), ancestor("900", "3020891", 3)]
    tree += [ancestor("901", "3027018", 2), ancestor("901", "3020891", 2), ancestor("902", "900", 1)]
    rows = [ROW, *(ROW | {"measurement_concept_id": name, "value_as_number": "90"} for name in ("900", "901", "902"))]
    folder = tiny(tmp_path, rows, concept_ancestor=tree)
    if tabs:  # as Athena writes it
        path = folder / "concept_ancestor.csv"
        path.write_text(path.read_text().replace(",", "\t"))
    events = cg.read_events(folder, source="omop", max_rejected=1)
    assert [variable.name for variable in events.variables] == ["heart_rate"]
    assert events.to_frame()["value"].tolist() == [80]  # 70 and 90 of one instant
    assert events.ledger.rejected == {"unmapped code": 2}
    assert events.ledger.notes["rows of narrower concepts: heart_rate"] == 1
    (folder / "concept_ancestor.csv").unlink()
    without = cg.read_events(folder, source="omop", max_rejected=1).ledger
    assert without.rejected == {"unmapped code": 3}
    assert not [note for note in without.notes if "narrower" in note]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "values"), [("bound", [70, 80, 90, 60]), ("half", [70, 40, 90, 30])])
def test_limits_of_detection_are_values_on_request(tmp_path, rule, values):
    at = [{"measurement_datetime": f"2031-05-04 {hour}:00:00"} for hour in (11, 12, 13)]
    less = {"operator_concept_id": "4171756", "value_as_number": "80"}
    more = {"operator_concept_id": "4171755", "value_as_number": "90", "visit_occurrence_id": ""}
    written = {"value_as_number": "", "value_source_value": "<60"}
    rows = [ROW, *(ROW | one | time for one, time in zip((less, more, written), at, strict=True))]
    events = cg.read_events(tiny(tmp_path, rows), source="omop", detection_limits=rule)
    assert events.to_frame()["value"].tolist() == values
    assert events.ledger.notes["limits of detection used as values: heart_rate"] == 3

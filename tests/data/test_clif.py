"""CLIF: an invented folder of three patients in versions 2.1 and 3.0, and the demo against pandas."""

from __future__ import annotations

import dataclasses
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.sources.named_columns import instant_columns
from clinicalgru.errors import ArgumentError, InputError

TABLES = {  # as in 2.1; times in UTC
    "patient": (
        "patient_id race_category sex_category birth_date death_dttm",
        """
P1,White,Female,1940-01-01,
P2,White,Male,1925-01-01,2031-01-05 10:00Z
P3,White,Unknown,,2031-03-02 08:00Z
""",
    ),
    "hospitalization": (
        "patient_id hospitalization_id admission_dttm discharge_dttm age_at_admission discharge_category",
        """
P1,H1,2031-01-01 00:00Z,2031-01-10 00:00Z,91,Home
P1,H2,2031-02-01 00:00Z,2031-02-05 00:00Z,91,Missing
P2,H3,2031-01-01 00:00Z,2031-01-05 10:00Z,,Expired
P3,H4,2031-03-01 00:00Z,2031-03-02 08:00Z,17,
P3,H5,2031-02-01 00:00Z,,17,Still Admitted
""",
    ),
    "adt": (
        "hospitalization_id hospital_id in_dttm out_dttm location_category location_type",
        """
H1,A,2031-01-01 00:00Z,2031-01-01 06:00Z,ed,
H1,A,2031-01-01 06:00Z,2031-01-02 06:00Z,icu,medical_icu
H1,A,2031-01-02 06:00Z,2031-01-04 06:00Z,icu,surgical_icu
H1,A,2031-01-04 06:00Z,2031-01-06 00:00Z,ward,
H1,A,2031-01-06 00:00Z,2031-01-07 00:00Z,icu,general_icu
H3,B,2031-01-01 00:00Z,,icu,cardiac_icu
H4,B,2031-03-01 00:00Z,,icu,
H4,B,2031-03-01 12:00Z,2031-03-02 08:00Z,ward,
""",
    ),
    "vitals": (
        "hospitalization_id recorded_dttm vital_name vital_category vital_value meas_site_name",
        """
H1,2031-01-01 03:00Z,HR,heart_rate,99,
H1,2031-01-01 07:00Z,HR,heart_rate,88,
H1,2031-01-03 07:00Z,HR,heart_rate,90,
H1,2031-01-05 07:00Z,HR,heart_rate,70,
H3,2031-01-01 07:00Z,Temp,temp_c,38.5,
H3,2031-01-01 07:00Z,Height,height_cm,180,
H9,2031-01-01 07:00Z,HR,heart_rate,70,
""",
    ),
    "labs": (
        "hospitalization_id lab_order_dttm lab_collect_dttm lab_result_dttm lab_name lab_category lab_value "
        "lab_value_numeric reference_unit lab_specimen_category",
        """
H1,2031-01-01 06:30Z,2031-01-01 07:00Z,2031-01-01 08:30Z,Lactate,lactate,2.5,2.5,mmol/L,
H1,2031-01-01 06:30Z,2031-01-01 09:00Z,2031-01-01 08:30Z,Lactate,lactate,2.0,2.0,mmol/L,blood
H1,2031-01-01 06:30Z,,2031-01-01 12:00Z,Lactate,lactate,1.5,,mmol/L,
H1,2031-01-01 06:30Z,2031-01-01 13:00Z,2031-01-01 14:00Z,Creat,creatinine,> 20,20,mg/dL,
H1,2031-01-01 06:30Z,2031-01-01 13:00Z,2031-01-01 14:00Z,INR,inr,1.2,1.2,(no units),
H1,2031-01-01 06:30Z,2031-01-01 13:00Z,2031-01-01 14:00Z,Creat,creatinine,80,80,mg/dL,urine
H1,2031-01-01 06:30Z,2031-01-01 13:00Z,2031-01-01 14:00Z,Creat,creatinine,see note,,mg/dL,
""",
    ),
    "respiratory_support": (
        "hospitalization_id recorded_dttm device_name device_category mode_category tracheostomy fio2_set "
        "resp_rate_obs",
        """
H1,2031-01-01 08:00Z,ETT,IMV,SIMV,0,0.6,18
H1,2031-01-01 12:00Z,NC,Nasal Cannula,,0,,
H1,2031-01-01 13:00Z,,,,0,0.3,
""",
    ),
    "patient_assessments": (
        "hospitalization_id recorded_dttm assessment_name assessment_category assessment_group "
        "numerical_value categorical_value text_value",
        """
H1,2031-01-01 08:00Z,gcs,gcs_total,Neurological,14,,
H1,2031-01-01 08:00Z,gcs_verbal,gcs_verbal,Neurological,0,,
H1,2031-01-01 09:00Z,gcs_verbal,gcs_verbal,Neurological,4,,
H1,2031-01-01 08:00Z,cam,cam_total,Delirium,,Positive,
""",
    ),
}
NAMES = {
    "heart_rate": "heart_rate",
    "temperature": "temp_c",
    "height": "height_cm",
    "respiratory_rate": "resp_rate_obs",
    "lactate": "lactate",
    "creatinine": "creatinine",
    "inr": "inr",
    "fio2": "fio2_set",
    "gcs": "gcs_total",
}
LOWER = ["sex_category", "discharge_category", "device_category", "mode_category", "assessment_group"]


@pytest.fixture(scope="module")
def variables() -> cg.Dictionary:
    """The shipped variables under the names that this file's tables use."""
    return cg.Dictionary(
        dataclasses.replace(variable, source_codes={"clif": (NAMES[name],)} if name in NAMES else {}, unit_in={})
        for name, variable in cg.Dictionary.load().items()
    )


def tables() -> dict[str, pd.DataFrame]:
    """The tables as text."""
    return {
        name: pd.read_csv(io.StringIO(cells), names=columns.split(), dtype=str)
        for name, (columns, cells) in TABLES.items()
    }


def version_3() -> dict[str, pd.DataFrame]:
    """The tables as CLIF 3.0 writes them."""
    new = tables()
    for table in new.values():
        for column in set(LOWER) & set(table):
            table[column] = table[column].str.lower().str.replace(" ", "_")
    new["labs"]["reference_unit"] = new["labs"]["reference_unit"].str.lower()
    new["labs"]["lab_specimen_category"] = new["labs"]["lab_specimen_category"].replace("blood", "plasma_blood")
    new["vitals"].insert(2, "measured_dttm", new["vitals"]["recorded_dttm"].where(new["vitals"].index % 2 == 0))
    new["adt"]["room_id"] = new["adt"]["bed_id"] = "4"
    new["patient_assessments"]["documenting_provider_id"] = "9"
    new["respiratory_support"]["device_id"] = "ACZ"
    return new


def write(folder: Path, content: dict[str, pd.DataFrame], *, form: str = "csv", name: str = "clif_{}") -> Path:
    folder.mkdir(exist_ok=True)
    for table, frame in content.items():
        path = folder / f"{name.format(table)}.{form}"
        if form == "parquet":
            typed = frame.apply(lambda column: pd.to_datetime(column) if column.name.endswith("_dttm") else column)
            numbers = [
                column
                for column in typed
                if "value" in column and column not in ("lab_value", "text_value", "categorical_value")
            ]
            typed.astype(dict.fromkeys(numbers, float)).to_parquet(path, index=False)
        elif form == "csv.gz":
            path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
        else:
            frame.to_csv(path, index=False)
    return folder


def read(folder: Path, variables: cg.Dictionary, **options) -> Events:
    return cg.read_events(folder, source="clif", variables=variables, max_rejected=0.2, **options)


@pytest.fixture(scope="module")
def icu(tmp_path_factory, variables) -> Events:
    return read(write(tmp_path_factory.mktemp("clif"), tables()), variables)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, variables) -> Events:
    return read(write(tmp_path_factory.mktemp("clif"), tables()), variables, anchor="hospital")


def rows(events: Events, variable: str) -> list[tuple[str, str, str, float]]:
    """Stay, time, available_at and value of a variable."""
    table = events.to_frame().query("variable == @variable")
    times = (table[name].dt.strftime("%m-%d %H:%M") for name in ("time", "available_at"))
    return list(zip(table["stay_id"], *times, table["value"].round(6), strict=True))


def test_rows_of_adt_that_touch_are_one_icu_stay(icu):
    stays = icu.stays.set_index("stay_id")
    hours = ((stays["end"] - stays["start"]) / 3_600_000_000).to_dict()
    assert hours == {"H1-1": 72, "H1-2": 24, "H3-1": 106, "H4-1": 12}  # H3 until its discharge, H4 until the ward
    assert stays["site"].to_dict() == {"H1-1": "A", "H1-2": "A", "H3-1": "B", "H4-1": "B"}
    assert stays["hospital_to_icu_hours"].tolist() == [6, 120, 0, 0]
    assert stays["icu_type"].fillna(-1).tolist() == [2, -1, 0, -1]  # positions of Medical and Coronary
    note = "rows of adt in intensive care without out_dttm (until the next location or discharge)"
    assert icu.ledger.notes[note] == 2


def test_descriptors_and_deaths(icu, hospital):
    stays = hospital.stays.set_index("stay_id")
    assert stays["in_hospital_death"].fillna(-1).to_dict() == {"H1": 0, "H2": -1, "H3": 1, "H4": 1, "H5": -1}
    assert stays["age"].round().tolist() == [91, 91, 106, 17, 17]
    assert stays["sex"].fillna(-1).tolist() == [0, 0, 1, -1, -1]
    assert stays["length_of_stay"].fillna(-1).round(3).tolist() == [9, 4, 4.417, 1.333, -1]
    assert pd.isna(stays.loc["H5", "end"])
    assert icu.stays.set_index("stay_id")["in_hospital_death"].to_dict() == {"H1-1": 0, "H1-2": 0, "H3-1": 1, "H4-1": 1}


def test_a_row_goes_to_the_stay_of_its_hospitalization_at_its_time(icu, hospital):
    assert [(stay, value) for stay, *_, value in rows(icu, "heart_rate")] == [("H1-1", 88), ("H1-1", 90)]
    assert [value for *_, value in rows(hospital, "heart_rate")] == [99, 88, 90, 70]
    assert icu.ledger.rejected["outside every stay"] == 2
    assert icu.ledger.rejected["stay not in the stays table"] == 1  # H9
    assert icu.stays.set_index("stay_id").loc["H3-1", "height"] == 180


def test_a_result_counts_at_its_collection_and_is_known_at_its_result(icu):
    assert rows(icu, "lactate") == [
        ("H1-1", "01-01 07:00", "01-01 08:30", 2.5),
        ("H1-1", "01-01 09:00", "01-01 09:00", 2.0),
        ("H1-1", "01-01 12:00", "01-01 12:00", 1.5),
    ]
    assert rows(icu, "inr") == [("H1-1", "01-01 13:00", "01-01 14:00", 1.2)]
    assert rows(icu, "creatinine") == []  # a bound, urine, and words
    assert icu.ledger.rejected["censored value (< or >)"] == 1
    assert icu.ledger.rejected["non-numeric"] == 1


def test_respiratory_support_and_assessments(icu):
    assert [(at, value) for _, at, _, value in rows(icu, "mechanical_ventilation")] == [
        ("01-01 08:00", 1),
        ("01-01 12:00", 0),
    ]
    assert [value for *_, value in rows(icu, "fio2")] == [0.6, 0.3]
    assert [value for *_, value in rows(icu, "respiratory_rate")] == [18]
    assert [value for *_, value in rows(icu, "gcs")] == [14]
    assert [value for *_, value in rows(icu, "gcs_verbal")] == [4]  # 0: not testable, intubated
    assert "implausible" not in icu.ledger.rejected


@pytest.mark.slow
@pytest.mark.parametrize("version", [tables, version_3])
@pytest.mark.parametrize(("form", "name"), [("parquet", "clif_{}"), ("csv.gz", "{}"), ("csv", "CLIF_{}")])
def test_version_form_and_name_do_not_matter(tmp_path, variables, icu, version, form, name):
    other = read(write(tmp_path / "data", version(), form=form, name=name), variables)
    pd.testing.assert_frame_equal(other.to_frame(), icu.to_frame())
    pd.testing.assert_frame_equal(other.stays, icu.stays)
    assert other.ledger.rejected == icu.ledger.rejected


@pytest.mark.slow
def test_a_vital_sign_counts_when_it_was_measured_and_is_known_when_recorded(tmp_path, variables):
    content = version_3()
    content["vitals"].loc[1, "measured_dttm"] = "2031-01-01 06:10Z"
    events = read(write(tmp_path / "data", content), variables)
    assert rows(events, "heart_rate")[0] == ("H1-1", "01-01 06:10", "01-01 07:00", 88)


@pytest.mark.slow
def test_urine_of_the_table_output_is_a_volume(tmp_path, variables):
    content = version_3()
    content["output"] = pd.DataFrame(
        {
            "hospitalization_id": "H1",
            "recorded_dttm": "2031-01-01 08:00Z",
            "output_name": ["Foley", "Drain"],
            "output_category": ["indwelling_urinary_catheter", "chest_tube_temporary"],
            "output_group": ["urine", "drains"],
            "output_volume": ["200", "50"],
        }
    )
    events = read(write(tmp_path / "data", content), variables)
    assert [value for *_, value in rows(events, "urine_output")] == [200]
    assert events.ledger.findings.query("variable == 'output: chest_tube_temporary'")["reason"].tolist() == [
        "unmapped code"
    ]


HEMODYNAMICS = {  # first word of the columns: category -> variable and value
    "measure": {
        "CVP": ("cvp", 12),
        "RA": ("cvp", 11),
        "RV": ("rvp", 30),
        "PA": ("pap", 31),
        "PCWP": ("pcwp", 18),
        "PA_systolic": ("pap_systolic", 40),
        "cardiac_output_thermodilution": ("cardiac_output", 4),
    },
    "measurement": {
        "cvp": ("cvp", 12),
        "rv_systolic": ("rvp_systolic", 40),
        "rv_diastolic": ("rvp_diastolic", 6),
        "cco": ("cardiac_output", 4),
        "co_index": ("cardiac_index", 2.5),
        "svri": ("svri", 2000),
        "evlwi": ("extravascular_lung_water_index", 8),
        "do2": ("oxygen_delivery_index", 550),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("word", HEMODYNAMICS)
def test_invasive_hemodynamics_of_versions_2_and_3(tmp_path, word):
    known, content = HEMODYNAMICS[word], tables()
    content["invasive_hemodynamics"] = pd.DataFrame(
        {
            "hospitalization_id": "H1",
            "recorded_dttm": [f"2031-01-01 08:{minute:02}Z" for minute in range(len(known) + 2)],
            f"{word}_name": "Swan-Ganz",
            f"{word}_category": [*known, "tfc", "cvp"],
            f"{word}_value": [str(value) for _, value in known.values()] + ["9", "400"],
        }
    )
    events = read(write(tmp_path / "data", content, form="parquet"), cg.Dictionary.load())
    for minute, (variable, value) in enumerate(known.values()):
        at = f"01-01 08:{minute:02}"
        assert ("H1-1", at, at, value) in rows(events, variable), variable
    found = events.ledger.findings.set_index("variable")["reason"]
    assert found[["tfc", "cvp"]].tolist() == ["unmapped code", "implausible"]


def naive(content: dict[str, pd.DataFrame], *names: str) -> dict[str, pd.DataFrame]:
    """Tables with times without an offset, as on the clocks of Chicago."""
    for name in names:
        times = [column for column in content[name] if column.endswith("_dttm")]
        for column in times:
            local = pd.to_datetime(content[name][column]).dt.tz_convert("America/Chicago")
            content[name][column] = local.dt.tz_localize(None).astype("string")
    return content


@pytest.mark.slow
def test_times_without_an_offset_are_used_as_written_or_as_local_times(tmp_path, variables, icu):
    folder = write(tmp_path / "data", naive(tables(), *TABLES))
    written = read(folder, variables)
    assert rows(written, "heart_rate")[0][1] == "01-01 01:00"
    local = read(folder, variables, timezone="America/Chicago")
    pd.testing.assert_frame_equal(local.to_frame(), icu.to_frame())
    pd.testing.assert_frame_equal(local.stays, icu.stays)


def test_a_cell_is_not_copied_again_and_again_into_the_sql_of_its_instant():
    """SQL that grows with every level of nesting took DuckDB seconds to bind for each small table."""
    short, long = (
        len(str(instant_columns("t", cell, "VARCHAR", has_timezone=True))) for cell in ("r.c", f"r.{'c' * 1001}")
    )
    assert long - short <= 6 * 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vitals", "adt", "hospitalization"])
def test_times_of_two_forms_are_refused(tmp_path, variables, name):
    folder = write(tmp_path / "data", naive(tables(), name))
    with pytest.raises(InputError, match="UTC offset"):
        read(folder, variables)
    read(folder, variables, timezone="America/Chicago")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("hospitalization", "discharge_dttm"),
        ("patient", "patient_id"),
        ("adt", "location_category"),
        ("vitals", "vital_value"),
        ("labs", "lab_collect_dttm"),
        ("respiratory_support", "recorded_dttm"),
    ],
)
def test_a_missing_column_is_named(tmp_path, variables, table, column):
    content = tables()
    content[table] = content[table].drop(columns=column)
    with pytest.raises(InputError, match=f"clif_{table}.csv: Expected a column {column}"):
        read(write(tmp_path / "data", content), variables)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["patient", "hospitalization", "adt"])
def test_a_missing_table_is_named(tmp_path, variables, table):
    content = tables()
    del content[table]
    folder = write(tmp_path / "data", content)
    with pytest.raises(InputError, match=f"a table {table}"):
        read(folder, variables)
    if table == "adt":
        assert len(read(folder, variables, anchor="hospital").stays) == 5


@pytest.mark.slow
def test_optional_tables_and_columns_may_be_absent(tmp_path, variables):
    content = {name: table for name, table in tables().items() if name not in ("labs", "patient_assessments")}
    content["patient"] = content["patient"][["patient_id"]]
    content["hospitalization"] = content["hospitalization"].drop(columns=["age_at_admission", "discharge_category"])
    content["adt"] = content["adt"].drop(columns=["hospital_id", "location_type"])
    events = read(write(tmp_path / "data", content), variables)
    assert events.ledger.notes["optional table absent: labs"] == 1
    assert events.stays["in_hospital_death"].isna().all()


def test_another_anchor_is_refused(tmp_path, variables):
    with pytest.raises(ArgumentError):
        read(write(tmp_path / "data", tables()), variables, anchor="visit")


@pytest.mark.slow
def test_the_demo_agrees_with_pandas(real_data: Path, variables):
    folder = real_data / "clif-demo"
    hospital = read(folder, variables, anchor="hospital")
    table = pd.read_parquet(folder / "clif_hospitalization.parquet")
    assert len(hospital.stays) == len(table) == 310
    assert hospital.stays["in_hospital_death"].sum() == (table["discharge_category"] == "Expired").sum() == 17
    assert hospital.stays["in_hospital_death"].isna().sum() == (table["discharge_category"] == "Missing").sum()
    labs = pd.read_parquet(folder / "clif_labs.parquet")
    lactate = labs[labs["lab_category"] == "lactate"].dropna(subset="lab_value_numeric")
    lactate["known"] = lactate[["lab_collect_dttm", "lab_result_dttm"]].max(axis=1)
    expected = lactate.groupby(["hospitalization_id", "known", "lab_collect_dttm"])["lab_value_numeric"].mean()
    observed = hospital.to_frame().query("variable == 'lactate'")
    observed = observed.set_index(["stay_id", "available_at", "time"])["value"].sort_index()
    np.testing.assert_allclose(observed.to_numpy(), expected.to_numpy())
    icu = read(folder, variables)
    adt = pd.read_parquet(folder / "clif_adt.parquet").query("location_category == 'icu'")
    adt = adt.sort_values(["hospitalization_id", "in_dttm"])
    touches = adt.groupby("hospitalization_id")["out_dttm"].shift() >= adt["in_dttm"]
    assert len(icu.stays) == (~touches).sum() == 145
    flow = dict(cg.select(icu, cg.Task.load("in_hospital_mortality_24h")).flow)
    assert flow["outcome recorded (death in hospital)"] == 122

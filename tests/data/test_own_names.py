"""Own names of variables, names of other vocabularies, and the draft that maps them."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import clinicalgru as cg
from clinicalgru.cli.main import app
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.name_words import PLACES, translations
from clinicalgru.data.dictionary.unmapped import OTHER_FLUIDS, _known_words, _suggest
from clinicalgru.errors import DataWarning

NAMES = {"Lactate, Arterial": "lactate", "Pulse (bedside)": "heart_rate"}


def long_rows(**columns) -> pd.DataFrame:
    rows = {"patient_id": ["1", "2", "2"], "time": [0.0, 1.0, 2.0], "variable": ["Lactate, Arterial"] * 3, "value": 2.0}
    return pd.DataFrame(rows | columns)


def test_own_names_are_read_as_the_variables_they_name():
    events = cg.read_events(
        long_rows(variable=["Lactate, Arterial", "Pulse (bedside)", "lactate"], value=[2.0, 60.0, 2.0]), names=NAMES
    )
    assert sorted(events.to_frame()["variable"]) == ["heart_rate", "lactate", "lactate"]
    assert events.reading["names"] == NAMES


@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_a_file_of_names_is_read_as_the_names_themselves(tmp_path, form):
    path = tmp_path / f"names.{form}"
    if form == "yaml":
        path.write_text(yaml.safe_dump(NAMES))
    else:
        pd.DataFrame({"name": [*NAMES, "not mapped"], "variable": [*NAMES.values(), ""]}).to_csv(path, index=False)
    rows = long_rows()
    found = [cg.read_events(rows, names=names).to_frame() for names in (NAMES, path, str(path))]
    assert all(found[0].equals(one) for one in found)


def test_wide_columns_have_own_names_too():
    wide = pd.DataFrame({"patient_id": ["1", "2"], "time": [0.0, 1.0], "Lactate, Arterial": [2.0, 3.0]})
    assert cg.read_events(wide, source="wide", names=NAMES).to_frame()["variable"].tolist() == ["lactate"] * 2


def test_a_vocabulary_adds_its_codes_and_own_names_go_first():
    rows = long_rows(variable=["8867-4", "2524-7", "220045"], value=60.0)
    events = cg.read_events(rows, vocabulary=["loinc", "mimic-iv"], names={"2524-7": "heart_rate"})
    assert events.to_frame()["variable"].tolist() == ["heart_rate"] * 3


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"names": {"Lac": "lactat"}}, "lactate"),
        ({"names": ["lactate"]}, "names"),
        ({"names": {"Lac": 3}}, "name of a variable"),
        ({"names": "absent.yaml"}, "absent.yaml"),
        ({"vocabulary": "snomed"}, "vocabulary"),
    ],
)
def test_names_that_cannot_be_are_refused(arguments, match):
    with pytest.raises(cg.ClinicalGRUError, match=match):
        cg.read_events(long_rows(), **arguments)


@pytest.mark.parametrize("form", ["{}", "LOINC:{}", "LOINC/{}", "LOINC//{}"])
def test_a_code_is_known_with_the_name_of_its_system_before_it(form):
    rows = pd.DataFrame({"patient_id": "1", "time": [0.0], "variable": form.format("8867-4"), "value": [80.0]})
    assert [variable.name for variable in cg.read_events(rows, vocabulary="loinc").variables] == ["heart_rate"]
    with pytest.raises(cg.ClinicalGRUError, match="unknown variable"):
        cg.read_events(rows.assign(variable=form.format("8867-4").replace("LOINC", "LN") + "-"), vocabulary="loinc")


def test_a_name_twice_in_a_csv_file_is_refused_with_its_row(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name,variable\nLac,lactate\nLac,heart_rate\n")
    with pytest.raises(cg.ClinicalGRUError, match=r"names.csv, row 3"):
        cg.read_events(long_rows(), names=path)


def test_an_extract_whose_names_are_all_known_has_an_empty_table():
    events = cg.read_events(long_rows(variable="lactate"))
    assert cg.unmapped(events).empty
    assert (
        cg.unmapped(events, Dictionary.load()).columns.tolist()
        == cg.unmapped(cg.read_events(long_rows(), max_rejected=1)).columns.tolist()
    )


def test_names_with_a_comma_are_listed_but_those_of_one_patient_are_not():
    rows = long_rows(variable=["Smith, John", "Lactate, Arterial", "Lactate, Arterial"], patient_id=["1", "2", "3"])
    table = cg.unmapped(cg.read_events(rows, max_rejected=1))
    assert table[["code", "rows", "suggestion"]].to_dict("records") == [
        {"code": "Lactate, Arterial", "rows": 2, "suggestion": "lactate"}
    ]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("Creatinine [Serum]", "creatinine"),
        ("WBC Count", "wbc"),
        ("Hgb", "hemoglobin"),
        ("Platelet Count", "platelets"),
        ("Glucose POC", "glucose"),
        ("alp", "alkaline_phosphatase"),
        ("Resp Rate", "respiratory_rate"),
        ("Bilirubin, direct", "bilirubin_direct"),
        ("Height (in)", "height"),
        ("NEWS2 resp", "respiratory_rate"),
        ("U&E: Sodium", "sodium"),
        ("FBC: WCC", "wbc"),
        ("Hb", "hemoglobin"),
        ("Systolisk blodtryk", "sbp"),
        ("Urine albumin", ""),
        ("Urine albumin/creatinine", "urine_albumin_creatinine"),
        ("shoe size", ""),
    ],
)
def test_common_names_have_a_suggestion(name, variable):
    rows = long_rows(variable=[name] * 3)
    assert cg.unmapped(cg.read_events(rows, max_rejected=1))["suggestion"].tolist() == [variable]


@pytest.mark.parametrize(
    "content",
    [b"CANARY,S1,88.5\nCANARY,S2,89\n", b"name,variable\nCANARY,a,b,c\nd,e,f\n", b"", b"name,variable\n\xb5,x\n"],
)
def test_a_file_of_names_that_is_none_is_one_error_without_its_words(tmp_path, content):
    (tmp_path / "names.csv").write_bytes(content)
    with pytest.raises(cg.ClinicalGRUError, match=r"names\.csv: Expected") as refused:
        cg.read_events(long_rows(), names=tmp_path / "names.csv")
    assert "CANARY" not in str(refused.value)


def test_a_draft_is_written_corrected_and_used(tmp_path):
    extract, draft = tmp_path / "labs.csv", tmp_path / "names.yaml"
    long_rows(variable=["Lactate, Arterial", "Lactate, Arterial", "odd"]).to_csv(extract, index=False)
    run = CliRunner().invoke(app, ["map", str(extract), "--draft", str(draft)])
    assert run.exit_code == 0, run.output
    assert yaml.safe_load(draft.read_text()) == {"Lactate, Arterial": "lactate"}
    assert len(cg.read_events(extract, names=draft, max_rejected=1).to_frame()) == 2
    assert CliRunner().invoke(app, ["map", str(extract), "--draft", str(draft)]).exit_code != 0


def test_variables_and_tasks_are_listed():
    head, *lines = CliRunner().invoke(app, ["variables", "2524-7"]).output.splitlines()
    assert head.split()[:2] == ["NAME", "UNIT"]
    assert [line.split()[:2] for line in lines] == [["lactate", "mmol/L"]]
    assert "in_hospital_mortality_24h" in CliRunner().invoke(app, ["tasks"]).output
    assert CliRunner().invoke(app, ["variables", "no such word"]).exit_code != 0


def test_a_number_is_a_name_where_many_patients_have_it_else_it_may_be_a_value() -> None:
    """Item numbers of three digits look like values in a wrong column; one of eleven patients says nothing of any."""
    patients = [f"p{i}" for i in range(11)]
    codes = {"211": patients, "51": patients[:10], "220045": patients[:2], "98.6": patients, "p3": patients[:5]}
    rows = pd.DataFrame([(p, 0, code, 80) for code, people in codes.items() for p in people])
    rows.columns = ["patient_id", "time", "variable", "value"]
    table = cg.unmapped(cg.read_events(rows, max_rejected=1))
    assert dict(zip(table["code"], table["rows"], strict=True)) == {"211": 11, "220045": 2}
    events = cg.read_events(rows, names={"211": "heart_rate", "51": "sbp"}, max_rejected=1)
    assert [v.name for v in events.variables] == ["heart_rate", "sbp"]


def test_names_without_a_variable_show_units_and_a_range_that_is_nobody_s_value():
    """Of a long and of a wide table; a name of few patients shows no range."""
    rng = np.random.default_rng(0)
    patient = np.repeat([f"p{number}" for number in range(30)], 10)
    values = rng.uniform(95, 105, 300).round(1)
    long = pd.DataFrame(
        {
            "patient_id": patient,
            "time": np.tile(np.arange(10), 30),
            "variable": "Temp, (oral)",
            "value": values,
            "unit": np.where(np.arange(300) < 200, "degF", "Cel"),
        }
    )
    rare = long.head(5).assign(variable="shoe size", value=44.0, unit=None)
    table = cg.unmapped(cg.read_events(pd.concat([long, rare]), max_rejected=1)).set_index("code")
    row = table.loc["Temp, (oral)"]
    assert (row["rows"], row["units"], row["suggestion"]) == (300, "degF, Cel", "temperature")
    low, high = np.quantile(values[:200], [0.05, 0.95])
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=5e-3)
    assert np.isnan(table.loc["shoe size", "low"])
    wide = pd.DataFrame(
        {
            "patient_id": patient,
            "time": np.tile(np.arange(10), 30),
            "heart_rate": 80.0,
            "Temp (F)": values,
            "remark": "x",
            "empty": np.nan,
        }
    )
    table = cg.unmapped(cg.read_events(wide, source="wide")).set_index("code")
    assert set(table.index) == {"Temp (F)", "remark"}
    assert table.loc["Temp (F)", ["rows", "suggestion"]].tolist() == [300, "temperature"]
    assert table.loc["Temp (F)", "high"] == pytest.approx(np.quantile(values, 0.95), rel=5e-3)
    assert np.isnan(table.loc["remark", "low"])


def test_the_label_of_each_variable_suggests_that_variable():
    dictionary = Dictionary.load()
    known = _known_words(dictionary)
    assert {name: _suggest(one.label, known) for name, one in dictionary.items()} == {name: name for name in dictionary}
    assert _suggest("pulse ox", known) != "heart_rate"
    assert [_suggest(code, known) for code in ("Nurse comment", "bed")] == ["", ""]
    spoken = {
        "HR": "heart_rate",
        "hr_bpm": "heart_rate",
        "sys_bp": "sbp",
        "Temp (F)": "temperature",
        "Creat": "creatinine",
    }
    assert {code: _suggest(code, known) for code in spoken} == spoken


def test_names_of_four_languages_suggest_what_they_mean_and_nothing_else():
    known = _known_words(Dictionary.load())
    spoken = {
        "Herzfrequenz": "heart_rate",
        "Kreatinin i.S.": "creatinine",
        "Kreatinin im Urin": "urine_creatinine",
        "Leukozyten": "wbc",
        "Blutdruck systolisch": "sbp",
        "RR diast.": "dbp",
        "Arterieller Mitteldruck": "map",
        "Hämoglobin": "hemoglobin",
        "pH-Wert": "ph",
        "Fréquence respiratoire": "respiratory_rate",
        "Fréquence respiratoire réglée": "respiratory_rate_set",
        "Pression artérielle pulmonaire systolique": "pap_systolic",
        "Protéine C réactive": "crp",
        "Presión arterial diastólica": "dbp",
        "Bilirrubina total": "bilirubin_total",
        "Hartfrequentie": "heart_rate",
        "Centraal veneuze druk": "cvp",
    }
    assert {code: _suggest(code, known) for code in spoken} == spoken
    others = ["Harnstoff", "Urée", "Leukozyten im Urin", "Glukose im Liquor", "Kreatinin-Clearance", "Raumtemperatur"]
    others += ["Quick", "PCR", "Thrombozytenkonzentrat", "Hémoglobine glyquée", "Diurèse 24h", "white cells, urine"]
    assert {code: _suggest(code, known) for code in others} == dict.fromkeys(others, "")


def test_each_translation_is_one_plain_word_into_words_of_the_dictionary():
    known = {word for words in _known_words(Dictionary.load()) for word in words}
    for word, english in translations().items():
        assert re.fullmatch("[a-z]+", word)
        assert set(english.split()) <= known | PLACES | OTHER_FLUIDS, word


def test_urea_in_milligrams_is_doubted_until_its_unit_is_named():
    rows = long_rows(variable=["Harnstoff"] * 3, value=[42.9] * 3, unit=["mg/dl"] * 3)
    options = {"names": {"Harnstoff": "bun"}}
    with pytest.warns(DataWarning, match=r"2\.14 times too high"):
        assert cg.read_events(rows, **options).to_frame()["value"].tolist() == [42.9] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        urea = cg.read_events(rows, **options, units={"bun": "mg{urea}/dL"})
        nitrogen = cg.read_events(rows, **options, units={"bun": "mg/dL"})
        molar = cg.read_events(rows.assign(unit="mmol/l", value=7.14), **options)
        cg.read_events(rows.assign(variable="Harnstoff-N"), names={"Harnstoff-N": "bun"})
    assert urea.to_frame()["value"].tolist() == pytest.approx([20.01] * 3, rel=0.001)
    assert nitrogen.to_frame()["value"].tolist() == [42.9] * 3
    assert molar.to_frame()["value"].tolist() == pytest.approx([20.0] * 3, rel=0.001)


def test_a_draft_needs_neither_the_format_of_times_nor_a_known_column(tmp_path):
    """The first thing that an analyst tries: US dates, LOINC codes, and a wide table of names of its own."""
    table = pd.DataFrame({"patient_id": ["1", "2"] * 20, "time": "10/31/2024 14:05"})
    table.assign(variable="2524-7", value=2.0, unit="mmol/L").to_csv(tmp_path / "labs.csv", index=False)
    table.assign(**{"HR": 80, "Resp Rate": 14}).to_csv(tmp_path / "vitals.csv", index=False)
    for file, options, expected in (
        ("labs.csv", [], {"2524-7": "lactate"}),
        ("vitals.csv", ["--source", "wide"], {"HR": "heart_rate", "Resp Rate": "respiratory_rate"}),
    ):
        draft = tmp_path / f"{file}.yaml"
        ran = CliRunner().invoke(app, ["map", str(tmp_path / file), *options, "--draft", str(draft)])
        assert ran.exit_code == 0, ran.output
        assert yaml.safe_load(draft.read_text()) == expected

"""The data dictionary against chemistry, against real extracts, and against mistakes people make in YAML."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import MERGES, VARIABLE_TYPES, Variable
from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.errors import DictionaryError

ATOM = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Mg": 24.305, "P": 30.974, "Cl": 35.45, "Ca": 40.078}
ATOM |= {"Fe": 55.845, "Co": 58.933, "I": 126.904}
GLUCOSE, CREATININE = {"C": 6, "H": 12, "O": 6}, {"C": 4, "H": 7, "N": 3, "O": 1}
BILIRUBIN, CHOLESTEROL = {"C": 33, "H": 36, "N": 4, "O": 6}, {"C": 27, "H": 46, "O": 1}
LACTIC_ACID, UREA = {"C": 3, "H": 6, "O": 3}, {"C": 1, "H": 4, "N": 2, "O": 1}
DRUGS = {
    "vancomycin": {"C": 66, "H": 75, "Cl": 2, "N": 9, "O": 24},
    "phenytoin": {"C": 15, "H": 12, "N": 2, "O": 2},
    "acetaminophen": {"C": 8, "H": 9, "N": 1, "O": 2},
}
TRACES = {
    "digoxin": {"C": 41, "H": 64, "O": 14},
    "tacrolimus": {"C": 44, "H": 69, "N": 1, "O": 12},
    "folate": {"C": 19, "H": 19, "N": 7, "O": 6},
}
THYROXINE, TRIIODOTHYRONINE = {"C": 15, "H": 11, "I": 4, "N": 1, "O": 4}, {"C": 15, "H": 12, "I": 3, "N": 1, "O": 4}


def grams_per_mole(formula: Mapping[str, int]) -> float:
    return sum(ATOM[atom] * count for atom, count in formula.items())


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return Dictionary.load()


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("CLINICALGRU_DATA")
    if not folder:
        pytest.skip("CLINICALGRU_DATA names no folder of real extracts")
    return Path(folder)


@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [
        ("glucose", "mmol/L", grams_per_mole(GLUCOSE) / 10),
        ("creatinine", "umol/L", grams_per_mole(CREATININE) / 10_000),
        ("bilirubin_total", "umol/L", grams_per_mole(BILIRUBIN) / 10_000),
        ("bilirubin_direct", "umol/L", grams_per_mole(BILIRUBIN) / 10_000),
        ("cholesterol", "mmol/L", grams_per_mole(CHOLESTEROL) / 10),
        ("lactate", "mg/dL", 10 / grams_per_mole(LACTIC_ACID)),
        ("bun", "mmol/L", 2 * ATOM["N"] / 10),
        ("bun", "mg{urea}/dL", 2 * ATOM["N"] / grams_per_mole(UREA)),
        ("bun", "g{urea}/L", 200 * ATOM["N"] / grams_per_mole(UREA)),
        ("ammonia", "ug/dL", 10 / grams_per_mole({"N": 1, "H": 3})),
        ("uric_acid", "umol/L", grams_per_mole({"C": 5, "H": 4, "N": 4, "O": 3}) / 10_000),
        ("triglycerides", "mmol/L", grams_per_mole({"C": 57, "H": 104, "O": 6}) / 10),
        ("hdl_cholesterol", "mmol/L", grams_per_mole(CHOLESTEROL) / 10),
        ("iron", "umol/L", ATOM["Fe"] / 10),
        ("iron_binding_capacity", "umol/L", ATOM["Fe"] / 10),
        ("vitamin_b12", "pmol/L", grams_per_mole({"C": 63, "H": 88, "Co": 1, "N": 14, "O": 14, "P": 1}) / 1000),
        ("free_t4", "pmol/L", grams_per_mole(THYROXINE) / 10_000),
        ("total_t4", "nmol/L", grams_per_mole(THYROXINE) / 10_000),
        ("total_t3", "nmol/L", grams_per_mole(TRIIODOTHYRONINE) / 10),
        ("cortisol", "nmol/L", grams_per_mole({"C": 21, "H": 30, "O": 5}) / 10_000),
        ("salicylate", "mmol/L", grams_per_mole({"C": 7, "H": 6, "O": 3}) / 10),
        ("ethanol", "mmol/L", grams_per_mole({"C": 2, "H": 6, "O": 1}) / 10),
        ("urine_creatinine", "umol/L", grams_per_mole(CREATININE) / 10_000),
        ("urine_albumin_creatinine", "mg/mmol", 1000 / grams_per_mole(CREATININE)),
        ("urine_glucose", "mmol/L", grams_per_mole(GLUCOSE) / 10),
        ("urine_ketones", "mmol/L", grams_per_mole({"C": 4, "H": 6, "O": 3}) / 10),
        *[(name, "umol/L", grams_per_mole(formula) / 1000) for name, formula in DRUGS.items()],
        *[(name, "nmol/L", grams_per_mole(formula) / 1000) for name, formula in TRACES.items()],
        ("magnesium", "mmol/L", ATOM["Mg"] / 10),
        ("magnesium", "mEq/L", ATOM["Mg"] / 20),
        ("calcium", "mmol/L", ATOM["Ca"] / 10),
        ("calcium", "mEq/L", ATOM["Ca"] / 20),
        ("ionized_calcium", "mg/dL", 10 / ATOM["Ca"]),
        ("ionized_calcium", "mEq/L", 1 / 2),
        ("phosphate", "mmol/L", ATOM["P"] / 10),
        ("hemoglobin", "mmol/L", 64_458 / 4 / 10_000),
        ("pao2", "kPa", 1000 / (9.80665 * 13.5951)),
        ("weight", "[lb_av]", 0.45359237),
        ("height", "[in_i]", 2.54),
        ("height", "ft", 12 * 2.54),
        ("fio2", "%", 1 / 100),
        ("spo2", "fraction", 100),
        ("hematocrit", "L/L", 100),
        ("hemoglobin", "g/L", 1 / 10),
        ("fibrinogen", "g/L", 100),
        ("crp", "mg/dL", 10),
        ("alt", "ukat/L", 1e-6 * 60 / 1e-6),
        ("troponin_t", "pg/mL", 1 / 1000),
        ("platelets", "/uL", 1e6 / 1e9),
        ("potassium", "mEq/L", 1),
        ("age", "mo", 1 / 12),
        ("age", "d", 1 / 365.25),
        ("hospital_to_icu_hours", "h before", -1),
    ],
)
def test_factors_follow_from_molar_masses_and_definitions(
    dictionary: Dictionary, name: str, unit: str, factor: float
) -> None:
    assert dictionary[name].conversion(unit).apply(1.0) == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize(("ifcc", "ngsp"), [(20, 4.0), (48, 6.5), (53, 7.0), (86, 10.0)])
def test_glycated_hemoglobin_converts_as_the_published_table(dictionary: Dictionary, ifcc: int, ngsp: float) -> None:
    assert dictionary["hba1c"].conversion("mmol/mol").apply(ifcc) == pytest.approx(ngsp, abs=0.06)


@pytest.mark.parametrize(
    ("unit", "value", "celsius"),
    [("[degF]", -40, -40), ("°F", 32, 0), ("F", 212, 100), ("K", 310.15, 37), ("°C", 37, 37)],
)
def test_temperatures_convert_with_their_offset(
    dictionary: Dictionary, unit: str, value: float, celsius: float
) -> None:
    assert dictionary["temperature"].conversion(unit).apply(value) == pytest.approx(celsius, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("heart_rate", "bpm"),
        ("respiratory_rate", "insp/min"),
        ("map", "mmHg"),
        ("map", "MMHG"),
        ("creatinine", " mg/dl "),
        ("temperature", "°C"),
        ("wbc", "K/uL"),
        ("troponin_i", "ng/mL"),
        ("troponin_i", "\u03bcg/L"),
        ("alt", "IU/L"),
        ("age", "years"),
    ],
)
def test_spellings_of_the_own_unit_change_nothing(dictionary: Dictionary, name: str, unit: str) -> None:
    assert dictionary[name].conversion(unit) == Conversion(1.0)


def test_both_micro_signs_mean_micro(dictionary: Dictionary) -> None:
    ways = {dictionary["creatinine"].conversion(unit) for unit in ("umol/L", "\u00b5mol/L", "\u03bcmol/l")}
    assert ways == {Conversion(0.011312)}


def test_upper_and_lower_case_are_kept_where_they_decide() -> None:
    concentration = Variable("x", "X", "numeric", "g/L", also={"G/L": Conversion(1000.0)})
    assert concentration.conversion("g/L").factor == 1
    assert concentration.conversion("G/L").factor == 1000
    with pytest.raises(DictionaryError, match="which may be one of several units"):
        concentration.conversion("G/l")


def test_an_unknown_unit_is_refused_with_the_known_and_the_nearest(dictionary: Dictionary) -> None:
    with pytest.raises(DictionaryError, match=r"unit of glucose: .*mmol/L.*'mmol/l/d'.*Did you mean mmol/L\?"):
        dictionary["glucose"].conversion("mmol/l/d")


def test_a_number_in_the_unit_column_is_not_repeated_in_the_message(dictionary: Dictionary) -> None:
    with pytest.raises(DictionaryError) as refused:
        dictionary["glucose"].conversion("70.25")
    assert "70.25" not in str(refused.value)


def test_a_name_is_found_here_and_in_a_source_or_refused_with_the_nearest(dictionary: Dictionary) -> None:
    assert dictionary.find("map").name == "map"
    assert dictionary.find("MAP", "physionet2012").name == "map_invasive"
    assert dictionary.find("MAP", "physionet2019").name == "map"
    with pytest.raises(DictionaryError, match=r"Did you mean heart_rate\?"):
        dictionary.find("heart_rates")
    with pytest.raises(DictionaryError, match="0 names of elsewhere"):
        dictionary.find("HR", "elsewhere")


@pytest.mark.parametrize(
    ("source", "theirs", "value", "own"),
    [("physionet2019", "HospAdmTime", -38.1, 38.1), ("mimic-iv", "223835", 40, 0.4), ("yaib", "fio2", 21, 0.21)],
)
def test_a_source_that_writes_no_unit_is_read_in_its_own(
    dictionary: Dictionary, source: str, theirs: str, value: float, own: float
) -> None:
    variable = dictionary.find(theirs, source)
    assert variable.conversion(variable.unit_in[source]).apply(value) == pytest.approx(own)


def test_every_reference_lies_within_plausible_and_every_kind_is_known(dictionary: Dictionary) -> None:
    for variable in dictionary.values():
        low, high = variable.plausible or (0, 0)
        assert variable.variable_type in VARIABLE_TYPES
        assert variable.variable_type == "code" or low < high, variable.name
        assert variable.reference is None or low <= variable.reference[0] <= variable.reference[1] <= high, (
            variable.name
        )
        assert variable.label, variable.name
        assert variable.source, variable.name


def test_slips_of_unit_and_decimal_point_are_not_plausible(dictionary: Dictionary) -> None:
    slips = {"ph": 735, "temperature": -17.8, "map_invasive": 0, "hemoglobin": 120, "albumin": 35, "calcium": 2.3}
    for name, value in slips.items():
        low, high = dictionary[name].plausible or (float("-inf"), float("inf"))
        assert not low <= value <= high, name
    assert not 20 <= 98.6 <= (dictionary["temperature"].plausible or (0, 0))[1]


def test_the_open_code_sets_have_no_levels_and_the_closed_ones_do(dictionary: Dictionary) -> None:
    assert all(
        dictionary[name].variable_type == "code" and not dictionary[name].categories
        for name in ("diagnosis", "drug", "procedure")
    )
    assert dictionary["icu_type"].categories["2"] == "Cardiac Surgery Recovery Unit"
    assert dictionary["sex"].categories == {"0": "female", "1": "male"}


def test_every_shipped_variable_names_a_system_that_others_share(dictionary: Dictionary) -> None:
    systems = [variable.system for variable in dictionary.values()]
    assert all(systems)
    assert all(systems.count(system) > 1 for system in systems)
    assert dictionary["lactate"].system == "acid-base and metabolism"


def test_the_shipped_dictionary_is_read_once() -> None:
    assert Dictionary.load() is Dictionary.load()


def test_a_variable_survives_json(dictionary: Dictionary) -> None:
    for variable in dictionary.values():
        assert variable_from_dict(json.loads(json.dumps(variable.to_dict()))) == variable


def test_a_manifest_with_an_unknown_field_is_refused(dictionary: Dictionary) -> None:
    with pytest.raises(DictionaryError, match=r"manifest, age, limits: .*Known fields"):
        variable_from_dict(dictionary["age"].to_dict() | {"limits": [0, 1]})


def test_own_yaml_adds_a_variable_with_spellings_and_leaves_the_rest(tmp_path: Path, dictionary: Dictionary) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("pbto2:\n  unit: 'mm[Hg]'\n  also: {'cm[H2O]': 0.73556}\n  source_codes: {mimic-iv: 229235}\n")
    more = Dictionary.load(own)
    assert more["pbto2"].label == "Pbto2"
    assert more["pbto2"].conversion("mmHg").factor == 1
    assert more.names("mimic-iv")["229235"] == "pbto2"
    assert len(more) == len(dictionary) + 1
    assert more["age"] == dictionary["age"]
    assert "pbto2" not in dictionary


def test_an_override_with_a_unit_replaces_the_variable_whole_and_the_last_one_wins() -> None:
    weaned = Dictionary.load({"glucose": {"unit": "mg/dL"}}, {"glucose": {"unit": "mmol/L", "plausible": [1, 140]}})
    assert weaned["glucose"].unit == "mmol/L"
    assert weaned["glucose"].plausible == (1, 140)
    assert weaned["glucose"].source_codes == {}
    assert "Glucose" not in weaned.names("physionet2012")


def test_an_entry_without_a_unit_changes_the_fields_that_it_names(dictionary: Dictionary) -> None:
    """All other fields stay, of every variable; names, words and units are added."""
    for name, variable in dictionary.items():
        assert Dictionary.load({name: {"label": "Ours"}})[name] == replace(variable, label="Ours")
    own = {"sex": {"words": {"vrouw": 0}}, "glucose": {"also": {"g/L": 100}, "source_codes": {"long": "Glu"}}}
    more = Dictionary.load(own, {"glucose": {"plausible": [5, 900]}})
    assert more["sex"].words == {**dictionary["sex"].words, "vrouw": 0}
    assert more["glucose"].conversion("g/L").factor == 100
    assert more["glucose"].conversion("mmol/L") == dictionary["glucose"].conversion("mmol/L")
    assert more["glucose"].source_codes == {**dictionary["glucose"].source_codes, "long": ("Glu",)}
    assert more["glucose"].plausible == (5, 900)


def test_values_of_one_instant_combine_by_what_the_variable_is(dictionary: Dictionary) -> None:
    ways = {"heart_rate": "mean", "urine_output": "sum", "gcs_motor": "min", "mechanical_ventilation": "max"}
    assert {name: dictionary[name].merge for name in ways} == ways
    for variable in dictionary.values():
        assert variable.merge in MERGES
        assert variable.variable_type == "numeric" or variable.merge in ("last", "min", "max"), variable.name


def test_a_name_written_twice_in_one_file_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("cvp:\n  unit: '1'\ncvp:\n  unit: kPa\n")
    with pytest.raises(DictionaryError, match=r"own.yaml, line 3: .*'cvp' twice"):
        Dictionary.load(own)


def test_one_code_for_two_variables_is_refused() -> None:
    with pytest.raises(DictionaryError, match="'HR' in heart_rate and in pulse"):
        Dictionary.load({"pulse": {"unit": "/min", "source_codes": {"physionet2012": "HR"}}})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"unit": "1", "plausable": [0, 1]}, r"cvp, plausable: .*Did you mean plausible\?"),
        ({"plausible": [5, 1]}, r"cvp, plausible: .*got \[5.0, 1.0\]"),
        ({"plausable": [0, 1]}, r"cvp, plausable: .*Did you mean plausible\?"),
        ({"unit": " "}, r"cvp, unit: .*UCUM"),
        ({"unit": "1", "plausible": [5, 1]}, r"cvp, plausible: .*got \[5.0, 1.0\]"),
        ({"unit": "1", "plausible": [0, 1], "reference": [0, 2]}, r"cvp, reference: .*within 0 to 1"),
        ({"unit": "1", "reference": [2, 1]}, r"cvp, reference: .*limits in order"),
        ({"unit": "1", "also": {"kPa": 0}}, r"cvp, also, kPa, factor: .*other than 0"),
        ({"unit": "1", "also": {"kPa": "much"}}, r"cvp, also, kPa: Expected fields .*got 'much'"),
        ({"unit": "1", "variable_type": "number"}, r"cvp, variable_type: Expected 'numeric'.*got 'number'"),
        ({"unit": "1", "categories": {"1": "yes"}}, r"cvp, categories: .*variable_type is numeric"),
        ({"unit": "1", "words": {"Yes": 1}}, r"cvp, words: .*small letters"),
        (
            {"unit": "1", "variable_type": "binary", "categories": {"1": "yes"}, "words": {"y": 2}},
            r"cvp, words: .*the categories 1",
        ),
        ({"unit": "1", "merge": "median"}, r"cvp, merge: Expected .*'mean'"),
        ({"unit": "1", "variable_type": "binary", "merge": "mean"}, r"cvp, merge: .*one of the values; got mean"),
        ({"unit": "1", "unit_in": {"mimic-iv": "kPa"}}, r"cvp, unit_in, mimic-iv: .*'kPa'"),
        (3, "cvp: Expected fields with their values; got 3"),
    ],
)
def test_each_mistake_names_variable_field_and_fix(entry: object, message: str) -> None:
    with pytest.raises(DictionaryError, match=message):
        Dictionary.load({"cvp": entry})


def test_a_new_variable_needs_a_unit() -> None:
    with pytest.raises(DictionaryError, match=r"pbto2, unit: .*Add `unit:`"):
        Dictionary.load({"pbto2": {"label": "Oxygen of the brain"}})


@pytest.mark.parametrize("text", ["cvp: {unit: %}", "- cvp", "CVP: {unit: '1'}"])
def test_a_file_that_is_no_dictionary_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(DictionaryError, match=r"^own\.yaml"):
        Dictionary.load(own)


def test_the_stays_schema_says_what_the_dictionary_says(dictionary: Dictionary) -> None:
    schema = json.loads((schema_folder() / "stays.schema.json").read_text())
    fields = {field["name"]: field for field in schema["fields"]}
    static_variables = {name: variable for name, variable in dictionary.items() if variable.static}
    assert set(fields) == {"patient_id", "stay_id", "start", "end", *static_variables}
    for name, variable in static_variables.items():
        limits = fields[name]["constraints"]
        assert fields[name]["title"] == variable.label
        if "minimum" in limits:
            assert (limits["minimum"], limits["maximum"]) == variable.plausible
        else:
            assert [str(value) for value in limits["enum"]] == list(variable.categories or ("0", "1"))


@pytest.mark.parametrize("hours", [48, 24])
def test_the_shipped_mortality_tasks_ask_for_an_outcome_of_the_schema(hours: int) -> None:
    name = "in_hospital_mortality" if hours == 48 else f"in_hospital_mortality_{hours}h"
    task = yaml.safe_load((schema_folder() / "tasks" / f"{name}.yaml").read_text())
    outcomes = json.loads((schema_folder() / "outcomes.schema.json").read_text())
    assert task["name"] == name
    assert task["window_hours"] == [0, hours]
    assert task["outcome"] in {field["name"] for field in outcomes["fields"]}


@pytest.mark.slow
def test_every_name_of_physionet_2012_resolves_and_few_values_fall_out(real: Path, dictionary: Dictionary) -> None:
    with tarfile.open(real / "physionet2012" / "set-a.tar.gz") as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".txt")]
        table = pd.concat([pd.read_csv(file) for file in files[::10] if file])
    table = table[(table["Parameter"] != "RecordID") & table["Parameter"].notna() & (table["Value"] != -1)]
    names = dictionary.names("physionet2012")
    assert set(table["Parameter"]) == set(names)
    assert len(names) == 41
    for theirs, values in table.groupby("Parameter")["Value"]:
        low, high = dictionary[names[str(theirs)]].plausible or (-1e9, 1e9)
        assert values.between(low, high).mean() > 0.98, theirs


@pytest.mark.slow
def test_every_column_of_physionet_2019_resolves(real: Path, dictionary: Dictionary) -> None:
    with zipfile.ZipFile(real / "physionet2019" / "training_setA.zip") as archive:
        first = next(name for name in archive.namelist() if name.endswith(".psv"))
        columns = set(pd.read_csv(io.BytesIO(archive.read(first)), sep="|", nrows=1))
    assert columns - set(dictionary.names("physionet2019")) == {"ICULOS", "SepsisLabel"}
    assert len(dictionary.names("physionet2019")) == 39


def test_mimic_items_exist_and_their_units_are_known(real: Path, dictionary: Dictionary) -> None:
    demo, names = real / "mimic-iv-demo", dictionary.names("mimic-iv")
    known = {
        str(item)
        for file in ("icu/d_items", "hosp/d_labitems")
        for item in pd.read_csv(demo / f"{file}.csv.gz")["itemid"]
    }
    assert set(names) <= known
    for file in ("icu/chartevents", "icu/outputevents", "hosp/labevents"):
        units = pd.read_csv(demo / f"{file}.csv.gz", usecols=["itemid", "valueuom"]).dropna().drop_duplicates()
        for item, unit in units.itertuples(index=False):
            if str(item) in names and unit.strip():
                dictionary[names[str(item)]].conversion(unit)


def test_bidmc_references_are_those_the_laboratory_printed(real: Path, dictionary: Dictionary) -> None:
    columns = ["itemid", "ref_range_lower", "ref_range_upper"]
    lab = pd.read_csv(real / "mimic-iv-demo" / "hosp" / "labevents.csv.gz", usecols=columns).dropna()
    printed = lab.assign(variable=lab["itemid"].astype(str).map(dictionary.names("mimic-iv"))).groupby("variable")
    checked = [name for name, _ in printed if dictionary[str(name)].source.startswith("BIDMC")]
    assert len(checked) > 30
    for name, ranges in printed:
        variable = dictionary[str(name)]
        if name in checked and variable.reference:
            assert variable.reference[0] in set(ranges["ref_range_lower"]), name
            assert variable.reference[1] in set(ranges["ref_range_upper"]), name


def test_omop_concepts_carry_our_loinc_codes_and_known_units(real: Path, dictionary: Dictionary) -> None:
    names = dictionary.names("omop")
    with zipfile.ZipFile(real / "omop-synthea" / "Synthea27Nj_5.4.zip") as archive:
        concepts = pd.read_csv(archive.open("CONCEPT.csv"), dtype=str)
        columns = ["measurement_concept_id", "unit_source_value"]
        units = pd.read_csv(archive.open("MEASUREMENT.csv"), usecols=columns, dtype=str).dropna().drop_duplicates()
    loinc = concepts[concepts["concept_id"].isin(names)].set_index("concept_id")["concept_code"]
    assert len(loinc) > 80  # the release holds only the concepts that it uses
    for concept, code in loinc.items():
        variable = dictionary[names[str(concept)]]
        assert code in variable.source_codes["loinc"], variable.name
    for concept, unit in units.itertuples(index=False):
        if concept in names:
            dictionary[names[concept]].conversion(unit)


def test_nearly_all_values_of_mimic_items_are_plausible(real: Path, dictionary: Dictionary) -> None:
    names = dictionary.names("mimic-iv")
    for file in ("icu/chartevents", "hosp/labevents"):
        rows = pd.read_csv(real / "mimic-iv-demo" / f"{file}.csv.gz", usecols=["itemid", "valuenum", "valueuom"])
        rows = rows[rows["valuenum"].notna() & rows["itemid"].astype(str).isin(names)]
        for (item, unit), values in rows.fillna({"valueuom": ""}).groupby(["itemid", "valueuom"])["valuenum"]:
            variable = dictionary[names[str(item)]]
            own = str(unit).strip() or variable.unit_in.get("mimic-iv", variable.unit)
            low, high = variable.plausible or (-1e9, 1e9)
            assert variable.conversion(own).apply(values).between(low, high).mean() > 0.95, variable.name


def test_published_tables_of_eicu_and_clif_are_known_with_their_units(real: Path, dictionary: Dictionary) -> None:
    """Nearly all rows have a variable, their units are known, and nearly all of their values are plausible."""
    lab = pd.read_csv(real / "eicu-demo" / "lab.csv")
    clif = pd.read_parquet(real / "clif-demo" / "clif_labs.parquet")
    columns = ["name", "unit", "value"]
    tables = {
        "eicu": lab[["labname", "labmeasurenamesystem", "labresult"]].set_axis(columns, axis=1),
        "clif": clif[["lab_category", "reference_unit", "lab_value_numeric"]].set_axis(columns, axis=1),
    }
    for source, table in tables.items():
        names = dictionary.names(source)
        assert table["name"].isin(names).mean() > 0.99, source
        rows = table.assign(variable=table["name"].map(names)).dropna(subset=["variable", "value"])
        n_plausible = 0
        for (name, unit), values in rows.fillna({"unit": ""}).groupby(["variable", "unit"])["value"]:
            variable = dictionary[str(name)]
            low, high = variable.plausible or (-1e9, 1e9)
            own = str(unit) or variable.unit_in.get(source, variable.unit)
            n_plausible += int(variable.conversion(own).apply(values).between(low, high).sum())
        assert n_plausible / len(rows) > 0.99, source


def test_the_variables_are_many_and_each_says_where_its_figures_come_from(dictionary: Dictionary) -> None:
    measured = [variable for variable in dictionary.values() if variable.variable_type != "code"]
    assert len(measured) >= 120
    for variable in measured:
        assert variable.source, variable.name
        assert variable.plausible, variable.name
        assert all(isinstance(code, str) for codes in variable.source_codes.values() for code in codes), variable.name


def test_loinc_codes_have_their_check_digit(dictionary: Dictionary) -> None:
    """LOINC's mod 10: the odd digits from the right, doubled as one number, after the even ones; all digits add up."""
    for code in set(dictionary.names("loinc")) - {"3150-6"}:  # often written so; its check digit is 0
        number, check = code.split("-")
        reverse = number[::-1]
        digits = f"{reverse[1::2]}{int(reverse[::2]) * 2}"
        assert int(check) == -sum(map(int, digits)) % 10, code


def test_yaib_columns_resolve(real: Path, dictionary: Dictionary) -> None:
    folder = real / "yaib-demo" / "mortality24" / "mimic_demo"
    columns = {name for file in ("dyn", "sta") for name in pd.read_parquet(folder / f"{file}.parquet")}
    assert columns - set(dictionary.names("yaib")) == {"stay_id", "time"}

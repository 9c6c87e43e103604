"""A synthetic cohort written as a FHIR bulk export and read back; broken lines; what FHIR adds to a value."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import Events
from clinicalgru.errors import InputError

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
PANEL = {"sbp": "8480-6", "dbp": "8462-4"}
SECRET = "Mrs-Canary-77"


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:local", "code": "x1"}, {"system": LOINC, "code": code}]}


def quantity(value: Any, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": "as it is said", "system": UCUM, "code": unit}


def write(folder: Path, name: str, resources: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(resource) + "\n" for resource in resources)
    opener: Any = gzip.open if name.endswith(".gz") else open
    with opener(folder / name, "wt", encoding="utf-8") as file:
        file.write(text)


def instant(time: pd.Timestamp) -> str:
    """The same instant, written at an offset that changes from row to row."""
    hours = time.minute % 5 - 2
    return (time + pd.Timedelta(hours=hours)).isoformat(
        timespec="microseconds"
    ) + f"{'-' if hours < 0 else '+'}{abs(hours):02}:00"


def encounter(row: Any, died: dict[str, float]) -> dict[str, Any]:
    leaving = {0.0: "home", 1.0: "exp"}.get(died.get(row.stay_id, np.nan))
    return {
        "resourceType": "Encounter", "id": row.stay_id, "status": "finished", "class": {"code": "IMP"},
        "subject": {"reference": f"Patient/{row.patient_id}"},
        "period": {"start": instant(row.start), "end": instant(row.end)},
        **({"hospitalization": {"dischargeDisposition": {"coding": [{"code": leaving}]}}} if leaving else {}),
    }  # fmt: skip


def as_observations(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """One observation a row; systolic and diastolic of one instant as the two components of one panel."""
    codes = {name: Dictionary.load()[name].source_codes["loinc"][0] for name in rows["variable"].unique()}
    units = {name: Dictionary.load()[name].unit for name in codes}
    observations: list[dict[str, Any]] = []
    for (patient, stay, time, known), group in rows.groupby(["patient_id", "stay_id", "time", "available_at"]):
        about = {
            "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{patient}"},
            "encounter": {"reference": f"https://ehr.example/fhir/Encounter/{stay}/_history/2"},
            "effectiveDateTime": instant(time), "issued": instant(known),
        }  # fmt: skip
        parts = {
            row.variable: {
                "code": coded(codes[row.variable]),
                "valueQuantity": quantity(row.value, units[row.variable]),
            }
            for row in group.itertuples()
        }
        if PANEL.keys() <= parts.keys():
            panel = [parts.pop(name) for name in PANEL]
            observations.append(about | {"code": coded("85354-9"), "component": panel})
        observations += [about | part for part in parts.values()]
    return observations


@pytest.fixture(scope="module")
def truth() -> Events:
    cohort = cg.simulate(12, random_state=5)
    rows = cohort.measurements[~cohort.measurements["variable"].isin(["drug", "diagnosis"])]
    return cg.read_events(rows, stays=cohort.stays, outcomes=cohort.outcomes)


@pytest.fixture(scope="module")
def export(truth: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    stays = truth.stays.assign(**{name: pd.to_datetime(truth.stays[name], unit="us") for name in ("start", "end")})
    people = stays.drop_duplicates("patient_id")
    births = people["start"] - pd.to_timedelta(people["age"] * 365.25, unit="D")
    gender = people["sex"].map({0.0: "female", 1.0: "male"}).fillna("unknown")
    patients = [
        {"resourceType": "Patient", "id": patient, "gender": sex, "birthDate": str(birth.date())}
        for patient, sex, birth in zip(people["patient_id"], gender, births, strict=True)
        if pd.notna(birth)
    ]
    died = truth.stays.set_index("stay_id")["in_hospital_death"].dropna().to_dict()
    observations = as_observations(truth.to_frame())
    half = len(observations) // 2
    write(folder, "Patient.ndjson", patients)
    write(folder, "Encounter.ndjson.gz", [encounter(row, died) for row in stays.itertuples()])
    write(folder, "Observation.000.ndjson", observations[:half])
    write(folder, "Observation.001.ndjson.gz", observations[half:])
    return folder


@pytest.mark.slow
def test_what_is_written_as_fhir_comes_back_as_the_same_facts(truth, export):
    events = cg.read_events(export, source="fhir")
    order = ["stay_id", "time", "variable", "available_at"]
    ours, theirs = (each.to_frame().sort_values(order, ignore_index=True) for each in (events, truth))
    pd.testing.assert_frame_equal(ours, theirs)
    assert events.ledger.rows_in == events.ledger.used == len(truth.measurements)
    pd.testing.assert_frame_equal(events.stays[["stay_id", "start", "end"]], truth.stays[["stay_id", "start", "end"]])


@pytest.mark.slow
def test_the_export_tells_who_died_and_who_the_patients_are(truth, export):
    ours, theirs = cg.read_events(export, source="fhir").stays, truth.stays
    recorded = theirs["in_hospital_death"].notna()
    np.testing.assert_array_equal(ours["in_hospital_death"][recorded], theirs["in_hospital_death"][recorded])
    np.testing.assert_array_equal(ours["sex"], theirs["sex"])
    first = ~theirs["patient_id"].duplicated() & theirs["age"].notna()
    assert (ours["age"] - theirs["age"])[first].abs().max() < 2 / 365
    days = (theirs["end"] - theirs["start"]).astype(float) / 86_400e6
    np.testing.assert_allclose(ours["length_of_stay"], days)


BASE = {
    "resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/a"},
    "effectiveDateTime": "2031-05-04T10:00:00+02:00", "code": coded("8867-4"),
}  # fmt: skip


def tiny(folder: Path, observations: Iterable[dict[str, Any]], patient: dict[str, Any] | None = None) -> Path:
    """One patient with an inpatient encounter in, one ambulatory, one cancelled."""
    write(folder, "1.Patient.ndjson", [{"resourceType": "Patient", "id": "a", "gender": "male"} | (patient or {})])
    about = {"resourceType": "Encounter", "status": "finished", "subject": {"reference": "Patient/a"}}
    days = {"in": ("IMP", "2031-05-04", "2031-05-06"), "out": ("AMB", "2031-05-05", "2031-05-05"), "no": ("IMP",) * 3}
    visits = [
        about
        | {"id": name, "class": {"code": kind}, "period": {"start": f"{start}T08:00:00Z", "end": f"{end}T20:00:00Z"}}
        for name, (kind, start, end) in days.items()
        if name != "no"
    ]
    cohort = about | {"id": "ward", "class": {"code": "AMB"}, "partOf": {"reference": "Encounter/in"}}
    visits += [cohort, about | {"id": "no", "status": "cancelled", "class": {"code": "IMP"}}]
    write(folder, "1.Encounter.ndjson", visits)
    write(folder, "1.Observation.ndjson", observations)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"status": "entered-in-error"}, "retracted"),
        ({"status": "cancelled"}, "retracted"),
        ({"valueQuantity": quantity(80, "/min") | {"comparator": "<"}}, "censored value (< or >)"),
        ({"valueQuantity": None, "valueString": SECRET}, "non-numeric"),
        ({"valueQuantity": None, "valueCodeableConcept": {"text": SECRET}}, "non-numeric"),
        ({"valueQuantity": None}, "missing value"),
        ({"valueQuantity": None, "dataAbsentReason": {"text": SECRET}}, "missing value"),
        ({"dataAbsentReason": {"text": SECRET}}, "value with a reason for its absence"),
        ({"encounter": {"reference": "Encounter/out"}}, "outside every stay"),
        ({"effectiveDateTime": "2031-05-09T10:00:00Z"}, "outside every stay"),
        ({"effectiveDateTime": "2031-05"}, "time not readable"),
        ({"effectiveDateTime": "2031"}, "time not readable"),
        ({"encounter": {"reference": "Encounter/never-exported"}}, "stay not in the stays table"),
        ({"subject": {"reference": "Group/a"}}, "no identifier"),
        ({"valueQuantity": quantity(80, "mmol/L")}, "unknown unit"),
        ({"code": coded("99999-9")}, "unmapped code"),
    ],
)
def test_what_cannot_be_used_is_counted_by_its_reason(tmp_path, more, reason):
    good = BASE | {"valueQuantity": quantity(70, "/min")}
    events = cg.read_events(tiny(tmp_path, [good, good | more]), source="fhir", max_rejected=1)
    assert events.ledger.rejected == {reason: 1}
    assert events.to_frame()["value"].tolist() == [70]
    assert SECRET not in str(events.ledger)


@pytest.mark.slow
def test_rows_go_to_their_encounter_to_what_it_is_part_of_or_by_time(tmp_path):
    good = BASE | {"valueQuantity": quantity(70, "/min")}
    late = {"effectiveDateTime": "2031-05-07T10:00:00Z"}  # after the stay: only the reference places it
    rows = [good, good | late | {"encounter": {"reference": "Encounter/in"}}]
    rows.append(good | {"effectiveDateTime": "2031-05-08T10:00:00Z", "encounter": {"reference": "urn:uuid:ward"}})
    events = cg.read_events(tiny(tmp_path, rows), source="fhir")
    assert events.stays["stay_id"].tolist() == ["in"]
    assert len(events.measurements) == 3
    every = cg.read_events(tmp_path, source="fhir", anchor="visit")
    assert every.stays["stay_id"].tolist() == ["in", "out", "ward"]


def test_a_date_without_a_time_is_known_at_the_end_of_the_day(tmp_path):
    rows = [BASE | {"valueQuantity": quantity(70, "/min"), "effectiveDateTime": "2031-05-05"}]
    frame = cg.read_events(tiny(tmp_path, rows), source="fhir").to_frame()
    assert frame["time"].tolist() == [pd.Timestamp("2031-05-05")]
    assert frame["available_at"].tolist() == [pd.Timestamp("2031-05-05T23:59:59.999999")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patient", "died"),
    [
        ({}, 0.0),
        ({"deceasedDateTime": "2031-05-06T09:00:00+09:00"}, 1.0),
        ({"deceasedDateTime": "2031-05-09"}, 0.0),
        ({"deceasedBoolean": True}, np.nan),
        ({"deceasedDateTime": "2031"}, np.nan),
    ],
)
def test_a_death_without_its_day_leaves_the_outcome_open(tmp_path, patient, died):
    rows = [BASE | {"valueQuantity": quantity(70, "/min")}]
    stays = cg.read_events(tiny(tmp_path, rows, patient), source="fhir").stays
    np.testing.assert_array_equal(stays["in_hospital_death"], [died])


@pytest.mark.parametrize(
    "line",
    [
        f'{{"status": "final", "note": "{SECRET}',
        f"{SECRET} and no JSON",
        f'["{SECRET}"]',
        f'{{"resourceType": "Observation", "subject": "{SECRET}"}}',
        f'{{"resourceType": "Observation", "component": {{"x": "{SECRET}"}}}}',
        '{"status": "\xe9"}',
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_broken_line_is_named_by_file_and_line_without_its_content(tmp_path, line, suffix):
    good = json.dumps(BASE | {"valueQuantity": quantity(70, "/min")}).encode()
    tiny(tmp_path, [])
    content = b"\n".join([good, b"", good, line.encode("latin-1"), good]) + b"\n"
    (tmp_path / "1.Observation.ndjson").unlink()
    (tmp_path / f"1.Observation.ndjson{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(InputError) as error:
        cg.read_events(tmp_path, source="fhir")
    assert error.value.where == f"1.Observation.ndjson{suffix}, line 4"
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.slow
def test_a_file_cut_off_and_a_file_of_other_resources_are_refused(tmp_path):
    tiny(tmp_path, [BASE, {"resourceType": "Patient", "id": "b"}])
    with pytest.raises(InputError, match=r"1\.Observation\.ndjson, row 2: Expected resources of the type Observation"):
        cg.read_events(tmp_path, source="fhir")
    (tmp_path / "1.Observation.ndjson").unlink()
    packed = gzip.compress(json.dumps(BASE).encode() * 50)
    (tmp_path / "1.Observation.ndjson.gz").write_bytes(packed[:-20])
    with pytest.raises(InputError, match="a truncated or corrupt file"):
        cg.read_events(tmp_path, source="fhir")
    (tmp_path / "1.Encounter.ndjson").unlink()
    with pytest.raises(InputError, match="resources of the type Encounter"):
        cg.read_events(tmp_path, source="fhir")


A = {"subject": {"reference": "Patient/a"}, "encounter": {"reference": "Encounter/in"}}


def events_of(folder: Path, **files: list[dict[str, Any]]) -> tuple[list[tuple[str, str, str]], Events]:
    """Word, time and time known of each coded event of an export with these resources besides one heart rate."""
    tiny(folder, [BASE | {"valueQuantity": quantity(70, "/min")}])
    for kind, resources in files.items():
        write(folder, f"{kind}.ndjson", [{"resourceType": kind} | A | resource for resource in resources])
    events = cg.read_events(folder, source="fhir", max_rejected=1)
    rows = events.coded.to_pandas()
    words = [events.code_vocabulary[code] for code in rows["code"]]
    times = (pd.to_datetime(rows[name], unit="us").astype(str) for name in ("time", "available"))
    return list(zip(words, *times, strict=True)), events


@pytest.mark.slow
def test_diagnoses_procedures_and_drugs_are_coded_events_known_when_they_were_written_down(tmp_path):
    begun, over = "2031-05-04T09:00:00Z", "2031-05-04T11:00:00Z"
    drug = {"status": "completed", "medicationCodeableConcept": coded("N02")}
    rows, _ = events_of(
        tmp_path,
        Condition=[
            {"code": coded("I21"), "onsetDateTime": begun},
            {"code": coded("J96"), "onsetDateTime": begun, "recordedDate": over},
        ],
        Procedure=[{"status": "completed", "code": coded("5-89"), "performedPeriod": {"start": begun, "end": over}}],
        MedicationAdministration=[drug | {"effectiveDateTime": begun}],
        MedicationRequest=[drug | {"authoredOn": "2031-05-04T08:30:00Z"}],
    )
    start, end, leaves = "2031-05-04 09:00:00", "2031-05-04 11:00:00", "2031-05-06 20:00:00"
    assert [row for row in rows if row[0].startswith("diagnosis")] == [
        ("diagnosis//x1", start, end),
        ("diagnosis//x1", start, leaves),
    ]
    assert [row for row in rows if not row[0].startswith("diagnosis")] == [
        ("drug//x1", start, start),
        ("procedure//x1", start, end),
    ]


@pytest.mark.slow
def test_requests_stand_in_where_nothing_was_charted_as_given(tmp_path):
    drug = {"status": "active", "medicationCodeableConcept": coded("N02"), "authoredOn": "2031-05-04T08:30:00Z"}
    rows, _ = events_of(tmp_path, MedicationRequest=[drug])
    assert [row[:2] for row in rows] == [("drug//x1", "2031-05-04 08:30:00")]


@pytest.mark.slow
def test_what_did_not_happen_is_counted_not_used(tmp_path):
    drug = {"medicationCodeableConcept": coded("N02"), "effectiveDateTime": "2031-05-04T09:00:00Z"}
    gone = {"code": coded("I21"), "verificationStatus": {"coding": [{"code": "refuted"}]}, "recordedDate": "2031-05-04"}
    elsewhere = drug | {"status": "completed", "encounter": {"reference": "Encounter/out"}}
    rows, events = events_of(
        tmp_path, MedicationAdministration=[drug | {"status": "not-done"}, elsewhere], Condition=[gone]
    )
    assert rows == []
    assert events.ledger.rejected == {"retracted": 2, "outside every stay": 1}


def test_icu_stays_are_the_encounters_called_intensive_care_with_the_outcome_of_the_admission(tmp_path):
    rows = [
        BASE | {"valueQuantity": quantity(70, "/min"), "effectiveDateTime": f"2031-05-05T{hour}:00:00Z"}
        for hour in ("09", "21")
    ]
    tiny(tmp_path, [row | A for row in rows], {"deceasedDateTime": "2031-05-06"})
    path = tmp_path / "1.Encounter.ndjson"
    stay = {
        "resourceType": "Encounter", "id": "icu", "status": "finished", "class": {"code": "ACUTE"},
        "subject": {"reference": "Patient/a"}, "partOf": {"reference": "Encounter/in"},
        "period": {"start": "2031-05-05T08:00:00Z", "end": "2031-05-05T20:00:00Z"},
        "location": [{"location": {"display": "Medical ICU (MICU)"}}],
    }  # fmt: skip
    path.write_text(path.read_text() + json.dumps(stay) + "\n")
    events = cg.read_events(tmp_path, source="fhir", anchor="icu", max_rejected=1)
    assert events.stays["stay_id"].tolist() == ["icu"]
    assert events.stays[["in_hospital_death", "length_of_stay"]].to_numpy().tolist() == [[1.0, 0.5]]
    assert events.to_frame()["time"].tolist() == [pd.Timestamp("2031-05-05 09:00")]
    assert events.ledger.rejected == {"outside every stay": 1}


VITAL = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}]
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def synthea(folder: Path, names: str = "{}.000.ndjson") -> Path:
    """An inpatient encounter, an ambulatory one and what was measured, in the structure that Synthea writes."""
    who, stay = "0bee1bc6-1a91-bcd5-7bc0-02fadc5217d6", "0bee1bc6-1a91-bcd5-bc7d-41fe0b996688"
    about = {
        "resourceType": "Encounter", "status": "finished",
        "subject": {"reference": f"Patient/{who}", "display": SECRET},
        "type": [{"coding": [{"system": "http://snomed.info/sct", "code": "185347001"}], "text": "Encounter"}],
        "location": [{"location": {"reference": "Location?identifier=https://github.com/synthetichealth/synthea|3b23",
                                   "display": "NEWMAN REGIONAL HEALTH"}}],
    }  # fmt: skip
    times = {"start": "2022-04-01T12:46:59-03:00", "end": "2022-04-03T13:01:59-03:00"}
    visits = [about | {"id": stay, "class": {"system": ACT, "code": "IMP"}, "period": times}]
    visits.append(about | {"id": "walk-in", "class": {"system": ACT, "code": "AMB"}, "period": times})
    row = {
        "resourceType": "Observation", "status": "final", "category": VITAL,
        "subject": {"reference": f"Patient/{who}"}, "encounter": {"reference": f"Encounter/{stay}"},
        "effectiveDateTime": "2022-04-01T12:46:59-03:00", "issued": "2022-04-01T12:46:59.829-03:00",
    }  # fmt: skip

    def code(number: str) -> dict[str, Any]:
        return {"coding": [{"system": LOINC, "code": number, "display": "Some test"}], "text": "Some test"}

    parts = [{"code": code(number), "valueQuantity": quantity(value, "mm[Hg]")} for number, value in
             (("8462-4", 87), ("8480-6", 116))]  # fmt: skip
    absent = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
    rows = [
        row | {"code": code("85354-9"), "component": parts},
        row | {"code": code("8867-4"), "valueQuantity": quantity(81, "/min")},
        row | {"code": code("2160-0"), "valueQuantity": quantity(1.2, "mg/dL"), "issued": "2022-04-01T18:00:00-03:00"},
        row | {"code": code("2339-0"), "valueQuantity": quantity(70, "mg/dL") | {"comparator": "<"}},
        row | {"code": code("9279-1"), "dataAbsentReason": absent},
        row | {"code": code("8867-4"), "status": "entered-in-error", "valueQuantity": quantity(200, "/min")},
        row | {"code": code("72166-2"), "valueCodeableConcept": {"text": "Never smoker"}},
    ]
    condition = {
        "resourceType": "Condition", "code": {"coding": [{"system": "http://snomed.info/sct", "code": "91302008"}]},
        "subject": row["subject"], "encounter": row["encounter"],
    }  # fmt: skip
    conditions = [condition | {"recordedDate": "2022-04-02T08:00:00-03:00"}, condition | {"onsetDateTime": "2022"}]
    conditions.append({name: cell for name, cell in condition.items() if name != "encounter"})  # nothing dates it
    drug = {"resourceType": "MedicationRequest", "status": "active", "authoredOn": "2022-04-01T13:00:00-03:00"}
    drug |= {
        "subject": row["subject"],
        "encounter": row["encounter"],
        "medicationReference": {"reference": "Medication/m1"},
    }
    kinds = {
        "Patient": [{"resourceType": "Patient", "id": who, "gender": "female", "birthDate": "1970-05-21"}],
        "Encounter": visits, "Observation": rows, "Condition": conditions, "MedicationRequest": [drug],
        "Medication": [{"resourceType": "Medication", "id": "m1", "code": {"coding": [{"code": "313782"}]}}],
    }  # fmt: skip
    for kind, resources in kinds.items():
        write(folder, names.format(kind), resources)
    write(folder, "log.ndjson", [{"exportId": "export-100", "eventId": "kickoff"}])
    write(folder, "._Patient.000.ndjson", [{"not": "a resource"}])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("names", ["{}.000.ndjson", "1_{}.ndjson", "Other{}.ndjson.gz", "export-of-{}.jsonl"])
def test_an_export_as_synthea_writes_it_under_any_name(tmp_path, names):
    events = cg.read_events(synthea(tmp_path, names), source="fhir", max_rejected=0)
    values = events.to_frame().set_index("variable")
    assert values["value"].to_dict() == {"creatinine": 1.2, "dbp": 87, "heart_rate": 81, "sbp": 116}
    assert values.loc["creatinine", "available_at"] == pd.Timestamp("2022-04-01 21:00")
    assert values.loc["heart_rate", "available_at"] == pd.Timestamp("2022-04-01 15:46:59.829")
    assert events.ledger.rejected == {
        "missing value": 2, "censored value (< or >)": 1, "retracted": 1, "unmapped code": 1
    }  # fmt: skip
    notes = events.ledger.notes
    assert notes["diagnoses without a date, taken at the end of their encounter"] == 1
    assert notes["diagnoses without a date or an ended encounter, not used"] == 1
    assert notes["files without FHIR resources, or hidden, not read"] == 2
    rows = events.coded.to_pandas()
    words = {
        f"{events.code_vocabulary[row.code]} {pd.Timestamp(row.available, unit='us')}" for row in rows.itertuples()
    }
    assert words == {
        "diagnosis//91302008 2022-04-02 11:00:00", "diagnosis//91302008 2022-04-03 16:01:59",
        "drug//313782 2022-04-01 16:00:00",
    }  # fmt: skip


def as_bundles(folder: Path, form: str) -> Path:
    """The resources of an NDJSON export in JSON files as Synthea, a transaction, or the pages of a search have them."""
    files = [file for file in folder.glob("*.000.ndjson") if not file.name.startswith(".")]
    resources = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    for file in folder.glob("*.ndjson"):
        file.unlink()
    text, entries = json.dumps(resources), []
    if form in ("transaction", "without ids"):
        text = re.sub(r'"(Patient|Encounter|Medication)/([^"]*)"', r'"urn:uuid:\2"', text)
    for number, resource in enumerate(json.loads(text)):
        own = resource.get("id", f"row-{number}")
        url = f"https://fhir.example/{resource['resourceType']}/{own}"
        if form == "without ids":
            resource |= {"id": f"server-{number}"} if number % 2 else {}
            resource = resource if number % 2 else {key: cell for key, cell in resource.items() if key != "id"}
        entries.append({"fullUrl": url if form == "searchset" else f"urn:uuid:{own}", "resource": resource})
    if form == "resources":
        for number, entry in enumerate(entries):
            write(folder, f"{number}.json", [entry["resource"]])
        return folder
    bundle = {"resourceType": "Bundle", "type": "searchset" if form == "searchset" else "transaction"}
    people = [entry for entry in entries if entry["resource"]["resourceType"] in ("Patient", "Medication")]
    pages = [entries, [*people, {"request": {"method": "DELETE"}}]] if form == "searchset" else [entries]
    for number, page in enumerate(pages):
        text = json.dumps(bundle | {"entry": page}, indent=2)
        packed = number == 1
        (folder / f"page_{number}.json{'.gz' if packed else ''}").write_bytes(
            gzip.compress(text.encode()) if packed else text.encode()
        )
    return folder


@pytest.mark.parametrize("form", ["transaction", "without ids", "searchset", "resources"])
def test_bundles_hold_the_facts_of_the_same_resources_as_ndjson(tmp_path, form):
    (tmp_path / "ndjson").mkdir()
    (tmp_path / "json").mkdir()
    truth = cg.read_events(synthea(tmp_path / "ndjson"), source="fhir")
    folder = as_bundles(synthea(tmp_path / "json"), form)
    found = cg.read_events(folder, source="fhir")
    pd.testing.assert_frame_equal(found.to_frame(), truth.to_frame())
    pd.testing.assert_frame_equal(found.stays, truth.stays)
    assert (found.coded, found.code_vocabulary) == (truth.coded, truth.code_vocabulary)
    assert found.ledger.rejected == truth.ledger.rejected
    if form == "transaction":
        bundle = json.loads((folder / "page_0.json").read_text(encoding="utf-8"))
        rows = [one for one in bundle["entry"] if one["resource"]["resourceType"] == "Observation"]
        n_rows = [truth.ledger.rows_in]
        for times in (1, 2):  # without an id, equal ones are rows of their own
            again = bundle | {"entry": [{"resource": one["resource"]} for one in rows] * times}
            (folder / "page_1.json").write_text(json.dumps(again), encoding="utf-8")
            n_rows.append(cg.read_events(folder, source="fhir", max_rejected=1).ledger.rows_in)
        assert n_rows[2] - n_rows[1] == n_rows[1] - n_rows[0] > 0
        (folder / "page_1.json").unlink()
        assert cg.read_events(folder / "page_0.json", source="fhir").to_frame().equals(truth.to_frame())
        (folder / "page_0.json").write_text(f'{{\n"resourceType": "Bundle", "entry": [{{"resource": {SECRET}}}]}}')
        with pytest.raises(InputError, match=r"^page_0\.json, line 2: Expected FHIR Bundles") as error:
            cg.read_events(folder, source="fhir")
        assert SECRET not in str(error.value)


@pytest.mark.slow
def test_a_date_is_a_day_of_the_place_of_its_encounter(tmp_path):
    """At UTC-3 a day ends three hours after that of UTC; with a time zone declared, as that says."""
    folder = synthea(tmp_path)
    path = folder / "Observation.000.ndjson"
    path.write_text(path.read_text().replace("2022-04-01T12:46:59-03:00", "2022-04-01").replace('"issued"', '"sent"'))
    for zone, end in ((None, "2022-04-02 02:59:59.999999"), ("America/Denver", "2022-04-02 05:59:59.999999")):
        frame = cg.read_events(folder, source="fhir", timezone=zone).to_frame()
        assert set(frame["available_at"].astype(str)) == {end}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "value"), [("mimic-d-items", 0.7), ("mimic-d-labitems", 0.7), ("mimic-d-icd", None), ("local", None)]
)
def test_item_numbers_of_mimic_iv_count_in_their_own_code_systems(tmp_path, system, value):
    coding = {"coding": [{"system": f"http://mimic.mit.edu/fhir/mimic/CodeSystem/{system}", "code": "223835"}]}
    row = BASE | {"code": coding, "valueQuantity": {"value": 70}}
    frame = cg.read_events(tiny(tmp_path, [row]), source="fhir").to_frame()  # fio2, in percent where no unit is written
    assert frame["value"].tolist() == ([] if value is None else [pytest.approx(value)])


@pytest.fixture(scope="module")
def mimic(real_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The resources of MIMIC-IV on FHIR by type, read with json."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((real_data / "mimic-iv-fhir-demo").rglob("*.ndjson.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                resource = json.loads(line)
                by_type.setdefault(resource["resourceType"], []).append(resource)
    return by_type


@pytest.fixture(scope="module")
def demo(real_data: Path) -> Events:
    return cg.read_events(real_data / "mimic-iv-fhir-demo", source="fhir")


@pytest.mark.slow
def test_mimic_iv_on_fhir_is_read_whole(mimic, demo):
    taken = ["Condition", "Procedure", "MedicationAdministration"]
    panels = sum(len(row.get("component", [])) - 1 for row in mimic["Observation"] if row.get("component"))
    assert demo.ledger.rows_in == sum(len(mimic[kind]) for kind in taken) + len(mimic["Observation"]) + panels
    notes = demo.ledger.notes
    assert notes["diagnoses without a date, taken at the end of their encounter"] == len(mimic["Condition"]) == 5051
    assert notes["prescriptions not read, as drugs given are recorded"] == len(mimic["MedicationRequest"])
    assert set(demo.ledger.rejected) == {"unmapped code", "outside every stay", "missing value", "implausible"}


@pytest.mark.slow
def test_vital_signs_and_urine_of_mimic_iv_on_fhir_are_those_of_the_files(mimic, demo):
    """Ambulances bring vital signs of the emergency department: they belong to the admission that it is part of."""
    codes = {"8867-4": "heart_rate", "9279-1": "respiratory_rate", "8480-6": "sbp", "8462-4": "dbp"}
    urine = set(Dictionary.load()["urine_output"].source_codes["mimic-iv"])
    rows = []
    for resource in mimic["Observation"]:
        for item in resource.get("component", [resource]):
            code = item["code"]["coding"][0]["code"]
            name = codes.get(code) or ("urine_output" if code in urine else None)
            if name and "valueQuantity" in item:
                who = resource["subject"]["reference"].split("/")[1]
                rows.append((who, resource["effectiveDateTime"], name, float(item["valueQuantity"]["value"])))
    table = pd.DataFrame(rows, columns=["patient_id", "time", "variable", "value"])
    low, high = (table["variable"].map(lambda name, i=i: Dictionary.load()[name].plausible[i]) for i in (0, 1))
    table = table[table["value"].between(low, high)].assign(time=pd.to_datetime(table["time"], utc=True))
    keys = ["patient_id", "variable", "time"]
    expected = table.groupby(keys)["value"].agg(["min", "max", "sum"])
    ours = demo.to_frame()
    ours = ours[ours["variable"].isin(table["variable"])].assign(time=lambda frame: frame["time"].dt.tz_localize("UTC"))
    found = ours.set_index(keys)["value"]
    assert len(found) > 0.98 * len(expected)  # a few lie outside every stay
    both = expected.loc[found.index.drop_duplicates()]
    assert (found.groupby(level=keys).max() <= both["sum"].sort_index() + 1e-6).all()
    assert (found.groupby(level=keys).min() >= both["min"].sort_index() - 1e-6).all()


@pytest.mark.slow
def test_stays_of_mimic_iv_on_fhir_are_those_of_mimic_iv(real_data, mimic_iv_demo, demo):
    """Admissions and ICU stays of the same 100 patients; emergency visits without admission are further encounters.

    FHIR's times have offsets: across a change of the clock a stay is an hour longer or shorter than in MIMIC-IV.
    """
    assert len(demo.stays) == 275 + 50
    assert demo.stays["in_hospital_death"].sum() == 15
    theirs = mimic_iv_demo.stays
    ours = cg.read_events(real_data / "mimic-iv-fhir-demo", source="fhir", anchor="icu").stays
    assert len(ours) == len(theirs) == 140
    for name in ("in_hospital_death", "length_of_stay", "icu_type", "sex"):
        left, right = (np.sort(table[name].to_numpy(float)) for table in (ours, theirs))
        np.testing.assert_allclose(left, right, err_msg=name, atol=1 / 24 + 1e-9)


@pytest.mark.slow
def test_limits_of_detection_are_values_on_request(tmp_path):
    below = {"valueQuantity": quantity(60, "/min") | {"comparator": "<"}, "effectiveDateTime": "2031-05-04T11:00:00Z"}
    above = {"valueQuantity": quantity(90, "/min") | {"comparator": ">="}, "effectiveDateTime": "2031-05-04T12:00:00Z"}
    text = {"valueQuantity": None, "valueString": "< 80", "effectiveDateTime": "2031-05-04T13:00:00Z"}
    rest = {"valueQuantity": quantity(90, "/min") | {"comparator": "ad"}}
    good = BASE | {"valueQuantity": quantity(70, "/min"), "effectiveDateTime": "2031-05-04T10:00:00Z"}
    folder = tiny(tmp_path, [good, good | below, good | above, good | text, good | rest])
    events = cg.read_events(folder, source="fhir", detection_limits="half", max_rejected=1)
    assert events.to_frame()["value"].tolist() == [70, 30, 90, 40]
    assert events.ledger.rejected == {"censored value (< or >)": 1}
    assert events.ledger.notes["limits of detection used as values: heart_rate"] == 3

"""Stays, patients and outcomes of an OMOP CDM."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.tables import with_computed
from clinicalgru.data.ingest.time_sql import has_offset_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import (
    INTENSIVE_CARE_NAME,
    length_of_stay,
    outcomes_of,
    stays_of,
    with_dtypes,
)
from clinicalgru.data.sources.omop.tables import Table, end_of_day_sql
from clinicalgru.errors import ArgumentError, InputError

# visit concepts of OHDSI: Inpatient Visit, Emergency Room and Inpatient Visit, Inpatient Hospital, Intensive Care,
# Inpatient Critical Care Facility; then Emergency Room Visit, Emergency Room - Hospital
INPATIENT = ("9201", "262", "8717", "32037", "581379")
EMERGENCY = ("9203", "8870")
# Intensive Care, Inpatient Critical Care Facility, Intensive care (as MIMIC in OMOP has it), Intensive care unit
INTENSIVE = ("32037", "581379", "581382", "4148981")
FEMALE, MALE = "8532", "8507"
ANCHORS = ("hospital", "icu", "visit")
BIRTH = """coalesce({birth_datetime}, {year_of_birth} || '-' || lpad(coalesce({month_of_birth}, '7'), 2, '0') || '-'
    || lpad(coalesce({day_of_birth}, CASE WHEN {month_of_birth} IS NULL THEN '2' ELSE '15' END), 2, '0'))"""


def read_visits(
    workspace: Workspace, tables: Mapping[str, list[Table]], *, anchor: str, timezone: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Read stays and outcomes, and create the table cdm_links.

    cdm_links has the columns visit, stay and ended: each visit known, its stay or NULL, and its end.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    tables : mapping of str to list of Table
        What `open_tables` returned.
    anchor : str
        "hospital": inpatient and emergency visits; "visit": every visit; "icu": visit details that the concept,
        or the name or kind of the care site, calls intensive care.
    timezone : str, optional
        Time zone in which days begin and end; UTC where None.

    Returns
    -------
    stays : DataFrame
        One row per stay.
    outcomes : DataFrame
        One row per stay.
    notes : dict of str to int
        How many visits and values were not used.

    Raises
    ------
    ArgumentError
        If the anchor is another one.
    InputError
        If no stay is of the requested kind, a start or end is no date, or an identifier is blank.
    """
    if anchor not in ANCHORS:
        raise ArgumentError(f"an anchor of omop: {', '.join(ANCHORS)}", f"{anchor!r}", "Choose one of them.")
    visits = _visits(workspace, tables, "visit_occurrence", "visit")
    concept = visits["concept"].fillna("")
    visits["is_admission"] = concept.isin(INPATIENT)
    visits = with_dtypes(_with_persons(workspace, tables, visits))
    if anchor == "icu":
        chosen, every, outcomes = _intensive_care(workspace, tables, visits, timezone=timezone)
    else:
        kept = concept.isin(INPATIENT + EMERGENCY) if anchor == "hospital" else concept.notna()
        chosen, every = visits[kept.to_numpy()], visits
        outcomes = outcomes_of(visits, timezone=timezone)[kept.to_numpy()]
    if chosen.empty:
        fix = "Choose another anchor: hospital, icu or visit."
        raise InputError(f"stays of the kind {anchor}", f"none among {len(every):,}", fix, where="visits")
    _create_links(workspace, every, chosen)
    stays, notes = stays_of(chosen, workspace.dictionary, where="visits")
    notes["visits of another kind, not taken as stays"] = len(every) - len(chosen)
    return stays, outcomes.reset_index(drop=True), notes


def _intensive_care(
    workspace: Workspace, tables: Mapping[str, list[Table]], visits: pd.DataFrame, *, timezone: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Intensive care details, all details, and outcomes: of the visit around each, but for its length."""
    if "visit_detail" not in tables:
        raise InputError("a table visit_detail", f"tables {', '.join(tables)}", "Pass it, or use anchor='hospital'.")
    details = _visits(workspace, tables, "visit_detail", "visit_detail")
    details = details.merge(_care_sites(workspace, tables), on="site", how="left")
    named = details["site_name"].fillna("").str.contains(INTENSIVE_CARE_NAME, regex=True, case=False)
    chosen = details[named | details["concept"].isin(INTENSIVE) | details["site_kind"].isin(INTENSIVE)]
    persons = visits.drop_duplicates("patient_id")[["patient_id", "birth", "sex"]]
    chosen = chosen.merge(persons, on="patient_id", how="left")
    around = (
        outcomes_of(visits, timezone=timezone)
        .drop(columns=["patient_id", "length_of_stay"])
        .rename(columns={"stay_id": "visit"})
    )
    outcomes = chosen[["patient_id", "stay_id", "visit"]].merge(around, on="visit", how="left").drop(columns="visit")
    times = chosen[["start", "end"]].astype("Int64")
    return (
        chosen.assign(**times),
        details,
        outcomes.assign(length_of_stay=length_of_stay(chosen.assign(**times), timezone=timezone)),
    )


def _visits(workspace: Workspace, tables: Mapping[str, list[Table]], name: str, stem: str) -> pd.DataFrame:
    """patient_id, stay_id, start, end (microseconds), start_is_date, end_is_date, concept, site, visit."""
    frames = [_one_file(workspace, table, name, stem) for table in tables[name]]
    return pd.concat(frames, ignore_index=True)


def _one_file(workspace: Workspace, table: Table, name: str, stem: str) -> pd.DataFrame:
    layers = [
        {
            "c_start": table.datetime_sql(f"{stem}_start"),
            "c_end": table.datetime_sql(f"{stem}_end"),
            "start_is_date": table.date_only_sql(f"{stem}_start", by_row=False),
            "end_is_date": table.date_only_sql(f"{stem}_end"),
        },
        {"c_last": _end_of_day_sql("c_end", "end_is_date")},
        {"c_start_written": _written_sql("c_start"), "c_last_written": _written_sql("c_last")},
    ]
    sql = f"""
SELECT c_row, {table.identifier_sql("person_id")} AS patient_id, {table.identifier_sql(name + "_id")} AS stay_id,
    {_instant_sql("c_start", "c_start_written", workspace)} AS start,
    {_instant_sql("c_last", "c_last_written", workspace)} AS "end",
    c_start IS NOT NULL AS has_start, c_end IS NOT NULL AS has_end, c_last AS ended, start_is_date, end_is_date,
    {table.identifier_sql(stem + "_concept_id")} AS concept, {table.identifier_sql("care_site_id")} AS site,
    {table.identifier_sql("visit_occurrence_id")} AS visit
FROM {with_computed(table.numbered_sql(), *layers)} ORDER BY c_row"""
    frame = _frame(workspace, table, sql)
    for column in ("start", "end"):
        lost = frame[column].isna() & frame[f"has_{column}"]
        if lost.any():
            where = f"{table.part.label}, row {frame.loc[lost, 'c_row'].iloc[0]}, column {stem}_{column}_datetime"
            raise InputError(
                "a date such as 2031-05-04 13:20", "text that is no date", "Write ISO 8601 dates.", where=where
            )
    for column in ("patient_id", "stay_id"):
        if frame[column].isna().any():
            where = f"{table.part.label}, row {frame.loc[frame[column].isna(), 'c_row'].iloc[0]}"
            raise InputError(f"person_id and {name}_id", "a blank cell", "Complete or remove the row.", where=where)
    return frame.astype({"start": "Int64", "end": "Int64", "concept": "string", "site": "string", "visit": "string"})


def _frame(workspace: Workspace, table: Table, sql: str) -> pd.DataFrame:
    with duckdb_errors(table.part.label):
        return workspace.sql.execute(sql).df()


def _written_sql(text: str) -> str:
    """SQL of a date as microseconds, of one without an offset as written."""
    return f"epoch_us(try_cast({text} AS TIMESTAMPTZ))"


def _instant_sql(text: str, written: str, workspace: Workspace) -> str:
    """SQL of a date as microseconds in UTC; without an offset it is a local time, where the zone is declared."""
    if not workspace.has_timezone:
        return written
    return f"CASE WHEN {has_offset_sql(text, 'VARCHAR', None)} THEN {written} ELSE to_instant({written}) END"


def _with_instant(table: Table, text: str, workspace: Workspace) -> str:
    """SQL of a table with the column c_instant: a date, given as text, as microseconds in UTC."""
    instant = _instant_sql("c_text", "c_written", workspace)
    layers = [{"c_text": text}, {"c_written": _written_sql("c_text")}, {"c_instant": instant}]
    return with_computed(table.part.sql, *layers)


def _end_of_day_sql(text: str, is_date: str) -> str:
    """SQL of a time as text; of a date, its last moment."""
    return f"CASE WHEN {is_date} THEN {end_of_day_sql(text)} ELSE {text} END"


def _with_persons(workspace: Workspace, tables: Mapping[str, list[Table]], visits: pd.DataFrame) -> pd.DataFrame:
    """Visits with birth, sex, death and the end of the patient's record."""
    persons = pd.concat([_persons(workspace, table) for table in tables["person"]]).drop_duplicates("patient_id")
    deaths = _latest(workspace, tables, "death", "death", earliest=True).rename(columns={"instant": "death"})
    ends = _latest(workspace, tables, "observation_period", "observation_period_end", earliest=False)
    ends = ends.rename(columns={"instant": "record_end"})
    joined = visits
    for frame in (persons, deaths, ends):
        joined = joined.merge(frame, on="patient_id", how="left")
    joined["record_end"] = joined["record_end"].fillna(visits["start"].max())  # then the extract's own end
    return joined.assign(died_here=float("nan"), deaths_known="death" in tables)


def _persons(workspace: Workspace, table: Table) -> pd.DataFrame:
    names = ["birth_datetime", "year_of_birth", "month_of_birth", "day_of_birth"]
    birth = BIRTH.format(**{name: table.text_sql(name) for name in names})
    sex = (
        f"CASE {table.identifier_sql('gender_concept_id')} WHEN '{FEMALE}' THEN 'female' WHEN '{MALE}' THEN 'male' END"
    )
    select = f"SELECT {table.identifier_sql('person_id')} AS patient_id, c_instant AS birth, {sex} AS sex"
    sql = f"{select} FROM {_with_instant(table, birth, workspace)}"
    return _frame(workspace, table, sql).astype({"birth": "Int64", "sex": "string"})


def _latest(
    workspace: Workspace, tables: Mapping[str, list[Table]], name: str, stem: str, *, earliest: bool
) -> pd.DataFrame:
    """patient_id and one instant each: the earliest or the latest."""
    frames = [pd.DataFrame({"patient_id": pd.Series(dtype=object), "instant": pd.Series(dtype="Int64")})]
    for table in tables.get(name, []):
        text = table.datetime_sql(stem)
        text = text if earliest else _end_of_day_sql(text, table.date_only_sql(stem))
        select = f"SELECT {table.identifier_sql('person_id')} AS patient_id, c_instant AS instant"
        sql = f"{select} FROM {_with_instant(table, text, workspace)}"
        frames.append(_frame(workspace, table, sql).astype({"instant": "Int64"}))
    by_patient = pd.concat(frames).groupby("patient_id")["instant"]
    return (by_patient.min() if earliest else by_patient.max()).reset_index()


def _care_sites(workspace: Workspace, tables: Mapping[str, list[Table]]) -> pd.DataFrame:
    frames = [pd.DataFrame(columns=["site", "site_name", "site_kind"], dtype="string")]
    for table in tables.get("care_site", []):
        sql = f"""
SELECT {table.identifier_sql("care_site_id")} AS site, {table.text_sql("care_site_name")} AS site_name,
    {table.identifier_sql("place_of_service_concept_id")} AS site_kind FROM {table.part.sql}"""
        frames.append(_frame(workspace, table, sql).astype("string"))
    return pd.concat(frames).drop_duplicates("site")


def _create_links(workspace: Workspace, every: pd.DataFrame, chosen: pd.DataFrame) -> None:
    links = pd.DataFrame({"visit": every["stay_id"].astype(object), "ended": every["ended"].astype(object)})
    links["stay"] = links["visit"].where(links["visit"].isin(set(chosen["stay_id"])), None)
    workspace.sql.register("links_frame", links)
    workspace.sql.execute("""
CREATE TABLE cdm_links AS
SELECT visit::VARCHAR visit, stay::VARCHAR stay, ended::VARCHAR ended FROM links_frame""")

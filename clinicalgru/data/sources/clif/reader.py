"""Common Longitudinal ICU data Format (CLIF) 2.x and 3.0: hospitals' intensive care data in one set of tables.

A stay is an ICU stay (anchor "icu", the default): rows of adt in intensive care that follow each other without a gap;
or a hospitalization (anchor "hospital"). A row goes to the stay of its hospitalization at its time. A laboratory result
counts at its collection and is known at its result. Version 3.0 writes categories in lower case with underscores, adds
measured_dttm to vitals and a table output, and calls the columns of invasive_hemodynamics measurement_category and
measurement_value (2.x: measure_). Categories are compared without regard to letter case.

References
----------
Rojas et al., A common longitudinal intensive care unit data format (CLIF), Intensive Care Med 2025;51:556-569.
CLIF Consortium, data dictionary, https://clif-icu.com/data-dictionary
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from clinicalgru.data.ingest.outcomes_table import read_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import RowFormat, text_sql
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.clif.stays import read_stays
from clinicalgru.data.sources.event_rows import EventTable, Placement, add_cells, add_events
from clinicalgru.data.sources.named_columns import columns_by_name, instant_columns, mapped_columns, register_names
from clinicalgru.data.sources.named_tables import NamedTables, open_named_tables
from clinicalgru.errors import ArgumentError, InputError, describe

KEY = "hospitalization_id"
ID = f"trim(CAST(r.{KEY} AS VARCHAR))"
HOSPITALIZATION = f"LEFT JOIN clif_hospitalizations h ON h.hospitalization = {ID}"
ICU = f"{HOSPITALIZATION} ASOF LEFT JOIN clif_icu k ON k.hospitalization = {ID} AND r.instant >= k.start"
IN_ICU = "(k.ended IS NULL OR r.instant <= k.ended)"
ANCHORS = ("icu", "hospital")
SPECIMEN = text_sql("r.lab_specimen_category")
IS_BLOOD = f"({SPECIMEN} IS NULL OR regexp_matches(lower({SPECIMEN}), 'blood|plasma|serum'))"
# A result of another specimen is another variable; CLIF 3.0 says so in the category itself (urine_creatinine).
LAB = f"""CASE WHEN {IS_BLOOD} OR starts_with(lower(r.lab_category), split_part(lower({SPECIMEN}), '_', 1))
    THEN r.lab_category ELSE r.lab_category || ', ' || {SPECIMEN} END"""
URINE = """('external_urinary_catheter', 'indwelling_urinary_catheter', 'nephrostomy', 'suprapubic_catheter',
    'urethral', 'urostomy', 'urinary_other')"""


def _hemodynamics(word: str) -> EventTable:
    """The table of invasive hemodynamics, whose columns begin with another word in each version."""
    return EventTable(
        name=HEMODYNAMICS,
        times=("recorded_dttm",),
        known="",
        variable=f"r.{word}_category",
        value=f"r.{word}_value",
        needs=("recorded_dttm", f"{word}_category", f"{word}_value"),
    )


HEMODYNAMICS = "invasive_hemodynamics"
HEMODYNAMICS_3 = _hemodynamics("measurement")
EVENTS = (
    EventTable(
        name="vitals",
        times=("measured_dttm", "recorded_dttm"),
        known="recorded_dttm",
        variable="r.vital_category",
        value="r.vital_value",
        needs=("recorded_dttm", "vital_category", "vital_value"),
    ),
    EventTable(
        name="labs",
        times=("lab_collect_dttm", "lab_result_dttm"),
        known="lab_result_dttm",
        variable=LAB,
        value="coalesce(CAST(r.lab_value_numeric AS VARCHAR), CAST(r.lab_value AS VARCHAR))",
        needs=("lab_collect_dttm", "lab_category"),
        optional=("lab_value", "lab_value_numeric", "reference_unit", "lab_specimen_category"),
        unit=f"CASE WHEN {text_sql('r.reference_unit')} NOT ILIKE '%no units%' THEN r.reference_unit END",
        text="coalesce(CAST(r.lab_value AS VARCHAR), CAST(r.lab_value_numeric AS VARCHAR))",
    ),
    EventTable(
        name="patient_assessments",
        times=("recorded_dttm",),
        known="",
        variable="r.assessment_category",
        value="coalesce(CAST(r.numerical_value AS VARCHAR), r.categorical_value, r.text_value)",
        needs=("recorded_dttm", "assessment_category", "numerical_value"),
        optional=("categorical_value", "text_value"),
    ),
    EventTable(
        name="output",
        times=("recorded_dttm",),
        known="",
        variable=f"""CASE WHEN lower(trim(r.output_group)) = 'urine' OR lower(trim(r.output_category)) IN {URINE}
            THEN 'urine_output' ELSE 'output: ' || coalesce(r.output_category, r.output_group) END""",
        value="r.output_volume",
        unit="'mL'",
        needs=("recorded_dttm", "output_volume", "output_category"),
        optional=("output_group",),
    ),
    EventTable(
        name="respiratory_support",
        times=("recorded_dttm",),
        known="",
        variable="'device_category'",
        value="r.device_category",
        needs=("recorded_dttm", "device_category"),
    ),
    _hemodynamics("measure"),
)
RESPIRATORY = "respiratory_support"
WIDE = (RESPIRATORY, "crrt_therapy")
LEAVE = (  # columns that are no numbers
    *(KEY, "recorded_dttm", "device_name", "device_category", "device_id", "vent_brand_name", "mode_name"),
    *("mode_category", "crrt_mode_name", "crrt_mode_category", "dialysis_machine_name"),
)
DEVICE = text_sql("r.device_category")
VENTILATION = {
    "mechanical_ventilation": f"CASE WHEN lower({DEVICE}) = 'imv' THEN 1 WHEN {DEVICE} IS NOT NULL THEN 0 END"
}
TABLES = ("patient", "hospitalization", "adt", *(table.name for table in EVENTS), "crrt_therapy")


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the events of ICU stays or hospitalizations, with age, sex, type of unit, site and outcomes.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder or archive of the tables as Parquet, CSV or CSV.gz, with or without clif_ before their names.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes (in_hospital_death, length_of_stay in days) and notes.

    Raises
    ------
    ArgumentError
        If the anchor is another one, or a stays table is given.
    InputError
        If a needed table or column is missing, a date cannot be read, or only some tables have times with an offset.

    Notes
    -----
    Mechanical ventilation is 1 while device_category is IMV, and 0 with any other device. A gcs_verbal of 0 means
    intubated, and is a missing value.
    """
    anchor = options.anchor or "icu"
    if anchor not in ANCHORS:
        raise ArgumentError("anchor icu or hospital", repr(anchor), "Choose one of them.")
    if options.stays is not None:
        raise ArgumentError("stays=None", describe(options.stays), "CLIF brings its own; leave stays= out.")
    tables = open_named_tables(workspace, data, TABLES, prefix="clif_", text_format=options.text_format)
    tables.require("patient", "hospitalization", *(["adt"] if anchor == "icu" else []))
    if not tables.files.keys() - set(TABLES[:3]):
        raise InputError("a table of events", "none", f"Pass one of {', '.join(TABLES[3:])}.", where=tables.where)
    stays, outcomes, hospitalizations, clocks, notes = read_stays(workspace, tables.files, anchor=anchor)
    workspace.sql.register("clif_hospitalizations", _texts(hospitalizations, hospitalization=KEY, patient="patient_id"))
    icu = _texts(stays, hospitalization=KEY, stay="stay_id")
    for ours, theirs in (("start", "start"), ("ended", "end")):
        icu = icu.append_column(ours, pa.array(stays[theirs], pa.int64()))
    workspace.sql.register("clif_icu", icu)
    register_names(workspace)
    workspace.missing = workspace.missing.with_values("gcs_verbal", "0")  # not testable: intubated
    notes |= _add(workspace, tables, _placement(workspace, anchor))
    stays, notes = stays.drop(columns=KEY), notes | tables.notes(TABLES[3:])
    result = SourceResult(stays, outcomes, clocks=clocks, count_unmapped=False, notes=notes)
    return result if options.outcomes is None else result.with_outcomes(read_outcomes(options, workspace.dictionary))


def _texts(table: Any, **names: str) -> pa.Table:
    return pa.table({ours: pa.array(table[theirs], pa.string()) for ours, theirs in names.items()})


def _placement(workspace: Workspace, anchor: str) -> Placement:
    """Rows go to the ICU stay of their hospitalization at their time, or to the hospitalization."""
    is_icu = anchor == "icu"
    return Placement(
        key=KEY,
        patient=f"coalesce(h.patient, {ID})",
        stay=f"coalesce(CASE WHEN {IN_ICU} THEN k.stay END, {ID})" if is_icu else ID,
        tail=ICU if is_icu else HOSPITALIZATION,
        is_outside=f"(h.patient IS NOT NULL AND (k.stay IS NULL OR NOT {IN_ICU}))" if is_icu else "false",
        instant=lambda cell, dtype: instant_columns("instant", cell, dtype, has_timezone=workspace.has_timezone),
        row_format=RowFormat(),
    )


def _add(workspace: Workspace, tables: NamedTables, placement: Placement) -> dict[str, int]:
    """Add the rows and cells of all tables of events; a note for each column that is no variable."""
    for part in tables.files.get("labs", []):
        if not {"lab_value", "lab_value_numeric"} & columns_by_name(part).keys():
            fix = "Pass the table as published, with this column."
            raise InputError("a column lab_value_numeric", "neither it nor lab_value", fix, where=part.label)
    for table in EVENTS:
        for part in tables.files.get(table.name, []):
            is_3 = table.name == HEMODYNAMICS and HEMODYNAMICS_3.needs[-1] in columns_by_name(part)
            add_events(workspace, part, HEMODYNAMICS_3 if is_3 else table, placement)
    notes: dict[str, int] = {}
    for name in WIDE:
        for part in tables.files.get(name, []):
            cells, unused = mapped_columns(workspace, part, leave=LEAVE)
            notes |= {f"column not used: {column} of {part.label}": 1 for column in unused}
            computed = VENTILATION if name == RESPIRATORY else {}
            optional = ("device_category",) if computed else ()
            add_cells(workspace, part, cells, placement, time="recorded_dttm", computed=computed, optional=optional)
    return notes

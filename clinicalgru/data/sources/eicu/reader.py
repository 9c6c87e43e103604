"""eICU Collaborative Research Database 2.0: unit stays of many hospitals, from its tables as published.

A stay is a unit stay (patientunitstayid) of a patient (uniquepid). Times are minutes from the unit admission, negative
before it. A laboratory result is known when it was revised last (labresultrevisedoffset), a charted value when it was
entered. Values that nurses charted and monitors recorded too are counted once.

References
----------
Pollard et al., The eICU Collaborative Research Database, Sci Data 2018;5:180178. https://eicu-crd.mit.edu
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from clinicalgru.data.ingest.outcomes_table import read_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.eicu.lab_units import INTERFACE_UNIT, register_lab_units
from clinicalgru.data.sources.eicu.stays import read_stays, with_apache
from clinicalgru.data.sources.event_rows import EventTable, Placement, add_cells, add_events
from clinicalgru.data.sources.named_columns import mapped_columns, register_names
from clinicalgru.data.sources.named_tables import NamedTables, open_named_tables
from clinicalgru.errors import ArgumentError, InputError, describe

KEY = "patientunitstayid"
STAY = f"trim(CAST(r.{KEY} AS VARCHAR))"
PLACEMENT = Placement(
    key=KEY,
    patient=f"coalesce(k.patient, {STAY})",
    stay=STAY,
    tail=f"LEFT JOIN eicu_stays k ON k.stay = {STAY}",
    is_outside="false",
    instant=lambda cell, dtype: [{"instant": f"try_cast({cell} AS DOUBLE)"}],
    row_format=RowFormat(time_unit="minutes"),
)
CHARTED = """CASE WHEN lower(trim(r.nursingchartcelltypevalname)) = 'value' OR r.nursingchartcelltypevalname IS NULL
    THEN r.nursingchartcelltypevallabel ELSE r.nursingchartcelltypevalname END"""
CHARTED_UNIT = """CASE WHEN trim(r.nursingchartcelltypevalname) ILIKE '%(F)' THEN '[degF]'
    WHEN trim(r.nursingchartcelltypevalname) ILIKE '%(C)' THEN 'Cel' END"""
LAB_UNIT = """CASE WHEN lower(trim(r.labname)) = 'fio2' AND try_cast(r.labresult AS DOUBLE) <= 1 THEN '1'
    ELSE coalesce(u.unit, replace(r.labmeasurenamesystem, '&#176;', '°')) END"""  # some hospitals write a fraction as %
VENTILATOR = "lower(trim(r.respchartvaluelabel)) = 'rt vent on/off'"
EVENTS = (
    EventTable(
        name="lab",
        times=("labresultoffset",),
        known="labresultrevisedoffset",
        variable="r.labname",
        value="r.labresult",
        needs=("labresultoffset", "labname", "labresult"),
        optional=("labresulttext", "labmeasurenamesystem", "labmeasurenameinterface"),
        unit=LAB_UNIT,
        text="coalesce(CAST(r.labresult AS VARCHAR), r.labresulttext)",
        tail=INTERFACE_UNIT,
    ),
    EventTable(
        name="nurseCharting",
        times=("nursingchartoffset",),
        known="nursingchartentryoffset",
        variable=CHARTED,
        value="r.nursingchartvalue",
        needs=(
            "nursingchartoffset",
            "nursingchartcelltypevallabel",
            "nursingchartcelltypevalname",
            "nursingchartvalue",
        ),
        unit=CHARTED_UNIT,
        is_duplicate_source=True,
    ),
    EventTable(
        name="respiratoryCharting",
        times=("respchartoffset",),
        known="respchartentryoffset",
        variable=f"CASE WHEN {VENTILATOR} THEN 'mechanical_ventilation' ELSE r.respchartvaluelabel END",
        value=f"""CASE WHEN {VENTILATOR} THEN CASE lower(trim(r.respchartvalue))
            WHEN 'start' THEN '1' WHEN 'continued' THEN '1' WHEN 'off' THEN '0' WHEN 'suspended' THEN '0' END
            ELSE rtrim(CAST(r.respchartvalue AS VARCHAR), '% ') END""",
        needs=("respchartoffset", "respchartvaluelabel", "respchartvalue"),
        is_duplicate_source=True,
    ),
    EventTable(
        name="intakeOutput",
        times=("intakeoutputoffset",),
        known="intakeoutputentryoffset",
        variable="r.celllabel",
        value="r.cellvaluenumeric",
        needs=("intakeoutputoffset", "celllabel", "cellvaluenumeric"),
    ),
)
WIDE = ("vitalPeriodic", "vitalAperiodic")
WIDE_TIME = "observationoffset"
WIDE_KEYS = (KEY, WIDE_TIME, "vitalperiodicid", "vitalaperiodicid")
APACHE = "apachePatientResult"
TABLES = ("patient", *(table.name for table in EVENTS), *WIDE, APACHE)


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the events of unit stays, with static covariates, site and outcomes.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder or archive of the tables as CSV, CSV.gz or Parquet, named as published, in any letter case.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes (in_hospital_death, in_unit_death, length_of_stay in days, apache_score and
        apache_predicted_death where recorded) and notes.

    Raises
    ------
    ArgumentError
        If the anchor is another one, or a stays table or time zone is given.
    InputError
        If there is no table patient or none of events, or a table lacks a column.
    """
    if options.anchor not in (None, "icu"):
        raise ArgumentError('anchor "icu", or None', repr(options.anchor), "eICU has unit stays only.")
    for name in ("stays", "timezone"):
        if getattr(options, name) is not None:
            got = describe(getattr(options, name))
            raise ArgumentError(f"{name}=None", got, f"eICU brings its own stays and hours; leave {name}= out.")
    tables = open_named_tables(workspace, data, TABLES, prefix="eicu_", text_format=options.text_format)
    tables.require("patient")
    if not tables.files.keys() - {"patient", APACHE}:
        raise InputError("a table of events", "none", f"Pass one of {', '.join(TABLES[1:-1])}.", where=tables.where)
    stays, outcomes, notes = read_stays(workspace, tables.files["patient"])
    if APACHE in tables.files:
        outcomes, apache_notes = with_apache(workspace, outcomes, tables.files[APACHE])
        notes |= apache_notes
    frame = pa.table(
        {"stay": pa.array(stays["stay_id"], pa.string()), "patient": pa.array(stays["patient_id"], pa.string())}
    )
    workspace.sql.register("eicu_stays", frame)
    register_names(workspace)
    notes |= register_lab_units(workspace, tables.files.get("lab", []))
    notes |= _add(workspace, tables)
    result = SourceResult(stays, outcomes, count_unmapped=False, notes=notes | tables.notes(TABLES[1:]))
    return result if options.outcomes is None else result.with_outcomes(read_outcomes(options, workspace.dictionary))


def _add(workspace: Workspace, tables: NamedTables) -> dict[str, int]:
    """Add the rows and cells of all tables of events; a note for each column that is no variable."""
    notes: dict[str, int] = {}
    for table in EVENTS:
        for part in tables.files.get(table.name, []):
            add_events(workspace, part, table, PLACEMENT)
    for name in WIDE:
        for part in tables.files.get(name, []):
            cells, unused = mapped_columns(workspace, part, leave=WIDE_KEYS)
            notes |= {f"column not used: {column} of {part.label}": 1 for column in unused}
            add_cells(workspace, part, cells, PLACEMENT, time=WIDE_TIME)
    return notes

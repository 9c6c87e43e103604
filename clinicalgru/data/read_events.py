"""The entry point for data: reads an extract of any source into checked events with a ledger."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb

from clinicalgru.checks import check_choice
from clinicalgru.data.dictionary.own_names import own_names, vocabularies_of
from clinicalgru.data.events import Events
from clinicalgru.data.ingest.arrow_tables import arrow_table, is_arrow
from clinicalgru.data.ingest.data_tables import check_one_table_sources, data_tables_of
from clinicalgru.data.ingest.database import is_address
from clinicalgru.data.ingest.ingest import IngestResult, ingest
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.read_options import (
    ReadOptions,
    allowed_variables,
    check_table,
    dictionary_of,
    event_codes_of,
    group_names,
    outcome_names,
)
from clinicalgru.data.ingest.source import Source, SourceResult
from clinicalgru.data.ingest.table_files import check_unpacked
from clinicalgru.data.ingest.unchanged_files import unchanged_files
from clinicalgru.data.ingest.value_pairs import pairs_in
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.reading import recorded
from clinicalgru.data.repeated_stays import repeat_stays
from clinicalgru.data.simulate.simulate import SimulatedCohort, simulated_as
from clinicalgru.data.sources import long_and_sql, physionet2012, physionet2019, wide
from clinicalgru.data.sources.clif import reader as clif
from clinicalgru.data.sources.eicu import reader as eicu
from clinicalgru.data.sources.fhir import reader as fhir
from clinicalgru.data.sources.meds import reader as meds
from clinicalgru.data.sources.mimic_iv import reader as mimic_iv
from clinicalgru.data.sources.omop import reader as omop
from clinicalgru.data.sources.several import read_several
from clinicalgru.errors import system_errors

SOURCES: dict[str, Source] = {
    "clif": clif.read,
    "eicu": eicu.read,
    "fhir": fhir.read,
    "long": long_and_sql.read_long,
    "meds": meds.read,
    "mimic-iv": mimic_iv.read,
    "omop": omop.read,
    "physionet2012": physionet2012.read,
    "physionet2019": physionet2019.read,
    "sql": long_and_sql.read_sql,
    "wide": wide.read,
    "yaib": wide.read,
}


def read_events(
    data: Any,
    *,
    source: str = "long",
    stays: Any = None,
    outcomes: Any = None,
    variables: Any = None,
    names: Any = None,
    vocabulary: str | Iterable[str] | None = None,
    columns: Mapping[str, str | Mapping[str, str]] | None = None,
    outcomes_columns: Iterable[str] | None = None,
    group_columns: str | Iterable[str] | None = None,
    missing: Any = None,
    time_format: str | None = None,
    time_unit: str = "hours",
    units: Mapping[str, str] | None = None,
    row_filter: Mapping[str, Iterable[str | float]] | None = None,
    query: str | None = None,
    data_tables: Any = None,
    detection_limits: str = "reject",
    units_in_values: bool = False,
    flags_in_values: bool = False,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    anchor: str | None = None,
    event_codes: Mapping[str, str | Iterable[str]] | None = None,
    timezone: str | None = None,
    max_rejected: float = 0.1,
    allow: str | Collection[str] = (),
    memory_gb: float = 2.0,
) -> Events:
    """Read an extract into checked events; every rejected, merged or converted row is counted in the ledger.

    Parameters
    ----------
    data : str, path, list, DataFrame, Arrow table, object with `__arrow_c_stream__`, or SimulatedCohort
        The extract: a table (of pandas, Arrow, polars or DuckDB), a text, Parquet, Arrow or Feather file, a folder or
        list of them, an archive, or the address of a database (see the table in the notes). Text may be compressed by
        gzip, bzip2, xz or zstd. A simulated cohort brings its stays and outcomes. A list of tables, or of dicts as in
        `data_tables`, is an extract of several tables; a list of paths, files of one table.
    source : str
        Format of the extract: "long", "wide", "yaib", "sql", "physionet2012", "physionet2019", "mimic-iv", "eicu",
        "clif", "meds", "omop" or "fhir" (see the table in the notes).
    stays : str, path, DataFrame or Arrow table, optional
        Table of patient_id, stay_id, start, end and static variables; birth_date gives the age. With it, rows with a
        stay_id may lack patient_id. Without it, a stay starts with its first measurement. Not for "mimic-iv", "eicu",
        "clif", "meds", "omop" and "fhir", which bring their own.
    outcomes : str, path, DataFrame or Arrow table, optional
        Table of stay_id and outcomes; blank means not recorded, and stays unknown.
    variables : path, dict, Dictionary or list of them, optional
        Your own data dictionary over the shipped one: a YAML file, a dict of it, or a `Dictionary`.
    names : mapping of str to str, or path, optional
        Your names of variables: name in the extract -> variable, such as {"Lactate, Arterial": "lactate"}. Or a YAML
        file of such pairs, or a CSV file with the columns name and variable. Where a value is two numbers, such as
        120/80, name two variables: {"BP": "sbp/dbp"}. `unmapped` shows what is still missing.
    vocabulary : str or list of str, optional
        Code systems or sources whose names the extract uses, such as "loinc", "mimic-iv" or "eicu", in addition to
        those of `source`.
    columns : mapping of str to str, optional
        Our column name -> the name in your tables, where they differ; letter case makes no difference. A name that
        should hold for one table only: `{"stays": {"start": "admitted"}}`, with "data", "stays" or "outcomes". A
        date and a time of day in two columns are named together: {"time": "Date + Time"}.
    outcomes_columns : iterable of str, optional
        Columns of `outcomes` that are outcomes. Only these can be auxiliary targets. None: a task may use every column
        of numbers, of yes and no (true and false), or of dates; columns of text and static variables are noted. A named
        column may be text, for a multiclass task that names its classes.
    group_columns : str or iterable of str, optional
        Columns of `stays` that are labels, such as ["site", "ward", "bed"]: for criteria, splits, subgroups and tables
        (`Sequences.groups`), never learned from.
    missing : number, str, list of them, or mapping of str to such, optional
        Values that mean "not measured" in every table, such as [999, "not done"]; by variable: {"glucose": [999]}.
    time_format : str, optional
        strptime format of times that are not ISO 8601, such as "%d/%m/%Y %H:%M", in every table.
    time_unit : str
        Unit of times that are numbers: "milliseconds", "seconds", "minutes", "hours" or "days" since the
        start of the stay. It holds for rows, starts and ends; times among the outcomes are hours, unless `units` says
        otherwise.
    units : mapping of str to str, optional
        Variable -> unit of its values where the extract writes none, such as {"glucose": "mmol/L", "weight": "lb"}; it
        holds for static variables too. Column of `outcomes` -> unit of its times, such as {"death_after": "days"}.
    row_filter : mapping of str to list, optional
        Column of the rows -> values of the rows to use, such as {"STATUS": ["final", "corrected"], "ERROR": [0, ""]};
        "" stands for a blank cell. The ledger counts the others as left out. For source "long".
    query : str, optional
        For source "sql": one SELECT that returns the long columns.
    data_tables : list of dict or path, optional
        The tables of the extract that differ in form, each with arguments of its own: `source` ("long", "wide", "yaib"
        or "sql"), `columns`, `units`, `missing`, `time_format`, `time_unit`, `units_in_values`,
        `flags_in_values`, `row_filter`, `delimiter`, `encoding`, `decimal`, `query`. The others hold for all of them.
        Where `data` is a folder, `data` of each names its file; or a path: a YAML file of the list.
    detection_limits : str
        What becomes of a value that is a bound, such as "<0.2": "reject" (it is no number), "bound" (0.2), or "half"
        (half of a lower limit, 0.1; an upper limit itself). The ledger counts those used. In published formats bounds
        are texts of results, comments of laboratories, FHIR comparators and OMOP operators.
    units_in_values : bool
        Whether a unit of the dictionary may stand behind a number, such as "38.1 °C" or "97%". It is read as the unit,
        where the column of units is blank or says the same. For "long", "wide", "yaib" and "sql".
    flags_in_values : bool
        Whether abnormality flags may stand at a number, such as "5.4 H", "7.5 (L)" or "1.2*": H, L, HH, LL, A, AA, N,
        HI, LO, high, low, normal, abnormal, critical, panic, and * ! # or arrows, bare or in brackets. The number is
        read without them, and the ledger counts such values. A letter that is a unit of the variable is no flag: "0.5
        L" of a volume is rejected, or read with `units_in_values`. For the sources of `units_in_values`.
    delimiter : str, optional
        Delimiter of text tables, one character; found from the header where None.
    encoding : str
        Encoding of text tables, such as "windows-1252" or "utf-16"; each is converted to UTF-8 before it is read.
    decimal : str
        Mark of decimals in text: "." or ",". With ",", text with a point ("1.234") is no number: it may be a thousand.
    anchor : str, optional
        What a stay is, in sources with several kinds: "icu", "hospital", "visit" or "stay".
    event_codes : dict, optional
        For source "meds": the dataset's codes of "admission", "discharge" and "death", such as {"death": ["EXITUS"]}.
        A code stands for itself and what continues it after a slash; * stands for any text. Without it, those of common
        ETLs. They begin and end the stays of `anchor` ("hospital" where None).
    timezone : str, optional
        IANA time zone, such as "Europe/Berlin": times without an offset are local times there and become UTC. Rows at
        ambiguous and nonexistent local times are rejected and counted; a start or end of a stay or a time of an outcome
        that is such is unknown, and counted. None: times are used as written.
    max_rejected : float
        Largest fraction of rows that may be rejected, 0 to 1, of those that could have been used: rows without a value,
        outside every stay, of an unmapped code, duplicate, retracted, censored or non-numeric are not among them. A
        variable that loses half of its values, and at least 10, stops the load too; where `max_rejected` is above half,
        that fraction counts. 1: nothing stops the load.
    allow : str or collection of str
        Variables that may lose any number of values, or "all": they count in neither limit. The ledger says what they
        lost.
    memory_gb : float
        Memory limit in GB; larger extracts go through disk, in the folder of temporary files. DuckDB gets two fifths
        of it, as its own limit does not cover its file readers, allocator caches and results. The rest is for Python
        with its libraries (about 0.3 GB) and batches of a million rows. It does not cover a DataFrame that is passed
        in, the table of the stays, and pages of files that the system caches.

    Returns
    -------
    Events
        Measurements, coded events, stays with static variables and outcomes, and the ledger.

    Raises
    ------
    ArgumentError
        If an argument is of another type, out of bounds, or unknown.
    InputError
        If a file cannot be read, a column is missing, times are of two formats, or more than `max_rejected` of the rows
        were rejected, or half of a variable's. The message names file, row, column and what to do.
    DictionaryError
        If a variable or unit is unknown.
    MissingPackageError
        If a database needs a package that is not installed; the message names the extra.

    Notes
    -----
    ================  ==================================================================================================
    source            data
    ================  ==================================================================================================
    "long"            Table: patient_id, time, variable, value; optional stay_id, unit, available_at, code.
    "wide"            Table: patient_id, time; optional stay_id; one column per variable.
    "yaib"            As "wide", with the variable names of YAIB cohorts.
    "sql"             Address of a database; `query` returns the long columns.
    "physionet2012"   Archive or folder of PhysioNet/CinC Challenge 2012; `outcomes` is its Outcomes file.
    "physionet2019"   Archive or folder of PhysioNet/CinC Challenge 2019.
    "mimic-iv"        Folder with hosp/ and icu/; anchor "icu" (default) or "hospital".
    "eicu"            Folder or archive of the tables of eICU-CRD 2.0; a stay is a unit stay.
    "clif"            Folder or archive of the tables of CLIF 2.x or 3.0; anchor "icu" (default) or "hospital".
    "meds"            Folder with data/ and metadata/; anchor "stay", "icu", "hospital" or "visit" (first that occurs);
                      `outcomes` may be a label file of ACES (task anchor "prediction_time"); each label of a stay
                      is an entry of `stays` then.
    "omop"            Folder or .zip of CDM tables, or a PostgreSQL address; anchor "hospital", "icu", "visit".
    "fhir"            Folder of a bulk export (NDJSON) or of Bundles (JSON), or one Bundle; anchor "hospital"
                      (default), "icu" or "visit".
    ================  ==================================================================================================

    A value is known at `available_at`, but not before `time`, and at `time` where it is not recorded. A date without a
    time of day is known at the end of its day. So is a midnight, where a column holds midnights of several days only.
    Several values of a variable at one instant become one, as `Variable.merge` says. The ledger's notes count all this.

    A static variable (age, sex, ...) of a row is known from when the row is known; a
    prediction uses the last value known by then. A value of the stays table is known from the start of the stay, and
    takes precedence over rows. The ledger's notes say how many stays had several values. The rules of rejection are in
    `clinicalgru.data.ingest.ingest`.

    References
    ----------
    - MEDS: https://github.com/Medical-Event-Data-Standard/meds, schema 0.4.
    - MIMIC-IV: Johnson et al. 2023, Sci Data 10:1.
    - eICU-CRD: Pollard et al. 2018, Sci Data 5:180178.
    - CLIF: Rojas et al. 2025, Intensive Care Med 51:556-569; https://clif-icu.com.
    - OMOP CDM 5.4: https://ohdsi.github.io/CommonDataModel.
    - HL7 FHIR R4: https://hl7.org/fhir/R4.
    - PhysioNet/CinC Challenge 2012: Silva et al. 2012, Comput Cardiol 39:245-248.
    - PhysioNet/CinC Challenge 2019: Reyna et al. 2020, Crit Care Med 48(2):210-217.
    - YAIB: van de Water et al. 2024, ICLR.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru import read_events
    >>> rows = pd.DataFrame({"patient_id": ["007"] * 3, "stay_id": ["1"] * 3, "time": [0.0, 0.5, 0.5],
    ...                      "variable": ["heart_rate", "temperature", "heart_rate"], "value": [88, 98.6, 900],
    ...                      "unit": [None, "degF", None]})
    >>> events = read_events(rows, max_rejected=0.5)
    >>> events.ledger.rejected
    {'implausible': 1}
    >>> events.to_frame()["value"].round(1).tolist()
    [88.0, 37.0]
    """
    check_choice("source", source, SOURCES)
    cohort = data if isinstance(data, SimulatedCohort) else None
    if cohort is not None:
        data, stays, outcomes = cohort.measurements, cohort.stays, cohort.outcomes
        outcomes_columns = outcomes.columns.drop(["patient_id", "stay_id"], errors="ignore")
    tables = data_tables_of(data, data_tables)
    if tables is None:
        check_table("data", data)
    plain = dictionary_of(variables)
    renamed, vocabularies = own_names(names, plain), vocabularies_of(vocabulary, plain)
    single = {name: variable for name, variable in renamed.items() if name not in pairs_in(renamed)}
    dictionary = plain.with_names(source, single, *vocabularies) if renamed or vocabularies else plain
    if stays is outcomes and is_arrow(stays):  # a stream can be read once only
        stays = outcomes = arrow_table(stays, duckdb.connect())
    options = ReadOptions(
        dictionary=dictionary,
        names=renamed,
        vocabulary=vocabularies,
        stays=stays,
        outcomes=outcomes,
        columns={} if columns is None else columns,
        outcomes_columns=outcome_names(outcomes_columns),
        missing=MissingValues.from_argument(missing),
        time_format=time_format,
        time_unit=time_unit,
        units={} if units is None else units,
        row_filter={} if row_filter is None else row_filter,
        query=query,
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
        anchor=anchor,
        event_codes=event_codes_of(event_codes),
        timezone=timezone,
        max_rejected=max_rejected,
        allow=allowed_variables(allow, dictionary),
        memory_gb=memory_gb,
        data_tables=tuple(tables or ()),
        detection_limits=detection_limits,
        units_in_values=units_in_values,
        flags_in_values=flags_in_values,
        group_columns=group_names(group_columns, stays),
    )
    check_one_table_sources(source, options)
    events, description = _read(data, source, options), simulated_as(data)
    return events if description is None else replace(events, source=description, simulated=True)


def _read(data: Any, source: str, options: ReadOptions) -> Events:
    """Let the source add its rows, ingest them, and wrap the result."""
    check_unpacked(data)
    with (
        unchanged_files(data, options.stays, options.outcomes, [table.data for table in options.data_tables]),
        system_errors("temporary files"),
        Workspace(
            options.dictionary,
            source=source,
            memory_gb=options.memory_gb,
            timezone=options.timezone,
            missing=options.missing,
            detection_limits=options.detection_limits,
            pairs=pairs_in(options.names),
        ) as workspace,
    ):
        workspace.name_sources += options.vocabulary
        if options.data_tables:
            described = read_several(workspace, options.data_tables, options)
        else:
            described = SOURCES[source](workspace, data, options)
        _check_missing_names(workspace, described, options)
        reading = recorded(options, source, workspace.columns_seen)
        result = ingest(workspace, described, options)
    columns = {field.name: getattr(result, field.name) for field in fields(IngestResult) if field.name != "maps"}
    reading["static_variables"] = [variable.name for variable in result.static_variables]
    events = Events(**columns, source=_name(data, source), reading=reading, _disk=workspace.folder, _maps=result.maps)
    return repeat_stays(events, described.further_labels)


def _check_missing_names(workspace: Workspace, described: SourceResult, options: ReadOptions) -> None:
    """Raise where `missing` names neither a variable, in our words or the source's, nor a column."""
    names = [name for source in workspace.name_sources for name in options.dictionary.names(source)]
    columns = [name for columns in workspace.columns_seen.values() for name in columns]
    outcomes = [] if described.outcomes is None else list(map(str, described.outcomes))
    options.missing.check_names([*options.dictionary, *options.names, *names, *columns, *outcomes])


def _name(data: Any, source: str) -> str:
    """The source and file name for messages; of an address only its scheme, as the rest may hold a password."""
    if is_address(data):
        return f"{source}: {data.partition(':')[0]}"
    if isinstance(data, list | tuple):
        return f"{source}: {len(data)} {'paths' if all(isinstance(item, str | Path) for item in data) else 'tables'}"
    if not isinstance(data, str | os.PathLike):
        return f"{source}: table in memory"
    return f"{source}: {Path(data).name or Path(data).absolute().name}"  # "." has no name

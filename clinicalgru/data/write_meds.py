"""Write an extract as MEDS, the Medical Event Data Standard, for other tools.

References
----------
https://github.com/Medical-Event-Data-Standard/meds, schema 0.4.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.atomic_write import atomic_write
from clinicalgru.checks import check_instance
from clinicalgru.data.events import LABELLED_STAY, STATIC_OBSERVATIONS, Events, first_times
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.errors import ArgumentError, InputError, system_errors

MEDS_VERSION = "0.4.1"
WHOLE = r"0|-?[1-9]\d{0,17}"
ROWS = """
SELECT s.subject_id, rows.time, c.code, rows.numeric_value, s.stay_id, rows.available_at, s.patient_id, s.split
FROM (
    SELECT stay, make_timestamp(time) AS time, variable AS number, value::FLOAT AS numeric_value,
        make_timestamp(available) AS available_at, 'series' AS kind FROM measurements
    UNION ALL SELECT stay, make_timestamp(time), code, NULL, make_timestamp(available), 'coded' FROM coded
    UNION ALL SELECT stay, make_timestamp(time), variable, value::FLOAT, make_timestamp(available), 'static'
        FROM static_covariates
    UNION ALL SELECT stay, make_timestamp(time), number, NULL, make_timestamp(time), 'landmark' FROM landmarks
) rows JOIN codes c USING (kind, number) JOIN stays s ON s.position = rows.stay
"""
SHARD = """
COPY (
    SELECT subject_id, time, code, numeric_value, stay_id, available_at{patient}
    FROM ({rows}) WHERE split IS NOT DISTINCT FROM {split}
    ORDER BY subject_id, time NULLS FIRST, available_at, stay_id, code, numeric_value
) TO '{path}' (FORMAT parquet)
"""


def write_meds(events: Events, folder: str | Path) -> Path:
    """Write events as a MEDS dataset; `read_events(folder, source="meds")` reads the same stays and measurements.

    Parameters
    ----------
    events : Events
        The extract. A measurement becomes the code "variable//unit" with its value as a 32-bit number, a coded event
        "variable//code", a static covariate a measurement at its own time, or at the start of its stay. A column
        `split` of the stays decides the shard.
    folder : str or Path
        A new or empty folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArgumentError
        If an argument has another type, the folder holds files, or stays have several labels.
    InputError
        If a patient is in two splits, or some stays have no split.

    Notes
    -----
    Columns beyond the standard: stay_id, available_at, and patient_id where identifiers are not whole numbers
    (subjects are then numbered). STAY_START and STAY_END are the ends of a stay. Outcomes are no events and stand in
    outcomes.parquet. Times in hours count from 1970.

    References
    ----------
    MEDS schema 0.4, https://github.com/Medical-Event-Data-Standard/meds.

    Examples
    --------
    >>> import tempfile
    >>> from clinicalgru import read_events, simulate, write_meds
    >>> events = read_events(simulate(20, random_state=0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_events(write_meds(events, folder), source="meds")
    >>> len(again) == len(events)
    True
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    if LABELLED_STAY in events.stays:
        fix = "Read the extract without the label file; MEDS keeps labels in files of their own."
        raise ArgumentError("events with each stay once", "stays with several labels", fix)
    check_instance("folder", folder, str, Path)
    folder = Path(folder)
    with system_errors(folder.name):
        if folder.exists() and any(folder.iterdir()):
            raise ArgumentError("a new or empty folder", "a folder that holds files", "Choose another folder.")
    stays = _stays(events)
    codes = _codes(events)
    named = not (stays["patient_id"] == stays["subject_id"].astype(str)).all()
    with duckdb.connect() as sql:
        sql.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        _register(sql, events, stays, codes)
        for split in sorted(set(stays["split"].dropna())) or [None]:
            shard = folder / "data" / (f"{split}/0.parquet" if split else "0.parquet")
            where = "NULL" if split is None else _literal(split)
            patient = ", patient_id" if named else ""
            with duckdb_errors(shard.name), atomic_write(shard) as draft:
                path = str(draft).replace("'", "''")
                sql.execute(SHARD.format(patient=patient, rows=ROWS, split=where, path=path))
    _write_metadata(folder, events, stays, codes, named=named)
    return folder


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _stays(events: Events) -> pd.DataFrame:
    """position, patient_id, stay_id, subject_id, split of each stay."""
    stays = events.stays[["patient_id", "stay_id"]].astype(str).assign(position=np.arange(len(events.stays)))
    whole = stays["patient_id"].str.fullmatch(WHOLE).all()
    numbered = pd.factorize(stays["patient_id"], sort=True)[0] + 1
    stays["subject_id"] = stays["patient_id"].astype("int64") if whole else numbered
    stays["split"] = events.stays["split"].to_numpy() if "split" in events.stays else None
    if (stays.groupby("patient_id")["split"].nunique() > 1).any():
        raise InputError(
            "each patient in one split", "a patient in two splits", "Correct the column split.", where="stays"
        )
    if stays["split"].notna().any() and stays["split"].isna().any():
        raise InputError("a split for each stay", "stays without a split", "Complete the column split.", where="stays")
    return stays


def _codes(events: Events) -> pd.DataFrame:
    """Kind, number and MEDS code of everything that may occur, with description and parents."""
    loinc = [
        [f"LOINC//{code}" for code in v.source_codes.get("loinc", ())]
        for v in (*events.variables, *events.static_variables)
    ]
    descriptions = [
        (v.label, parents) for v, parents in zip((*events.variables, *events.static_variables), loinc, strict=True)
    ]
    rows: list[tuple[str, int, str, str | None, list[str]]]
    rows = [("series", i, f"{v.name}//{v.unit}", *descriptions[i]) for i, v in enumerate(events.variables)]
    offset = len(events.variables)
    rows += [
        ("static", i, f"{v.name}//{v.unit}", *descriptions[offset + i]) for i, v in enumerate(events.static_variables)
    ]
    rows += [("coded", i, code, None, []) for i, code in enumerate(events.code_vocabulary)]
    rows += [("landmark", 0, "STAY_START", "Start of the stay", []), ("landmark", 1, "STAY_END", "End of the stay", [])]
    return pd.DataFrame(rows, columns=["kind", "number", "code", "description", "parent_codes"])


def _register(sql: duckdb.DuckDBPyConnection, events: Events, stays: pd.DataFrame, codes: pd.DataFrame) -> None:
    sql.register("measurements", events.measurements)
    sql.register("coded", events.coded)
    text = {name: pa.array(stays[name], pa.string()) for name in ("patient_id", "stay_id", "split")}
    numbers = {name: pa.array(stays[name], pa.int64()) for name in ("position", "subject_id")}
    sql.register("stays", pa.table({**text, **numbers}))
    sql.register("codes", pa.Table.from_pandas(codes[["kind", "number", "code"]], preserve_index=False))
    sql.register("static_covariates", _static_covariates(events))
    sql.register("landmarks", _landmarks(events))


def _static_covariates(events: Events) -> pa.Table:
    """stay, time, available, variable (position among the static covariates) and value of each static covariate."""
    start = _starts(events)
    when = np.where(start.isna(), first_times(events), start.fillna(0).to_numpy(dtype=np.int64))
    tables = [STATIC_OBSERVATIONS.empty_table().to_pandas()]
    observed = events.static_observations.to_pandas()
    for number, variable in enumerate(events.static_variables):
        rows = observed[observed["variable"] == number]
        known = events.stays[variable.name].notna().to_numpy(copy=True)
        known[rows["stay"]] = False  # these were known from their own times on
        stay, value = np.flatnonzero(known), events.stays[variable.name].to_numpy(dtype=float)[known]
        start_rows = {"stay": stay, "available": when[stay], "time": when[stay], "variable": number, "value": value}
        rows = pd.concat([rows, pd.DataFrame(start_rows)])
        if variable.categories:
            codes = np.array([float(category) for category in variable.categories])
            rows["value"] = codes[rows["value"].to_numpy(dtype=int)]
        tables.append(rows)
    return pa.Table.from_pandas(pd.concat(tables), STATIC_OBSERVATIONS, preserve_index=False)


def _starts(events: Events) -> pd.Series:
    """Microseconds; times in hours count from the start of the stay, so that it is 0."""
    start = events.stays["start"].astype("Int64")
    return start if events.has_dates else start.fillna(0)


def _landmarks(events: Events) -> pa.Table:
    """Start of each stay, without a time where it is unknown, and end where it is known."""
    stay = np.arange(len(events.stays))
    start, end = _starts(events), events.stays["end"].astype("Int64")
    ended = end.notna().to_numpy()
    return pa.table(
        {
            "stay": np.concatenate([stay, stay[ended]]),
            "time": pa.array(pd.concat([start, end[ended]]), pa.int64()),
            "number": np.concatenate([np.zeros(len(stay), np.int64), np.ones(int(ended.sum()), np.int64)]),
        }
    )


def _write_metadata(folder: Path, events: Events, stays: pd.DataFrame, codes: pd.DataFrame, *, named: bool) -> None:
    metadata = folder / "metadata"
    unique = codes.drop_duplicates("code")
    parents = pa.array(unique["parent_codes"].tolist(), pa.list_(pa.string()))
    texts = {name: pa.array(unique[name], pa.string()) for name in ("code", "description")}
    _write_table(pa.table({**texts, "parent_codes": parents}), metadata / "codes.parquet")
    if stays["split"].notna().any():
        subjects = stays.drop_duplicates("subject_id")
        split = {
            "subject_id": pa.array(subjects["subject_id"], pa.int64()),
            "split": pa.array(subjects["split"], pa.string()),
        }
        _write_table(pa.table(split), metadata / "subject_splits.parquet")
    if events.outcomes:
        outcomes = stays[["patient_id", "stay_id"]].join(events.stays[list(events.outcomes)].reset_index(drop=True))
        _write_table(pa.Table.from_pandas(outcomes, preserve_index=False), folder / "outcomes.parquet")
    about = {
        "dataset_name": events.source,
        "etl_name": "clinicalgru",
        "etl_version": version("clinicalgru"),
        "meds_version": MEDS_VERSION,
        "created_at": datetime.now(UTC).isoformat(),
        "raw_source_id_columns": ["stay_id", *(["patient_id"] if named else [])],
        "other_extension_columns": ["available_at"],
    }
    with atomic_write(metadata / "dataset.json") as draft:
        draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _write_table(table: pa.Table, path: Path) -> None:
    with atomic_write(path) as draft:
        pq.write_table(table, draft)

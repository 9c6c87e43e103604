"""Label files of MEDS, as ACES writes them: subject_id, prediction_time and a value, as outcomes of stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import pandas as pd

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import open_parts
from clinicalgru.errors import InputError

VALUES = ("boolean_value", "integer_value", "float_value", "categorical_value")
SUBJECTS = ("subject_id", "patient_id")


def is_label_table(connection: duckdb.DuckDBPyConnection, data: Any) -> bool:
    """Return whether a table is one of labels: it has a column prediction_time.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read it.
    data : path, DataFrame or Arrow table
        The table, or a folder of its shards.

    Returns
    -------
    bool
        Whether it is.
    """
    return all("prediction_time" in part.types for part in open_parts(connection, data))


def read_labels(
    connection: duckdb.DuckDBPyConnection, data: Any, result: SourceResult, landmarks: pd.DataFrame
) -> SourceResult:
    """Give each label to the stay that its prediction time lies in.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read the table.
    data : path, DataFrame or Arrow table
        The label table, or a folder of its shards.
    result : SourceResult
        The stays of the dataset.
    landmarks : DataFrame
        subject and patient_id of each person.

    Returns
    -------
    SourceResult
        With the labels as outcomes, under their published names, and prediction_hours in the stays: the prediction
        time in hours since the start of the stay. A table without values gives prediction times only, for scoring.

    Raises
    ------
    InputError
        If a column is missing, a label is no number, or two labels of one prediction time differ.

    Notes
    -----
    Of several stays around a prediction time, the label is that of the one that started last. A label holds for its
    prediction time: with anchor "prediction_time", `select` sees each stay until its own. A task whose window ends at
    another time is refused. Of several labels of a stay, the first by time is among the outcomes, the others are
    `further_labels`.
    """
    frames = []
    for part in open_parts(connection, data):
        subject = next((name for name in SUBJECTS if name in part.types), None)
        values = [name for name in VALUES if name in part.types]
        if subject is None:
            fix = "Pass labels in the schema of MEDS."
            raise InputError("a column subject_id", f"columns {', '.join(part.types)}", fix, where=part.label)
        cells = "".join(f", CAST({name} AS VARCHAR) AS {name}" for name in values)
        when = "epoch_us(CAST(prediction_time AS TIMESTAMP)) AS time"
        with duckdb_errors(part.label):
            query = f"SELECT CAST({subject} AS VARCHAR) AS subject, {when}{cells} FROM {part.sql}"
            frames.append(connection.execute(query).df())
    labels = pd.concat(frames, ignore_index=True)
    values = [name for name in VALUES if name in labels and labels[name].notna().any()]
    for name in values:
        labels[name] = _numbers(labels[name], name)
    return _joined(labels, values, result, landmarks)


def _numbers(cells: pd.Series, name: str) -> pd.Series:
    """Labels as numbers; true and false are 1 and 0."""
    text = cells.str.strip().str.casefold()
    number = pd.to_numeric(text, errors="coerce").astype(float).mask(text == "true", 1.0).mask(text == "false", 0.0)
    if (number.isna() & text.notna() & (text != "")).any():
        fix = "Code the classes as 0, 1, 2, ..."
        raise InputError("labels as numbers, true or false", "other text", fix, where=f"outcomes, column {name}")
    return number


def _joined(labels: pd.DataFrame, values: list[str], result: SourceResult, landmarks: pd.DataFrame) -> SourceResult:
    assert result.stays is not None
    people = landmarks.drop_duplicates("subject").set_index("subject")["patient_id"]
    labels = labels.assign(patient_id=labels["subject"].map(people), row=range(len(labels)))
    timed = labels.dropna(subset=["patient_id", "time"]).astype({"time": "int64", "patient_id": object})
    stays = result.stays[["patient_id", "stay_id", "start", "end"]].dropna(subset="start")
    stays = stays.astype({"start": "int64", "patient_id": object}).sort_values("start")
    found = pd.merge_asof(timed.sort_values("time"), stays, left_on="time", right_on="start", by="patient_id")
    inside = found["stay_id"].notna() & ((found["end"] >= found["time"]) | found["end"].isna()).fillna(False).astype(
        bool
    )
    keys = ["patient_id", "stay_id"]
    found = found[inside].sort_values("row")
    unlike = found.drop_duplicates([*keys, "time", *values])
    differ = unlike.duplicated([*keys, "time"])
    if differ.any():
        row, fix = unlike.loc[differ, "row"].iloc[0], "Keep one of them."
        got = "two labels that differ"
        raise InputError("one label for each prediction time of a stay", got, fix, where=f"outcomes, row {row}")
    unlike = unlike.assign(prediction_hours=(unlike["time"] - unlike["start"]) / HOUR)
    unlike = unlike.sort_values("time", kind="stable")[[*keys, "prediction_hours", *values]]
    is_first = ~unlike.duplicated(keys)
    first = unlike[is_first]
    notes = {
        "labels whose prediction time lies in no stay": int(len(labels) - inside.sum()),
        "labels that repeat another": len(found) - len(unlike),
    }
    return replace(
        result,
        stays=result.stays.merge(first[[*keys, "prediction_hours"]], on=keys, how="left"),
        outcomes=first[[*keys, *values]].reset_index(drop=True) if values else result.outcomes,
        named_outcomes=tuple(values) if values else result.named_outcomes,
        further_labels=unlike[~is_first].reset_index(drop=True),
        notes={**result.notes, **{note: count for note, count in notes.items() if count or "no stay" in note}},
    )

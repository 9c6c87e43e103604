"""PhysioNet/CinC Challenge 2019 (early sepsis): a folder, .zip or .tar.gz of one hourly table a stay, *.psv.

Time is ICULOS, the hours since admission to the ICU, as published: the first row of most stays is hour 1, hour 0 is the
admission. A stay ends with its last row.

References
----------
Reyna et al., Early prediction of sepsis from clinical data, Crit Care Med 2020;48(2):210-217.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.archive import StayFiles, read_stay_files
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, column_types
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.wide import add_wide
from clinicalgru.errors import InputError

CLOCK, LABEL = "ICULOS", "SepsisLabel"
RELATION = "physionet2019"


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add a set as published; each file is the one stay of one patient.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Archive or folder of the set.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes where the set has labels, and notes.

    Raises
    ------
    InputError
        If an ICULOS is no number, or a SepsisLabel is neither 0 nor 1.

    Notes
    -----
    Outcomes: sepsis (1 where any SepsisLabel is 1) and sepsis_onset_hours (ICULOS of the first such row, NaN
    without sepsis). The publisher moved the labels to 6 hours before the onset. SepsisLabel is no variable.
    """
    notes: dict[str, int] = {}
    stays, path = [], as_path(data, "the archive or folder of the set")
    for files in read_stay_files(path, ".psv", delimiter="|", check=_check_header):
        stays.append(_stays(files))
        columns = {name: files.table[name] for name in files.table.column_names}
        workspace.sql.register(RELATION, files.relation(**columns))
        part = TablePart(path.name, RELATION, column_types(workspace.sql, RELATION), first_row=2, files=files.names)
        for note, cells in add_wide(workspace, part, replace(options, columns={"time": CLOCK}), leave=[LABEL]).items():
            notes[note] = notes.get(note, 0) + cells
        workspace.sql.unregister(RELATION)
    table = pd.concat(stays, ignore_index=True)
    names = ["sepsis", "sepsis_onset_hours"] if "sepsis" in table else []
    outcomes = table[["patient_id", "stay_id", *names]] if names else None
    return SourceResult(stays=table.drop(columns=names), outcomes=outcomes, notes=notes)


def _check_header(names: list[str]) -> None:
    if CLOCK not in names:
        raise InputError(f"a column {CLOCK}", f"{len(names)} columns without it", "Pass the files as published.")


def _stays(files: StayFiles) -> pd.DataFrame:
    """Stays with their start (hour 0) and end (last hour), and their outcomes where the set has labels."""
    rows = pd.DataFrame({"file": files.file, "hour": _numbers(files, CLOCK)})
    hours = rows.groupby("file")["hour"].max().reindex(range(len(files.names)))
    record = files.records.to_pandas()
    stays = pd.DataFrame({"patient_id": record, "stay_id": record, "start": 0})
    stays["start"] = stays["start"].astype("Int64")
    stays["end"] = (hours * HOUR).round().astype("Int64")
    if LABEL in files.table.column_names:
        rows["label"] = _numbers(files, LABEL, allowed=(0.0, 1.0))
        stays["sepsis"] = rows.groupby("file")["label"].max().reindex(stays.index)
        onset = rows[rows["label"] == 1].groupby("file")["hour"].min()
        stays["sepsis_onset_hours"] = onset.reindex(stays.index).astype(float)
    return stays


def _numbers(files: StayFiles, name: str, *, allowed: tuple[float, ...] | None = None) -> np.ndarray:
    """(row,) a column that every row must fill; refused otherwise, with file and row."""
    cells = files.table[name]
    text = pa.types.is_string(cells.type)
    numbers = np.asarray(pd.to_numeric(cells.to_pandas(), errors="coerce") if text else cells.to_numpy(), dtype=float)
    wrong = ~np.isfinite(numbers) if allowed is None else ~np.isin(numbers, allowed)
    if wrong.any():
        first = int(np.argmax(wrong))
        where = f"{files.names[files.file[first]]}, row {files.row[first]}, column {name}"
        expected = "a number of hours" if allowed is None else " or ".join(f"{number:g}" for number in allowed)
        raise InputError(expected, "a blank or other value", "Repair the row, or fetch the set again.", where=where)
    return numbers

"""PhysioNet/CinC Challenge 2012: a folder, .tar.gz or .zip of one text file a stay, with lines Time,Parameter,Value.

References
----------
Silva et al., Predicting in-hospital mortality of ICU patients, Comput Cardiol 2012;39:245-248.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.ingest.archive import StayFiles, read_stay_files
from clinicalgru.data.ingest.outcomes_table import read_published_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, column_types
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import InputError

HEADER = ["Time", "Parameter", "Value"]
IDENTIFIER = "RecordID"
CLOCK = re.compile(r"\d{2,3}:[0-5]\d")
NOT_MEASURED = (-1.0,)
OUTCOMES = {  # theirs -> ours; the scores of the first day are outcomes, never inputs
    "In-hospital_death": "in_hospital_death",
    "Length_of_stay": "length_of_stay",
    "Survival": "survival_days",
    "SAPS-I": "saps_1",
    "SOFA": "sofa",
}
LATER_DEATHS = (30, 90, 365)  # days since admission
RELATION = "physionet2012"


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add a set as published; each record is the one stay of one patient.

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
        Outcomes, where `options.outcomes` is the Outcomes file of the set.

    Raises
    ------
    InputError
        If a file holds another record than its name says.

    Notes
    -----
    Outcomes: in_hospital_death, length_of_stay and survival_days (days), death_30d, death_90d, death_365d (see
    `_with_later_deaths`), saps_1 and sofa (of the first day).
    """
    path = as_path(data, "the archive or folder of the set")
    workspace.add_identifier_names(IDENTIFIER)
    for files in read_stay_files(path, ".txt", delimiter=",", check=_check_header):
        _check_records(files)
        cells = {"variable": files.table["Parameter"], "value": files.table["Value"]}
        workspace.sql.register(RELATION, files.relation(time=_hours(files.table["Time"]), **cells))
        part = TablePart(path.name, RELATION, column_types(workspace.sql, RELATION), first_row=2, files=files.names)
        workspace.add_rows(part, {}, RowFormat(missing_values=NOT_MEASURED))
        workspace.sql.unregister(RELATION)
    outcomes = None
    if options.outcomes is not None:
        keys = {"stay_id": IDENTIFIER}
        outcomes = read_published_outcomes(options.outcomes, keys=keys, renamed=OUTCOMES, missing=NOT_MEASURED)
        outcomes = _with_later_deaths(outcomes)
    return SourceResult(outcomes=outcomes, static_from_start={"weight": "admission_weight"})


def _with_later_deaths(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Besides, death_30d, ...: whether so early a death is recorded; unknown of one in hospital without its day."""
    if not {"survival_days", "in_hospital_death"} <= set(outcomes):
        return outcomes
    day = outcomes["survival_days"]
    unknown = day.isna() & (outcomes["in_hospital_death"] != 0)
    later = {f"death_{days}d": (day <= days).astype(float).mask(unknown) for days in LATER_DEATHS}
    return outcomes.assign(**later)


def _check_header(names: list[str]) -> None:
    if names != HEADER:
        raise InputError(",".join(HEADER), f"a first line of {len(names)} fields", "Pass the files as published.")


def _hours(clock: pa.ChunkedArray) -> pa.Array:
    """HH:MM since admission as hours; what is not HH:MM stays as it is, to be counted as not readable."""
    encoded = clock.combine_chunks().dictionary_encode()
    hours = [
        f"{int(written[:-3]) + int(written[-2:]) / 60:.17g}" if CLOCK.fullmatch(written) else f"{written}?"
        for written in encoded.dictionary.to_pylist()
    ]
    return pa.array(hours, pa.string()).take(encoded.indices)


def _check_records(files: StayFiles) -> None:
    stay = files.records.take(pa.array(files.file))
    other = pc.and_(pc.equal(files.table["Parameter"], IDENTIFIER), pc.not_equal(files.table["Value"], stay))
    if pc.any(other).as_py():
        name = files.names[files.file[pc.index(other, True).as_py()]]
        raise InputError(
            "the RecordID of the file's name", "a different RecordID", "Restore the file's name.", where=name
        )

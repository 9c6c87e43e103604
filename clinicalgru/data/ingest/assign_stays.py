"""Stays of an extract: their order, and the stay of each row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.column_names import IDENTIFIERS
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import DUPLICATE, OUTSIDE, UNMAPPED
from clinicalgru.errors import InputError

SCIENTIFIC = r"\d([.,]\d+)?[eE]\+\d+"  # 2.01235E+11


def assign_stays(workspace: Workspace, stays: pd.DataFrame | None, *, count_unmapped: bool = True) -> pd.DataFrame:
    """Put the stays in canonical order, and give each row its stay and the reason against it.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows and with units resolved.
    stays : DataFrame or None
        The stays of the source; None: those that occur in the rows.
    count_unmapped : bool
        Whether names unknown to the dictionary count against `max_rejected`.

    Returns
    -------
    DataFrame
        The stays, sorted by patient_id and stay_id, with start and end (microseconds, NA = unknown).

    Raises
    ------
    InputError
        If identifiers are numbers in scientific notation: a spreadsheet writes long ones so, and several become one.
    """
    stays = workspace.sql.execute(ingest_sql.STAYS).df() if stays is None else stays
    stays = stays.astype({"patient_id": object, "stay_id": object})
    for name in IDENTIFIERS:
        if stays[name].str.fullmatch(SCIENTIFIC, na=False).any():
            got, fix = "numbers in scientific notation, as a spreadsheet rounds long ones", "Export them anew as text."
            raise InputError(f"{name} as the source wrote it", got, fix, where=f"column {name}")
    stays = stays.sort_values(["patient_id", "stay_id"], ignore_index=True)
    for name in ("start", "end"):
        if name not in stays:
            stays[name] = pd.Series(pd.NA, index=stays.index, dtype="Int64")
    workspace.sql.register("stay_keys_frame", _keys(stays))
    for statement in (ingest_sql.FURTHER_IDENTIFIERS, ingest_sql.STAY_KEYS, ingest_sql.POSITIONS, ingest_sql.MEANINGS):
        workspace.sql.execute(statement)
    workspace.sql.execute(ingest_sql.ASSIGN_STAY)
    if workspace.has_duplicate_source:
        workspace.sql.execute(ingest_sql.REJECT_DUPLICATES.format(duplicate=DUPLICATE))
    unknown = "unknown variable" if count_unmapped else UNMAPPED
    reasons = {"unknown": unknown, "outside": OUTSIDE, "unmapped": UNMAPPED}
    workspace.sql.execute(ingest_sql.ROWS_WITH_REASON.format(**reasons))
    workspace.sql.execute(ingest_sql.COUNTS)
    return stays


def _keys(stays: pd.DataFrame) -> pa.Table:
    """Identifiers, position and times of each stay."""
    return pa.table(
        {
            "patient": pa.array(stays["patient_id"], pa.string()),
            "stay": pa.array(stays["stay_id"], pa.string()),
            "position": pa.array(np.arange(len(stays), dtype=np.int32)),
            "start": pa.array(stays["start"], pa.int64()),
            "ended": pa.array(stays["end"], pa.int64()),
        }
    )

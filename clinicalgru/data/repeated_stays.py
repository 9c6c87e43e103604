"""Stays with several labels: one entry for each label, with all rows of its stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import LABELLED_STAY, Events
from clinicalgru.data.keep_stays import keep_stays
from clinicalgru.data.sequences.memmap import mapped_table
from clinicalgru.errors import system_errors

CHUNK_ROWS = 1_000_000
FURTHER = "further labels of a stay, each an entry of its own with the rows of the stay"


def repeat_stays(events: Events, further: pd.DataFrame | None) -> Events:
    """Repeat each stay for the further labels that it has.

    Parameters
    ----------
    events : Events
        The extract; each stay has its first label.
    further : DataFrame or None
        patient_id, stay_id, and columns of `events.stays` as they are for each further label, in order.

    Returns
    -------
    Events
        With an entry for each label: stay_id is that of the stay with the number of the label, such as "7-1:2". The
        column `labelled_stay` numbers the stays, so that entries of one stay can be recognised. Each entry has the rows
        of its stay, but for rejected values, which the first has. The ledger counts the rows of the extract once, and
        notes how many labels were added.
    """
    if further is None or further.empty:
        return events
    stays = events.stays
    position = further.merge(stays[["patient_id", "stay_id"]].assign(position=range(len(stays))))
    copies = 1 + np.bincount(position["position"], minlength=len(stays))
    source = np.repeat(np.arange(len(stays)), copies)
    number = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    repeated = stays.iloc[source].reset_index(drop=True).assign(**{LABELLED_STAY: source})
    columns = list(further.columns.drop(["patient_id", "stay_id"]))
    ordered = position.sort_values("position", kind="stable")
    repeated.loc[number > 0, columns] = ordered[columns].to_numpy(dtype=float)
    width = len(str(copies.max()))
    names = repeated["stay_id"] + ":" + pd.Series(number + 1).astype(str).str.zfill(width)
    repeated["stay_id"] = repeated["stay_id"].where(copies[source] == 1, names)
    table, maps = _on_disk(events, source)
    first = np.cumsum(copies) - copies
    notes = {**events.ledger.notes, FURTHER: len(position)}
    return replace(
        events,
        stays=repeated,
        measurements=table,
        coded=_repeated(events.coded, source),
        static_observations=_repeated(events.static_observations, source),
        implausible=_moved(events.implausible, first),
        ledger=replace(events.ledger, notes=notes),
        _maps=maps,
    )


def stays_once(events: Events) -> Events:
    """Give each stay once, with its first label.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    Events
        As it was given, where no stay has several labels.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> events = read_events(simulate(20))
    >>> stays_once(events) is events
    True
    """
    if LABELLED_STAY not in events.stays:
        return events
    return keep_stays(events, ~events.stays[LABELLED_STAY].duplicated().to_numpy())


def _on_disk(events: Events, source: np.ndarray) -> tuple[pa.Table, object]:
    """The measurements of each entry, written next to those of the stays and memory-mapped."""
    path = Path(events._disk.name) / "labelled.arrow"
    with (
        system_errors("temporary files"),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, events.measurements.schema) as writer,
    ):
        for batch in _pieces(events.measurements, source):
            writer.write_table(batch)
    return mapped_table(path)


def _repeated(table: pa.Table, source: np.ndarray) -> pa.Table:
    return pa.concat_tables([table.schema.empty_table(), *_pieces(table, source)])


def _pieces(table: pa.Table, source: np.ndarray) -> Iterator[pa.Table]:
    """The rows of each entry in order, about a million at a time; `table` is in order of the stays."""
    starts = np.searchsorted(table["stay"].to_numpy(), np.arange(source.max() + 2))
    rows = (starts[1:] - starts[:-1])[source]
    ends = np.cumsum(rows)
    bounds = np.unique(np.searchsorted(ends, np.arange(0, ends[-1] + CHUNK_ROWS, CHUNK_ROWS), side="left"))
    for low, high in zip(bounds, [*bounds[1:], len(source)], strict=True):
        entries = np.arange(low, high)
        n_rows = rows[entries]
        if not n_rows.sum():
            continue
        first, last = starts[source[low]], starts[source[high - 1] + 1]
        offsets = np.repeat(starts[source[entries]] - first - (np.cumsum(n_rows) - n_rows), n_rows)
        piece = table.slice(first, last - first).take(pa.array(offsets + np.arange(n_rows.sum())))
        yield _with_stay(piece, np.repeat(entries, n_rows))


def _moved(table: pa.Table, first: np.ndarray) -> pa.Table:
    """The rows of stays at the first entry of each; those of no stay stay so."""
    stay = table["stay"].to_pandas().astype("Int32")
    known = stay.notna()
    stay[known] = first[stay[known].astype(int)]
    return _with_stay(table, pa.array(stay, pa.int32()))


def _with_stay(table: pa.Table, stay: np.ndarray | pa.Array) -> pa.Table:
    index = table.schema.get_field_index("stay")
    column = stay if isinstance(stay, pa.Array) else pa.array(stay)
    return table.set_column(index, table.schema.field("stay"), column.cast(table.schema.field("stay").type))

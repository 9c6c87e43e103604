"""Dates and identifiers under a secret key: what is kept, and what nobody without the key can undo."""

from __future__ import annotations

import hashlib
import hmac
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.errors import ArgumentError

SHORTEST_KEY = 16  # bytes
CHUNK = 1_000_000


def shift_dates(events: Events, *, key: bytes | str, days: int = 365) -> Events:
    """The same events with all dates of each patient moved by one number of whole days, so that intervals are kept.

    key      the secret, of at least 16 bytes; the same key moves the same patient alike, and it is written nowhere
    days     each patient is moved by 1 to `days` days, back or forth
    returns  events whose measurements, coded events, starts and ends are moved; hours of the day, all intervals, the
             outcomes (times among them are hours since the start) and with them every risk are as before

    Day of the week, season and year are not kept, and so say nothing. Refused: a short key, events without dates.
    Source: HMAC-SHA256 (RFC 2104) of the patient's identifier.

    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> events = read_events(simulate(20, random_state=0))
    >>> moved = shift_dates(events, key="a secret of 16 or more")
    >>> (moved.stays["end"] - moved.stays["start"]).equals(events.stays["end"] - events.stays["start"])
    True
    """
    if not events.has_dates:
        raise ArgumentError("events with dates", "hours since the start", "There is no date to shift: use them as is.")
    if days < 1:
        raise ArgumentError("days of 1 or more", f"{days}", "Use 365, so that the season is hidden too.")
    patient, position = np.unique(events.stays["patient_id"].to_numpy().astype(str), return_inverse=True)
    moves = np.array([_days(digest, days) for digest in _digests(patient, key, "shift")], dtype=np.int64)
    shift = (moves * 24 * HOUR)[position]
    stays = events.stays.copy()
    for name in ("start", "end"):
        stays[name] = stays[name].astype("Int64") + pd.Series(shift, index=stays.index)
    disk = tempfile.TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True)
    moved = (_moved(batch, shift) for batch in events.measurements.to_batches())
    facts = _stored(moved, events.measurements.schema, disk)
    coded = pa.Table.from_batches((_moved(batch, shift) for batch in events.coded.to_batches()), events.coded.schema)
    return replace(events, measurements=facts, coded=coded, stays=stays, _disk=disk)


def pseudonymise(events: Events, *, key: bytes | str) -> Events:
    """The same events with patients and stays under other names, in the order of these.

    key      the secret, of at least 16 bytes; the same key gives the same names, so that extracts can still be joined
    returns  events whose identifiers are 16 hexadecimal digits; nothing else is changed, dates neither

    Refused: a short key. Source: HMAC-SHA256 (RFC 2104).

    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> events = pseudonymise(read_events(simulate(20, random_state=0)), key="a secret of 16 or more")
    >>> int(events.stays["patient_id"].str.fullmatch("[0-9a-f]{16}").sum())
    20
    """
    stays = events.stays.copy()
    patient, stay = (stays[name].to_numpy().astype(str) for name in ("patient_id", "stay_id"))
    lengths = np.char.add(np.char.str_len(patient).astype(str), ":")  # so that no two pairs read alike
    pairs = np.char.add(np.char.add(lengths, patient), stay)
    stays["patient_id"], stays["stay_id"] = _names(patient, key, "patient"), _names(pairs, key, "stay")
    order = stays.sort_values(["patient_id", "stay_id"]).index.to_numpy()
    disk = tempfile.TemporaryDirectory(prefix="clinicalgru-", ignore_cleanup_errors=True)
    facts = _stored(_reordered(events.measurements, order), events.measurements.schema, disk)
    coded = pa.Table.from_batches(_reordered(events.coded, order), events.coded.schema)
    return replace(events, measurements=facts, coded=coded, stays=stays.loc[order].reset_index(drop=True), _disk=disk)


def _digests(names: Iterable[str], key: bytes | str, purpose: str) -> list[bytes]:
    """HMAC of each name; a purpose of its own, so that the shift and the new name tell nothing of each other."""
    secret = key.encode() if isinstance(key, str) else bytes(key)
    if len(secret) < SHORTEST_KEY:
        fix = "Make one: python -c 'import secrets; print(secrets.token_hex(32))'."
        raise ArgumentError(f"a key of {SHORTEST_KEY} bytes or more", f"{len(secret)} bytes", fix)
    return [hmac.digest(secret, f"clinicalgru {purpose}\0{name}".encode(), hashlib.sha256) for name in names]


def _days(digest: bytes, days: int) -> int:
    """1 to `days`, back or forth; 0 would leave a patient's dates as they are."""
    place = int.from_bytes(digest[:16], "big") % (2 * days)  # of 2**128: no day is noticeably likelier
    return place - days if place < days else place - days + 1


def _names(names: np.ndarray, key: bytes | str, purpose: str) -> np.ndarray:
    distinct, position = np.unique(names, return_inverse=True)
    new = np.array([digest[:8].hex() for digest in _digests(distinct, key, purpose)], dtype=object)
    if len(set(new)) != len(new):
        raise ArgumentError("another name for each", "two that became alike", "Use another key.")
    return new[position]


def _moved(batch: pa.RecordBatch, shift: np.ndarray) -> pa.RecordBatch:
    by = shift[batch["stay"].to_numpy()]
    columns = {name: batch[name] for name in batch.schema.names}
    columns |= {name: pa.array(batch[name].to_numpy() + by) for name in ("available", "time")}
    return pa.record_batch(list(columns.values()), schema=batch.schema)


def _reordered(table: pa.Table, order: np.ndarray) -> Iterable[pa.RecordBatch]:
    """The rows with the stays in another order, each stay's rows as they were, a chunk at a time."""
    table = table.combine_chunks() if table.num_rows < CHUNK else table
    stay = table["stay"].to_numpy()
    starts = np.searchsorted(stay, np.arange(len(order) + 1))
    rows, begins = concat_ranges(starts, order)
    renumbered = np.repeat(np.arange(len(order), dtype=np.int32), np.diff(begins))
    at = table.schema.get_field_index("stay")
    for first in range(0, len(rows), CHUNK):
        chunk = table.take(pa.array(rows[first : first + CHUNK]))
        kind = table.schema.field("stay").type
        numbers = pa.array(renumbered[first : first + CHUNK]).cast(kind)
        yield from chunk.set_column(at, table.schema.field("stay"), numbers).combine_chunks().to_batches()


def _stored(batches: Iterable[pa.RecordBatch], schema: pa.Schema, disk: Any) -> pa.Table:
    """The rows on disk, mapped into memory, so that an extract larger than memory stays there."""
    path = Path(disk.name) / "facts.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

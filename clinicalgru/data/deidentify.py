"""De-identify an extract: shift dates and replace identifiers, under a secret key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.errors import ArgumentError
from clinicalgru.temporary_folder import TemporaryFolder

MIN_KEY_BYTES = 16  # bytes
CHUNK = 1_000_000


def shift_dates(events: Events, *, key: bytes | str, days: int = 365) -> Events:
    """Shift all dates of each patient by the same number of whole days.

    Parameters
    ----------
    events : Events
        The extract.
    key : bytes or str
        Secret of at least 16 bytes. The same key gives the same result; it is stored nowhere.
    days : int
        Each patient is shifted by 1 to `days` days, forward or backward.

    Returns
    -------
    Events
        The extract with shifted measurements, coded events, rejected values, starts and ends. Hours of the day,
        intervals and outcomes are unchanged, so risks are too. Day of the week, season and year are not preserved.

    Raises
    ------
    ArgumentError
        If the key is short, `days` is below 1, or the events have no dates.

    References
    ----------
    HMAC-SHA256 of the patient identifier: RFC 2104.

    Examples
    --------
    >>> from clinicalgru import read_events, shift_dates, simulate
    >>> events = read_events(simulate(20, random_state=0))
    >>> shifted = shift_dates(events, key="a secret of 16 or more")
    >>> (shifted.stays["end"] - shifted.stays["start"]).equals(events.stays["end"] - events.stays["start"])
    True
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    if not events.has_dates:
        raise ArgumentError(
            "events with dates", "hours since the start", "Use them as they are: there is no date to shift."
        )
    check_number("days", days, minimum=1, whole=True)
    patient, position = np.unique(events.stays["patient_id"].to_numpy().astype(str), return_inverse=True)
    offsets = np.array([_days(digest, days) for digest in _digests(patient, key, "shift")], dtype=np.int64)
    shift = (offsets * 24 * HOUR)[position]
    stays = events.stays.copy()
    for name in ("start", "end"):
        stays[name] = stays[name].astype("Int64") + pd.Series(shift, index=stays.index)
    disk = TemporaryFolder()
    shifted = (_shifted(batch, shift) for batch in events.measurements.to_batches())
    measurements = _write_table(shifted, events.measurements.schema, disk)
    small = {
        name: pa.Table.from_batches((_shifted(batch, shift) for batch in table.to_batches()), table.schema)
        for name, table in _small_tables(events).items()
    }
    return replace(events, measurements=measurements, stays=stays, _disk=disk, **small)


def pseudonymise(events: Events, *, key: bytes | str) -> Events:
    """Replace the identifiers of patients and stays by pseudonyms.

    Parameters
    ----------
    events : Events
        The extract.
    key : bytes or str
        Secret of at least 16 bytes. The same key gives the same result; it is stored nowhere.

    Returns
    -------
    Events
        The extract with identifiers of 16 hexadecimal digits, in their order. Dates are unchanged. Extracts under the
        same key can still be joined.

    Raises
    ------
    ArgumentError
        If the key is short.

    References
    ----------
    HMAC-SHA256: RFC 2104.

    Examples
    --------
    >>> from clinicalgru import pseudonymise, read_events, simulate
    >>> events = pseudonymise(read_events(simulate(20, random_state=0)), key="a secret of 16 or more")
    >>> int(events.stays["patient_id"].str.fullmatch("[0-9a-f]{16}").sum())
    20
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    stays = events.stays.copy()
    patient, stay = (stays[name].to_numpy().astype(str) for name in ("patient_id", "stay_id"))
    lengths = np.char.add(np.char.str_len(patient).astype(str), ":")  # so that no two pairs are written alike
    pairs = np.char.add(np.char.add(lengths, patient), stay)
    stays["patient_id"], stays["stay_id"] = _names(patient, key, "patient"), _names(pairs, key, "stay")
    order = stays.sort_values(["patient_id", "stay_id"]).index.to_numpy()
    disk = TemporaryFolder()
    measurements = _write_table(_reordered(events.measurements, order), events.measurements.schema, disk)
    small = {
        name: pa.Table.from_batches(_reordered(table, order), table.schema)
        for name, table in _small_tables(events).items()
    }
    stays = stays.loc[order].reset_index(drop=True)
    return replace(events, measurements=measurements, stays=stays, _disk=disk, **small)


def _small_tables(events: Events) -> dict[str, pa.Table]:
    """The tables of rows by stay that are in memory."""
    return {name: getattr(events, name) for name in ("coded", "static_observations", "implausible")}


def _digests(names: Iterable[str], key: bytes | str, purpose: str) -> list[bytes]:
    """HMAC of each name; each purpose has digests of its own, so that they reveal nothing of each other."""
    check_instance("key", key, bytes, str, fix="Pass a secret of 16 bytes or more.")
    secret = key.encode() if isinstance(key, str) else key
    if len(secret) < MIN_KEY_BYTES:
        fix = "Make one: python -c 'import secrets; print(secrets.token_hex(32))'."
        raise ArgumentError(f"a key of {MIN_KEY_BYTES} bytes or more", f"{len(secret)} bytes", fix)
    return [hmac.digest(secret, f"clinicalgru {purpose}\0{name}".encode(), hashlib.sha256) for name in names]


def _days(digest: bytes, days: int) -> int:
    """1 to `days`, forward or backward; never 0, which would leave the dates of a patient as they are."""
    number = int.from_bytes(digest[:16], "big") % (2 * days)  # of 2**128: days are equally probable
    return number - days if number < days else number - days + 1


def _names(names: np.ndarray, key: bytes | str, purpose: str) -> np.ndarray:
    distinct, position = np.unique(names, return_inverse=True)
    new = np.array([digest[:8].hex() for digest in _digests(distinct, key, purpose)], dtype=object)
    if len(set(new)) != len(new):
        raise ArgumentError("a pseudonym for each name", "two equal pseudonyms", "Use another key.")
    return new[position]


def _shifted(batch: pa.RecordBatch, shift: np.ndarray) -> pa.RecordBatch:
    offset = shift[batch["stay"].to_numpy()]
    columns = {name: batch[name] for name in batch.schema.names}
    times = [name for name in ("available", "time") if name in columns]
    columns |= {name: pc.add(batch[name], pa.array(offset)) for name in times}  # an unknown time stays unknown
    return pa.record_batch(list(columns.values()), schema=batch.schema)


def _reordered(table: pa.Table, order: np.ndarray) -> Iterable[pa.RecordBatch]:
    """The rows with the stays in another order, in chunks; the rows of a stay keep their order."""
    table = table.combine_chunks() if table.num_rows < CHUNK else table
    if not pc.all(pc.greater_equal(table["stay"][1:], table["stay"][:-1])).as_py():  # of no stay's order, as rejected
        table = table.sort_by("stay")
    stay = table["stay"].to_numpy()
    starts = np.searchsorted(stay, np.arange(len(order) + 1))
    rows, begins = concat_ranges(starts, order)
    renumbered = np.repeat(np.arange(len(order), dtype=np.int32), np.diff(begins))
    at = table.schema.get_field_index("stay")
    for first in range(0, len(rows), CHUNK):
        chunk = table.take(pa.array(rows[first : first + CHUNK]))
        dtype = table.schema.field("stay").type
        numbers = pa.array(renumbered[first : first + CHUNK]).cast(dtype)
        yield from chunk.set_column(at, table.schema.field("stay"), numbers).combine_chunks().to_batches()


def _write_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, disk: Any) -> pa.Table:
    """Write the rows to disk and memory-map them, so that an extract larger than memory stays on disk."""
    path = Path(disk.name) / "measurements.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

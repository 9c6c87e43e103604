"""An extract as it was known at a moment: nothing that became known later is in it."""

from __future__ import annotations

import datetime
import numbers
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.ingest.column_names import STAYS
from clinicalgru.data.keep_stays import keep_stays
from clinicalgru.data.mistaken_times import KNOWN, last_credible
from clinicalgru.data.reading import TABLES, has_own_stays
from clinicalgru.errors import ArgumentError, describe

EARLIEST, LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2250-01-01")  # de-identified dates reach 2214
FIX = 'Pass a date and time, such as as_of="2031-01-01 06:00" (--as-of).'
FIX_HOURS = "Pass a number of hours since the start of the stays, such as as_of=24 (--as-of 24)."


def as_of_time(events: Events, as_of: Any = None) -> int | None:
    """The moment up to which an extract is seen.

    Parameters
    ----------
    events : Events
        The extract.
    as_of : str, datetime or number, optional
        A date and time: with an offset an instant, without one as the times of the extract (in its `timezone`, if one
        was given). For an extract without dates, hours since the start of the stays. None: that of `known_at`, or the
        last `available_at` of the extract that is no mistake (see `last_credible`), rounded up to a full hour where
        there are no dates.

    Returns
    -------
    int or None
        Microseconds, as the times of `events`; None where the extract has no row with a time.

    Raises
    ------
    ArgumentError
        If `as_of` is no such moment, or is of the other kind than the times of the extract.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> as_of_time(read_events(simulate(20)), "1970-01-01 00:00:01")
    1000000
    """
    if as_of is None and events.as_of is not None:
        return events.as_of
    if as_of is None:
        last = last_credible(events)
        return last if last is None or events.has_dates else -(-last // HOUR) * HOUR
    if not events.has_dates:
        return round(_hours(as_of) * HOUR)
    moment = _moment(as_of)
    zone = events.reading.get("timezone")
    if moment.tzinfo is None and zone is not None:
        instant = moment.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        if isinstance(instant, type(pd.NaT)):
            got = "a time that occurs twice or never, when the clocks change"
            raise ArgumentError("a moment", got, "Write it with an offset: 06:00+01:00.", where="as_of")
        moment = instant
    if moment.tzinfo is not None:
        moment = moment.tz_convert("UTC").tz_localize(None)
    if not EARLIEST <= moment <= LATEST:
        raise ArgumentError("a date between 1900 and 2250", "another year", FIX, where="as_of")
    return int(moment.to_datetime64().astype("datetime64[us]").astype(np.int64))


def _hours(as_of: Any) -> float:
    try:
        number = float(as_of) if isinstance(as_of, str | numbers.Real) and not isinstance(as_of, bool) else np.nan
    except ValueError:
        number = np.nan
    if not 0 <= number < np.inf:
        got = "no such number" if isinstance(as_of, str) else describe(as_of)
        raise ArgumentError("hours since the start, as the extract has no dates", got, FIX_HOURS, where="as_of")
    return number


def _moment(as_of: Any) -> pd.Timestamp:
    if not isinstance(as_of, str | datetime.date | np.datetime64):
        raise ArgumentError("a date and time", describe(as_of), FIX, where="as_of")
    try:
        if isinstance(as_of, str):
            moment = pd.Timestamp(datetime.datetime.fromisoformat(as_of.strip()))
        else:
            moment = pd.Timestamp(as_of)
    except ValueError:
        raise ArgumentError("a date and time as ISO 8601 writes them", "another text", FIX, where="as_of") from None
    if moment is pd.NaT:
        raise ArgumentError("a date and time", "none (NaT)", FIX, where="as_of")
    return moment


def known_at(events: Events, as_of: int) -> Events:
    """An extract without what became known later.

    Parameters
    ----------
    events : Events
        The extract.
    as_of : int
        Microseconds, as the times of `events`.

    Returns
    -------
    Events
        Without rows whose `available_at` is later; an end of a stay that is later is unknown, as are the outcomes of
        stays that are not known to have ended. Stays that only later rows speak of are left out; those of a table of
        stays are kept. `select` ends the windows of stays at this moment.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> events = read_events(simulate(20))
    >>> middle = int(events.stays["start"].median())
    >>> bool(known_at(events, middle).measurements["available"].to_numpy().max() <= middle)
    True
    """
    as_of = as_of if events.as_of is None else min(as_of, events.as_of)
    stays = events.stays.copy()
    for stay, variable in _pairs(events):
        name = events.static_variables[variable].name
        stays[name] = stays[name].astype(float).mask(np.isin(np.arange(len(stays)), stay))
    tables: dict[str, Any] = {"measurements": _measurements_until(events, as_of)}
    tables |= {name: _until(getattr(events, name), as_of) for name in KNOWN[1:]}
    tables["implausible"] = _until(events.implausible, as_of, by="time")
    last = tables["static_observations"].to_pandas().drop_duplicates(["variable", "stay"], keep="last")
    for position, rows in last.groupby("variable"):
        stays.loc[rows["stay"].to_numpy(), events.static_variables[position].name] = rows["value"].to_numpy()
    ended = (stays["end"] <= as_of).fillna(False).to_numpy(dtype=bool)
    stays["end"] = stays["end"].astype("Int64").where(ended)
    for name in events.outcomes:
        stays[name] = stays[name].where(ended)
    maps = events._maps if tables["measurements"] is events.measurements else None
    return _without_unknown_stays(replace(events, stays=stays, as_of=as_of, _maps=maps, **tables))


def _pairs(events: Events) -> list[tuple[np.ndarray, int]]:
    """The stays in which each static variable has rows of its own."""
    rows = events.static_observations
    variable, stay = rows["variable"].to_numpy(), rows["stay"].to_numpy()
    return [(stay[variable == number], int(number)) for number in np.unique(variable)]


def _until(table: pa.Table, as_of: int, *, by: str = "available") -> pa.Table:
    """The rows until a moment, and those without a time, as of a table of stays."""
    return table.filter(pc.fill_null(pc.less_equal(table[by], as_of), True))


def _measurements_until(events: Events, as_of: int) -> pa.Table:
    """The measurements until a moment; those on disk stay there where none is later."""
    later = any(pc.any(pc.greater(batch["available"], as_of)).as_py() for batch in events.batches())
    if not later:
        return events.measurements
    batches = (batch.filter(pc.less_equal(batch["available"], as_of)) for batch in events.batches())
    return pa.Table.from_batches(batches, events.measurements.schema)


def _without_unknown_stays(events: Events) -> Events:
    """Without stays that no table of stays names and of which nothing is known yet."""
    if has_own_stays(events.reading.get("source", "")) or STAYS in events.reading.get(TABLES, (STAYS,)):
        return events
    known = np.zeros(len(events.stays), dtype=bool)
    for name in KNOWN:
        known[np.unique(getattr(events, name)["stay"].to_numpy())] = True
    return keep_stays(events, known)

"""The last moment at which an extract can have become known: without rows whose date is a mistake, such as 2199."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.events import HOUR, Events

KNOWN = ("measurements", "coded", "static_observations")  # tables whose rows say when they became known
YEAR = round(365.25 * 24 * HOUR)
MAX_AHEAD = 24 * HOUR  # after the clock; local times without an offset are up to 14 hours ahead of UTC
MAX_SHARE = 0.05  # of the stays: more of them that begin after the clock are no mistakes, but shifted dates


def last_available(events: Events) -> int | None:
    """When the last row of an extract became known.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    int or None
        Microseconds, as the times of `events`; None where there is no row with a time.
    """
    latest = [pc.max(batch["available"]).as_py() for batch in events.batches()]
    latest += [pc.max(getattr(events, name)["available"]).as_py() for name in KNOWN[1:]]
    return max((moment for moment in latest if moment is not None), default=None)


def last_credible(events: Events, *, now: float | None = None) -> int | None:
    """Give when the last row of an extract became known, without rows whose time must be a mistake.

    Parameters
    ----------
    events : Events
        The extract.
    now : float, optional
        Seconds since 1970; None: as the clock of this machine says.

    Returns
    -------
    int or None
        Microseconds, as the times of `events`; None where there is no row with a time.

    Notes
    -----
    De-identified dates are shifted for whole patients, mistakes are of single rows. So it is counted how many stays
    have no row until 24 hours after the clock. Where these are one, or at most 5 % (and less than half), dates are
    those of the clock, and all rows after it are mistakes. Else dates are shifted; then, and where times are hours,
    those rows are mistakes that follow the others of their stay after a gap of a year, and are fewer than these.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> events = read_events(simulate(20))
    >>> last_credible(events) == last_available(events)
    True
    """
    limit = round((time.time() if now is None else now) * 1e6) + MAX_AHEAD
    last = last_available(events)
    if last is None or (events.has_dates and last <= limit):
        return last
    years = _by_year(events, limit)
    first = years.groupby("stay")["first"].min()
    n_ahead = int((first > limit).sum())
    if events.has_dates and n_ahead <= max(1, MAX_SHARE * len(first)) and 2 * n_ahead < len(first):
        return int(years.loc[years["first"] <= limit, "last"].max())
    return int(years.loc[~_is_after_gap(years), "last"].max())


def _by_year(events: Events, limit: int) -> pd.DataFrame:
    """First and last time, and number of rows, by stay and year, before and after the limit; in order."""
    parts = [_counted(batch, limit) for batch in _batches(events)]
    rows = pd.concat([pd.DataFrame(columns=["stay", "year", "is_later", "first", "last", "rows"], dtype=int), *parts])
    columns = {"first": ("first", "min"), "last": ("last", "max"), "rows": ("rows", "sum")}
    return rows.groupby(["stay", "year", "is_later"], as_index=False).agg(**columns)


def _batches(events: Events) -> Iterator[pa.RecordBatch]:
    yield from events.batches()
    for name in KNOWN[1:]:
        yield from getattr(events, name).select(["stay", "available"]).drop_null().to_batches()


def _counted(batch: pa.RecordBatch, limit: int) -> pd.DataFrame:
    """As `_by_year`, of runs of rows that follow each other in a batch."""
    stay, available = (batch[name].to_numpy(zero_copy_only=False).astype(np.int64) for name in ("stay", "available"))
    year, is_later = available // YEAR, (available > limit).astype(np.int64)
    keys = (stay, year, is_later)
    is_new = np.append(True, np.logical_or.reduce([key[1:] != key[:-1] for key in keys]))[: len(stay)]
    begin = np.flatnonzero(is_new)
    if not len(begin):
        return pd.DataFrame()
    table = pd.DataFrame({name: key[begin] for name, key in zip(("stay", "year", "is_later"), keys, strict=True)})
    first, last = (order.reduceat(available, begin) for order in (np.minimum, np.maximum))
    return table.assign(first=first, last=last, rows=np.diff(np.append(begin, len(stay))))


def _is_after_gap(years: pd.DataFrame) -> np.ndarray:
    """(entry,) whether rows follow those of their stay after a gap of a year, and are fewer."""
    stay, first, last, rows = (years[name].to_numpy() for name in ("stay", "first", "last", "rows"))
    total = years.groupby("stay")["rows"].transform("sum").to_numpy()
    before = years.groupby("stay")["rows"].cumsum().to_numpy() - rows
    is_gap = np.append(False, (stay[1:] == stay[:-1]) & (first[1:] - last[:-1] > YEAR)) & (2 * before > total)
    return pd.Series(is_gap).groupby(stay).cummax().to_numpy()

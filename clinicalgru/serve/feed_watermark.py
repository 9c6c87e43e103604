"""The watermark of a feed: when its last row became known, without rows of a time that cannot be yet."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.mistaken_times import KNOWN, YEAR, last_available
from clinicalgru.serve.atomic import private_folder, whole_file

LOG = logging.getLogger("clinicalgru")
MAX_GAP_YEARS = 10  # of dates: patients of a de-identified extract may be shifted apart by years
ROWS_AHEAD = "rows-ahead-of-the-feed.csv"


def feed_watermark(events: Events, *, max_ahead_hours: float, now: float | None = None) -> int | None:
    """Give when the last row of a feed became known that can be known by now.

    Parameters
    ----------
    events : Events
        The feed.
    max_ahead_hours : float
        How far a row may lie ahead of the clock.
    now : float, optional
        Seconds since 1970; None: as the clock of this machine says.

    Returns
    -------
    int or None
        Microseconds, as the times of `events`; None where no row has a time.

    Notes
    -----
    Where at least half of the rows are known by now, the feed is live, and later ones are ahead of it. Else its dates
    are not those of this clock (de-identified, or replayed), or it has none: rows are ahead that follow the later half
    after a gap of ten years between dates, or of a year between hours.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> events = read_events(simulate(20))
    >>> feed_watermark(events, max_ahead_hours=24) == last_available(events)
    True
    """
    last = last_available(events)
    if last is None:
        return None
    if events.has_dates:
        limit = round((time.time() if now is None else now) * 1e6 + max_ahead_hours * HOUR)
        if last <= limit:
            return last
        moments = np.concatenate([*_moments(events)])
        if 2 * (moments <= limit).sum() >= len(moments):
            return int(moments[moments <= limit].max())
    moments = np.sort(np.concatenate([*_moments(events)]))
    later = moments[(len(moments) - 1) // 2 :]
    is_gap = np.diff(later) > (MAX_GAP_YEARS if events.has_dates else 1) * YEAR
    return int(later[np.argmax(is_gap)]) if is_gap.any() else last


def keep_rows_ahead(events: Events, watermark: int, folder: Path) -> None:
    """Keep the rows that are ahead of a feed as dead letters, with the reason; remove those of before.

    Parameters
    ----------
    events : Events
        The feed.
    watermark : int
        As `feed_watermark` gives it.
    folder : Path
        Folder of the dead letters; made where there are such rows.
    """
    rows = _rows_after(events, watermark)
    letter, reason = folder / ROWS_AHEAD, folder / f"{ROWS_AHEAD}.json"
    if rows.empty:
        for kept in (letter, reason):
            kept.unlink(missing_ok=True)
        return
    text = "their available_at lies ahead of the clock or far ahead of all other rows; they are tried again"
    record = json.dumps({"rows": len(rows), "reason": text})
    if reason.exists() and reason.read_text(encoding="utf-8") == record:
        return
    private_folder(folder)
    for path, content in ((letter, rows.to_csv(index=False)), (reason, record)):
        with whole_file(path) as draft:
            draft.write_text(content, encoding="utf-8")
            os.chmod(draft, 0o600)
    LOG.warning("rows of the feed are left out (%s): %s", f"{len(rows):,}", text)


def _moments(events: Events) -> Iterator[np.ndarray]:
    """When each row became known, table by table."""
    for batch in events.batches():
        yield batch["available"].to_numpy(zero_copy_only=False)
    for name in KNOWN[1:]:
        yield getattr(events, name)["available"].drop_null().to_numpy()


def _rows_after(events: Events, moment: int) -> pd.DataFrame:
    """The measurements and coded events that became known later, as the rows of an extract."""
    measurements, coded = (
        table.filter(pc.greater(table["available"], moment)) for table in (events.measurements, events.coded)
    )
    rows = replace(events, measurements=measurements, _maps=None).to_frame()
    stay, code = coded["stay"].to_numpy(), coded["code"].to_numpy()
    stays = events.stays.iloc[stay]
    further = pd.DataFrame(
        {
            "patient_id": stays["patient_id"].to_numpy(),
            "stay_id": stays["stay_id"].to_numpy(),
            "available_at": coded["available"].to_numpy().view(rows["available_at"].dtype),
            "variable": np.array(events.code_vocabulary, dtype=object)[code],
        }
    )
    return pd.concat([rows, further], ignore_index=True) if len(further) else rows

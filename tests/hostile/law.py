"""The law of broken files: read equal to the clean file, refused, or bad rows counted; never changed silently."""

from __future__ import annotations

import logging
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

import clinicalgru as cg
from clinicalgru.data.events import Events

SECONDS = 10  # of processor, which other work on the machine does not lengthen


def told_by(caught: list[warnings.WarningMessage], records: list[logging.LogRecord]) -> str:
    """All that warnings and log records say."""
    form = logging.Formatter()
    return "\n".join([*(str(warning.message) for warning in caught), *(form.format(record) for record in records)])


def read(path: Path, **reading: object) -> tuple[Events | None, cg.ClinicalGRUError | None, str]:
    """What a file reads as, or why not, and all that was said about it."""
    begin = time.process_time()
    events, error, said = None, None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            events = cg.read_events(path, **reading)  # type: ignore[arg-type]
            said = f"{events.ledger}\n{events.ledger.findings.to_string()}\n{events!r}\n{events.source}"
        except cg.ClinicalGRUError as raised:
            error = raised
            said = "".join(traceback.format_exception(raised))
    assert time.process_time() - begin < SECONDS, "hangs"
    return events, error, said + told_by(caught, [])


def facts(frame: pd.DataFrame) -> Counter:
    """The facts of a table as a multiset."""
    return Counter(frame.round({"value": 9}).astype(str).itertuples(index=False, name=None))


def judge(clean: pd.DataFrame, rows: int, events: Events, *, shorter: bool) -> str:
    """`equal` or `counted`; anything else breaks the law."""
    frame, ledger = events.to_frame(), events.ledger
    if len(frame) == len(clean) and facts(frame) == facts(clean):
        return "equal"
    invented = facts(frame) - facts(clean)
    assert not invented, f"{sum(invented.values())} facts that the clean file does not hold"
    assert ledger.used + ledger.merged + ledger.static_values + sum(ledger.rejected.values()) == ledger.rows_in
    lost = len(clean) - len(frame)
    if shorter:
        return "counted" if ledger.rejected else "shorter"
    assert ledger.rows_in >= rows, f"{rows - ledger.rows_in} rows lost"
    assert sum(ledger.rejected.values()) >= lost, f"{lost} facts lost, {ledger.rejected} counted"
    return "counted"

"""Some of the stays of an extract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.events import Events

ROWS = ("measurements", "coded", "static_observations", "implausible")  # tables that point to stays


def keep_stays(events: Events, kept: np.ndarray) -> Events:
    """Keep some of the stays of an extract.

    Parameters
    ----------
    events : Events
        The extract.
    kept : ndarray of bool, shape (stay,)
        Which stays to keep.

    Returns
    -------
    Events
        With their rows; the ledger and what was read stay those of the whole extract.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru import read_events, simulate
    >>> events = read_events(simulate(20))
    >>> len(keep_stays(events, np.arange(20) < 5).stays)
    5
    """
    number = np.cumsum(kept) - 1
    tables: dict[str, Any] = {name: _renumbered(getattr(events, name), number, kept) for name in ROWS}
    return replace(events, stays=events.stays[kept].reset_index(drop=True), _maps=None, **tables)


def _renumbered(table: pa.Table, number: np.ndarray, kept: np.ndarray) -> pa.Table:
    """The rows of the kept stays, by their new positions."""
    table = table.filter(pc.is_valid(table["stay"]))
    table = table.filter(pa.array(kept[table["stay"].to_numpy()]))
    position, field = table.schema.get_field_index("stay"), table.schema.field("stay")
    return table.set_column(position, field, pa.array(number[table["stay"].to_numpy()]).cast(field.type))

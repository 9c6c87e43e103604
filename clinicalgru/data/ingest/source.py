"""What a source is: a function that puts an extract's rows into the intake and says what it knows of the stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from clinicalgru.data.ingest.ingest import Intake


@dataclass(frozen=True)
class ReadOptions:
    """What a user asks of a source besides the data: the arguments of `read_events` of the same names."""

    stays: Any = None
    outcomes: Any = None
    columns: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    delimiter: str | None = None
    anchor: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = "hours"
    query: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, eq=False)
class SourceResult:
    """What a source knows besides its rows.

    stays     patient_id, stay_id, start, end (Int64 microseconds, NA = unknown), static descriptors (float, NaN =
              unknown, a category as position among its levels); None: the stays are those that occur in the rows
    outcomes  stay_id (and patient_id), then one float column each; NaN = not recorded
    at_start  series variable -> descriptor that its value at hour 0 also is, such as weight: admission_weight
    unmapped_is_fault  whether a name the dictionary does not know counts against `max_rejected`; not so in a source
              whose codes are far more than anybody maps
    notes     counts worth knowing, for the ledger
    labels    code -> what the source says that it means
    """

    stays: pd.DataFrame | None = None
    outcomes: pd.DataFrame | None = None
    at_start: Mapping[str, str] = field(default_factory=dict)
    unmapped_is_fault: bool = True
    notes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


Source = Callable[[Intake, Any, ReadOptions], SourceResult]

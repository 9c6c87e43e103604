"""The interface of sources: a function that adds the rows of an extract to the workspace and describes its stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from clinicalgru.data.ingest.outcomes_table import OutcomesTable
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.table_times import Clock
from clinicalgru.data.ingest.workspace import Workspace


@dataclass(frozen=True, eq=False)
class SourceResult:
    """What a source knows besides its rows.

    Attributes
    ----------
    stays : DataFrame or None
        patient_id, stay_id, start, end (Int64 microseconds, NA = unknown), static variables (float, NaN = unknown,
        categories as positions). None: the stays are those that occur in the rows.
    outcomes : DataFrame or None
        stay_id (and patient_id), then one float column per outcome, where NaN = not recorded; or Int64 microseconds for
        the time of an outcome that is written as a date.
    named_outcomes : tuple of str or None
        Outcomes that the user named, which may serve as auxiliary targets; None: all of them, as the source knows them.
    clocks : tuple of Clock
        The kinds of times in the further tables (stays, outcomes).
    implausible : DataFrame or None
        Static values of the stays table that were rejected: patient_id, stay_id, variable, value.
    static_from_start : mapping of str to str
        Series variable -> static variable that equals its value at hour 0, such as weight: admission_weight.
    count_unmapped : bool
        Whether names unknown to the dictionary count against `max_rejected`; False for sources with far more codes
        than anybody maps.
    notes : mapping of str to int
        Further counts for the ledger.
    labels : mapping of str to str
        Code -> its meaning according to the source.
    further_labels : DataFrame or None
        patient_id, stay_id, prediction_hours and outcomes of the labels of a stay after its first.
    """

    stays: pd.DataFrame | None = None
    outcomes: pd.DataFrame | None = None
    named_outcomes: tuple[str, ...] | None = None
    clocks: tuple[Clock, ...] = ()
    implausible: pd.DataFrame | None = None
    static_from_start: Mapping[str, str] = field(default_factory=dict)
    count_unmapped: bool = True
    notes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    further_labels: pd.DataFrame | None = None

    def with_outcomes(self, outcomes: OutcomesTable) -> SourceResult:
        """The same with the user's outcomes instead of the source's own.

        Parameters
        ----------
        outcomes : OutcomesTable
            The table that was read.

        Returns
        -------
        SourceResult
            With its outcomes, notes and kinds of times.
        """
        return replace(
            self,
            outcomes=outcomes.frame,
            named_outcomes=outcomes.named,
            notes={**self.notes, **outcomes.notes},
            clocks=(*self.clocks, *outcomes.clocks),
        )


Source = Callable[[Workspace, Any, ReadOptions], SourceResult]

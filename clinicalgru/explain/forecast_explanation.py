"""What a forecast expected of one stay: of each measurement before it came, and of each variable next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.attribution.explain import provenance
from clinicalgru.html import summary_html, table
from clinicalgru.model.estimators.forecaster import GRUForecaster

TOP = 10  # measurements that are printed


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """Measurements of one stay beside what was expected of them. Holds results, never the model.

    stay_label    what to call the stay; no identifier unless it was asked for
    variables     of the model
    measurements  hours, variable, value, median, low, high, anomaly: how many spreads the value lies from what was
                  expected at the step before; NaN at the first step, where nothing was
    next_values   variable, last (NaN = not measured), median, low, high: what each will show when it is next measured
    at_hours      of the last step, from which that is expected
    coverage      part of the measurements that low and high are made to hold
    provenance    of the model: trained_on, task, simulated, ...
    """

    stay_label: str
    variables: tuple[Variable, ...]
    measurements: pd.DataFrame
    next_values: pd.DataFrame
    at_hours: float
    coverage: float
    provenance: Mapping[str, str]

    @property
    def predicted(self) -> pd.DataFrame:
        """The measurements of which something was expected."""
        return self.measurements[self.measurements["anomaly"].notna()]

    @property
    def outside_interval(self) -> pd.DataFrame:
        """The measurements outside of their interval, the oddest first."""
        rows = self.predicted
        rows = rows[(rows["value"] < rows["low"]) | (rows["value"] > rows["high"])]
        return rows.sort_values("anomaly", ascending=False, kind="stable", ignore_index=True)

    def plot(self, name: str = "timeline", **options: Any) -> Any:
        """Draw the forecast with Plotly.

        Parameters
        ----------
        name : {"timeline"}
            Which figure: measured values and their prediction intervals over time.
        **options
            Passed on to the function that draws it.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.

        Raises
        ------
        ArgumentError
            If there is no figure of that name.
        """
        return display.plot(self, name, **options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the forecast as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        **options
            Passed on to the function that writes the page, such as `title`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError
            If `path` is a folder.
        """
        return display.to_html(self, path, **options)

    def __str__(self) -> str:
        head = (
            f"{self.stay_label}: {len(self.outside_interval):,} of {len(self.predicted):,} measurements outside of "
            f"their {100 * self.coverage:g} % interval"
        )
        rows = [
            f"  {row.variable:<28}hour {row.hours:<8.4g}{row.value:<10.4g}expected {row.median:.4g} "
            f"({row.low:.4g} to {row.high:.4g})"
            for row in self.outside_interval.head(TOP).itertuples()
        ]
        return "\n".join([head, *rows])

    def _repr_html_(self) -> str:
        label = {variable.name: variable.label for variable in self.variables}
        rows = [
            [label[str(row.variable)], f"{row.hours:.4g}", f"{row.value:.4g}", f"{row.low:.4g} to {row.high:.4g}"]
            for row in self.outside_interval.head(TOP).itertuples()
        ]
        facts = {
            "outside of what was expected": f"{len(self.outside_interval):,} of {len(self.predicted):,} measurements"
        }
        shown = table("The oddest measurements", ("Variable", "Hour", "Value", "Expected"), rows)
        return summary_html(f"Expectations: {self.stay_label}", facts, shown)


def explain_forecast(
    model: GRUForecaster,
    stay: Sequences,
    *,
    at_hours: float | None = None,
    coverage: float = 0.9,
    show_id: bool = False,
) -> ForecastExplanation:
    """What a forecast expected of each measurement of one stay at the step before it, and what it expects next.

    stay      sequences of one stay: test[[0]]
    at_hours  as it was known at this hour since the anchor; None: at the end of the stay
    coverage  part of the measurements that the intervals are to hold
    show_id  name the stay by its identifier
    Refused: another model, other than one stay, nothing measured by then, other variables than the model's.
    """
    if not isinstance(model, GRUForecaster):
        raise ArgumentError("a fitted GRUForecaster", type(model).__name__, "Use explain for a risk.")
    if len(stay) == 1 and at_hours is not None:
        stay = stay.truncate_at(np.minimum(at_hours, stay.end_hours))
    if len(stay) != 1 or not len(stay.value):
        came = f"{len(stay)}, of {len(stay.value):,} measurements"
        raise ArgumentError("one stay with a measurement", came, "Write explain_forecast(model, sequences[[i]]).")
    known = model.expected(stay, coverage=coverage)
    ahead = model.predict(stay, coverage=coverage)
    ahead = ahead[ahead["hours"] == ahead["hours"].max()].copy()
    ahead.insert(0, "last", ahead["variable"].map(known.groupby("variable")["value"].last()))
    columns = ["hours", "variable", "value", "median", "low", "high", "anomaly"]
    return ForecastExplanation(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=model.variables_,
        measurements=known[columns],
        next_values=ahead[["variable", "last", *columns[3:6]]].reset_index(drop=True),
        at_hours=float(stay.hours[-1]),
        coverage=coverage,
        provenance=provenance(model),
    )

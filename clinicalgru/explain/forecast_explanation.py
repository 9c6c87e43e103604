"""Explanation of a forecast for one stay: each measurement against its prediction, and what is predicted next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.explain.prepared import stay_label
from clinicalgru.html import summary_html, table
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.provenance import provenance

TOP = 10  # measurements that are printed


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """Measurements of one stay with the prediction made for each. Holds results, never the model.

    Attributes
    ----------
    stay_label : str
        Label of the stay; holds its identifier only if that was requested.
    variables : tuple of Variable
        Series variables of the model.
    measurements : DataFrame
        hours, variable, value, and what was predicted at the time step before: median, low, high; anomaly, the distance
        from the median in predicted scales. NaN at the first time step, for which nothing was predicted.
    next_values : DataFrame
        variable, last (NaN if not measured), and median, low, high of the value when it is next measured.
    at_hours : float
        Hour of the last time step, from which `next_values` are predicted.
    coverage : float
        Fraction of the measurements that lie between low and high if the model is calibrated.
    provenance : mapping of str to str
        Of the model: trained_on, task, simulated.
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
        """The measurements for which there was a prediction."""
        return self.measurements[self.measurements["anomaly"].notna()]

    @property
    def outside_interval(self) -> pd.DataFrame:
        """The measurements outside their interval, the highest anomaly first."""
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
            f"{self.stay_label}: {len(self.outside_interval):,} of {len(self.predicted):,} measurements outside "
            f"their {100 * self.coverage:g} % interval"
        )
        rows = [
            f"  {row.variable:<28}hour {row.hours:<8.4g}{row.value:<10.4g}predicted {row.median:.4g} "
            f"({row.low:.4g} to {row.high:.4g})"
            for row in self.outside_interval.head(TOP).itertuples()
        ]
        return "\n".join([head, *rows])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        label = {variable.name: variable.label for variable in self.variables}
        rows = [
            [label[str(row.variable)], f"{row.hours:.4g}", f"{row.value:.4g}", f"{row.low:.4g} to {row.high:.4g}"]
            for row in self.outside_interval.head(TOP).itertuples()
        ]
        counts = f"{len(self.outside_interval):,} of {len(self.predicted):,} measurements"
        strongest = table("Highest anomalies", ("Variable", "Hour", "Value", "Predicted"), rows)
        return summary_html(f"Forecast: {self.stay_label}", {"outside the interval": counts}, strongest)


def explain_forecast(
    model: GRUForecaster | GRUEnsemble,
    stay: Sequences,
    *,
    at_hours: float | None = None,
    coverage: float = 0.9,
    show_id: bool = False,
) -> ForecastExplanation:
    """Compare each measurement of one stay with its prediction at the time step before, and predict the next values.

    Parameters
    ----------
    model : GRUForecaster, or GRUEnsemble of them
        Fitted.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    at_hours : float or None
        Explain the stay as it was known at this hour since the index time. None: at its end.
    coverage : float
        Fraction of the measurements that the intervals are made to hold, between 0 and 1.
    show_id : bool
        Label the result with the identifiers of the stay and its patient.

    Returns
    -------
    ForecastExplanation

    Raises
    ------
    ArgumentError
        If the model makes no forecasts, or it is not one stay with a measurement by then.
    VariableMismatch
        If the variables of the stay are not those of the model.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUForecaster(network, max_epochs=1).fit(stays, verbose=False)
    >>> forecast = cg.explain_forecast(model, stays[[0]])
    >>> forecast.next_values.columns.tolist()
    ['variable', 'last', 'median', 'low', 'high']
    """
    if not isinstance(model, GRUForecaster | GRUEnsemble) or model.evaluated_as != "forecast":
        raise ArgumentError("a fitted GRUForecaster", describe(model), "Use explain for a risk.")
    fix = "Write explain_forecast(model, sequences[[i]])."
    check_instance("stay", stay, Sequences, fix=fix)
    check_number("at_hours", at_hours, optional=True)
    check_number("coverage", coverage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    check_instance("show_id", show_id, bool, np.bool_)
    if len(stay) == 1 and at_hours is not None:
        stay = stay.truncate_at(np.minimum(at_hours, stay.end_hours))
    if len(stay) != 1 or not len(stay.value):
        raise ArgumentError("one stay with a measurement", f"{len(stay)} with {len(stay.value):,}", fix)
    known = model.expected(stay, coverage=coverage)
    ahead = model.predict(stay, coverage=coverage)
    ahead = ahead[ahead["hours"] == ahead["hours"].max()].copy()
    ahead.insert(0, "last", ahead["variable"].map(known.groupby("variable")["value"].last()))
    columns = ["hours", "variable", "value", "median", "low", "high", "anomaly"]
    return ForecastExplanation(
        stay_label=stay_label(stay, show_id=bool(show_id)),
        variables=model.variables_,
        measurements=known[columns],
        next_values=ahead[["variable", "last", *columns[3:6]]].reset_index(drop=True),
        at_hours=float(stay.hours[-1]),
        coverage=float(coverage),
        provenance=provenance(model),
    )

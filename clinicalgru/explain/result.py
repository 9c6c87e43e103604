"""Explanation: why one stay's risk is what it is. Holds results, never the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru import display
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.html import summary_html, table


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of every measurement to the risk of one stay, in log-odds; of a regression, to the number itself.

    stay_label        what to call the stay; no identifier unless it was asked for
    variables         variables and static descriptors of the model
    risk              probability of the outcome
    reference_risk    probability of the reference: a stay of the same hours with no measurement, no static covariate
                      and no coded event
    measurements      hours, variable, value (own unit), by_value, by_measured, by_timing, contribution
    static            name, value (a category as its level), contribution
    completeness_gap  logit(risk) - logit(reference_risk) - sum of all contributions
    coded_events      hours, code, contribution: coded events that the model looks at
    target_text       which output of several is explained: "class 2", "within 720 hours"; empty where there is one
    unit              unit of the contributions: "log-odds", or "outcome" (then both risks are in its unit)
    n_networks        number of networks; more than one for a GRUEnsemble
    n_heads           number of heads of all networks (implicit ensemble members)
    half_life         hours by variable after which the network carries a value half as strongly; never: infinite
    risk_trajectory   hours, risk from what was known up to then; of several members also low, high: the 5th and 95th
                      percentile of their risks, each calibrated as the model is. This is how far the members
                      disagree, no confidence interval: what they all learned wrong is not in it
    attention         hours, weight
    provenance        of the model: trained_on, task, outcome, simulated, ...
    """

    stay_label: str
    variables: tuple[Variable, ...]
    risk: float
    reference_risk: float
    measurements: pd.DataFrame
    static: pd.DataFrame
    completeness_gap: float
    risk_trajectory: pd.DataFrame
    attention: pd.DataFrame
    provenance: Mapping[str, str]
    coded_events: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({"hours": [], "code": [], "contribution": []})
    )
    target_text: str = ""
    unit: str = "log-odds"
    n_networks: int = 1
    n_heads: int = 1
    half_life: Mapping[str, float] = field(default_factory=dict)

    def by_variable(self) -> pd.DataFrame:
        """Contributions summed over each variable's measurements, each descriptor and each code, strongest first."""
        static = self.static.rename(columns={"name": "variable"})
        codes = self.coded_events.rename(columns={"code": "variable"})
        frames = [frame for frame in (self.measurements, static, codes) if len(frame)]
        both = pd.concat([frame[["variable", "contribution"]] for frame in frames])
        both = both.groupby("variable", as_index=False).sum()
        return both.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def plot(self, name: str = "timeline", **options: Any) -> Any:
        """Draw the explanation with Plotly.

        Parameters
        ----------
        name : {"timeline", "contributions", "attention"}
            Which figure: risk and measurements over time, the strongest contributions, or the attention weights.
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
        """Write the explanation as one offline HTML page.

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

    @property
    def _name(self) -> str:
        name = "risk" if self.unit == "log-odds" else "expected outcome"
        return f"{name}, {self.target_text}" if self.target_text else name

    @property
    def _gap(self) -> str:
        return f"{round(self.completeness_gap, 5) + 0.0:+.5f}"

    def _told(self, number: float) -> str:
        return f"{number:.1%}" if self.unit == "log-odds" else f"{number:.4g}"

    def _repr_html_(self) -> str:
        facts = {
            self._name: self._told(self.risk),
            "with nothing measured": self._told(self.reference_risk),
            "completeness gap": f"{self._gap} in {self.unit}",
        }
        label = {variable.name: variable.label for variable in self.variables}
        strongest = self.by_variable().head(10).itertuples()
        rows = [[label.get(str(row.variable), str(row.variable)), f"{row.contribution:+.3f}"] for row in strongest]
        shown = table(f"What moved it most, in {self.unit}", ("Variable", "Effect"), rows)
        return summary_html(f"Explanation: {self.stay_label}", facts, shown)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: {self._name} {self.risk:.3f}, with nothing measured {self.reference_risk:.3f} "
            f"(completeness gap {self._gap} in {self.unit})"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)

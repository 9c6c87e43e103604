"""Explanation: why one stay's risk is what it is. Holds results, never the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.html import summary_html, table


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of every measurement to the risk of one stay, in log-odds; of a regression, to the number itself.

    stay_label        what to call the stay; no identifier unless it was asked for
    variables         variables and static descriptors of the model
    risk, baseline    probability, and probability with nothing measured at the same hours and nothing known
    measurements      hours, variable, value (own unit), by_value, by_measured, by_timing, contribution
    static            name, value (a category as its level), contribution
    completeness_gap  logit(risk) - logit(baseline) - sum of all contributions
    codes             hours, code, contribution: coded events that the model looks at
    about             which answer of several this is: "class 2", "within 720 hours"; empty where there is one
    scale             what contributions are in: "log-odds", or "outcome": then risk and baseline are in its unit
    members, networks  how many members there are in all, and in how many networks: an ensemble has several
    half_life         hours by variable after which the network carries a value half as strongly; never: infinite
    course            hours, risk from what was known up to then; of several members also low, high: the 5th and 95th
                      percentile of their risks, each calibrated as the model is. This is how far the members
                      disagree, no confidence interval: what they all learned wrong is not in it
    attention         hours, weight
    model             provenance: trained_on, task, outcome, simulated, ...
    """

    stay_label: str
    variables: tuple[Variable, ...]
    risk: float
    baseline: float
    measurements: pd.DataFrame
    static: pd.DataFrame
    completeness_gap: float
    course: pd.DataFrame
    attention: pd.DataFrame
    model: Mapping[str, str]
    codes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"hours": [], "code": [], "contribution": []}))
    about: str = ""
    scale: str = "log-odds"
    members: int = 1
    networks: int = 1
    half_life: Mapping[str, float] = field(default_factory=dict)

    def by_variable(self) -> pd.DataFrame:
        """Contributions summed over each variable's measurements, each descriptor and each code, strongest first."""
        static = self.static.rename(columns={"name": "variable"})
        codes = self.codes.rename(columns={"code": "variable"})
        frames = [frame for frame in (self.measurements, static, codes) if len(frame)]
        both = pd.concat([frame[["variable", "contribution"]] for frame in frames])
        both = both.groupby("variable", as_index=False).sum()
        return both.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    @property
    def _name(self) -> str:
        name = "risk" if self.scale == "log-odds" else "expected outcome"
        return f"{name}, {self.about}" if self.about else name

    @property
    def _gap(self) -> str:
        return f"{round(self.completeness_gap, 5) + 0.0:+.5f}"

    def _told(self, number: float) -> str:
        return f"{number:.1%}" if self.scale == "log-odds" else f"{number:.4g}"

    def _repr_html_(self) -> str:
        facts = {
            self._name: self._told(self.risk),
            "with nothing measured": self._told(self.baseline),
            "completeness gap": f"{self._gap} in {self.scale}",
        }
        label = {variable.name: variable.label for variable in self.variables}
        strongest = self.by_variable().head(10).itertuples()
        rows = [[label.get(str(row.variable), str(row.variable)), f"{row.contribution:+.3f}"] for row in strongest]
        shown = table(f"What moved it most, in {self.scale}", ("Variable", "Effect"), rows)
        return summary_html(f"Explanation: {self.stay_label}", facts, shown)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: {self._name} {self.risk:.3f}, with nothing measured {self.baseline:.3f} "
            f"(completeness gap {self._gap} in {self.scale})"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)

"""Explanation: why one stay's risk is what it is. Holds results, never the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from clinicalgru.data.variables import Variable


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of every measurement to the risk of one stay, in log-odds.

    stay_label        what to call the stay; no identifier unless it was asked for
    variables         variables and static descriptors of the model
    risk, baseline    probability, and probability with nothing measured at the same hours and nothing known
    measurements      hours, variable, value (own unit), by_value, by_measured, by_timing, contribution
    static            name, value (a category as its level), contribution
    completeness_gap  logit(risk) - logit(baseline) - sum of all contributions
    course            hours, risk from what was known up to then
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

    def by_variable(self) -> pd.DataFrame:
        """Contributions summed over each variable's measurements, and of each descriptor, strongest first."""
        static = self.static.rename(columns={"name": "variable"})
        both = pd.concat([frame[["variable", "contribution"]] for frame in (self.measurements, static)])
        both = both.groupby("variable", as_index=False).sum()
        return both.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: risk {self.risk:.3f}, with nothing measured {self.baseline:.3f} "
            f"(completeness gap {self.completeness_gap:+.5f} in log-odds)"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)

"""The explanation of one stay: contributions to its risk. Holds results, never the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru import display
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.evaluate.conformal import PredictionSet
from clinicalgru.evaluate.instability import RefitRange
from clinicalgru.evaluate.risk_groups import Standing
from clinicalgru.explain.points import format_points, point_rate
from clinicalgru.html import summary_html, table
from clinicalgru.output_unit import LOG_ODDS, is_probability

AVERAGE, NOTHING = "average in training", "with nothing measured"
OTHER_CODES = "other coded events"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of every measurement of one stay to its risk, in log-odds; for a regression, to the number itself.

    Attributes
    ----------
    stay_label : str
        Label of the stay; holds its identifier only if that was requested.
    variables : tuple of Variable
        Series variables and static covariates of the model.
    risk : float
        Probability of the outcome.
    reference_risk : float
        Probability for the reference, see `reference_text`.
    measurements : DataFrame
        hours, variable, value (in the variable's unit), by_value, by_measured, by_timing, and their sum contribution.
    static : DataFrame
        name, value (of a category its level), contribution.
    absent : DataFrame
        variable, contribution of variables that were not measured, against the average of training stays; and of
        "other coded events". Empty against a stay in which nothing was measured.
    completeness_gap : float
        logit(risk) - logit(reference_risk) - sum of all contributions.
    risk_trajectory : DataFrame
        hours, risk from what was known up to then. With several heads also low and high: the 5th and 95th percentile
        of their calibrated risks. They show how far the heads disagree and are no confidence interval. Before the end
        of a window also calibrated: "yes", "no", "unclear" or "not evaluated".
    attention : DataFrame
        hours, weight: attention of the end to each time step.
    provenance : mapping of str to str
        Of the model: trained_on, task, outcome, simulated; this_patient where the patient trained or calibrated it.
    coded_events : DataFrame
        hours, code, contribution, for the codes that the model knows.
    target_text : str
        Which output of several is explained, such as "class 2" or "within 720 hours"; empty where there is one.
    outputs : DataFrame
        output, risk: all classes, labels or horizons of the model at the same hour; empty where there is one.
    alert_threshold : float or None
        Risk from which on an early warning alerts; None of other models.
    unit : str
        Unit of the contributions: "log-odds", or "outcome" (then both risks are in the unit of the outcome).
    n_networks : int
        Number of networks; more than one for a `GRUEnsemble`.
    n_heads : int
        Number of heads of all networks (implicit ensemble members).
    half_life : mapping of str to float
        Hours by variable after which the network carries a value forward with half its strength.
    trajectory_note : str
        At which hours the risk was not found calibrated, and why; empty where it was at all.
    standing : Standing or None
        Where the risk stands among the stays that calibrated the model; None where nothing was kept, or the risk is not
        that at the end of the task's window.
    prediction_set : PredictionSet or None
        Outcomes that the risk leaves open at a stated coverage; None of a model without sets, or at another moment than
        the prediction time of the task.
    refit_range : RefitRange or None
        What models refitted on bootstrap samples would give such a risk; None where that was not measured, or at
        another moment.
    zero_time : Timestamp or None
        Date and time of hour 0, where the extract has dates.
    show_id : bool
        Whether the identifier of the stay, and dates, may be shown.
    marks : DataFrame
        hours, label of coded events that a timeline marks, such as drugs, procedures and transfers.
    reference_text : str
        "average in training", or "with nothing measured": a stay of the same hours without measurements, static
        covariates and coded events.
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
    unit: str = LOG_ODDS
    n_networks: int = 1
    n_heads: int = 1
    half_life: Mapping[str, float] = field(default_factory=dict)
    trajectory_note: str = ""
    absent: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"variable": [], "contribution": []}))
    reference_text: str = NOTHING
    standing: Standing | None = None
    prediction_set: PredictionSet | None = None
    refit_range: RefitRange | None = None
    zero_time: pd.Timestamp | None = None
    show_id: bool = False
    marks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"hours": [], "label": []}))
    alert_threshold: float | None = None
    outputs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"output": [], "risk": []}))

    def by_variable(self) -> pd.DataFrame:
        """Sum the contributions by series variable, static covariate and code.

        Returns
        -------
        DataFrame
            variable, contribution, strongest first.
        """
        static = self.static.rename(columns={"name": "variable"})
        coded = self.coded_events.rename(columns={"code": "variable"})
        every = (self.measurements, static, coded, self.absent)
        tables = [part[["variable", "contribution"]] for part in every if len(part)]
        summed = pd.concat(tables).groupby("variable", as_index=False).sum()
        return summed.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

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
            Passed on to the function that writes the page: title, and top, the number of measurements listed.

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
    def _quantity(self) -> str:
        quantity = "risk" if is_probability(self) else "expected outcome"
        return f"{quantity}, {self.target_text}" if self.target_text else quantity

    @property
    def _gap_text(self) -> str:
        return self._effect(self.completeness_gap)

    def _format(self, answer: float) -> str:
        return f"{answer:.1%}" if is_probability(self) else f"{answer:.4g}"

    def _effect(self, contribution: float) -> str:
        """A contribution in points of risk, or in the unit of the outcome."""
        shown = point_rate(self) * contribution
        return format_points(shown) if is_probability(self) else f"{shown + 0.0:+.3g}"

    def _repr_html_(self) -> str:
        lines = {
            self._quantity: self._format(self.risk),
            self.reference_text: self._format(self.reference_risk),
            "completeness gap": self._gap_text,
        }
        label = {variable.name: variable.label for variable in self.variables}
        strongest: Any = self.by_variable().head(10).itertuples()
        rows = [[label.get(str(row.variable), str(row.variable)), self._effect(row.contribution)] for row in strongest]
        effects = table("Strongest contributions", ("Variable", "Effect"), rows)
        return summary_html(f"Explanation: {self.stay_label}", lines, effects)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: {self._quantity} {self._format(self.risk)}, {self.reference_text} "
            f"{self._format(self.reference_risk)} "
            f"(completeness gap {self._gap_text})"
        ]
        strongest: Any = self.by_variable().head(10).itertuples()
        lines += [f"  {row.variable:<28}{self._effect(row.contribution):>12}" for row in strongest]
        known = self.provenance.get("this_patient")
        return "\n".join([*lines, *([f"This patient was {known}."] if known else [])])

    __repr__ = __str__

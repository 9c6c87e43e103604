"""Explanations of many stays as one table and one figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.explain.attribution.contributions import TOLERANCE, attribute_members, from_reference
from clinicalgru.explain.importance import contributions_by_variable, patient_numbers
from clinicalgru.explain.prepared import prepare_stays
from clinicalgru.explain.result import AVERAGE, NOTHING
from clinicalgru.explain.targets import Explainable, to_risk
from clinicalgru.html import summary_html, table
from clinicalgru.model.heads.explanation_target import Target
from clinicalgru.output_unit import is_probability


@dataclass(frozen=True, eq=False)
class CohortExplanation:
    """Contributions of each variable to the risk of each stay of a cohort.

    Attributes
    ----------
    stays : DataFrame
        One row per stay: stay (a number, or its identifier if that was requested), patient (a number), risk,
        reference_risk, completeness_gap.
    contributions : ndarray, shape (stay, variable)
        Contribution of each series variable and static covariate, in `unit`; the sum over its measurements.
    points : ndarray, shape (stay, variable)
        The same as points of risk: they sum to risk - reference_risk. For a number, the contributions themselves.
    values : ndarray, shape (stay, variable)
        Last value of each variable; NaN where it was not measured.
    variables : tuple of Variable
        The series variables, then the static covariates.
    unit : str
        "log-odds", or "outcome".
    reference_text : str
        What contributions are counted from.
    simulated : bool
        Whether the patients are synthetic.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> explained = cg.explain_cohort(model, stays[:12])
    >>> explained.to_frame().columns.tolist()
    ['stay', 'variable', 'value', 'contribution', 'points']
    """

    stays: pd.DataFrame
    contributions: np.ndarray
    points: np.ndarray
    values: np.ndarray
    variables: tuple[Variable, ...]
    unit: str
    reference_text: str
    simulated: bool

    def __len__(self) -> int:
        return len(self.stays)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per stay and variable.

        Returns
        -------
        DataFrame
            stay, variable, value (the last one; NaN where not measured), contribution, points.
        """
        names = [variable.name for variable in self.variables]
        return pd.DataFrame(
            {
                "stay": np.repeat(self.stays["stay"].to_numpy(), len(names)),
                "variable": np.tile(np.array(names, dtype=object), len(self)),
                "value": self.values.ravel(),
                "contribution": self.contributions.ravel(),
                "points": self.points.ravel(),
            }
        )

    def summary(self, *, min_cell_size: int | None = None) -> pd.DataFrame:
        """Summarise each variable over the cohort; what fewer than 11 real patients have is left out.

        Parameters
        ----------
        min_cell_size : int, optional
            Fewest patients in whom a variable was measured; None: 11, or 0 for synthetic patients.

        Returns
        -------
        DataFrame
            variable, label, mean_abs and mean of the points, fraction_measured; the largest mean_abs first.
        """
        shown = self.shown(min_cell_size=min_cell_size)
        table = pd.DataFrame(
            {
                "variable": [variable.name for variable in self.variables],
                "label": [variable.label for variable in self.variables],
                "mean_abs": np.abs(self.points).mean(axis=0),
                "mean": self.points.mean(axis=0),
                "fraction_measured": (~np.isnan(self.values)).mean(axis=0),
            }
        )[shown]
        return table.sort_values("mean_abs", ascending=False, kind="stable", ignore_index=True)

    def shown(self, *, min_cell_size: int | None = None) -> np.ndarray:
        """Find the variables that may be shown.

        Parameters
        ----------
        min_cell_size : int, optional
            Fewest patients in whom a variable was measured; None: 11, or 0 for synthetic patients.

        Returns
        -------
        ndarray of bool, shape (variable,)
        """
        least = min_cell_size if min_cell_size is not None else 0 if self.simulated else MIN_CELL_SIZE
        stay, variable = np.nonzero(~np.isnan(self.values))
        pairs = pd.DataFrame({"patient": self.stays["patient"].to_numpy()[stay], "variable": variable})
        counts = pairs.drop_duplicates()["variable"].value_counts().reindex(range(len(self.variables))).fillna(0)
        return (counts >= least).to_numpy()

    def plot(self, name: str = "beeswarm", **options: Any) -> Any:
        """Draw the cohort with Plotly.

        Parameters
        ----------
        name : {"beeswarm"}
            Which figure.
        **options
            Passed on to the function that draws it: top, the number of variables.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        return display.plot(self, name, **options)

    def __str__(self) -> str:
        lines = [f"contributions to the risk of {len(self):,} stays, counted from {self.reference_text}"]
        lines += [
            f"  {row.label:<40}{row.mean_abs:9.4f} on average, {row.mean:+9.4f} in sum"
            for row in self.summary().head(15).itertuples()
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [[str(row.label), f"{row.mean_abs:.4f}", f"{row.mean:+.4f}"] for row in self.summary().itertuples()]
        head = ("Variable", "Mean absolute contribution", "Mean contribution")
        lines = {"stays": f"{len(self):,}", "counted from": self.reference_text}
        return summary_html("Explanations of a cohort", lines, table("In points of risk", head, rows[:15]))


def explain_cohort(
    model: Explainable,
    stays: Sequences,
    *,
    target: Target = None,
    tolerance: float = TOLERANCE,
    show_id: bool = False,
) -> CohortExplanation:
    """Explain many stays: what each variable contributed to the risk of each of them.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stays : Sequences
        The stays of the cohort, each with a measurement.
    target : str, float or None
        See `explain`.
    tolerance : float
        Largest completeness gap of a stay, in log-odds.
    show_id : bool
        Label the rows with the identifiers of the stays.

    Returns
    -------
    CohortExplanation
        A table (`to_frame`), a summary, and a figure (`plot("beeswarm")`).

    Raises
    ------
    ArgumentError
        If a stay has no measurement, there are fewer than 11 real patients, or the model cannot be explained.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> figure = cg.explain_cohort(model, stays[:12]).plot("beeswarm", top=5)
    >>> len(figure.layout.yaxis.ticktext)
    5
    """
    check_instance("stays", stays, Sequences)
    check_instance("show_id", show_id, bool, np.bool_)
    check_number("tolerance", tolerance, minimum=0, open_minimum=True)
    patient = patient_numbers(stays)
    prepared = prepare_stays(model, stays, target=target)
    attribution, is_average = from_reference(
        attribute_members(prepared, tolerance=tolerance), prepared, reference="average"
    )
    contributions = contributions_by_variable(prepared.stays, attribution)
    number, reference = attribution.number, attribution.reference
    risk, reference_risk = to_risk(prepared.target, number), to_risk(prepared.target, reference)
    gap = number - reference
    rate = np.divide(risk - reference_risk, gap, out=np.ones_like(gap), where=np.abs(gap) > 1e-9)
    points = contributions * rate[:, None] if is_probability(prepared.target) else contributions
    label = stays.stay if show_id else np.arange(len(stays))
    columns = {"stay": label, "patient": patient, "risk": risk, "reference_risk": reference_risk}
    return CohortExplanation(
        stays=pd.DataFrame(columns | {"completeness_gap": attribution.residual}),
        contributions=contributions,
        points=points,
        values=_last_values(prepared.stays),
        variables=(*prepared.variables, *prepared.static_variables),
        unit=prepared.target.unit,
        reference_text=AVERAGE if is_average else NOTHING,
        simulated=stays.simulated,
    )


def _last_values(stays: Sequences) -> np.ndarray:
    """(stay, variable and static covariate) the last value; NaN where there is none."""
    last = np.full((len(stays), len(stays.variables)), np.nan)
    last[stays.stay_of_measurement, stays.variable] = stays.value  # hours ascend: the last one stands
    return np.concatenate([last, stays.static.astype(float)], axis=1)

"""Competing events of one stay: the incidence of each over the hours, and what moved the risk of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import display
from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.result import Explanation
from clinicalgru.html import summary_html, table
from clinicalgru.model.estimators.competing_risks import CompetingRisks
from clinicalgru.model.provenance import provenance

N_HOURS = 120  # of a curve


@dataclass(frozen=True, eq=False)
class IncidenceExplanation:
    """Predicted incidence of competing events in one stay, with the explanation of each event. Holds no model.

    Attributes
    ----------
    stay_label : str
        Label of the stay; holds its identifier only if that was requested.
    curves : DataFrame
        hours after the prediction time, event, incidence: the probability that the event has occurred, as the first.
    at_hours : tuple of float
        Hours of the curves that tables and sentences name.
    explanations : mapping of str to Explanation
        By event: contributions to the risk of that event where no other event occurred before it.
    provenance : mapping of str to str
        Task and training data of each model, by name; simulated.
    """

    stay_label: str
    curves: pd.DataFrame
    at_hours: tuple[float, ...]
    explanations: Mapping[str, Explanation]
    provenance: Mapping[str, str]

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events."""
        return tuple(self.explanations)

    @property
    def incidence(self) -> pd.DataFrame:
        """Incidence by hour (rows) and event (columns), with "none of these yet": each row sums to 1."""
        wide = self.curves.pivot(index="hours", columns="event", values="incidence")[list(self.events)]
        wide = wide.loc[list(self.at_hours)].rename_axis(columns=None)
        return wide.assign(**{"none of these yet": 1 - wide.sum(axis=1)})

    def plot(self, name: str = "incidence", **options: Any) -> Any:
        """Draw the incidence of each event over the hours with Plotly.

        Parameters
        ----------
        name : {"incidence"}
            Which figure.
        **options
            Passed on to the function that draws it.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.
        """
        return display.plot(self, name, **options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write one offline HTML page: incidence over the hours, in words and figures, and what moved each risk.

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
        """
        return display.to_html(self, path, **options)

    def to_dict(self) -> dict[str, Any]:
        """Return the incidence as JSON can hold it.

        Returns
        -------
        dict
            stay, and the incidence of each event by hour.
        """
        rows = self.incidence.rename_axis("hours").reset_index().to_dict("records")
        return {"stay": self.stay_label, "incidence": rows}

    def __str__(self) -> str:
        shown = self.incidence.map("{:.1%}".format)
        return f"{self.stay_label}: incidence of each event as the first, by hours after the prediction time\n{shown}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        wide = self.incidence
        rows = [
            [f"{hours:g}", *(f"{one:.1%}" for one in row)]
            for hours, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        shown = table("By hours after the prediction time", ("Hours", *wide.columns), rows)
        return summary_html(f"Competing events: {self.stay_label}", {"events": ", ".join(self.events)}, shown)


def explain_incidence(
    model: CompetingRisks, stay: Sequences, *, at_hours: Sequence[float] = (), show_id: bool = False
) -> IncidenceExplanation:
    """Predict and explain competing events of one stay.

    Parameters
    ----------
    model : CompetingRisks
        Of models that `explain` can explain, such as `GRUSurvival`.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    at_hours : sequence of float
        Hours after the prediction time that tables and sentences name. Empty: the horizons of the models.
    show_id : bool
        Label the result with the identifiers of the stay and its patient.

    Returns
    -------
    IncidenceExplanation

    Raises
    ------
    ArgumentError
        If it is no such model, not one stay with a measurement, or an hour is not above 0 or beyond training.

    Notes
    -----
    Contributions are those to the risk of each event by its own model (cause-specific hazards), up to the last of the
    hours: what they add up to is above the incidence, which other events keep down.

    References
    ----------
    Austin et al. 2016, "Introduction to the analysis of survival data in the presence of competing risks", Circulation
    133:601-609.

    Examples
    --------
    >>> import numpy as np
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(60, random_state=0)
    >>> hours = 24 + np.random.default_rng(0).exponential(60, len(cohort.stays))
    >>> died = np.arange(len(cohort.stays)) % 3 == 0
    >>> table = cohort.stays[["stay_id"]].assign(hours=hours, died=died * 1, home=~died * 1)
    >>> events = cg.read_events(cohort.measurements, stays=cohort.stays.assign(end=None), outcomes=table)
    >>> options = {"task_type": "survival", "outcome_time": "hours"}
    >>> stays = {name: cg.select(events, cg.Task(name, name, (0, 24), **options)) for name in ("died", "home")}
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> settings = {"max_epochs": 1, "distillation": 0}
    >>> models = {name: cg.GRUSurvival(network, **settings).fit(one, verbose=False) for name, one in stays.items()}
    >>> found = cg.explain_incidence(cg.CompetingRisks(models), stays["died"][[0]], at_hours=[24, 48])
    >>> found.incidence.sum(axis=1).round(6).tolist()
    [1.0, 1.0]
    """
    check_instance("model", model, CompetingRisks, fix="Pass CompetingRisks({'death': model, 'home': another}).")
    check_instance("stay", stay, Sequences, fix="Write explain_incidence(model, sequences[[i]]).")
    known = max(one.head_.cuts[-1] for one in model.models.values())  # nothing is learned beyond
    horizons = {min(float(hours), known) for one in model.models.values() for hours in one.head_.horizons}
    named = {float(hours) for hours in at_hours} or horizons
    if not all(0 < hours <= known for hours in named):
        expected = f"hours above 0 and up to the last event of training, {known:g}"
        raise ArgumentError(expected, "others", "Pass at_hours (--at-hours) within them.")
    last = max(named)
    explanations = {
        event: explain(one, stay, target=min(last, one.head_.cuts[-1]), show_id=show_id)
        for event, one in model.models.items()
    }
    grid = np.unique([*np.linspace(0, last, N_HOURS), *named])
    incidence = model.predict_incidence(stay, grid)[0]
    curves = pd.DataFrame(incidence.T, columns=list(model.events)).assign(hours=grid)
    origin = {event: provenance(one) for event, one in model.models.items()}
    about = {
        f"model of {event}": f"{one['task']}; {one['trained_on']}; {one['calibration']}"
        for event, one in origin.items()
    }
    simulated = "yes" if any(one["simulated"] == "yes" for one in origin.values()) else "no"
    return IncidenceExplanation(
        stay_label=next(iter(explanations.values())).stay_label,
        curves=curves.melt(id_vars="hours", var_name="event", value_name="incidence"),
        at_hours=tuple(sorted(named)),
        explanations=explanations,
        provenance=about | {"simulated": simulated},
    )

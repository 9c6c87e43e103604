"""How the risk moved: each jump divided among the measurements that arrived then, and what time alone did between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.risk_changes.coalitions import Arrivals, Together
from clinicalgru.explain.risk_changes.shapley import shapley
from clinicalgru.explain.risk_trajectory import course_of, members_of
from clinicalgru.explain.targets import Asked, Output
from clinicalgru.explain.voices import Explained, first, looked_at, voices
from clinicalgru.model.training.torch_settings import threads

TIME = "time passing"


@dataclass(frozen=True, eq=False)
class Movement:
    """The risk of one stay from nothing measured to the prediction time, and who moved it when.

    stay_label   what to call the stay; no identifier unless it was asked for
    variables    variables of the model
    start_risk   probability at the first hour with nothing measured; static covariates are known
    risk         probability at the prediction time
    risk_trajectory  hours, risk after what arrived then, before (the risk just before: time has passed, nothing arrived);
                 of several members also low and high, as of `Explanation`
    changes      hours, variable ("time passing" where nothing arrived), value, contribution (log-odds), standard_error
                 (0 where exact; of the sampling where more than eight variables arrived at once)
    residual     log-odds between start and risk that the changes do not add up to
    target_text, unit, n_networks, n_heads  as of `Explanation`
    """

    stay_label: str
    variables: tuple[Variable, ...]
    start_risk: float
    risk: float
    risk_trajectory: pd.DataFrame
    changes: pd.DataFrame
    residual: float
    target_text: str = ""
    unit: str = "log-odds"
    n_networks: int = 1
    n_heads: int = 1

    def between(self, first: float, last: float) -> pd.DataFrame:
        """Who moved the risk after one hour and up to another, strongest first.

        first, last  hours
        returns      variable, hours, value, contribution (log-odds), risk_change (the change of the risk, shared in
                     proportion to the contributions; they sum to it)
        """
        rows = self.changes[(self.changes["hours"] > first) & (self.changes["hours"] <= last)]
        before, after = self.risk_at(first), self.risk_at(last)
        rate = 1.0
        if self.unit == "log-odds":
            rise = _log_odds(after) - _log_odds(before)
            rate = (after - before) / rise if abs(rise) > 1e-9 else after * (1 - after)
        shown = rows[["variable", "hours", "value", "contribution"]].assign(risk_change=rate * rows["contribution"])
        return shown.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def risk_at(self, hours: float) -> float:
        """The risk as it was last known at this hour."""
        seen = int((self.risk_trajectory["hours"] <= hours).sum())
        return float(self.risk_trajectory["risk"].iloc[seen - 1]) if seen else self.start_risk

    def by_variable(self) -> pd.DataFrame:
        """Contributions summed over time by variable, time passing among them, strongest first."""
        summed = self.changes[["variable", "contribution"]].groupby("variable", as_index=False).sum()
        return summed.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: risk {self.start_risk:.3f} with nothing measured, {self.risk:.3f} at the end "
            f"(moves add up to within {abs(self.residual):.6f} in log-odds)"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)


def movement(
    model: Explained,
    stay: Sequences,
    *,
    target: Output = None,
    at_hours: float | None = None,
    n_permutations: int = 24,
    random_state: int = 0,
    show_id: bool = False,
) -> Movement:
    """How the risk of one stay moved: each jump divided among the measurements that arrived then.

    stay          sequences of one stay: test[[0]]
    target, at_hours  which answer, looked at when: as of `explain`
    n_permutations  orders of arrival that are tried, each also backwards, where more than eight variables came at once
    random_state          of these orders
    show_id      name the stay by its identifier

    The risk after each step knows only what came before. From one step to the next, time passes first (coded events,
    where a model looks at them, count to it) and then all that was measured arrives at once; a jump is divided by
    Shapley values over the variables that arrived, exactly for up to eight. All moves together are log-odds at the end
    minus log-odds with nothing measured. Refused: other than one stay, a stay without measurements, other variables
    than the model's.

    Source: Shapley 1953; antithetic permutations, Mitchell et al. 2022.

    >>> moved = cg.movement(model, test[[0]], n_permutations=4)
    >>> abs(moved.residual) < 1e-6
    True
    """
    stay, asking = looked_at(model, stay, hours=at_hours, name="movement"), voices(model, target)
    with threads(first(model).n_threads), torch.no_grad():
        arrivals, asked = Together([Arrivals(voice, stay) for voice in asking]), asking[0].asked
        share, error = shapley(arrivals, n_permutations=n_permutations, chance=np.random.default_rng(random_state))
    changes = pd.concat([_waited(stay, arrivals), _arrived(stay, arrivals, share, error)])
    return Movement(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=model.variables_,
        start_risk=float(asked.risk(arrivals.before[0])),
        risk=float(asked.risk(np.asarray(arrivals.end))),
        risk_trajectory=_course(arrivals, asked),
        changes=changes.sort_values("hours", kind="stable", ignore_index=True),
        residual=float(arrivals.end - arrivals.before[0] - changes["contribution"].sum()),
        target_text=asked.about,
        unit=asked.scale,
        n_networks=len(asking),
        n_heads=members_of([one.followed for one in arrivals.each]),
    )


def _course(arrivals: Together, asked: Asked) -> pd.DataFrame:
    course = course_of([one.followed for one in arrivals.each], asked)
    before = asked.risk(np.append(arrivals.before, arrivals.end))[: len(course)]
    course.insert(2, "before", before)
    return course


def _waited(stay: Sequences, arrivals: Together) -> pd.DataFrame:
    """What time alone did from each step to the next, and to the prediction."""
    passed = np.append(arrivals.before[1:], arrivals.end) - arrivals.after
    hours = np.append(arrivals.hours[1:], stay.end_hours[0])
    return pd.DataFrame(
        {"hours": hours, "variable": TIME, "value": np.nan, "contribution": passed, "standard_error": 0.0}
    )


def _arrived(stay: Sequences, arrivals: Together, share: np.ndarray, error: np.ndarray) -> pd.DataFrame:
    """One row a measurement; several of one variable that became known at once share alike."""
    step = np.cumsum(stay.is_new_step) - 1
    together = np.zeros(share.shape)
    np.add.at(together, (step, stay.variable), 1)
    cell, together = (step, stay.variable), np.maximum(together, 1)
    measured = stay.to_frame()[["hours", "variable", "value"]]
    return measured.assign(contribution=(share / together)[cell], standard_error=(error / together)[cell])


def _log_odds(risk: float) -> float:
    return float(np.log(risk) - np.log1p(-risk))

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
    start, risk  probability with nothing measured (descriptors known), and at the prediction time
    course       hours, risk after what arrived then, before (the risk just before: time has passed, nothing arrived);
                 of several members also low and high, as of `Explanation`
    moves        hours, variable ("time passing" where nothing arrived), value, contribution (log-odds), standard_error
                 (0 where exact; of the sampling where more than eight variables arrived at once)
    gap          log-odds between start and risk that the moves do not add up to
    about, scale, members, networks  as of `Explanation`
    """

    stay_label: str
    variables: tuple[Variable, ...]
    start: float
    risk: float
    course: pd.DataFrame
    moves: pd.DataFrame
    gap: float
    about: str = ""
    scale: str = "log-odds"
    members: int = 1
    networks: int = 1

    def between(self, first: float, last: float) -> pd.DataFrame:
        """Who moved the risk after one hour and up to another, strongest first.

        first, last  hours
        returns      variable, hours, value, contribution (log-odds), points (the change of the risk, shared in
                     proportion to the contributions; they sum to it)
        """
        moves = self.moves[(self.moves["hours"] > first) & (self.moves["hours"] <= last)]
        before, after = self.at(first), self.at(last)
        rate = 1.0
        if self.scale == "log-odds":
            rise = _log_odds(after) - _log_odds(before)
            rate = (after - before) / rise if abs(rise) > 1e-9 else after * (1 - after)
        shown = moves[["variable", "hours", "value", "contribution"]].assign(points=rate * moves["contribution"])
        return shown.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def at(self, hours: float) -> float:
        """The risk as it was last known at this hour."""
        seen = int((self.course["hours"] <= hours).sum())
        return float(self.course["risk"].iloc[seen - 1]) if seen else self.start

    def by_variable(self) -> pd.DataFrame:
        """Contributions summed over time by variable, time passing among them, strongest first."""
        summed = self.moves[["variable", "contribution"]].groupby("variable", as_index=False).sum()
        return summed.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: risk {self.start:.3f} with nothing measured, {self.risk:.3f} at the end "
            f"(moves add up to within {abs(self.gap):.6f} in log-odds)"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)


def movement(
    model: Explained,
    stay: Sequences,
    *,
    output: Output = None,
    hours: float | None = None,
    permutations: int = 24,
    random_state: int = 0,
    show_id: bool = False,
) -> Movement:
    """How the risk of one stay moved: each jump divided among the measurements that arrived then.

    stay          sequences of one stay: test[[0]]
    output, hours  which answer, looked at when: as of `explain`
    permutations  orders of arrival that are tried, each also backwards, where more than eight variables came at once
    random_state          of these orders
    show_id      name the stay by its identifier

    The risk after each step knows only what came before. From one step to the next, time passes first (coded events,
    where a model looks at them, count to it) and then all that was measured arrives at once; a jump is divided by
    Shapley values over the variables that arrived, exactly for up to eight. All moves together are log-odds at the end
    minus log-odds with nothing measured. Refused: other than one stay, a stay without measurements, other variables
    than the model's.

    Source: Shapley 1953; antithetic permutations, Mitchell et al. 2022.

    >>> moved = cg.movement(model, test[[0]], permutations=4)
    >>> abs(moved.gap) < 1e-6
    True
    """
    stay, asking = looked_at(model, stay, hours=hours, name="movement"), voices(model, output)
    with threads(first(model).n_threads), torch.no_grad():
        arrivals, asked = Together([Arrivals(voice, stay) for voice in asking]), asking[0].asked
        share, error = shapley(arrivals, permutations=permutations, chance=np.random.default_rng(random_state))
    moves = pd.concat([_waited(stay, arrivals), _arrived(stay, arrivals, share, error)])
    return Movement(
        stay_label=f"stay {stay.stay[0]}" if show_id else "stay",
        variables=model.variables_,
        start=float(asked.risk(arrivals.before[0])),
        risk=float(asked.risk(np.asarray(arrivals.end))),
        course=_course(arrivals, asked),
        moves=moves.sort_values("hours", kind="stable", ignore_index=True),
        gap=float(arrivals.end - arrivals.before[0] - moves["contribution"].sum()),
        about=asked.about,
        scale=asked.scale,
        members=members_of([one.followed for one in arrivals.each]),
        networks=len(asking),
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

"""Change of the risk over time: each jump divided among the measurements that arrived, and the effect of time alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.prepared import prepare_stay, stay_label
from clinicalgru.explain.risk_changes.coalitions import ArrivalGame, MeanGame
from clinicalgru.explain.risk_changes.shapley import shapley
from clinicalgru.explain.risk_trajectory import combine_trajectories, count_heads
from clinicalgru.explain.targets import Explainable, to_risk
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.output_unit import LOG_ODDS, is_probability

TIME_PASSING = "time passing"


@dataclass(frozen=True, eq=False)
class Movement:
    """Change of the risk of one stay over time, divided among its measurements.

    Attributes
    ----------
    stay_label : str
        Label of the stay; holds its identifier only if that was requested.
    variables : tuple of Variable
        Series variables of the model.
    start_risk : float
        Risk at the first time step with nothing measured; static covariates are as known then.
    risk : float
        Risk at the prediction time.
    risk_trajectory : DataFrame
        hours, risk (after what arrived then), before (just before it arrived); with several heads low and high, see
        `Explanation`.
    changes : DataFrame
        hours, variable ("time passing" for the effect of time alone), value, contribution (log-odds), standard_error
        (0 where exact, else that of the sampling).
    residual : float
        Log-odds between start_risk and risk that the changes do not add up to.
    target_text, unit, n_networks, n_heads
        See `Explanation`.
    """

    stay_label: str
    variables: tuple[Variable, ...]
    start_risk: float
    risk: float
    risk_trajectory: pd.DataFrame
    changes: pd.DataFrame
    residual: float
    target_text: str = ""
    unit: str = LOG_ODDS
    n_networks: int = 1
    n_heads: int = 1

    def between(self, first: float, last: float) -> pd.DataFrame:
        """Give the changes after one hour and up to another.

        Parameters
        ----------
        first, last : float
            Hours since the index time.

        Returns
        -------
        DataFrame
            variable, hours, value, contribution (log-odds) and risk_change, strongest first. The risk changes are in
            proportion to the contributions and sum to the change of the risk.
        """
        check_number("first", first)
        check_number("last", last)
        rows = self.changes[(self.changes["hours"] > first) & (self.changes["hours"] <= last)]
        before, after = self.risk_at(first), self.risk_at(last)
        rate = 1.0
        if is_probability(self):
            rise = float(logit(after) - logit(before))
            rate = (after - before) / rise if abs(rise) > 1e-9 else after * (1 - after)
        columns = ["variable", "hours", "value", "contribution"]
        table = rows[columns].assign(risk_change=rate * rows["contribution"])
        return table.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def risk_at(self, hours: float) -> float:
        """Give the last risk known at an hour.

        Parameters
        ----------
        hours : float
            Hours since the index time.

        Returns
        -------
        float
            `start_risk` before the first measurement.
        """
        n_steps = int((self.risk_trajectory["hours"] <= hours).sum())
        return float(self.risk_trajectory["risk"].iloc[n_steps - 1]) if n_steps else self.start_risk

    def by_variable(self) -> pd.DataFrame:
        """Sum the contributions over time by variable.

        Returns
        -------
        DataFrame
            variable, contribution, strongest first; "time passing" is one of the variables.
        """
        summed = self.changes[["variable", "contribution"]].groupby("variable", as_index=False).sum()
        return summed.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        lines = [
            f"{self.stay_label}: risk {self.start_risk:.3f} with nothing measured, {self.risk:.3f} at the end "
            f"(changes add up to within {abs(self.residual):.6f} in log-odds)"
        ]
        lines += [f"  {row.variable:<28}{row.contribution:+8.3f}" for row in self.by_variable().head(10).itertuples()]
        return "\n".join(lines)

    __repr__ = __str__


def movement(
    model: Explainable,
    stay: Sequences,
    *,
    target: Target = None,
    at_hours: float | None = None,
    n_permutations: int = 24,
    random_state: int = 0,
    show_id: bool = False,
) -> Movement:
    """Divide each change of the risk of one stay over time among the measurements that arrived then.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    target, at_hours
        See `explain`.
    n_permutations : int
        Orders of arrival that are sampled, in antithetic pairs, where more than eight variables arrived at once.
    random_state : int
        Seed of these orders.
    show_id : bool
        Label the result with the identifiers of the stay and its patient.

    Returns
    -------
    Movement
        All changes together are the log-odds at the end minus the log-odds with nothing measured.

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement by then, the model has no such target, or it cannot be explained.
    VariableMismatch
        If the variables of the stay are not those of the model.

    Notes
    -----
    The risk after each time step depends only on what was known up to then. From one step to the next, time passes
    first; coded events count to it, where a model uses them. Then all measurements of the step arrive at once. Their
    jump is divided by Shapley values over the variables, exactly for up to eight of them.

    References
    ----------
    Shapley 1953. Antithetic permutations: Mitchell et al. 2022.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> moved = cg.movement(model, stays[[0]], at_hours=12, n_permutations=4)
    >>> abs(moved.residual) < 1e-6
    True
    """
    check_number("n_permutations", n_permutations, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    check_instance("show_id", show_id, bool, np.bool_)
    prepared = prepare_stay(model, stay, caller="movement", target=target, at_hours=at_hours)
    stay, explained = prepared.stays, prepared.target
    with prepared.computing():
        game = MeanGame([ArrivalGame(member, own) for member, own in prepared.by_network()])
        rng = np.random.default_rng(random_state)
        value, error = shapley(game, n_permutations=int(n_permutations), rng=rng)
    changes = pd.concat([_time_effect(stay, game), _arrival_effects(stay, value, error)])
    return Movement(
        stay_label=stay_label(stay, show_id=bool(show_id)),
        variables=prepared.variables,
        start_risk=float(to_risk(explained, game.value_before[0])),
        risk=float(to_risk(explained, game.end_value)),
        risk_trajectory=_trajectory_table(game, explained),
        changes=changes.sort_values("hours", kind="stable", ignore_index=True),
        residual=float(game.end_value - game.value_before[0] - changes["contribution"].sum()),
        target_text=explained.name,
        unit=explained.unit,
        n_networks=len(prepared.networks),
        n_heads=count_heads([own.trajectory for own in game.games]),
    )


def _trajectory_table(game: MeanGame, target: ExplanationTarget) -> pd.DataFrame:
    table = combine_trajectories([own.trajectory for own in game.games], target)
    before = to_risk(target, np.append(game.value_before, game.end_value))[: len(table)]
    table.insert(2, "before", before)
    return table


def _time_effect(stay: Sequences, game: MeanGame) -> pd.DataFrame:
    """Effect of time alone from each step to the next, and to the prediction."""
    passed = np.append(game.value_before[1:], game.end_value) - game.value_after
    hours = np.append(game.hours[1:], stay.end_hours[0])
    effect = {"variable": TIME_PASSING, "value": np.nan, "contribution": passed, "standard_error": 0.0}
    return pd.DataFrame({"hours": hours} | effect)


def _arrival_effects(stay: Sequences, value: np.ndarray, error: np.ndarray) -> pd.DataFrame:
    """One row per measurement; several of one variable at one step get equal parts."""
    step = np.cumsum(stay.is_new_step) - 1
    cell, count = (step, stay.variable), np.zeros(value.shape)
    np.add.at(count, cell, 1)
    count = np.maximum(count, 1)
    measured = stay.to_frame()[["hours", "variable", "value"]].astype({"value": float})
    return measured.assign(contribution=(value / count)[cell], standard_error=(error / count)[cell])

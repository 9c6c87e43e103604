"""The smallest plausible change of measured values with which a risk crosses a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.faithfulness.perturbation import model_outputs
from clinicalgru.explain.prepared import PreparedStays
from clinicalgru.explain.targets import to_risk
from clinicalgru.model.network.network import ClinicalGRU

STEP, MAX_SHIFT = 0.25, 3.0  # normal scores: step of the search, and largest shift of a variable
MAX_STEPS = 24
PRESSURES = (("dbp", "map"), ("map", "sbp"), ("dbp", "sbp"))  # the first is never above the second
PRESSURE_SITES = ("", "_invasive", "_noninvasive")
GRID_SIZE = 129
LINE_POINTS = 32
MIN_GAIN = 1e-6  # of the risk, for another step
MAX_TIME_STEPS = 2**14  # of all candidates computed together


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """What would have to be different for the risk to cross a target.

    Attributes
    ----------
    valid : bool
        Whether the risk crosses the target after the change.
    target_risk, risk : float
        The target, and the risk as it is.
    changed_risk : float
        The risk after the change; if the change is not valid, the nearest to the target that was found.
    distance : float
        Sum of the absolute shifts of the variables, in normal scores of the training values.
    shifts : DataFrame
        variable, shift (normal scores), unit, mean_before, mean_after; largest first.
    measurements : DataFrame
        hours, variable, before, after: every value that differs.
    """

    valid: bool
    target_risk: float
    risk: float
    changed_risk: float
    distance: float
    shifts: pd.DataFrame
    measurements: pd.DataFrame

    def __str__(self) -> str:
        side = "below" if self.risk >= self.target_risk else "above"
        if not self.valid:
            return (
                f"No plausible change of the measured values takes the risk from {self.risk:.3f} {side} "
                f"{self.target_risk:.3f}; the nearest found is {self.changed_risk:.3f}."
            )
        change = f"Risk {self.risk:.3f} to {self.changed_risk:.3f}, {side} {self.target_risk:.3f}"
        lines = [f"{change}; distance {self.distance:.2f} normal scores"]
        lines += [
            f"  {row.variable:<28}{row.shift:+6.2f}: mean {row.mean_before:.4g} to {row.mean_after:.4g} {row.unit}"
            for row in self.shifts.itertuples()
        ]
        return "\n".join(lines)

    __repr__ = __str__


@torch.no_grad()
def find_counterfactual(prepared: PreparedStays, *, target_risk: float) -> Counterfactual:
    """Search greedily for the smallest shifts of the measured variables; see `WhatIf.counterfactual`.

    Parameters
    ----------
    prepared : PreparedStays
        One stay.
    target_risk : float
        Probability that the risk is to cross.

    Returns
    -------
    Counterfactual

    Notes
    -----
    Only variables that the dictionary calls modifiable are moved: to lower the risk towards their reference range and
    never beyond it, to raise it away from it. Pressures of one hour stay in order: diastolic, mean, systolic.
    Single variables are searched first, then all together: each step shifts the variable that changes the risk most.
    The result is shortened while the risk stays across the target. Each risk is that of the changed measurements
    themselves. For an ensemble, normal scores are those of its first network.
    """
    search = _Search(prepared, target_risk=target_risk)
    shifts = [shift for shift in (search.single_variable(), search.greedy()) if shift is not None]
    return search.to_result(min(shifts, key=lambda shift: (not search.crosses(shift), np.abs(shift).sum())))


class _Search:
    """Search over shifts (variable,) of the measured variables of one stay, in normal scores."""

    def __init__(self, prepared: PreparedStays, *, target_risk: float) -> None:
        self.prepared, self.stay = prepared, prepared.stays
        self.target_risk = target_risk
        self.limits = _healthy_limits(self.stay)
        measured = np.unique(self.stay.variable)
        self.variables = measured[~np.isnan(self.limits[measured, 0])]
        self.pressures = _ordered_pressures(self.stay)
        self.zero = np.zeros(len(self.stay.variables))
        self.values, self.scores = _score_tables(prepared.networks[0].network, self.stay)
        self.base_risk = self._risks(self.zero[None])[0]
        self.direction = 1.0 if self.base_risk < target_risk else -1.0

    def crosses(self, shift: np.ndarray) -> bool:
        return bool(self._crossed(self._risks(shift[None]))[0])

    def single_variable(self) -> np.ndarray | None:
        """The smallest shift of a single variable that crosses the target."""
        if not len(self.variables):
            return None
        size = np.arange(STEP, MAX_SHIFT + STEP / 2, STEP)
        candidates = np.zeros((len(self.variables), 2, len(size), len(self.zero)))
        for row, variable in enumerate(self.variables):
            candidates[row, :, :, variable] = np.stack([size, -size])
        shifts = candidates.reshape(-1, len(self.zero))
        crossed = shifts[self._crossed(self._risks(shifts))]
        if not len(crossed):
            return None
        return self._line_search(crossed[np.argmin(np.abs(crossed).sum(axis=1))])

    def greedy(self) -> np.ndarray:
        """Steps in the variables that change the risk most, until it crosses the target or none helps."""
        shift, risk = self.zero, self.base_risk
        for _ in range(MAX_STEPS if len(self.variables) else 0):
            steps = np.zeros((2 * len(self.variables), len(self.zero)))
            steps[np.arange(len(steps)), np.tile(self.variables, 2)] = np.repeat([STEP, -STEP], len(self.variables))
            candidates = (shift + steps).clip(-MAX_SHIFT, MAX_SHIFT)
            risks = self._risks(candidates)
            best = int(np.argmax(self.direction * risks))
            if self.direction * (risks[best] - risk) <= MIN_GAIN:
                break
            shift, risk = candidates[best], risks[best]
            if self._crossed(risks)[best]:
                return self._line_search(shift)
        return np.asarray(shift)

    def to_result(self, shift: np.ndarray) -> Counterfactual:
        value = self._shifted(shift[None])[0]
        risk = float(self._risks(shift[None])[0])
        table = self.stay.to_frame()[["hours", "variable", "unit"]].assign(before=self.stay.value, after=value)
        table = table[table["before"] != table["after"]].reset_index(drop=True)
        shifts = table.groupby("variable", sort=False).agg(
            unit=("unit", "first"), mean_before=("before", "mean"), mean_after=("after", "mean")
        )
        by_name = {variable.name: shift[i] for i, variable in enumerate(self.stay.variables)}
        shifts.insert(0, "shift", [by_name[str(name)] for name in shifts.index])
        return Counterfactual(
            valid=bool(self._crossed(np.array([risk]))[0]),
            target_risk=self.target_risk,
            risk=float(self.base_risk),
            changed_risk=risk,
            distance=float(shifts["shift"].abs().sum()),
            shifts=shifts.reset_index().sort_values("shift", key=abs, ascending=False, ignore_index=True),
            measurements=table.drop(columns="unit"),
        )

    def _crossed(self, risks: np.ndarray) -> np.ndarray:
        return np.asarray(risks >= self.target_risk if self.direction > 0 else risks < self.target_risk)

    def _line_search(self, shift: np.ndarray) -> np.ndarray:
        """The shortest fraction of the shift that still crosses the target, on a fine grid."""
        fractions = np.linspace(1 / LINE_POINTS, 1, LINE_POINTS)[:, None] * shift
        crossed = np.flatnonzero(self._crossed(self._risks(fractions)))
        return np.asarray(fractions[crossed[0]] if len(crossed) else shift)

    def _risks(self, shifts: np.ndarray) -> np.ndarray:
        """(candidate,) the risk of the stay with each of these shifts (candidate, variable)."""
        size = max(1, MAX_TIME_STEPS // int(self.stay.n_steps[0]))
        return np.concatenate([self._batch_risks(batch) for batch in _batches(shifts, size)])

    def _batch_risks(self, shifts: np.ndarray) -> np.ndarray:
        copies = self.stay[np.zeros(len(shifts), dtype=int)]
        changed = replace(copies, value=self._shifted(shifts).ravel())
        return to_risk(self.prepared.target, model_outputs(self.prepared.networks, changed))

    def _shifted(self, shifts: np.ndarray) -> np.ndarray:
        """(candidate, measurement) the values with these shifts; unchanged to the bit where nothing is shifted."""
        value = np.tile(self.stay.value, (len(shifts), 1))
        for variable in self.variables:
            measurements = np.flatnonzero(self.stay.variable == variable)
            candidates = np.flatnonzero(shifts[:, variable])
            grid, score = self.values[variable], self.scores[variable]
            before = np.interp(self.stay.value[measurements], grid, score)
            after = np.interp(before + shifts[candidates, variable][:, None], score, grid)
            if len(candidates):
                bounded = self._clinically(self.stay.value[measurements], after, self.limits[variable])
                value[np.ix_(candidates, measurements)] = bounded
        for lower, higher in self.pressures:
            value[:, higher] = np.maximum(value[:, higher], value[:, lower])
        return value

    def _clinically(self, before: np.ndarray, after: np.ndarray, healthy: np.ndarray) -> np.ndarray:
        """Values that go towards the reference range to lower the risk, and away from it to raise the risk."""
        low, high = healthy
        if self.direction < 0:
            bounded = np.clip(after, np.minimum(before, high), np.maximum(before, low))
        else:
            bounded = np.where(before > high, np.maximum(before, after), after)
            bounded = np.where(before < low, np.minimum(before, bounded), bounded)
        return np.asarray(np.where(bounded == before, before, bounded).astype(np.float32))


def _score_tables(network: ClinicalGRU, stay: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """(variable, grid) values within the plausible range and that of the training stays, and their normal scores."""
    knots = network.scaler.value.knots.double().numpy()
    bounds = [variable.plausible or (-np.inf, np.inf) for variable in stay.variables]
    low, high = (np.array([bound[end] for bound in bounds]) for end in (0, 1))
    first, last = knots[:, 0].clip(low, high), knots[:, -1].clip(low, high)
    values = np.linspace(first, last, GRID_SIZE, axis=1)
    values = np.sort(np.concatenate([values, knots.clip(low[:, None], high[:, None])], axis=1), axis=1)
    variable = torch.arange(len(values))[:, None].expand(values.shape)
    return values, network.scaler.value.at(torch.from_numpy(values).float(), variable).double().numpy()


def _healthy_limits(stay: Sequences) -> np.ndarray:
    """(variable, 2) the reference range of each variable that treatment acts on; NaN of others."""
    shipped = Dictionary.load()
    limits = np.full((len(stay.variables), 2), np.nan)
    for number, variable in enumerate(stay.variables):
        known = shipped.get(variable.name, variable)  # a bundle may be older than the field
        if (variable.modifiable or known.modifiable) and (variable.reference or known.reference):
            limits[number] = variable.reference or known.reference
    return limits


def _ordered_pressures(stay: Sequences) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of pressures of one hour of which the second may not be below the first: diastolic, mean, systolic."""
    names = np.array([variable.name for variable in stay.variables], dtype=object)[stay.variable]
    rows = pd.DataFrame({"position": np.arange(len(names)), "hours": stay.hours, "name": names, "value": stay.value})
    pairs = []
    for ending in PRESSURE_SITES:
        for lower, higher in PRESSURES:
            both = rows[rows["name"] == lower + ending].merge(rows[rows["name"] == higher + ending], on="hours")
            both = both[both["value_x"] <= both["value_y"]]  # where it was so measured
            pairs.append((both["position_x"].to_numpy(), both["position_y"].to_numpy()))
    return pairs


def _batches(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (array[i : i + size] for i in range(0, len(array), size))

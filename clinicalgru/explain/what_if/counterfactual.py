"""The smallest plausible change of measured values with which a risk crosses a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.faithfulness.perturbation import numbers
from clinicalgru.explain.voices import Voice
from clinicalgru.model.network.network import ClinicalGRU

STEP, FARTHEST = 0.25, 3.0  # training spreads: of the search, and of any one variable at most
ROUNDS = 24
GRID = 129


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """What would have to be different for the risk to cross a target.

    valid        whether the risk crosses the target after the change
    target_risk, risk, changed_risk   probabilities: to be crossed, as it is, and after the change (if none was found, after
                                 the change that came nearest)
    distance     sum of the variables' shifts, in training spreads (normal scores)
    shifts       variable, shift (training spreads), unit, mean_before, mean_after
    measurements hours, variable, before, after: every value that differs
    """

    valid: bool
    target_risk: float
    risk: float
    changed_risk: float
    distance: float
    shifts: pd.DataFrame
    measurements: pd.DataFrame

    def __str__(self) -> str:
        way = "below" if self.risk >= self.target_risk else "above"
        if not self.valid:
            return (
                f"No plausible change of the measured values takes the risk from {self.risk:.3f} {way} "
                f"{self.target_risk:.3f}; the nearest found is {self.changed_risk:.3f}."
            )
        moved = f"Risk {self.risk:.3f} to {self.changed_risk:.3f}, {way} {self.target_risk:.3f}"
        lines = [f"{moved}; {self.distance:.2f} spreads in all"]
        lines += [
            f"  {row.variable:<28}{row.shift:+6.2f}: mean {row.mean_before:.4g} to {row.mean_after:.4g} {row.unit}"
            for row in self.shifts.itertuples()
        ]
        return "\n".join(lines)


@torch.no_grad()
def least_change(asking: tuple[Voice, ...], stay: Sequences, *, target_risk: float) -> Counterfactual:
    """Greedy search over shifts of the measured variables; see `WhatIf.counterfactual`.

    First each variable alone, then all in turn: each round moves the variable whose step takes the risk farthest. What
    is found is shrunk while the risk stays across, and each risk is that of the changed measurements themselves. Of an
    ensemble, spreads are those that its first network saw.
    """
    search = _Search(asking, stay, target_risk=target_risk)
    ways = [way for way in (search.alone(), search.together()) if way is not None]
    return search.told(min(ways, key=lambda way: (not search.across(way), np.abs(way).sum())))


class _Search:
    """Shifts (variable,) of the measured variables of one stay, in training spreads."""

    def __init__(self, asking: tuple[Voice, ...], stay: Sequences, *, target_risk: float) -> None:
        self.asking, self.stay = asking, stay
        self.target_risk = target_risk
        self.variables = np.unique(stay.variable)
        self.none = np.zeros(len(stay.variables))
        self.values, self.scores = _scales(asking[0].network, stay)
        self.base = self._risks(self.none[None])[0]
        self.way = 1.0 if self.base < target_risk else -1.0

    def across(self, shift: np.ndarray) -> bool:
        return bool(self._over(self._risks(shift[None]))[0])

    def alone(self) -> np.ndarray | None:
        """The smallest shift of a single variable that crosses."""
        size = np.arange(STEP, FARTHEST + STEP / 2, STEP)
        tried = np.zeros((len(self.variables), 2, len(size), len(self.none)))
        for row, variable in enumerate(self.variables):
            tried[row, :, :, variable] = np.stack([size, -size])
        ways = tried.reshape(-1, len(self.none))
        crossed = ways[self._over(self._risks(ways))]
        if not len(crossed):
            return None
        return self._shrunk(crossed[np.argmin(np.abs(crossed).sum(axis=1))])

    def together(self) -> np.ndarray:
        """Steps in the variables that take the risk farthest, until it crosses or none helps."""
        shift, risk = self.none, self.base
        for _ in range(ROUNDS):
            steps = np.zeros((2 * len(self.variables), len(self.none)))
            steps[np.arange(len(steps)), np.tile(self.variables, 2)] = np.repeat([STEP, -STEP], len(self.variables))
            tried = (shift + steps).clip(-FARTHEST, FARTHEST)
            risks = self._risks(tried)
            best = int(np.argmax(self.way * risks))
            if self.way * (risks[best] - risk) <= 1e-6:
                break
            shift, risk = tried[best], risks[best]
            if self._over(risks)[best]:
                return self._shrunk(shift)
        return np.asarray(shift)

    def told(self, shift: np.ndarray) -> Counterfactual:
        value = self._shifted(shift[None])[0]
        risk = float(self._risks(shift[None])[0])
        frame = self.stay.to_frame()[["hours", "variable", "unit"]].assign(before=self.stay.value, after=value)
        frame = frame[frame["before"] != frame["after"]].reset_index(drop=True)
        by = frame.groupby("variable", sort=False).agg(
            unit=("unit", "first"), mean_before=("before", "mean"), mean_after=("after", "mean")
        )
        names = {variable.name: shift[i] for i, variable in enumerate(self.stay.variables)}
        by.insert(0, "shift", [names[str(name)] for name in by.index])
        return Counterfactual(
            valid=bool(self._over(np.array([risk]))[0]),
            target_risk=self.target_risk,
            risk=float(self.base),
            changed_risk=risk,
            distance=float(by["shift"].abs().sum()),
            shifts=by.reset_index().sort_values("shift", key=abs, ascending=False, ignore_index=True),
            measurements=frame.drop(columns="unit"),
        )

    def _over(self, risks: np.ndarray) -> np.ndarray:
        return np.asarray(risks >= self.target_risk if self.way > 0 else risks < self.target_risk)

    def _shrunk(self, shift: np.ndarray) -> np.ndarray:
        """The shortest part of the shift that still crosses, on a fine grid."""
        part = np.linspace(1 / 32, 1, 32)[:, None] * shift
        over = np.flatnonzero(self._over(self._risks(part)))
        return np.asarray(part[over[0]] if len(over) else shift)

    def _risks(self, shifts: np.ndarray) -> np.ndarray:
        """(way,) the risk of the stay with each of these shifts (way, variable)."""
        found = [self._risk(part) for part in _in_parts(shifts, max(1, 2**14 // int(self.stay.n_steps[0])))]
        return np.concatenate(found)

    def _risk(self, shifts: np.ndarray) -> np.ndarray:
        copies = self.stay[np.zeros(len(shifts), dtype=int)]
        changed = replace(copies, value=self._shifted(shifts).ravel())
        return self.asking[0].asked.risk(numbers(self.asking, changed))

    def _shifted(self, shifts: np.ndarray) -> np.ndarray:
        """(way, fact) the values with these shifts; where nothing is shifted, to the bit as they are."""
        value = np.tile(self.stay.value, (len(shifts), 1))
        for variable in self.variables:
            facts = np.flatnonzero(self.stay.variable == variable)
            moved = np.flatnonzero(shifts[:, variable])
            grid, score = self.values[variable], self.scores[variable]
            at = np.interp(self.stay.value[facts], grid, score)
            new = np.interp(at + shifts[moved, variable][:, None], score, grid)
            value[np.ix_(moved, facts)] = _on_levels(new, self.stay.variables[variable])
        return value


def _scales(network: ClinicalGRU, stay: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """(variable, place) values that training saw and that are plausible, ascending, and their scores."""
    knots = network.scales.value.knots.double().numpy()
    bounds = [variable.plausible or (-np.inf, np.inf) for variable in stay.variables]
    low, high = (np.array([bound[end] for bound in bounds]) for end in (0, 1))
    first, last = knots[:, 0].clip(low, high), knots[:, -1].clip(low, high)
    values = np.linspace(first, last, GRID, axis=1)
    values = np.sort(np.concatenate([values, knots.clip(low[:, None], high[:, None])], axis=1), axis=1)
    which = torch.arange(len(values))[:, None].expand(values.shape)
    return values, network.scales.value.at(torch.from_numpy(values).float(), which).double().numpy()


def _on_levels(value: np.ndarray, variable: Variable) -> np.ndarray:
    """Whole numbers of what is counted in them, and the nearest of its levels of what has levels."""
    if variable.categories:
        known = np.array(sorted(float(level) for level in variable.categories))
        value = known[np.abs(value[..., None] - known).argmin(axis=-1)]
    elif variable.variable_type in ("ordinal", "binary"):
        value = np.rint(value)
    return np.asarray(value.astype(np.float32))


def _in_parts(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (array[i : i + size] for i in range(0, len(array), size))

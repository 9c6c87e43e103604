"""What if: one stay with measurements changed, added or deleted, and its risk and explanation anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clinicalgru.data.dictionary.schemas import nearest
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.targets import LOG_ODDS, Output
from clinicalgru.explain.voices import Explained, first, looked_at, voices
from clinicalgru.explain.what_if.counterfactual import Counterfactual, least_change
from clinicalgru.model.training.torch_settings import threads

SAME = 1e-6  # hours; closer than that is the same hour


class WhatIf:
    """One stay to be played with; each change stands on those before it, until `reset`.

    explanation  of the stay as it was
    current      of the stay as it is now
    stay         the measurements as they are now
    modifiable   the variables whose measurements can be changed, added or deleted
    """

    def __init__(
        self, model: Explained, stay: Sequences, *, target: Output = None, at_hours: float | None = None
    ) -> None:
        self._model, self._target = model, target
        self._first = self.stay = looked_at(model, stay, hours=at_hours, name="what_if")
        self.explanation = self.current = explain(model, self.stay, target=target)
        self.modifiable: list[Variable] = list(model.variables_)

    def change(self, *, hours: float, variable: str, value: float, unit: str | None = None) -> Explanation:
        """The explanation with another value of a measurement that was made.

        hours     when it became known, hours since the anchor
        value     in `unit`; None: the variable's own unit
        Refused: no such measurement, a value that is not plausible, a unit that is not the variable's.
        """
        number, fact = self._which(variable), self._made(hours, variable)
        values = self.stay.value.copy()
        values[fact] = self._plausible(number, value, unit)
        return self._now(replace(self.stay, value=values))

    def add(self, *, hours: float, variable: str, value: float, unit: str | None = None) -> Explanation:
        """The explanation with one more measurement.

        hours     when it is made and known, hours since the anchor
        value     in `unit`; None: the variable's own unit
        Refused: an hour outside of what the model looks at or where the variable was measured already, a value that is
        not plausible, a unit that is not the variable's.
        """
        number = self._which(variable)
        first, last = min(0.0, *self.stay.hours), float(self.stay.end_hours[0])
        if not first <= hours <= last:
            raise ArgumentError(
                f"an hour from {first:g} to {last:g}", f"{hours:g}", "Choose an hour that is looked at."
            )
        if len(self._at(hours, number)):
            raise ArgumentError(f"an hour without {variable}", "one where it was measured", "Use change or delete.")
        more = replace(
            self.stay,
            starts=self.stay.starts + np.array([0, 1]),
            hours=np.append(self.stay.hours, float(hours)),
            availability_lag=np.append(self.stay.availability_lag, np.float32(0)),
            variable=np.append(self.stay.variable, np.int16(number)),
            value=np.append(self.stay.value, np.float32(self._plausible(number, value, unit))),
        )
        return self._now(more.sorted())

    def delete(self, *, hours: float, variable: str) -> Explanation:
        """The explanation as if a measurement had not been made. Refused: no such measurement, or no other."""
        self._which(variable)
        kept = np.ones(len(self.stay.value), dtype=bool)
        kept[self._made(hours, variable)] = False
        if not kept.any():
            raise ArgumentError("another measurement left", "the last one", "Without any there is no risk to explain.")
        return self._now(self.stay.filter_measurements(kept))

    def reset(self) -> Explanation:
        """The stay as it was, and its explanation."""
        self.stay, self.current = self._first, self.explanation
        return self.explanation

    def counterfactual(self, target_risk: float) -> Counterfactual:
        """The smallest plausible change of the measured values, as they are now, with which the risk crosses a target.

        target_risk  probability; from above it the risk is to fall below it, from below to rise above it
        returns      a `Counterfactual`, which says so when there is none. The stay stays as it is.

        Changed are variables as a whole: all measurements of one move by the same part of their training spread, as
        far as values stay plausible and within what training saw. Refused: a target that is no probability.

        >>> change = cg.what_if(model, test[[0]]).counterfactual(0.9)
        >>> change.valid == (change.changed_risk >= 0.9)
        True
        """
        if not 0 < target_risk < 1:
            raise ArgumentError("a target between 0 and 1", f"{target_risk:g}", "Give a probability, such as 0.2.")
        asking = voices(self._model, self._target)
        if asking[0].asked.scale != LOG_ODDS:
            raise ArgumentError("a model that gives a risk", "one that gives a number", "Try changes by hand.")
        with threads(first(self._model).n_threads):
            return least_change(asking, self.stay, target_risk=target_risk)

    def _now(self, stay: Sequences) -> Explanation:
        self.current, self.stay = explain(self._model, stay, target=self._target), stay
        return self.current

    def _which(self, variable: str) -> int:
        names = [one.name for one in self.modifiable]
        if variable not in names:
            fix = f"{nearest(variable, names)}See modifiable."
            raise ArgumentError(f"one of the model's {len(names)} variables", repr(variable), fix)
        return names.index(variable)

    def _at(self, hours: float, number: int) -> np.ndarray:
        return np.flatnonzero((self.stay.variable == number) & (np.abs(self.stay.hours - hours) < SAME))

    def _made(self, hours: float, variable: str) -> np.ndarray:
        found = self._at(hours, self._which(variable))
        if not len(found):
            fix = "Take an hour of explanation.measurements, or add."
            raise ArgumentError(f"a measurement of {variable} at this hour", "none", fix)
        return found

    def _plausible(self, number: int, value: float, unit: str | None) -> float:
        variable = self.modifiable[number]
        own = float(value if unit is None else variable.conversion(unit).apply(value))
        low, high = variable.plausible or (-np.inf, np.inf)
        if not (np.isfinite(own) and low <= own <= high):
            got = "a value outside of it" if np.isfinite(own) else "no number"
            raise ArgumentError(f"{variable.name} from {low:g} to {high:g} {variable.unit}", got, "Give another value.")
        if variable.categories and own not in {float(level) for level in variable.categories}:
            raise ArgumentError(f"{variable.name} as one of {', '.join(variable.categories)}", "another", "Choose one.")
        return own


def what_if(model: Explained, stay: Sequences, *, target: Output = None, at_hours: float | None = None) -> WhatIf:
    """One stay to be played with: change, add or delete measurements, and see risk and explanation anew.

    stay     sequences of one stay: test[[0]]
    target, at_hours  which answer, looked at when: as of `explain`
    returns  a `WhatIf`
    Refused: other than one stay, a stay without measurements, other variables than the model's.

    >>> what_if = cg.what_if(model, test[[0]])
    >>> changed = what_if.add(hours=30.25, variable="lactate", value=9.0)
    >>> len(changed.measurements) - len(what_if.explanation.measurements)
    1
    >>> what_if.reset() is what_if.explanation
    True
    """
    return WhatIf(model, stay, target=target, at_hours=at_hours)

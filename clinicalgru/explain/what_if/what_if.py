"""What-if analysis: one stay with measurements changed, added or deleted, and its explanation after each edit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.schemas import nearest
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.explain.attribution.explain import explain_prepared
from clinicalgru.explain.prepared import prepare_stay
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.targets import Explainable
from clinicalgru.explain.what_if.counterfactual import Counterfactual, find_counterfactual
from clinicalgru.model.heads.explanation_target import Target
from clinicalgru.output_unit import is_probability

TOLERANCE = 1e-6  # hours; closer than that is the same hour


class WhatIf:
    """One stay whose measurements can be edited; each edit adds to those before it, until `reset`.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stay : Sequences
        One stay with a measurement.
    target, at_hours
        See `explain`.

    Attributes
    ----------
    explanation : Explanation
        Of the stay as it was.
    current : Explanation
        Of the stay as it is now.
    stay : Sequences
        The measurements as they are now.
    modifiable : list of Variable
        The variables whose measurements can be changed, added or deleted.
    """

    def __init__(
        self, model: Explainable, stay: Sequences, *, target: Target = None, at_hours: float | None = None
    ) -> None:
        self._prepared = prepare_stay(model, stay, caller="what_if", target=target, at_hours=at_hours)
        self._first = self.stay = self._prepared.stays
        self.explanation = self.current = explain_prepared(self._prepared)
        self.modifiable: list[Variable] = list(self._prepared.variables)

    def change(self, *, hours: float, variable: str, value: float, unit: str | None = None) -> Explanation:
        """Change the value of a measurement.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it became known.
        variable : str
            Name of the variable.
        value : float
            New value, in `unit`.
        unit : str or None
            None: the variable's own unit.

        Returns
        -------
        Explanation
            After the change.

        Raises
        ------
        ArgumentError
            If there is no such measurement, the value is not plausible, or the unit is not one of the variable's.
        """
        number, index = self._variable_number(variable), self._measurement(hours, variable)
        values = self.stay.value.copy()
        values[index] = self._plausible_value(number, value, unit)
        return self._apply(replace(self.stay, value=values))

    def add(self, *, hours: float, variable: str, value: float, unit: str | None = None) -> Explanation:
        """Add a measurement.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it is made and becomes known.
        variable : str
            Name of the variable.
        value : float
            Value, in `unit`.
        unit : str or None
            None: the variable's own unit.

        Returns
        -------
        Explanation
            After the addition.

        Raises
        ------
        ArgumentError
            If the hour is outside the window or has such a measurement already, the value is not plausible, or the unit
            is not one of the variable's.
        """
        number = self._variable_number(variable)
        check_number("hours", hours)
        first, last = min(0.0, *self.stay.hours), float(self.stay.end_hours[0])
        if not first <= hours <= last:
            raise ArgumentError(f"an hour from {first:g} to {last:g}", f"{hours:g}", "Choose an hour of the window.")
        if len(self._measurements_at(hours, number)):
            raise ArgumentError(f"an hour without {variable}", "one where it was measured", "Use change or delete.")
        longer = replace(
            self.stay,
            starts=self.stay.starts + np.array([0, 1]),
            hours=np.append(self.stay.hours, float(hours)),
            availability_lag=np.append(self.stay.availability_lag, np.float32(0)),
            variable=np.append(self.stay.variable, np.int16(number)),
            value=np.append(self.stay.value, np.float32(self._plausible_value(number, value, unit))),
        )
        return self._apply(longer.sorted())

    def delete(self, *, hours: float, variable: str) -> Explanation:
        """Delete a measurement, as if it had not been made.

        Parameters
        ----------
        hours : float
            Hour since the index time at which it became known.
        variable : str
            Name of the variable.

        Returns
        -------
        Explanation
            After the deletion.

        Raises
        ------
        ArgumentError
            If there is no such measurement, or no other.
        """
        retained = np.ones(len(self.stay.value), dtype=bool)
        retained[self._measurement(hours, variable)] = False
        if not retained.any():
            fix = "A stay without measurements has no risk to explain."
            raise ArgumentError("another measurement in the stay", "the last one", fix)
        return self._apply(self.stay.filter_measurements(retained))

    def reset(self) -> Explanation:
        """Undo all edits.

        Returns
        -------
        Explanation
            Of the stay as it was.
        """
        self.stay, self.current = self._first, self.explanation
        return self.explanation

    def counterfactual(self, target_risk: float) -> Counterfactual:
        """Find the smallest plausible change of the measured values, as they are now, that crosses a target risk.

        Parameters
        ----------
        target_risk : float
            Probability between 0 and 1. A risk at or above it is to fall below it; a risk below is to reach it.

        Returns
        -------
        Counterfactual
            Its `valid` is False if no such change was found. The stay itself is not changed.

        Raises
        ------
        ArgumentError
            If the target is no probability, or the model predicts a number.

        Notes
        -----
        Only variables that the dictionary calls modifiable are moved: those that treatment acts on within hours, never
        a coma scale. To lower a risk, values go towards their reference range and not beyond it; to raise one, away
        from it. Pressures of one hour stay in order (diastolic, mean, systolic).

        All measurements of a variable are shifted together, by the same amount in normal scores of the training values.
        Values stay within their plausible range and the range of the training stays.

        Examples
        --------
        >>> import clinicalgru as cg
        >>> events = cg.read_events(cg.simulate(60, random_state=0))
        >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
        >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
        >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
        >>> change = cg.what_if(model, stays[[0]], at_hours=6).counterfactual(0.9)
        >>> change.valid == (change.changed_risk >= 0.9)
        True
        """
        check_number("target_risk", target_risk, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
        if not is_probability(self._prepared.target):
            raise ArgumentError(
                "a model that predicts a risk", "one that predicts a number", "Use change, add, delete."
            )
        with self._prepared.computing():
            return find_counterfactual(replace(self._prepared, stays=self.stay), target_risk=float(target_risk))

    def _apply(self, stay: Sequences) -> Explanation:
        self.current, self.stay = explain_prepared(self._prepared.with_stay(stay)), stay
        return self.current

    def _variable_number(self, variable: str) -> int:
        names = [known.name for known in self.modifiable]
        if variable not in names:
            got = repr(variable) if isinstance(variable, str) else describe(variable)
            fix = f"{nearest(variable, names) if isinstance(variable, str) else ''}See modifiable."
            raise ArgumentError(f"one of the model's {len(names)} variables", got, fix)
        return names.index(variable)

    def _measurements_at(self, hours: float, number: int) -> np.ndarray:
        return np.flatnonzero((self.stay.variable == number) & (np.abs(self.stay.hours - hours) < TOLERANCE))

    def _measurement(self, hours: float, variable: str) -> np.ndarray:
        number = self._variable_number(variable)
        check_number("hours", hours)
        index = self._measurements_at(hours, number)
        if not len(index):
            fix = "Take an hour of explanation.measurements, or add."
            raise ArgumentError(f"a measurement of {variable} at this hour", "an hour without one", fix)
        return index

    def _plausible_value(self, number: int, value: Any, unit: str | None) -> float:
        variable = self.modifiable[number]
        check_number("value", value)
        check_instance("unit", unit, str, type(None))
        own = float(value if unit is None else variable.conversion(unit).apply(value))
        low, high = variable.plausible or (-np.inf, np.inf)
        if not low <= own <= high:
            plausible = f"{variable.name} from {low:g} to {high:g} {variable.unit}"
            raise ArgumentError(plausible, "a value outside this range", "Give a plausible value.")
        if variable.categories and own not in {float(category) for category in variable.categories}:
            categories = ", ".join(variable.categories)
            raise ArgumentError(f"{variable.name} as one of {categories}", "another number", "Choose one of them.")
        return own


def what_if(model: Explainable, stay: Sequences, *, target: Target = None, at_hours: float | None = None) -> WhatIf:
    """Open one stay for edits: change, add or delete measurements, and get its explanation after each.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stay : Sequences
        One stay with a measurement, such as ``sequences[[0]]``.
    target : str, float or None
        See `explain`.
    at_hours : float or None
        See `explain`.

    Returns
    -------
    WhatIf

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement by then, the model has no such target, or it cannot be explained.
    VariableMismatch
        If the variables of the stay are not those of the model.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> what_if = cg.what_if(model, stays[[0]])
    >>> edited = what_if.add(hours=30.25, variable="lactate", value=9.0)
    >>> len(edited.measurements) - len(what_if.explanation.measurements)
    1
    >>> what_if.reset() is what_if.explanation
    True
    """
    return WhatIf(model, stay, target=target, at_hours=at_hours)

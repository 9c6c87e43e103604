"""Monitor: the risk of one stay, measurement by measurement, in constant time and memory for each."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError, InputError, describe
from clinicalgru.model.estimators.classifier import GRUClassifier, GRUMultiLabel
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.network.running import RunningStay, check_followed
from clinicalgru.model.prediction_sets import MOMENT, NO_SET, SET, prediction_hour, set_columns
from clinicalgru.model.training.torch_settings import threads, torch_defaults
from clinicalgru.serve.bundle import fitted_model, model_hash

Measurement = tuple[float, int, float]  # hours, variable, value
Followed = GRUClassifier | GRUMultiLabel | GRUEarlyWarning


class Monitor:
    """Follow one stay: add measurements as they become known, and ask for the risk at any moment.

    Parameters
    ----------
    model : GRUClassifier, GRUMultiLabel, GRUEarlyWarning, str or Path
        A fitted model, or the folder of its bundle. Monitors can share a model.
    static : mapping of str to float, optional
        Static covariates by name, in the unit of the variable; a category as its position. None or NaN: unknown. A
        value outside the plausible range is counted in `n_rejected`, and stays unknown.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.

    Raises
    ------
    ArgumentError
        If the model is of another class, or its network looks back at all rows (see `check_followed`), or `static`
        names a covariate or category that it does not know, or holds what is no number.

    Notes
    -----
    The risk equals that of scoring the same measurements as a batch. Measurements count from when they became known:
    one that arrives late, or out of order, counts as known at the latest moment so far. A corrected value is a further
    measurement. Several values of one variable at one instant are merged as the dictionary says.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> model = cg.GRUClassifier(max_epochs=1, random_state=0).fit(stays, verbose=False)
    >>> monitor = cg.Monitor(model, static={"age": 71})
    >>> monitor.update("heart_rate", 96, hours=0.5)
    True
    >>> monitor.update("lactate", 3.1, hours=1.0, available_hours=1.6)
    True
    >>> bool(0 < monitor.risk(at_hours=2.0) < 1)
    True
    >>> monitor.prediction_sets(at_hours=2.0)  # before the prediction time there is none
    {'prediction_set': ''}
    """

    def __init__(
        self,
        model: Followed | str | Path,
        *,
        static: Mapping[str, float] | None = None,
        require_signature: str | Path | None = None,
    ) -> None:
        fitted: Any = fitted_model(model, require_signature=require_signature)
        if not isinstance(fitted, Followed):
            fix = "Score stays of other models as a batch."
            raise ArgumentError("a GRU of classes, labels or an early warning", type(fitted).__name__, fix)
        check_followed(fitted.network_.spec)
        self.model = fitted
        self.n_rejected = 0
        self._names = [variable.name for variable in fitted.variables_]
        self._positions = {name: number for number, name in enumerate(self._names)}
        self._static = np.full(len(fitted.static_variables_), np.nan)
        for name, value in (static or {}).items():
            self._add_static(name, value)
        with torch_defaults(grad=False):
            self._stay = RunningStay.of(fitted.network_)
        self._known = -np.inf  # when the open row became known
        self._row: list[Measurement] = []  # measurements of the open row

    def _add_static(self, name: str, value: float | None) -> None:
        variables = {variable.name: variable for variable in self.model.static_variables_}
        if name not in variables:
            raise ArgumentError(f"static covariates among {', '.join(variables) or 'none'}", name, "Leave it out.")
        if value is None or (isinstance(value, numbers.Real) and np.isnan(value)):
            return
        variable = variables[name]
        if variable.categories and value not in range(len(variable.categories)):
            expected = f"{name} as the position of a category, 0 to {len(variable.categories) - 1}"
            raise ArgumentError(expected, describe(value), "Correct it.")
        check_number(name, value)
        low, high = variable.plausible or (-np.inf, np.inf)
        if low <= value <= high:
            self._static[list(variables).index(name)] = value
        else:
            self.n_rejected += 1

    def update(
        self,
        variable: str,
        value: float,
        *,
        hours: float,
        available_hours: float | None = None,
        unit: str | None = None,
    ) -> bool:
        """Add a measurement.

        Parameters
        ----------
        variable : str
            Name of the variable.
        value : float
            Its value.
        hours : float
            When it was measured, in hours since the index time.
        available_hours : float, optional
            When it became known; `hours` where None, or where that is earlier.
        unit : str, optional
            Its unit; that of the variable where None.

        Returns
        -------
        bool
            Whether it is used: not, and counted in `n_rejected`, if the model does not know the variable, the value is
            outside its plausible range, or it became known outside the window of the task.

        Raises
        ------
        ArgumentError
            If a number is not finite.
        DictionaryError
            If the unit is unknown.
        """
        for name, number in (("value", value), ("hours", hours)):
            check_number(name, number)
        check_number("available_hours", available_hours, optional=True)
        known = max(hours if available_hours is None else max(available_hours, hours), self._known)
        position = self._positions.get(variable)
        first, last = self.model.task_.window_hours
        if position is None or not first <= known <= last:
            self.n_rejected += 1
            return False
        entry = self.model.variables_[position]
        number = float(value) if unit is None else float(entry.conversion(unit).apply(value))
        low, high = entry.plausible or (-np.inf, np.inf)
        if not low <= number <= high:
            self.n_rejected += 1
            return False
        if known > self._known and self._row:
            self._stay, self._row = self._closed(), []
        self._known = known
        self._row.append((known - float(np.float32(known - hours)), position, float(number)))
        return True

    def _closed(self) -> RunningStay:
        """The stay with the open row, which is never part of what is kept: further measurements may join it."""
        row = self._merged()
        with torch_defaults(grad=False), threads(1):
            return self._stay.after(self.model.network_, self._known, row)

    def _merged(self) -> list[tuple[int, float, float]]:
        """The measurements of the open row in order of time, with one value of a variable at an instant."""
        values: dict[tuple[float, int], list[float]] = {}
        for hours, variable, value in self._row:
            values.setdefault((hours, variable), []).append(value)
        merged = [
            (variable, float(np.float32(_merge(each, self.model.variables_[variable].merge))), hours)
            for (hours, variable), each in values.items()
        ]
        return sorted(merged, key=lambda measurement: (measurement[2], measurement[0]))

    def risk(self, *, at_hours: float | None = None) -> float:
        """Predict from all that is known, for a model of one outcome.

        Parameters
        ----------
        at_hours : float, optional
            Moment of the prediction, in hours since the index time, not before the last measurement; that one where
            None.

        Returns
        -------
        float
            The risk, calibrated as the model is; NaN before the first measurement.

        Raises
        ------
        ArgumentError
            If the moment lies before the last measurement, or the model has several classes or labels.
        """
        self._check_one("risk")
        return float(self._outputs(at_hours)[0])

    def risks(self, *, at_hours: float | None = None) -> dict[str, float]:
        """Predict from all that is known: one risk for each class or label.

        Parameters
        ----------
        at_hours : float, optional
            As for `risk`.

        Returns
        -------
        dict of str to float
            By column of a score table, such as "risk_septic" of a label or "risk_2" of a class; "risk" of one outcome.
            NaN before the first measurement.

        Raises
        ------
        ArgumentError
            If the moment lies before the last measurement.
        """
        return dict(zip(self.model.score_columns_, self._outputs(at_hours).tolist(), strict=True))

    def prediction_set(self, *, at_hours: float | None = None) -> str:
        """Give the outcomes that the risk leaves open at the coverage of the model's prediction sets.

        Parameters
        ----------
        at_hours : float, optional
            As for `risk`.

        Returns
        -------
        str
            "event", "no event", "either" or "none", or of several classes their names, such as "0 or 2", at the
            prediction time of the task; "" at any other moment, where the coverage was not evaluated, and of a model
            without sets.

        Raises
        ------
        ArgumentError
            If the model has several labels, each with a set of its own: see `prediction_sets`.
        """
        if isinstance(self.model, GRUMultiLabel):
            self._check_one("prediction_set")
        return self.prediction_sets(at_hours=at_hours)[SET]

    def prediction_sets(self, *, at_hours: float | None = None) -> dict[str, str]:
        """Give the prediction sets by column of a score table: one for each label, else one.

        Parameters
        ----------
        at_hours : float, optional
            As for `risk`.

        Returns
        -------
        dict of str to str
            Such as "prediction_set_septic" of a label, else "prediction_set". Sets as of `prediction_set`; "" also for
            a label without sets.
        """
        columns, risks = set_columns(self.model.task_), self._outputs(at_hours)
        at, sets = self._known if at_hours is None else float(at_hours), self.model.prediction_sets_
        if sets is None or np.isnan(risks).any() or abs(at - prediction_hour(self.model.task_)) > MOMENT:
            return dict.fromkeys(columns, NO_SET)
        found = sets.predict(risks if list(self.model.score_columns_) == ["risk"] else risks[None])
        return dict(zip(columns, map(str, found.reshape(-1)), strict=True))

    def _check_one(self, method: str) -> None:
        """Refuse a method for one output where the model has several."""
        if len(self.model.score_columns_) > 1:
            got = f"one with {len(self.model.score_columns_)} outputs"
            raise ArgumentError("a model of one outcome", got, f"Use {method}s, which gives one by name.")

    def _outputs(self, at_hours: float | None) -> np.ndarray:
        """(output,) calibrated risks in the order of the score columns; NaN before the first measurement."""
        model = self.model
        if not self._row:
            return np.full(len(model.score_columns_), np.nan)
        at = self._known if at_hours is None else float(at_hours)
        if not at >= self._known:
            fix = "Leave at_hours out, or keep a monitor of the earlier moment (state)."
            raise ArgumentError("a moment at or after the last measurement", "an earlier one", fix)
        at = self._known if model.head_.per_step else at
        with torch_defaults(grad=False), threads(1):
            logits = self._closed().logits(model.network_, at, self._static, self._names)
            raw = model.head_.predict(model.head_.aggregate_members(logits)).numpy()
        hours = None if model.head_.per_step else np.array([at])
        return np.asarray(model._calibrated(raw, hours)).reshape(-1)

    def state(self) -> str:
        """Give all that the monitor keeps, to go on after a restart. It holds patient data.

        Returns
        -------
        str
            JSON, of a size that does not depend on the number of measurements before the last row.
        """
        content: dict[str, Any] = {"model_hash": model_hash(self.model), "stay": self._stay.to_dict(), "row": self._row}
        content |= {"known": self._known, "static": self._static.tolist(), "n_rejected": self.n_rejected}
        return json.dumps(content)

    @classmethod
    def restore(cls, model: Followed | str | Path, state: str) -> Monitor:
        """Go on with a monitor.

        Parameters
        ----------
        model : GRUClassifier, GRUMultiLabel, GRUEarlyWarning, str or Path
            The model that it followed the stay with.
        state : str
            What `state` gave.

        Returns
        -------
        Monitor
            Its risks are those of the monitor before.

        Raises
        ------
        InputError
            If the state is of another model, or cannot be read.
        """
        monitor = cls(model)
        try:
            content = json.loads(state)
            of = content["model_hash"]
            monitor._stay = RunningStay.from_dict(content["stay"])
            monitor._row = [(float(hours), int(variable), float(value)) for hours, variable, value in content["row"]]
            monitor._known, monitor.n_rejected = float(content["known"]), int(content["n_rejected"])
            monitor._static = np.array(content["static"], dtype=float)
        except (RecursionError, ValueError, KeyError, TypeError):
            raise InputError("what Monitor.state gave", "another text", "Begin a new monitor.", where="state") from None
        if of != model_hash(monitor.model):
            raise InputError("the state of this model", "that of another model", "Begin a new monitor.", where="state")
        return monitor


def _merge(values: list[float], how: str) -> float:
    """One value of several at an instant; exact repeats count once."""
    last, distinct = values[-1], sorted(set(values))
    merges: dict[str, Any] = {"mean": np.mean, "sum": np.sum, "min": min, "max": max}
    return last if how == "last" or how not in merges else float(merges[how](distinct))

"""The panel to change, leave out or add a measurement with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets
import numpy as np
import traitlets

from clinicalgru.errors import ClinicalGRUError
from clinicalgru.view.plots.timeline import last_hour
from clinicalgru.view.text.counterfactual_text import counterfactual_text
from clinicalgru.view.text.format import format_number, format_percent
from clinicalgru.view.text.variable_text import format_value, label_with_unit
from clinicalgru.view.widgets.widget_base import aria_live, html_widget, paragraph

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.what_if.counterfactual import Counterfactual

NOT_MEASURED = "not measured"


class WhatIfModel(Protocol):
    """A stay to be played with, such as `what_if(model, stay)` returns."""

    explanation: Explanation
    modifiable: list[Variable]

    def change(self, *, hours: float, variable: str, value: float) -> Explanation: ...

    def add(self, *, hours: float, variable: str, value: float) -> Explanation: ...

    def delete(self, *, hours: float, variable: str) -> Explanation: ...

    def counterfactual(self, target_risk: float) -> Counterfactual: ...

    def reset(self) -> Explanation: ...


ApplyChange = Callable[[Callable[[], "Explanation"]], None]


class WhatIfPanel(ipywidgets.VBox):
    """Choose a variable and one of its measurements; slide or type another value, leave it out, or start again.

    player     what gives the new explanations
    taken      is handed each change as a function to call
    threshold  a risk; with it a button tells the smallest change with which the risk crosses it

    A measurement can be added at an hour where there is none, also of a variable that was never measured.

    State: `variable` (name), `hour`, `format_value`, `new_hour`, `new_value`; all can be set. `told`: what the button said.
    """

    variable = traitlets.Unicode()

    def __init__(self, player: WhatIfModel, taken: ApplyChange, *, threshold: float | None = None) -> None:
        super().__init__()
        self.player, self.taken, self.threshold = player, taken, threshold
        self._quiet, self._present = False, float("nan")
        self.now = player.explanation
        self._variables = {one.name: one for one in player.modifiable}
        self._which = ipywidgets.Dropdown(description="Variable", options=self._named())
        self._hour = ipywidgets.Dropdown(description="Measured")
        self._slide = ipywidgets.FloatSlider(description="Value", readout=False, continuous_update=True)
        self._type = ipywidgets.FloatText(description="or type")
        self._leave = ipywidgets.Button(description="Leave it out", tooltip="As if it had not been measured")
        self._reset = ipywidgets.Button(description="Reset", tooltip="The stay as it was")
        self.range = html_widget()
        self._new_hour = ipywidgets.FloatText(description="New at hour", value=last_hour(self.now), step=0.25)
        self._new_value = ipywidgets.FloatText(description="with value")
        self._add = ipywidgets.Button(description="Add it", tooltip="As if it had been measured at this hour too")
        self._cross = ipywidgets.Button(tooltip="Looks for it; changes nothing")
        self.told = html_widget(alive=True)
        buttons = ipywidgets.HBox([self._leave, self._reset])
        title = html_widget(paragraph("What if", kind="cg-title"))
        played = (title, self._which, self._hour, self._slide, self._type, self.range, buttons)
        self.children = (*played, self._new_hour, self._new_value, self._add, *self._crossing())
        self._listen()
        self._turn()

    def _named(self) -> list[tuple[str, str]]:
        measured = set(self.now.measurements["variable"])
        named = [(label_with_unit(one), one.name) for one in self._variables.values() if one.name in measured]
        never = [one for one in self._variables.values() if one.name not in measured]
        return [*named, *((f"{label_with_unit(one)}: {NOT_MEASURED} at first", one.name) for one in never)]

    def _crossing(self) -> tuple[ipywidgets.Widget, ...]:
        if self.threshold is None:
            return ()
        self._cross.description = f"Smallest change across {format_percent(self.threshold)}"
        self._cross.layout.width = "auto"
        return self._cross, self.told

    def _listen(self) -> None:
        self._which.observe(self._turn, names="value")
        self._hour.observe(self._fill, names="value")
        self._slide.observe(self._slid, names="value")
        self._type.observe(self._typed, names="value")
        self._leave.on_click(self._left_out)
        self._add.on_click(self._added)
        self._cross.on_click(self._crossed)
        self._reset.on_click(self._again)

    @property
    def hour(self) -> float | None:
        """The hour of the measurement that is chosen; None where the variable has none left."""
        return None if self._hour.value is None else float(self._hour.value)

    @hour.setter
    def hour(self, hour: float) -> None:
        self._hour.value = hour

    @property
    def value(self) -> float:
        """The value of the measurement that is chosen, in the variable's own unit."""
        return float(self._type.value)

    @value.setter
    def value(self, amount: float) -> None:
        self._type.value = amount

    @property
    def new_hour(self) -> float:
        """The hour at which a measurement would be added."""
        return float(self._new_hour.value)

    @new_hour.setter
    def new_hour(self, hour: float) -> None:
        self._new_hour.value = hour

    @property
    def new_value(self) -> float:
        """The value that would be added, in the variable's own unit."""
        return float(self._new_value.value)

    @new_value.setter
    def new_value(self, amount: float) -> None:
        self._new_value.value = amount

    @traitlets.observe("variable")
    def _set(self, change: dict[str, Any]) -> None:
        if self._which.value != change["new"]:
            self._which.value = change["new"]

    def _turn(self, *_: object) -> None:
        """Another variable: its measurements, the last one chosen."""
        if self._which.value is None:
            return
        self.variable = self._which.value
        self._list(last=True)
        self._new_value.value = self._type.value

    def _list(self, *, last: bool) -> None:
        named, kept = self._measured(), self._hour.value
        hours = [hour for _, hour in named]
        self._quiet = True
        self._hour.options = named or [(NOT_MEASURED, None)]
        self._hour.value = kept if kept in hours and not last else (hours[-1] if hours else None)
        self._quiet = False
        self._fill()

    def _fill(self, *_: object) -> None:
        """The value of the measurement that is chosen, within the range that is plausible."""
        if self._quiet:
            return
        variable = self._variables[self.variable]
        rows = self.now.measurements.query("variable == @variable.name")
        here = rows[np.isclose(rows["hours"], -np.inf if self.hour is None else self.hour)]["value"]
        amount = float(here.iloc[-1]) if len(here) else np.nan
        self._quiet, self._present = True, amount
        self._bound(variable, amount, rows["value"].tolist())
        for control in (self._slide, self._type, self._leave):
            control.disabled = bool(np.isnan(amount))
        self._quiet = False

    def _bound(self, variable: Variable, amount: float, seen: Sequence[float]) -> None:
        low, high = variable.plausible or (min([*seen, 0.0]), max([*seen, 1.0]))
        whole = variable.variable_type in ("ordinal", "binary")
        with self._slide.hold_trait_notifications():
            self._slide.min, self._slide.max = min(low, self._slide.max), high
            self._slide.min = low
            self._slide.step = 1.0 if whole else _fine((high - low) / 200)
            self._slide.value = low if np.isnan(amount) else amount
        self._type.value = low if np.isnan(amount) else round(amount, 4)
        self._type.step = self._slide.step
        text = f"Plausible: {format_value(variable, low)} to {format_value(variable, high)}."
        if variable.reference is not None:
            text += f" Reference: {format_value(variable, variable.reference[0])} to {format_value(variable, variable.reference[1])}."
        self.range.value = paragraph(text, kind="cg-quiet")

    def _slid(self, change: dict[str, Any]) -> None:
        snapped = abs(change["new"] - self._present) < 0.999 * self._slide.step  # a browser moves a slider to its steps
        if not self._quiet and not snapped:
            self._quiet = True
            self._type.value = round(change["new"], 4)
            self._quiet = False
            self._changed(float(change["new"]))

    def _typed(self, change: dict[str, Any]) -> None:
        if not self._quiet:
            self._quiet = True
            self._slide.value = min(max(change["new"], self._slide.min), self._slide.max)
            self._quiet = False
            self._changed(float(change["new"]))

    def _changed(self, amount: float) -> None:
        if self.hour is not None:
            hour, self._present = self.hour, amount
            self._take(lambda: self.player.change(hours=hour, variable=self.variable, value=amount))
            self._quiet = True
            self._rename()
            self._quiet = False

    def _rename(self) -> None:
        """Name the measurements by their present values, the chosen one still chosen."""
        kept = self._hour.value
        self._hour.options = self._measured()
        self._hour.value = kept

    def _measured(self) -> list[tuple[str, float]]:
        """The measurements of the variable as they are now, by hour and value; and their hours."""
        variable = self._variables[self.variable]
        rows = self.now.measurements.query("variable == @variable.name").sort_values("hours")
        return [
            (f"{format_number(hour)} h: {format_value(variable, amount)}", float(hour))
            for hour, amount in zip(rows["hours"], rows["value"], strict=True)
        ]

    def _left_out(self, _: object) -> None:
        if self.hour is not None:
            hour = self.hour
            self._take(lambda: self.player.delete(hours=hour, variable=self.variable))
            self._list(last=False)

    def _added(self, _: object) -> None:
        """Add the new measurement; where it was not refused, it is the one chosen."""
        before, hour = self.now, self.new_hour
        self._take(lambda: self.player.add(hours=hour, variable=self.variable, value=self.new_value))
        if self.now is not before:
            self._list(last=False)
            self.hour = min((at for _, at in self._measured()), key=lambda at: abs(at - hour))

    def _crossed(self, _: object) -> None:
        """Say the smallest change with which the risk crosses the threshold; the stay stays as it is."""
        if self.threshold is None:
            return
        self._cross.disabled = True
        try:
            change = self.player.counterfactual(self.threshold)
            self.told.value = aria_live(*(paragraph(one) for one in counterfactual_text(change, self.now)))
        except ClinicalGRUError as error:
            self.told.value = aria_live(paragraph(str(error), kind="cg-warn"))
        finally:
            self._cross.disabled = False

    def _again(self, _: object) -> None:
        self._take(self.player.reset)
        self._list(last=False)

    def _take(self, change: Callable[[], Explanation]) -> None:
        self.taken(lambda: self._keep(change()))

    def _keep(self, explanation: Explanation) -> Explanation:
        self.now, self.told.value = explanation, ""  # what was told is of the stay as it was
        return explanation


def _fine(step: float) -> float:
    """A step of 1, 2 or 5 times a power of ten, no larger than this.

    >>> _fine(0.199), _fine(1.0)
    (0.1, 1.0)
    """
    power = 10.0 ** np.floor(np.log10(step))
    return float(max(power * part for part in (1.0, 2.0, 5.0) if power * part <= step * (1 + 1e-9)))

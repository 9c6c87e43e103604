"""Panel to change, remove or add a measurement of a stay, and to search for a counterfactual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from clinicalgru.errors import ClinicalGRUError
from clinicalgru.view.plots.timeline_data import last_hour
from clinicalgru.view.text.counterfactual_text import counterfactual_text
from clinicalgru.view.text.format import format_percent
from clinicalgru.view.text.variable_text import format_value
from clinicalgru.view.widgets.notebook_packages import ipywidgets, traitlets
from clinicalgru.view.widgets.what_if_model import (
    NOT_MEASURED,
    WhatIfModel,
    measurement_options,
    slider_step,
    variable_options,
)
from clinicalgru.view.widgets.widget_base import aria_live, html_widget, paragraph

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

ApplyChange = Callable[[Callable[[], "Explanation"]], None]


class WhatIfPanel(ipywidgets.VBox):
    """Choose a variable and one of its measurements; change its value, remove it, add another, or reset all.

    Parameters
    ----------
    model : WhatIfModel
        Computes the explanation of the changed stay.
    apply_change : callable
        Takes each change as a function to call.
    threshold : float, optional
        A risk. With it, a button searches for the smallest change with which the risk crosses the threshold.

    Attributes
    ----------
    variable : str
        Name of the variable; can be set.
    hour, value : float
        Hour and value of the chosen measurement; can be set. The hour is None where the variable has none.
    new_hour, new_value : float
        Hour and value of the measurement to add; can be set.
    result : ipywidgets.HTML
        The counterfactual that was found.
    """

    variable = traitlets.Unicode()

    def __init__(self, model: WhatIfModel, apply_change: ApplyChange, *, threshold: float | None = None) -> None:
        super().__init__()
        self.model, self.apply_change, self.threshold = model, apply_change, threshold
        self._muted, self._current_value = False, float("nan")
        self.explanation = model.explanation
        self._variables = {variable.name: variable for variable in model.modifiable}
        self._build()
        self._listen()
        self._on_variable_change()

    def _build(self) -> None:
        """Create the controls."""
        options = variable_options(self._variables.values(), self.explanation)
        self._variable = ipywidgets.Dropdown(description="Variable", options=options)
        self._hour = ipywidgets.Dropdown(description="Measured")
        self._slider = ipywidgets.FloatSlider(description="Value", readout=False, continuous_update=True)
        self._number = ipywidgets.FloatText(description="or type")
        self._delete = ipywidgets.Button(description="Remove", tooltip="As if it had not been measured")
        self._reset = ipywidgets.Button(description="Reset", tooltip="The original stay")
        self.range = html_widget()
        self._new_hour = ipywidgets.FloatText(description="New hour", value=last_hour(self.explanation), step=0.25)
        self._new_value = ipywidgets.FloatText(description="New value")
        self._add = ipywidgets.Button(description="Add", tooltip="As if it had been measured at this hour too")
        self._search = ipywidgets.Button(tooltip="Searches only; the stay is not changed")
        self.result = html_widget(live=True)
        title = html_widget(paragraph("What if", css_class="cg-title"))
        buttons = ipywidgets.HBox([self._delete, self._reset])
        existing = (self._variable, self._hour, self._slider, self._number, self.range, buttons)
        self.children = (title, *existing, self._new_hour, self._new_value, self._add, *self._counterfactual_controls())

    def _counterfactual_controls(self) -> tuple[ipywidgets.Widget, ...]:
        if self.threshold is None:
            return ()
        self._search.description = f"Smallest change across {format_percent(self.threshold)}"
        self._search.layout.width = "auto"
        return self._search, self.result

    def _listen(self) -> None:
        """Connect the controls with their handlers."""
        self._variable.observe(self._on_variable_change, names="value")
        self._hour.observe(self._fill_values, names="value")
        self._slider.observe(self._on_slide, names="value")
        self._number.observe(self._on_type, names="value")
        self._delete.on_click(self._on_delete)
        self._add.on_click(self._on_add)
        self._search.on_click(self._on_search)
        self._reset.on_click(self._on_reset)

    @property
    def hour(self) -> float | None:
        """The hour of the chosen measurement; None where the variable has none left."""
        return None if self._hour.value is None else float(self._hour.value)

    @hour.setter
    def hour(self, hour: float) -> None:
        self._hour.value = hour

    @property
    def value(self) -> float:
        """The value of the chosen measurement, in the variable's own unit."""
        return float(self._number.value)

    @value.setter
    def value(self, value: float) -> None:
        self._number.value = value

    @property
    def new_hour(self) -> float:
        """The hour of the measurement to add."""
        return float(self._new_hour.value)

    @new_hour.setter
    def new_hour(self, hour: float) -> None:
        self._new_hour.value = hour

    @property
    def new_value(self) -> float:
        """The value to add, in the variable's own unit."""
        return float(self._new_value.value)

    @new_value.setter
    def new_value(self, value: float) -> None:
        self._new_value.value = value

    @traitlets.observe("variable")
    def _on_variable_set(self, change: dict[str, Any]) -> None:
        if self._variable.value != change["new"]:
            self._variable.value = change["new"]

    @contextmanager
    def _mute(self) -> Iterator[None]:
        """Set controls without calling their handlers."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def _options(self) -> list[tuple[str, float]]:
        return measurement_options(self._variables[self.variable], self.explanation)

    def _on_variable_change(self, *_: object) -> None:
        """List the measurements of another variable and choose the last one."""
        if self._variable.value is None:
            return
        self.variable = self._variable.value
        self._list_measurements(last=True)
        self._new_value.value = self._number.value

    def _list_measurements(self, *, last: bool) -> None:
        """List the measurements of the variable; choose the last one, or keep the chosen one where it is left."""
        options, chosen = self._options(), self._hour.value
        hours = [hour for _, hour in options]
        with self._mute():
            self._hour.options = options or [(NOT_MEASURED, None)]
            self._hour.value = chosen if chosen in hours and not last else (hours[-1] if hours else None)
        self._fill_values()

    def _fill_values(self, *_: object) -> None:
        """Show the value of the chosen measurement."""
        if self._muted:
            return
        variable = self._variables[self.variable]
        rows = self.explanation.measurements
        rows = rows[rows["variable"] == variable.name]
        chosen = rows[np.isclose(rows["hours"], -np.inf if self.hour is None else self.hour)]["value"]
        value = float(chosen.iloc[-1]) if len(chosen) else np.nan
        with self._mute():
            self._current_value = value
            self._clamp(variable, value, rows["value"].tolist())
            for control in (self._slider, self._number, self._delete):
                control.disabled = bool(np.isnan(value))

    def _clamp(self, variable: Variable, value: float, measured: Sequence[float]) -> None:
        """Set the bounds of the slider to the plausible range, and its value."""
        low, high = variable.plausible or (min([*measured, 0.0]), max([*measured, 1.0]))
        whole = variable.variable_type in ("ordinal", "binary")
        with self._slider.hold_trait_notifications():
            self._slider.min, self._slider.max = min(low, self._slider.max), high
            self._slider.min = low
            self._slider.step = 1.0 if whole else slider_step((high - low) / 200)
            self._slider.value = low if np.isnan(value) else value
        self._number.value = low if np.isnan(value) else round(value, 4)
        self._number.step = self._slider.step
        text = f"Plausible: {format_value(variable, low)} to {format_value(variable, high)}."
        if variable.reference is not None:
            ends = " to ".join(format_value(variable, end) for end in variable.reference)
            text += f" Reference: {ends}."
        self.range.value = paragraph(text, css_class="cg-quiet")

    def _on_slide(self, change: dict[str, Any]) -> None:
        moved = abs(change["new"] - self._current_value)
        if self._muted or moved < 0.999 * self._slider.step:  # a browser moves a slider to its nearest step by itself
            return
        with self._mute():
            self._number.value = round(change["new"], 4)
        self._change_value(float(change["new"]))

    def _on_type(self, change: dict[str, Any]) -> None:
        if self._muted:
            return
        with self._mute():
            self._slider.value = min(max(change["new"], self._slider.min), self._slider.max)
        self._change_value(float(change["new"]))

    def _change_value(self, value: float) -> None:
        """Change the chosen measurement, and rename it in the list by its new value."""
        if self.hour is None:
            return
        hour, self._current_value = self.hour, value
        self._apply(lambda: self.model.change(hours=hour, variable=self.variable, value=value))
        with self._mute():
            chosen = self._hour.value
            self._hour.options = self._options()
            self._hour.value = chosen

    def _on_delete(self, _: object) -> None:
        if self.hour is not None:
            hour = self.hour
            self._apply(lambda: self.model.delete(hours=hour, variable=self.variable))
            self._list_measurements(last=False)

    def _on_add(self, _: object) -> None:
        """Add the new measurement, and choose it unless it was refused."""
        before, hour = self.explanation, self.new_hour
        self._apply(lambda: self.model.add(hours=hour, variable=self.variable, value=self.new_value))
        if self.explanation is not before:
            self._list_measurements(last=False)
            self.hour = min((option for _, option in self._options()), key=lambda option: abs(option - hour))

    def _on_search(self, _: object) -> None:
        """Show the smallest change with which the risk crosses the threshold; the stay is not changed."""
        if self.threshold is None:
            return
        self._search.disabled = True
        try:
            sentences = counterfactual_text(self.model.counterfactual(self.threshold), self.explanation)
            self.result.value = aria_live(*(paragraph(sentence) for sentence in sentences))
        except ClinicalGRUError as error:
            self.result.value = aria_live(paragraph(str(error), css_class="cg-warn"))
        finally:
            self._search.disabled = False

    def _on_reset(self, _: object) -> None:
        self._apply(self.model.reset)
        self._list_measurements(last=False)

    def _apply(self, change: Callable[[], Explanation]) -> None:
        self.apply_change(lambda: self._update_view(change()))

    def _update_view(self, explanation: Explanation) -> Explanation:
        """Store the explanation of the changed stay; the counterfactual of the stay before is cleared."""
        self.explanation, self.result.value = explanation, ""
        return explanation

"""Why one stay's risk is what it is, to look at and to play with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from clinicalgru.errors import ArgumentError, ClinicalGRUError
from clinicalgru.html import Markup, tag
from clinicalgru.view.pages import html_page
from clinicalgru.view.pages.patient_page import LIMITS, timeline_caption
from clinicalgru.view.plots.timeline import (
    first_hour,
    format_answer,
    is_probability,
    last_hour,
    plot_patient,
    update_figure,
    variables_by_contribution,
)
from clinicalgru.view.text.effects_table import effects_table, variable_effects
from clinicalgru.view.text.format import capitalize_first, format_number, format_percent
from clinicalgru.view.text.narrative import headline, narrative
from clinicalgru.view.widgets.what_if_panel import WhatIfModel, WhatIfPanel
from clinicalgru.view.widgets.widget_base import aria_live, figure_widget, html_widget, paragraph, styled, tiles

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement


class PatientView(ipywidgets.VBox):
    """The risk of one stay over time, the measurements under it, what moved it up to a cursor, and a what-if panel.

    why        an `Explanation`
    what_if    what `what_if(model, stay)` returned; without it nothing can be changed
    movement   what `movement(model, stay)` returned; with it effects are told in points of risk
    threshold  a risk to draw a line at, as of an alert
    half_life  hours by variable after which a carried value is drawn half as strong; None: as the network carries it,
               6 where it does not say
    top        how many variables to show
    Refused: a threshold that is no probability.

    State: `cursor` (hours; can be set), `explanation` (the present one), `changed` (whether it is another than `why`).
    """

    cursor = traitlets.Float()

    def __init__(
        self,
        why: Explanation,
        *,
        what_if: WhatIfModel | None = None,
        movement: Movement | None = None,
        threshold: float | None = None,
        half_life: Mapping[str, float] | None = None,
        top: int = 6,
    ) -> None:
        super().__init__()
        if threshold is not None and not 0 < threshold < 1:
            raise ArgumentError("a threshold between 0 and 1", f"{threshold:g}", "Give a probability, such as 0.2.")
        self.why = self.explanation = why
        self.movement, self.threshold = movement, threshold
        self.half_life = why.half_life if half_life is None else half_life
        self.strongest = self.variables = variables_by_contribution(why)[:top]
        self.top = html_widget(alive=True)
        self.effects = html_widget(alive=True)
        self.notice = html_widget(alive=True)
        self.place = ipywidgets.VBox()
        self.hours = _slider(why)
        self.panel: WhatIfPanel | None = None
        if what_if is not None:
            self.panel = WhatIfPanel(what_if, self._play, threshold=threshold)
        self._build()

    def _build(self) -> None:
        controls = [html_widget(paragraph("Cursor", kind="cg-title")), self.hours, self.effects]
        beside = [ipywidgets.VBox(controls)]
        if self.panel is not None:
            beside.append(self.panel)
            self.panel.observe(self._show, names="variable")
        for box in beside:
            box.add_class("cg-panel")
        controls_box = ipywidgets.Box(beside)
        controls_box.add_class("cg-beside")
        columns = ipywidgets.Box([self.place, controls_box])
        columns.add_class("cg-columns")
        styled(self, self.top, self.notice, columns)
        self.cursor = self.hours.value
        traitlets.link((self, "cursor"), (self.hours, "value"))
        self._redraw()
        self._say()

    @property
    def changed(self) -> bool:
        """Whether the explanation shown is another than the one given."""
        return self.explanation is not self.why

    @traitlets.observe("cursor")
    def _move(self, _: object) -> None:
        if not self.place.children:
            return
        with self.figure.batch_update():
            self.figure.layout.shapes[-1].x0 = self.cursor
            self.figure.layout.shapes[-1].x1 = self.cursor
        self.effects.value = aria_live(self._effects())

    def save(self, path: str | os.PathLike[str], *, title: str = "Why this risk") -> Path:
        """The same picture as one offline HTML page: words, course, and what moved the risk up to the cursor."""
        reading = timeline_caption(self.explanation, self.half_life)
        drawn = html_page.figure(self._figure(), "Risk and measurements over time", reading)
        lines = [tag("p", one, attrs={"class": "lead"}) for one in self._told()]
        parts = [
            tag("section", html_page.tiles(self._tiles()), *lines),
            html_page.section("Course", drawn),
            html_page.section("What moved the risk", self._effects(flat=True)),
        ]
        lead = f"{capitalize_first(self.why.stay_label)}, {format_number(last_hour(self.why))} hours seen"
        return html_page.write(html_page.page(title, lead, *parts, provenance=self.why.provenance, limits=LIMITS), path)

    def _play(self, change: Callable[[], Explanation]) -> None:
        """Take what the what-if gives; where it refuses, say why and leave everything as it is."""
        try:
            found = change()
        except ClinicalGRUError as error:
            self.notice.value = aria_live(paragraph(str(error), kind="cg-warn"))
            return
        self.notice.value = ""
        first = self.panel is not None and found is self.panel.player.explanation
        self.explanation = self.why if first else found  # an explanation made anew of the same stay says the same
        update_figure(self.figure, self.explanation, variables=self.variables, half_life=self.half_life)
        self._say()

    def _show(self, _: object) -> None:
        """Bring the variable that is played with into the picture."""
        name = self.panel.variable if self.panel is not None else ""
        if name and name not in self.variables:
            self.variables = [*self.strongest, name]
            self._redraw()

    def _figure(self) -> Any:
        return plot_patient(
            self.explanation,
            variables=self.variables,
            half_life=self.half_life,
            threshold=self.threshold,
            before=self.why if self.panel is not None else None,
            cursor=self.cursor,
        )

    def _redraw(self) -> None:
        self.figure = figure_widget(self._figure())
        for trace in self.figure.data:
            trace.on_click(self._clicked)
        self.place.children = (self.figure,)

    def _clicked(self, _: object, found: Any, __: object) -> None:
        if found.xs:
            self.cursor = float(found.xs[0])

    def _say(self) -> None:
        self.top.value = aria_live(tiles(self._tiles()), *(paragraph(one) for one in self._told()))
        self.effects.value = aria_live(self._effects())

    def _tiles(self) -> list[tuple[str, str, str]]:
        now, why = self.explanation, self.why
        shown = headline(now)
        if self.changed:
            shown[0] = ("What if", f"{format_answer(why, why.risk)} → {format_answer(now, now.risk)}", shown[0][2])
        if self.threshold is not None:
            side = "above" if now.risk >= self.threshold else "below"
            shown.insert(1, ("Alert threshold", format_percent(self.threshold), f"the risk is {side} it"))
        return shown

    def _told(self) -> list[str]:
        lines = narrative(self.explanation, None if self.changed else self.movement)
        if not self.changed:
            return lines
        now, was = format_answer(self.why, self.explanation.risk), format_answer(self.why, self.why.risk)
        changed = f"would be {now}, not {was}" if now != was else f"would hardly change ({now})"
        return [f"What if: {'the risk' if is_probability(self.why) else 'it'} {changed}.", *lines[1:]]

    def _effects(self, *, flat: bool = False) -> Markup:
        shown = variable_effects(self.explanation, None if self.changed else self.movement, hour=self.cursor)
        return effects_table(self.explanation, shown, hour=self.cursor, plain=flat)


def _slider(why: Explanation) -> ipywidgets.FloatSlider:
    first, last = min(0.0, first_hour(why)), last_hour(why)
    step = 0.25 if last - first <= 100 else 1.0
    slider = ipywidgets.FloatSlider(
        value=last, min=first, max=last, step=step, description="Hour", readout_format=".2f", continuous_update=True
    )
    slider.layout.width = "98%"
    return slider

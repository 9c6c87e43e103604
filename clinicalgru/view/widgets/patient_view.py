"""Widget that explains the risk of one stay: risk and measurements over time, effects, and a what-if panel."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinicalgru.checks import check_instance, check_number
from clinicalgru.errors import ClinicalGRUError
from clinicalgru.explain.result import Explanation
from clinicalgru.html import Markup, tag
from clinicalgru.output_unit import is_probability
from clinicalgru.view.pages import html_page
from clinicalgru.view.pages.patient_page import LIMITS, timeline_caption
from clinicalgru.view.plots.static_picture import risk_picture
from clinicalgru.view.plots.timeline import plot_patient, update_figure
from clinicalgru.view.plots.timeline_data import (
    first_hour,
    format_answer,
    last_hour,
    variables_by_contribution,
)
from clinicalgru.view.text.effects_table import effects_table, variable_effects
from clinicalgru.view.text.findings import findings_table
from clinicalgru.view.text.format import capitalize_first, format_hours, format_percent
from clinicalgru.view.text.headline import answer_word, headline, lead_text, output_tiles
from clinicalgru.view.text.narrative import lead_sentences, narrative
from clinicalgru.view.text.risk_points import POINTS_NOTE
from clinicalgru.view.text.standing_text import NOT_KEPT
from clinicalgru.view.widgets.notebook_packages import ipywidgets, traitlets
from clinicalgru.view.widgets.what_if_panel import WhatIfModel, WhatIfPanel
from clinicalgru.view.widgets.widget_base import SavedView, aria_live, figure_widget, html_widget, paragraph, styled

if TYPE_CHECKING:
    from clinicalgru.explain.risk_changes.movement import Movement


class PatientView(SavedView):
    """Show the risk of one stay over time, its measurements, their effects up to a cursor, and a what-if panel.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    what_if : WhatIf, optional
        What `what_if(model, stay)` returned. Without it the stay cannot be changed.
    movement : Movement, optional
        What `movement(model, stay)` returned. With it effects are in percentage points of risk.
    threshold : float, optional
        A risk at which a line is drawn; by default the alert threshold of an early warning.
    half_life : mapping of str to float, optional
        Hours, by variable, after which a carried value is drawn half as strong. Default: as the network decays it, or
        6 where the explanation does not say.
    top : int, default 6
        Number of variables to show.

    Attributes
    ----------
    cursor : float
        Hours since the index time; can be set.
    explanation : Explanation
        Explanation of the stay as it is shown.
    original : Explanation
        The explanation that was passed.
    changed : bool
        Whether the stay that is shown was changed.

    Raises
    ------
    ArgumentError
        If `explanation` is no Explanation, `threshold` is not between 0 and 1, or `top` is no whole number.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> view = cg.PatientView(cg.explain(model, stays[[0]]), top=3)
    >>> view.cursor = 12.0
    >>> len(view.variables), view.changed
    (3, False)
    """

    cursor = traitlets.Float()

    def __init__(
        self,
        explanation: Explanation,
        *,
        what_if: WhatIfModel | None = None,
        movement: Movement | None = None,
        threshold: float | None = None,
        half_life: Mapping[str, float] | None = None,
        top: int = 6,
    ) -> None:
        check_instance("explanation", explanation, Explanation, fix="Pass what explain returned.")
        check_number("threshold", threshold, minimum=0, maximum=1, open_minimum=True, open_maximum=True, optional=True)
        check_number("top", top, minimum=1, whole=True)
        super().__init__()
        self.original = self.explanation = explanation
        self.movement = movement
        self.threshold = explanation.alert_threshold if threshold is None else threshold
        self.half_life = explanation.half_life if half_life is None else half_life
        self.top_variables = self.variables = variables_by_contribution(explanation)[:top]
        self.summary, self.effects, self.notice, self.facts = (html_widget(live=True) for _ in range(4))
        self._figure_box = ipywidgets.VBox()
        self.slider = _slider(explanation)
        self.panel = None if what_if is None else WhatIfPanel(what_if, self._apply, threshold=threshold)
        self._build()

    def _build(self) -> None:
        """Arrange the figure and the controls, and connect them."""
        controls = [html_widget(paragraph("Cursor", css_class="cg-title")), self.slider, self.effects]
        panels = [ipywidgets.VBox(controls)]
        if self.panel is not None:
            panels.append(self.panel)
            self.panel.observe(self._on_variable_change, names="variable")
        for box in panels:
            box.add_class("cg-panel")
        side = ipywidgets.Box(panels)
        side.add_class("cg-controls")
        columns = ipywidgets.Box([self._figure_box, side])
        columns.add_class("cg-columns")
        styled(self, self.summary, self.notice, columns, self.facts)
        self.cursor = self.slider.value
        traitlets.link((self, "cursor"), (self.slider, "value"))
        self._redraw()
        self._update_text()

    @property
    def changed(self) -> bool:
        """Whether the stay that is shown was changed."""
        return self.explanation is not self.original

    @traitlets.observe("cursor")
    def _on_cursor(self, _: object) -> None:
        """Move the line of the cursor, and show the effects up to it."""
        if not self._figure_box.children:
            return
        with self.figure.batch_update():
            self.figure.layout.shapes[-1].x0 = self.cursor
            self.figure.layout.shapes[-1].x1 = self.cursor
        self.effects.value = aria_live(self._effects())

    def save(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write what is shown as one offline HTML page.

        Parameters
        ----------
        path : str or path
            File to write; its folder is created.
        title : str, optional
            Heading of the page. None: what is explained, a risk or a prediction.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError
            If `path` is a folder.
        """
        what = answer_word(self.explanation)
        drawing = html_page.figure(self._plot(), f"{capitalize_first(what)} and measurements over time", "")
        lines = [tag("p", sentence, attrs={"class": "lead"}) for sentence in self._lead()]
        reading = timeline_caption(self.explanation, self.half_life)
        notes = [tag("p", sentence) for sentence in (reading, *self._notes())]
        moved = html_page.section(f"What moved the {what}", findings_table(self.explanation))
        recent = html_page.section(f"Up to hour {format_hours(self.cursor)}", self._effects(bars=False))
        columns = tag("div", html_page.section("Course", drawing), tag("div", moved, recent), attrs={"class": "stay"})
        tiles = html_page.section("In numbers", html_page.tiles(self._tiles()), *notes)
        others = html_page.tiles(output_tiles(self.explanation)) if len(self.explanation.outputs) else ""
        parts = [tag("section", *lines, *([others] if others else [])), columns, tiles]
        provenance, lead = self.original.provenance, lead_text(self.original.stay_label, last_hour(self.original))
        return html_page.write(
            html_page.page(title or f"Explanation of the {what}", lead, *parts, provenance=provenance, limits=LIMITS),
            path,
        )

    def _apply(self, change: Callable[[], Explanation]) -> None:
        """Show the changed stay; where the change is refused, show why and keep the stay."""
        try:
            explanation = change()
        except ClinicalGRUError as error:
            self.notice.value = aria_live(paragraph(str(error), css_class="cg-warn"))
            return
        self.notice.value = ""
        is_original = self.panel is not None and explanation is self.panel.model.explanation
        self.explanation = self.original if is_original else explanation
        update_figure(self.figure, self.explanation, variables=self.variables, half_life=self.half_life)
        self._update_text()

    def _on_variable_change(self, _: object) -> None:
        """Draw the variable that is chosen in the panel."""
        name = self.panel.variable if self.panel is not None else ""
        if name and name not in self.variables:
            self.variables = [*self.top_variables, name]
            self._redraw()

    def _plot(self) -> Any:
        return plot_patient(
            self.explanation,
            variables=self.variables,
            half_life=self.half_life,
            threshold=self.threshold,
            before=self.original if self.panel is not None else None,
            cursor=self.cursor,
        )

    def _redraw(self) -> None:
        """Draw the figure anew; a click on a point moves the cursor."""
        self.figure = figure_widget(self._plot())
        for trace in self.figure.data:
            trace.on_click(self._on_click)
        self._figure_box.children = (self.figure,)

    def _on_click(self, _: object, points: Any, __: object) -> None:
        if points.xs:
            self.cursor = float(points.xs[0])

    def _update_text(self) -> None:
        tiles = html_page.tiles(self._tiles(), css_class="cg-tiles")
        notes = (paragraph(sentence, css_class="cg-quiet") for sentence in self._notes())
        outputs = output_tiles(self.explanation)
        others = [html_page.tiles(outputs, css_class="cg-tiles")] if outputs else []
        self.summary.value = aria_live(*(paragraph(sentence) for sentence in self._lead()), *others)
        self.facts.value = aria_live(tiles, *notes)
        self.effects.value = aria_live(self._effects())

    def _tiles(self) -> list[tuple[str, str, str]]:
        """List the headline numbers, with the change of the risk and the alert threshold."""
        now, original = self.explanation, self.original
        entries = headline(now)
        if self.changed:
            risks = f"{format_answer(original, original.risk)} → {format_answer(now, now.risk)}"
            entries[0] = ("What if", risks, entries[0][2])
        if self.threshold is not None:
            side = "above" if now.risk >= self.threshold else "below"
            entries.insert(1, ("Alert threshold", format_percent(self.threshold), f"the risk is {side} it"))
        return entries

    def _lead(self) -> list[str]:
        """Write the first sentences; of a changed stay first what changed."""
        sentences = lead_sentences(self.explanation, None if self.changed else self.movement)
        if not self.changed:
            return sentences
        now, before = (format_answer(self.original, one.risk) for one in (self.explanation, self.original))
        changed = f"would be {now}, not {before}" if now != before else f"would hardly change ({now})"
        others = [one for one in sentences[1:] if one != NOT_KEPT]
        return [f"What if: {'the risk' if is_probability(self.original) else 'it'} {changed}.", *others]

    def _notes(self) -> list[str]:
        """Write what else there is to know: what the risk leaves open, how stable it is, what was not measured."""
        lead = set(lead_sentences(self.explanation, None if self.changed else self.movement))
        sentences = narrative(self.explanation, None if self.changed else self.movement)
        points = POINTS_NOTE.format(reference=self.explanation.reference_text)
        return [*(one for one in sentences if one not in lead), *([points] if is_probability(self.explanation) else [])]

    def _static_html(self) -> Markup:
        """Build what a saved notebook shows where no widget runs."""
        lines = [paragraph(sentence) for sentence in self._lead()]
        note = self.explanation.trajectory_note
        about = [paragraph(note)] if note else []
        return tag(
            "div",
            *lines,
            risk_picture(self.explanation, threshold=self.threshold),
            *about,
            findings_table(self.explanation, bars=False),
        )

    def _effects(self, *, bars: bool = True) -> Markup:
        """Build the table of effects up to the cursor."""
        table = variable_effects(self.explanation, None if self.changed else self.movement, hour=self.cursor)
        return effects_table(self.explanation, table, hour=self.cursor, bars=bars)


def _slider(explanation: Explanation) -> ipywidgets.FloatSlider:
    """Build the slider of the cursor: steps of 15 minutes, of an hour in a long stay."""
    first, last = min(0.0, first_hour(explanation)), last_hour(explanation)
    step = 0.25 if last - first <= 100 else 1.0
    slider = ipywidgets.FloatSlider(
        value=last, min=first, max=last, step=step, description="Hour", readout_format=".2f", continuous_update=True
    )
    slider.layout.width = "98%"
    return slider

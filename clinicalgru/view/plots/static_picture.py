"""A picture of a risk over time as SVG, for places where no script runs: saved notebooks, code hosts, mail."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, tag
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import FAINT, GREY, GRID, INK, VERMILLION
from clinicalgru.view.plots.timeline_data import (
    UNCALIBRATED,
    UNCLEAR,
    format_answer,
    is_uncalibrated,
    is_unclear,
    last_hour,
    line_parts,
)
from clinicalgru.view.text.format import format_hours, format_number
from clinicalgru.view.text.moments import hours_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clinicalgru.explain.result import Explanation

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 228, 64, 16, 22, 34
N_TICKS = 4
HOURS = (0.5, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672)  # between two ticks
MAX_HOURS = 9  # ticks of hours
TEXT = {"font-family": "sans-serif", "font-size": "12", "fill": INK}


def risk_picture(explanation: Explanation, *, threshold: float | None = None) -> Markup:
    """Draw the risk of a stay over time as an image that is part of the HTML.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    threshold : float, optional
        Risk from which on there is an alarm, drawn as a line.

    Returns
    -------
    Markup
        An `img` element whose alternative text says where the risk begins and ends.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    if rows.empty:
        return Markup("")
    first, last = (format_answer(explanation, float(rows["risk"].iloc[end])) for end in (0, -1))
    svg = base64.b64encode(_svg(explanation, threshold).encode()).decode()
    text = f"Risk over {format_hours(last_hour(explanation))} hours, from {first} to {last}"
    return tag(
        "img", attrs={"src": f"data:image/svg+xml;base64,{svg}", "alt": text, "width": "760", "style": "max-width:100%"}
    )


def _svg(explanation: Explanation, threshold: float | None) -> Markup:
    rows = downsample(explanation.risk_trajectory, "risk")
    start, end = min(0.0, float(rows["hours"].min())), max(last_hour(explanation), 1e-9)
    levels = {explanation.reference_text: (explanation.reference_risk, GREY, "6 4")}
    levels |= {} if threshold is None else {"threshold": (threshold, VERMILLION, "2 3")}
    top = max(float(rows["risk"].max()), *(level for level, *_ in levels.values()), 1e-9)
    top = 1.0 if is_probability(explanation) and top > 0.5 else 1.1 * top

    def x(hour: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (hour - start) / (end - start)

    def y(output: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * output / top

    points = [(x(hour), y(output)) for hour, output in zip(rows["hours"], rows["risk"], strict=True)]
    upper = max(levels, key=lambda name: levels[name][0])
    ticks = _round_ticks(top)
    lines = [_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), GRID) for tick in ticks]
    unit, rate = (" %", 100) if is_probability(explanation) else ("", 1)
    names = [_text(LEFT - 8, y(tick) + 4, f"{format_number(rate * tick)}{unit}", "end") for tick in ticks]
    hours = _hour_ticks(start, end)
    names += [_text(x(hour), HEIGHT - BOTTOM + 16, format_hours(hour), "middle") for hour in hours]
    names.append(_text(WIDTH / 2, HEIGHT - 3, hours_title(explanation), "middle"))
    for name, (level, colour, dashes) in levels.items():
        lines.append(_line(LEFT, y(level), WIDTH - RIGHT, y(level), colour, dashes))
        names.append(_text(WIDTH - RIGHT, y(level) + (-4 if name == upper else 13), name, "end"))
    parts = _risk_parts(rows)
    risk = [_path([points[at] for at in part], *look) for *look, drawn in parts.values() for part in line_parts(drawn)]
    key = [name for name, (*_, drawn) in parts.items() if name and drawn.any()]
    for place, name in enumerate(key):
        start_x, level = LEFT + 6 + place * (WIDTH - LEFT) / 2, TOP / 2
        risk.append(_path([(start_x, level), (start_x + 30, level)], *parts[name][:2]))
        names.append(_text(start_x + 38, level + 4, name, "start"))
    ground = tag("rect", attrs={"width": f"{WIDTH}", "height": f"{HEIGHT}", "fill": "white"})
    size = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    return tag("svg", ground, *lines, *risk, *names, attrs=size)


def _risk_parts(rows: pd.DataFrame) -> dict[str, tuple[str, str, pd.Series]]:
    """Colour, dashes and points of the parts of the line, by their names; the part that may be relied on has none."""
    grey, unclear = is_uncalibrated(rows), is_unclear(rows)
    return {
        "": (INK, "none", ~grey & ~unclear),
        UNCALIBRATED: (FAINT, "none", grey),
        UNCLEAR: (INK, "5 4", unclear),
    }


def _path(points: Sequence[tuple[float, float]], colour: str, dashes: str) -> Markup:
    """A step line through some points."""
    steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in points)
    start = "M{:.1f} {:.1f}".format(*points[0])
    line = {"fill": "none", "stroke": colour, "stroke-width": "2", "stroke-dasharray": dashes}
    return tag("path", attrs={"d": start + steps, **line})


def _round_ticks(top: float) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten, from 0 to at most the top."""
    size = 10.0 ** math.floor(math.log10(top / N_TICKS))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * N_TICKS >= top)
    return [step * number for number in range(N_TICKS + 1) if step * number <= top * (1 + 1e-9)]


def _hour_ticks(start: float, end: float) -> list[float]:
    """Round hours from the start to the end, at most nine."""
    step = next((hours for hours in HOURS if (end - start) / hours < MAX_HOURS), HOURS[-1])
    first, last = math.ceil(start / step), math.floor(end / step)
    return [step * number for number in range(first, last + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "none") -> Markup:
    place = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return tag("line", attrs=place | {"stroke": colour, "stroke-dasharray": dashes})


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return tag("text", text, attrs={"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor} | TEXT)

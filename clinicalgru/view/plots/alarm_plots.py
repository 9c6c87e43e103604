"""Figures of replayed alarms: some stays hour by hour, and the burden of alarms at all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.errors import ArgumentError
from clinicalgru.view.plots.theme import BLUE, GREY, INK, VERMILLION, apply_theme
from clinicalgru.view.text.format import format_hours, format_percent, iter_rows

if TYPE_CHECKING:
    from clinicalgru.evaluate.alarm_replay import AlarmReplay

N_STAYS = 5
SILENT = "No alarm"


def plot_alarms(replay: AlarmReplay, *, stays: Sequence[int] | None = None) -> go.Figure:
    """Draw risk, threshold, alarms and event of some stays, one below the other.

    Parameters
    ----------
    replay : AlarmReplay
        What `replay_alarms` returned.
    stays : sequence of int, optional
        Positions of stays. Default: three with an event, of the most, a middling and the least warning, and two
        without one, with the most alarms and with a middling highest risk.

    Returns
    -------
    plotly.graph_objects.Figure
        A row for each stay; triangles are alarms, the upright line is the event.

    Raises
    ------
    ArgumentError
        If a stay has no hourly risk.
    """
    shown = _examples(replay) if stays is None else [int(stay) for stay in stays]
    unknown = set(shown) - set(replay.hourly["stay"])
    if unknown or not shown:
        raise ArgumentError("positions of stays with hourly risks", f"{sorted(unknown)}", "Choose others.")
    onsets = replay.onset_hours[shown]
    end = 1.15 * onsets[np.isfinite(onsets)].max() if np.isfinite(onsets).any() else np.inf  # a stay may last for weeks
    titles = [_title(replay, stay, end) for stay in shown]
    spacing = 0.3 / (len(shown) + 2)
    figure = make_subplots(rows=len(shown), cols=1, shared_xaxes=True, vertical_spacing=spacing, subplot_titles=titles)
    for row, stay in enumerate(shown, start=1):
        _draw_stay(figure, replay, stay, row)
    apply_theme(figure, height=110 + 150 * len(shown))
    figure.update_annotations(font={"size": 13, "color": INK}, x=0, xanchor="left")
    highest = replay.hourly.loc[replay.hourly["stay"].isin(shown), "risk"].max()
    top = float(min(1.0, 1.15 * max(highest, replay.threshold)))
    figure.update_yaxes(range=[0, top], tickformat=".0%", nticks=4)
    if np.isfinite(end):
        figure.update_xaxes(range=[0, end])
    figure.update_xaxes(title_text="Hours since the index time", row=len(shown), col=1)
    return figure.update_layout(legend={"y": 1 + 40 / (150 * len(shown))}, margin={"t": 70})


def plot_burden(replay: AlarmReplay) -> go.Figure:
    """Draw the fraction of events that an alarm preceded against the alarms in 100 hours, at all thresholds.

    Parameters
    ----------
    replay : AlarmReplay
        What `replay_alarms` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        One line; the mark is the threshold of the replay. Up and to the left is better.
    """
    return draw_burden(replay.burden, replay.threshold)


def draw_burden(burden: pd.DataFrame, threshold: float) -> go.Figure:
    """Draw a table of alarms by threshold, as `plot_burden` does.

    Parameters
    ----------
    burden : DataFrame
        What `alarm_burden` returned.
    threshold : float
        The threshold of the model.

    Returns
    -------
    plotly.graph_objects.Figure
        One line; the mark is the threshold.
    """
    burden = burden.sort_values("threshold", ascending=False, ignore_index=True)
    texts = [
        f"alarms from a risk of {format_percent(row.threshold)}: {format_percent(row.sensitivity_per_stay)} of the "
        f"events, {row.alarms_per_100_hours:.1f} alarms in 100 hours, {format_percent(row.ppv_per_alarm)} right"
        for row in iter_rows(burden)
    ]
    x, y = burden["alarms_per_100_hours"].tolist(), burden["sensitivity_per_stay"].tolist()
    figure = go.Figure()
    line = {"color": BLUE, "width": 2.5}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hovertext=texts, hoverinfo="text", name="all thresholds")
    own = int(np.abs(burden["threshold"] - threshold).argmin())
    mark = {"color": VERMILLION, "size": 11, "symbol": "diamond"}
    name = f"alarms from a risk of {format_percent(threshold)}"
    figure.add_scatter(
        x=[x[own]], y=[y[own]], mode="markers", marker=mark, hovertext=[texts[own]], hoverinfo="text", name=name
    )
    figure.update_xaxes(title_text="Alarms in 100 hours of a patient", rangemode="tozero")
    figure.update_yaxes(title_text="Events with an alarm before them", range=[0, 1.03], tickformat=".0%")
    return apply_theme(figure, height=440)


def _examples(replay: AlarmReplay) -> list[int]:
    """Stays that show what happens: early, middling and late warning, and what happens where there is no event."""
    highest = replay.hourly.groupby("stay")["risk"].max()
    alarms = replay.hourly.groupby("stay")["alarm"].sum()
    lead = _lead_hours(replay).reindex(highest.index).fillna(0)
    has_event = np.isfinite(replay.onset_hours[highest.index.to_numpy()])
    warned = lead[has_event].sort_values(ascending=False, kind="stable").index
    others = highest[~has_event].sort_values(kind="stable").index
    chosen = [warned[0], warned[len(warned) // 2], warned[-1]] if len(warned) else []
    chosen += [alarms[~has_event].idxmax(), others[(len(others) - 1) // 2]] if len(others) else []
    return list(dict.fromkeys(map(int, chosen)))[:N_STAYS]


def _lead_hours(replay: AlarmReplay) -> pd.Series:
    """Hours from the first right alarm of each stay to its event."""
    alarms = replay.hourly[replay.hourly["alarm"]]
    lead = replay.onset_hours[alarms["stay"].to_numpy()] - alarms["hours"]
    return lead[lead <= replay.horizon_hours].groupby(alarms["stay"]).max()


def _title(replay: AlarmReplay, stay: int, end: float) -> str:
    onset = replay.onset_hours[stay]
    rows = replay.hourly[replay.hourly["stay"] == stay]
    alarms = int(rows["alarm"].sum())
    if not np.isfinite(onset):
        last = float(rows["hours"].max())
        cut = f", of which the first {format_hours(end)} are shown" if last > end else ""
        return f"No event; {alarms} false alarm{'s' * (alarms != 1)} in {format_hours(last)} h{cut}"
    lead = _lead_hours(replay).get(stay)
    first = SILENT if not alarms else "No alarm in time" if lead is None else f"Alarm {format_hours(lead)} h before it"
    return f"Event at hour {format_hours(onset)}. {first}"


def _draw_stay(figure: go.Figure, replay: AlarmReplay, stay: int, row: int) -> None:
    rows = replay.hourly[replay.hourly["stay"] == stay]
    alarms, place, is_first = rows[rows["alarm"]], {"row": row, "col": 1}, row == 1
    last = max(float(rows["hours"].max()), replay.onset_hours[stay] if np.isfinite(replay.onset_hours[stay]) else 0.0)
    ends = [float(rows["hours"].min()), last]
    dashed = {"color": GREY, "width": 1.5, "dash": "dash"}
    figure.add_scatter(
        x=rows["hours"].tolist(), y=rows["risk"].tolist(), mode="lines",
        line={"color": INK, "width": 2.2, "shape": "hv"}, name="predicted risk", legendgroup="risk",
        showlegend=is_first, **place,
    )  # fmt: skip
    figure.add_scatter(
        x=ends, y=[replay.threshold] * 2, mode="lines", line=dashed, hoverinfo="skip",
        name="threshold", legendgroup="threshold", showlegend=is_first, **place,
    )  # fmt: skip
    figure.add_scatter(
        x=alarms["hours"].tolist() or [None], y=alarms["risk"].tolist() or [None], mode="markers", name="alarm",
        marker={"symbol": "triangle-up", "size": 12, "color": VERMILLION}, legendgroup="alarm",
        showlegend=is_first, **place,
    )  # fmt: skip
    onset = replay.onset_hours[stay] if np.isfinite(replay.onset_hours[stay]) else None
    figure.add_scatter(
        x=[onset, onset], y=[0, 1], mode="lines", line={"color": BLUE, "width": 3}, name="event", legendgroup="event",
        showlegend=is_first, hoverinfo="skip", **place,
    )  # fmt: skip

"""Hours of a stay in words, with the day of the stay and the clock where dates are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from clinicalgru.view.text.format import escape_plotly, format_hours

if TYPE_CHECKING:
    from clinicalgru.explain.forecast_explanation import ForecastExplanation
    from clinicalgru.explain.result import Explanation

STEPS = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 720)  # hours between two ticks
MAX_TICKS = 5
CLOCK_ADDED = "; below, day and clock time"


def clock(explanation: Explanation, hours: float) -> str:
    """Write the day of a stay and the time of day of an hour; with the date where identifiers may be shown.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    hours : float
        Hours since the index time.

    Returns
    -------
    str
        Such as "day 2, 07:15"; empty where the extract has no dates.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import pandas as pd
    >>> from clinicalgru.view.text.moments import clock
    >>> stay = SimpleNamespace(zero_time=pd.Timestamp("2030-03-01 20:30"), show_id=False)
    >>> clock(stay, 10.75)
    'day 2, 07:15'
    """
    if explanation.zero_time is None:
        return ""
    moment = (explanation.zero_time + pd.Timedelta(hours=hours)).round("min")
    day = (moment.normalize() - explanation.zero_time.normalize()).days + 1
    date = f" ({moment:%Y-%m-%d})" if explanation.show_id else ""
    return f"day {day}{date}, {moment:%H:%M}"


def moment_text(explanation: Explanation, hours: float) -> str:
    """Write an hour within a sentence: "hour 10.8 (day 2, 07:15)".

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    hours : float
        Hours since the index time.

    Returns
    -------
    str
        The hour alone where the extract has no dates.
    """
    text = clock(explanation, hours)
    return f"hour {format_hours(hours)} ({text})" if text else f"hour {format_hours(hours)}"


def hours_title(explanation: Explanation | ForecastExplanation) -> str:
    """Write the title of an axis of hours: "Hours since the start of the stay".

    Parameters
    ----------
    explanation : Explanation or ForecastExplanation
        Explanation of a stay.

    Returns
    -------
    str
        With the words of the task for hour 0.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from clinicalgru.view.text.moments import hours_title
    >>> hours_title(SimpleNamespace(provenance={"hour_0": "first lactate above 2"}))
    'Hours since the first lactate above 2'
    """
    return f"Hours since the {explanation.provenance.get('hour_0', 'index time')}"


def hour_axis(explanation: Explanation, first: float, last: float) -> dict[str, Any]:
    """Compute ticks and title of an axis of hours; with days and clock times where they are known.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    first, last : float
        Ends of the axis.

    Returns
    -------
    dict
        Properties of a Plotly axis.
    """
    title = escape_plotly(hours_title(explanation))
    if explanation.zero_time is None:
        return {"title_text": title}
    step = next((one for one in STEPS if (last - first) / one <= MAX_TICKS), STEPS[-1])
    ticks, hour = [], step * -(-first // step)
    while hour <= last:
        ticks.append(hour)
        hour += step
    text = [f"{format_hours(hour)}<br>{_short(explanation, hour)}" for hour in ticks]
    return {"title_text": title + CLOCK_ADDED, "tickvals": ticks, "ticktext": text, "tickangle": 0}


def _short(explanation: Explanation, hours: float) -> str:
    assert explanation.zero_time is not None
    moment = (explanation.zero_time + pd.Timedelta(hours=hours)).round("min")
    day = (moment.normalize() - explanation.zero_time.normalize()).days + 1
    return f"d{day} {moment:%H:%M}"

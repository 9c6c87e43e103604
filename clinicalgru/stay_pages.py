"""Explain one stay and write its page, as the command line does."""

from __future__ import annotations

from pathlib import Path

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.forecast_explanation import ForecastExplanation, explain_forecast
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.risk_changes.movement import Movement, movement
from clinicalgru.model.estimators.registry import Model

N_PERMUTATIONS = 8  # orders of arrival, where a page says what moved the risk


def explain_stay(
    model: Model,
    stay: Sequences,
    *,
    target: str | float | None = None,
    at_hours: float | None = None,
    show_id: bool = False,
) -> Explanation | ForecastExplanation:
    """Explain the prediction of one stay.

    Parameters
    ----------
    model : Model
        The model.
    stay : Sequences
        One stay.
    target : str or float, optional
        Label, class or horizon to explain.
    at_hours : float, optional
        Explain the prediction at this hour since the index time.
    show_id : bool
        Whether the identifiers of stay and patient, and dates, are shown.

    Returns
    -------
    Explanation or ForecastExplanation
        The latter for a forecast.
    """
    if model.evaluated_as == "forecast":
        return explain_forecast(model, stay, at_hours=at_hours, show_id=show_id)
    return explain(model, stay, target=target, at_hours=at_hours, show_id=show_id)


def moved(
    model: Model, stay: Sequences, *, target: str | float | None = None, at_hours: float | None = None
) -> Movement | None:
    """Divide the changes of the risk of one stay among its measurements, for its page.

    Parameters
    ----------
    model : Model
        The model.
    stay : Sequences
        One stay.
    target : str or float, optional
        Label, class or horizon to explain.
    at_hours : float, optional
        Hour since the index time of the last change.

    Returns
    -------
    Movement or None
        None for a forecast.
    """
    if model.evaluated_as == "forecast":
        return None
    return movement(model, stay, target=target, at_hours=at_hours, n_permutations=N_PERMUTATIONS)


def write_explanation(
    explanation: Explanation | ForecastExplanation, path: Path, *, changes: Movement | None = None
) -> Path:
    """Write an explanation as one offline page.

    Parameters
    ----------
    explanation : Explanation or ForecastExplanation
        Of one stay.
    path : Path
        File to write.
    changes : Movement, optional
        What moved the risk.

    Returns
    -------
    Path
        The file.
    """
    return explanation.to_html(path) if changes is None else explanation.to_html(path, movement=changes)

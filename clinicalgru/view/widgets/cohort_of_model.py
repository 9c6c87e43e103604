"""What a table of stays needs of a model: its predictions, and a view of the stay that is clicked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.what_if.what_if import what_if
from clinicalgru.view.widgets.patient_view import PatientView


def predicted(model: Any, sequences: Sequences) -> pd.DataFrame:
    """Predict stays, as a table of scores.

    Parameters
    ----------
    model : estimator
        A fitted model with one risk for each stay.
    sequences : Sequences
        Stays with its variables.

    Returns
    -------
    DataFrame
        risk, status, reason, stay_id; a stay without any measurement has no risk.

    Raises
    ------
    ArgumentError
        If it is no fitted model, or no stays are given.
    """
    check_instance("sequences", sequences, Sequences, fix="Pass what select returned.")
    if not hasattr(model, "score_rows"):
        raise ArgumentError("a fitted model before sequences", describe(model), "Write CohortView(model, sequences).")
    known = model.has_observations(sequences)
    risk = np.full(len(sequences), np.nan)
    if known.any():
        risk[known] = model.score_rows(sequences[known])[:, model.head_.default_output]
    status, reason = np.where(known, "scored", "not scored"), np.where(known, "", "nothing was measured")
    return pd.DataFrame({"stay_id": sequences.stay, "risk": risk, "status": status, "reason": reason})


def explained(model: Any, sequences: Sequences) -> Callable[[int], PatientView]:
    """Give the function that opens a stay.

    Parameters
    ----------
    model : estimator
        A fitted model.
    sequences : Sequences
        Its stays.

    Returns
    -------
    callable
        From the position of a stay to its view, with a what-if panel.
    """

    def open_stay(position: int) -> PatientView:
        stay = sequences[[position]]
        return PatientView(explain(model, stay), what_if=what_if(model, stay))

    return open_stay

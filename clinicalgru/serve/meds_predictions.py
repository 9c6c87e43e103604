"""Scores as the prediction table of meds-evaluation, the evaluation tool of the Medical Event Data Standard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError
from clinicalgru.serve.stay_status import SCORED

PREDICTIONS = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("prediction_time", pa.timestamp("us")),
        ("boolean_value", pa.bool_()),
        ("predicted_boolean_value", pa.bool_()),
        ("predicted_boolean_probability", pa.float32()),
    ]
)


def meds_predictions(
    scores: pd.DataFrame, outcomes: pd.Series | None = None, *, threshold: float | None = None
) -> pa.Table:
    """Convert scores of yes or no into the prediction table of meds-evaluation.

    Parameters
    ----------
    scores : DataFrame
        As `score` gives it, for a binary task or an early warning, with dates.
    outcomes : Series, optional
        Outcome by stay_id: 1 or True, 0 or False. Stays without one are left out: the schema knows no unknown outcome.
        None: there is no column boolean_value.
    threshold : float, optional
        Risk from which on the outcome is predicted. None: predicted_boolean_value is missing.

    Returns
    -------
    pyarrow.Table
        subject_id, prediction_time, boolean_value, predicted_boolean_value and predicted_boolean_probability of the
        rows that are scored, in order of subject and time.

    Raises
    ------
    ArgumentError
        If the scores have no risk or no dates, or an identifier of a patient is no whole number, as MEDS needs it.

    References
    ----------
    https://github.com/kamilest/meds-evaluation, version 0.0.6.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60))
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, cg.Task.load("in_hospital_mortality")))
    >>> outcomes = events.stays.set_index("stay_id")["in_hospital_death"]
    >>> meds_predictions(cg.score(model, events), outcomes, threshold=0.3).column_names[:3]
    ['subject_id', 'prediction_time', 'boolean_value']
    """
    check_instance("scores", scores, pd.DataFrame, fix="Pass what score returns.")
    if "risk" not in scores:
        raise ArgumentError("scores with a risk", "those of another task type", "Pass those of a binary task.")
    rows = scores[scores["status"] == SCORED]
    if rows["prediction_time"].isna().any():
        raise ArgumentError("scores with dates", "hours since the start", "Pass an extract with dates.")
    subject = rows["patient_id"].astype(str)
    whole = subject.str.fullmatch(r"-?\d{1,18}").all()
    if not whole or subject.astype(np.int64).nunique() != subject.nunique():
        fix = "Number the patients as write_meds does, and keep the table of numbers."
        raise ArgumentError("whole numbers as patient_id", "other identifiers", fix)
    predicted = pd.Series(pd.NA, index=rows.index, dtype="boolean") if threshold is None else rows["risk"] >= threshold
    columns: dict[str, Any] = {
        "subject_id": subject.astype(np.int64),
        "prediction_time": rows["prediction_time"],
        "boolean_value": pd.NA if outcomes is None else rows["stay_id"].map(outcomes).astype("boolean"),
        "predicted_boolean_value": predicted,
        "predicted_boolean_probability": rows["risk"].astype(np.float32),
    }
    table = pd.DataFrame(columns).sort_values(["subject_id", "prediction_time"], kind="stable")
    if outcomes is None:
        names = [name for name in PREDICTIONS.names if name != "boolean_value"]
        return pa.Table.from_pandas(table[names], schema=pa.schema(map(PREDICTIONS.field, names)), preserve_index=False)
    table = table.dropna(subset="boolean_value")
    return pa.Table.from_pandas(table, schema=PREDICTIONS, preserve_index=False)

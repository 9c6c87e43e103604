"""Stored predictions of an evaluation: pseudonymous, with the figures they gave, so that each can be computed again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.atomic_write import atomic_write
from clinicalgru.errors import ArgumentError, InputError, system_errors
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.evaluation import Evaluation, evaluate

FIGURES = b"clinicalgru.evaluation"  # key of the metadata that hold the figures
COLUMNS = ["patient", "outcome", "risk"]
TOLERANCE = 1e-9
FIX = "Pass the predictions.parquet that train wrote."
PARTS = ("metrics", "net_benefit", "operating_points")


def write_predictions(evaluation: Evaluation, stays: Any, risk: Any, path: str | Path) -> Path:
    """Write the predictions of a binary evaluation as a Parquet file, which its owner alone can read.

    Parameters
    ----------
    evaluation : Evaluation
        Of these risks.
    stays : Sequences
        The stays, with outcomes.
    risk : array-like, shape (n_stays,)
        Risks of the model.
    path : str or Path
        File to write.

    Returns
    -------
    Path
        The file. Patients are numbers, in order of first appearance; there is no identifier and no date.

    Raises
    ------
    ArgumentError
        If the evaluation is of another type of task, or of other stays.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(120)), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> evaluation, risk = cg.evaluate(model, stays, n_resamples=20), model.predict_proba(stays)[:, 1]
    >>> path = write_predictions(evaluation, stays, risk, f"{mkdtemp()}/predictions.parquet")
    >>> float(recomputed(path)["difference"].max()) < 1e-9
    True
    """
    if evaluation.task_type != "binary" or len(stays) != evaluation.stays:
        got = f"a {evaluation.task_type} evaluation of {evaluation.stays:,} stays"
        raise ArgumentError(f"a binary evaluation of {len(stays):,} stays", got, "Pass what was evaluated.")
    columns = [numbered_patients(stays.patient, len(stays)), np.asarray(stays.outcome, float), np.asarray(risk, float)]
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    table = table.replace_schema_metadata({FIGURES: json.dumps(evaluation.to_dict()).encode()})
    target = Path(path)
    with system_errors(target.name), atomic_write(target) as draft:
        pq.write_table(table, draft)
        os.chmod(draft, 0o600)
    return target


def read_predictions(path: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read stored predictions, and the figures they gave.

    Parameters
    ----------
    path : str or Path
        File that `write_predictions` wrote.

    Returns
    -------
    table : DataFrame
        patient, outcome, risk.
    figures : dict
        As of `Evaluation.to_dict`.

    Raises
    ------
    InputError
        If it is no such file.
    """
    try:
        table = pq.read_table(path)
        figures = json.loads((table.schema.metadata or {})[FIGURES])
    except (OSError, KeyError, ValueError, RecursionError, pa.ArrowInvalid):
        raise InputError("predictions with their figures", "another file", FIX, where=Path(path).name) from None
    if table.column_names != COLUMNS:
        raise InputError(f"columns {', '.join(COLUMNS)}", "others", FIX, where=Path(path).name)
    return table.to_pandas(), figures


def recomputed(path: str | Path) -> pd.DataFrame:
    """Compute each figure again from stored predictions.

    Parameters
    ----------
    path : str or Path
        File that `write_predictions` wrote.

    Returns
    -------
    DataFrame
        figure, stored, recomputed, difference. Two unknown numbers differ by 0, an unknown and a known one by infinity.
    """
    table, figures = read_predictions(path)
    threshold = figures["net_benefit"][0]["threshold"] if figures["net_benefit"] else None
    again = evaluate(
        table["outcome"].to_numpy(),
        table["risk"].to_numpy(),
        patients=table["patient"].to_numpy(),
        name=figures["name"],
        primary=figures["primary"] or None,
        threshold=threshold,
        n_resamples=figures["n_resamples"],
        random_state=figures["random_state"],
        groups={},
    ).to_dict()
    counts = {name: figures[name] for name in ("stays", "patients", "events")}
    pairs = [(name, count, again[name]) for name, count in counts.items()]
    before, after = ({key: value for part in PARTS for key, value in _numbers(part, one)} for one in (figures, again))
    pairs += [(name, value, after.get(name)) for name, value in before.items()]
    if figures["calibration_curve"]:
        pairs += [(f"ICI, {k}", figures["calibration_curve"][k], again["calibration_curve"][k]) for k in ("ici", "e90")]
    shown = pd.DataFrame(pairs, columns=["figure", "stored", "recomputed"])
    numbers = shown[["stored", "recomputed"]].astype(float)
    difference = (numbers["stored"] - numbers["recomputed"]).abs().fillna(np.inf)
    return shown.assign(difference=difference.where(numbers.notna().any(axis=1), 0.0))


def _numbers(part: str, figures: dict[str, Any]) -> list[tuple[str, float | None]]:
    """Estimates and intervals of the model, by name."""
    name = figures["name"]
    rows = [row for row in figures[part] if row.get("model", name) == name]
    value = "net_benefit" if part == "net_benefit" else "estimate"
    keys = ["point", "metric"] if part == "operating_points" else ["metric"] if part == "metrics" else ["model"]
    named = [(": ".join([part, *(str(row[key]) for key in keys)]), row) for row in rows]
    return [(f"{label}, {end}", row[end]) for label, row in named for end in (value, "low", "high")]

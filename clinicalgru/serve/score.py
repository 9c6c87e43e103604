"""Scoring: an extract becomes one row for each stay, with a risk or the reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.data.cohort import asked, clock
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.select import select
from clinicalgru.data.sequences import Sequences
from clinicalgru.data.sources.read import read_events
from clinicalgru.data.variables import Dictionary
from clinicalgru.errors import ArgumentError
from clinicalgru.model.estimators import GRUClassifier
from clinicalgru.serve.bundle import load, model_hash

SCORES = pa.schema(
    [
        ("patient_id", pa.string()),
        ("stay_id", pa.string()),
        ("prediction_time", pa.timestamp("us")),
        ("prediction_hours", pa.float64()),
        ("risk", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("model_hash", pa.string()),
    ]
)
UNMEASURED = "nothing the model knows was measured in the window"
ENDED = "the stay ended before the prediction"


def score(
    model: GRUClassifier | str | Path, data: Any, *, out: str | Path | None = None, **reading: Any
) -> pd.DataFrame:
    """Risk of every stay of an extract; outcomes are not needed.

    model    a fitted model, or the folder of a bundle
    data     an extract, or Events; read with the model's own variables, units and plausible ranges
    out      a folder (gets scores.parquet) or a .parquet file; written whole or not at all
    reading  further arguments of `read_events`: source, stays, columns, ...

    returns  one row for each stay, ordered by patient and stay: patient_id, stay_id, prediction_time (no value where
             the extract has no dates), prediction_hours since the anchor, risk, status ("scored", "not scored", or
             "left out": the task does not ask about such a stay), reason, model_hash
    """
    fitted = model if isinstance(model, GRUClassifier) else load(model)
    dictionary = model_dictionary(fitted, reading.get("variables"))
    events = data if isinstance(data, Events) else read_events(data, **reading | {"variables": dictionary})
    times, sequences = clock(events, fitted.task_), select(events, fitted.task_, every_stay=True)
    ends, left_out = (times.end - times.anchor) / HOUR, _left_out(asked(events, fitted.task_, times, sequences))
    table = score_sequences(fitted, sequences, ends=ends, left_out=left_out)
    if out is not None:
        write_scores(table, out)
    return table


def _left_out(steps: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
    """(stay,) the first of the task's conditions that does not hold, in words; "" where all hold."""
    reason: Any = ""
    for step, holds in steps:
        reason = np.where((reason == "") & ~holds, f"the task asks for: {step}", reason).astype(object)
    return np.atleast_1d(reason)


def score_sequences(
    model: GRUClassifier,
    sequences: Sequences,
    *,
    ends: np.ndarray | float = np.inf,
    left_out: np.ndarray | str = "",
) -> pd.DataFrame:
    """The same for sequences of any variables.

    ends      (stay,) hours since the anchor at which the stay ended; infinite where not known
    left_out  (stay,) why the task does not ask about the stay; "" where it does
    """
    ends, left_out = (np.broadcast_to(given, len(sequences)) for given in (ends, left_out))
    tables, done = [], 0
    name = model_hash(model)
    for block in sequences.blocks():  # of few stays there is but one
        here = slice(done, done + len(block))
        tables.append(_score_block(model, block, ends[here], left_out[here], name=name))
        done += len(block)
    return pd.concat(tables, ignore_index=True)


def _score_block(
    model: GRUClassifier, sequences: Sequences, ends: np.ndarray, left_out: np.ndarray, *, name: str
) -> pd.DataFrame:
    stays = sequences.with_variables(model.variables_).with_statics(model.statics_)
    causes = [left_out != "", ends < stays.end_hours, stays.counts == 0]
    reason = np.select(causes, [left_out, ENDED, UNMEASURED], "").astype(object)
    known = reason == ""
    risk = np.full(len(stays), np.nan)
    if known.any():
        risk[known] = model.predict_proba(stays[known])[:, 1]
    at = (
        stays.predicted_at.view("datetime64[us]") if stays.dated else np.full(len(stays), "NaT", dtype="datetime64[us]")
    )
    return pd.DataFrame(
        {
            "patient_id": stays.patient,
            "stay_id": stays.stay,
            "prediction_time": at,
            "prediction_hours": stays.end_hours,
            "risk": risk,
            "status": np.select([known, left_out != ""], ["scored", "left out"], "not scored"),
            "reason": reason,
            "model_hash": name,
        }
    )


def write_scores(table: pd.DataFrame, out: str | Path) -> Path:
    """Write a score table to a folder or .parquet file; the file before stays whole until the new one is."""
    path = Path(out)
    if path.suffix != ".parquet":
        if path.is_file():
            raise ArgumentError("a folder or a .parquet file", f"the file {path.name}", "Choose another out=.")
        path = path / "scores.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pandas(table, schema=SCORES, preserve_index=False), partial)
    os.replace(partial, path)
    return path


def model_dictionary(model: GRUClassifier, given: Any = None) -> Dictionary:
    """The variables the model was fitted on, with its units and ranges, over the shipped and the given ones."""
    base = given if isinstance(given, Dictionary) else Dictionary.load(*([given] if given is not None else []))
    own = {variable.name: variable for variable in (*model.variables_, *model.statics_)}
    return Dictionary((dict(base) | own).values())

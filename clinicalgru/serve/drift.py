"""Drift: whether inputs, risks and outcomes of new patients still are those of training, by week and group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import select
from clinicalgru.errors import ArgumentError, InputError, system_errors
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.patient_overlap import involved_stays
from clinicalgru.model.provenance import provenance
from clinicalgru.model.reference_values import patient_inputs
from clinicalgru.serve.bundle import fitted_model, model_hash
from clinicalgru.serve.drift_result import ALL, Drift
from clinicalgru.serve.drift_tests import (
    MIN_RANKS,
    DriftTest,
    compare_inputs,
    compare_outcomes,
    compare_scores,
    run_limits,
)
from clinicalgru.serve.score_input import read_like_training, seen_as_of
from clinicalgru.serve.score_rows import score_sequences
from clinicalgru.serve.stay_status import stay_reasons

MIN_PATIENTS = 100  # of a week or a group, from which on it is compared
MAX_LABELS = 50  # of a group column; others are identifiers
KEYS = ["patient_id", "stay_id"]
SAME_PATIENTS = (
    "Patients of some of these stays were used for {}. If they are the same people, a difference may be hidden."
)
NEEDED = [*KEYS, "risk", "model_hash", "prediction_time", "prediction_hours"]


def drift(
    bundle: FittedModel | str | Path,
    data: Any,
    scores: Any = None,
    *,
    as_of: Any = None,
    accept_differences: bool = False,
    require_signature: str | Path | None = None,
    **reading: Any,
) -> Drift:
    """Compare new patients with those of training: missingness, values, measurement frequency, risks and outcomes.

    Parameters
    ----------
    bundle : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data : object
        An extract, or Events; read as the training extract was. Outcomes are compared where they are known.
    scores : DataFrame, path, or list of these, optional
        Tables that `score` made of these stays; the last row of each stay counts. None: the stays are scored.
    as_of : str, datetime or number, optional
        Moment up to which the extract is seen. None: all of it.
    accept_differences : bool
        Whether tables that training had may be absent.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract, such as
        ``group_columns=["site"]``.

    Returns
    -------
    Drift
        Print it, or use its methods `to_html` and `to_dict`.

    Raises
    ------
    ArgumentError
        If the model was fitted without a reference of its inputs, or on fewer than 11 patients.
    InputError
        If the extract or the scores cannot be read, scores are of another model, or no stay is due.

    Notes
    -----
    The unit is the patient, by the last stay. Shares are compared by Fisher's exact test, values and counts by
    chi-squared tests of six bins, from 120 patients on. Extremes are compared by the exact distribution of
    ranks, outcomes by score tests of calibration in the large and slope. The limits are Bonferroni's, weighted by kind:
    without a change at most 1 % of runs have an alarm of any variable. Weeks and groups need 100 patients.

    References
    ----------
    Davis et al. 2017, J Am Med Inform Assoc 24:1052-1061, calibration drift. Holm 1979, Scand J Stat 6:65-70.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(cg.simulate(200)), task))
    >>> result = cg.drift(model, cg.simulate(200, random_state=7))
    >>> result.exit_code
    0
    """
    model = fitted_model(bundle, require_signature=require_signature)
    reference = model.trained_on_.get("reference") or {}
    if not reference.get("patients"):
        fix = "Fit the model again, on at least 11 patients, and save it."
        raise ArgumentError("a model with a reference of its inputs", "none", fix)
    events = read_like_training(model, data, accept_differences=accept_differences, **reading)
    events = events if as_of is None else seen_as_of(events, as_of)
    stays = select(events, model.task_, include_ineligible=True)
    due = (stay_reasons(events, model.task_, stays)["reason_code"] == "").to_numpy()
    stays = stays.with_variables(model.variables_).with_static_variables(model.static_variables_)[due]
    if len(stays) == 0:
        raise InputError("a stay that is due", "none", "Check the extract: `clinicalgru check` counts its stays.")
    risk, notes = _risks(model, stays, scores)
    if uses := involved_stays(model, stays):
        notes.append(SAME_PATIENTS.format(", and for ".join(uses)))
    compared, skipped = [], 0
    patient = stays.patient.astype(str)
    for column, label, rows in [(ALL, "", np.arange(len(stays))), *_groups(stays)]:
        n_patients = len(np.unique(patient[rows]))
        if column != ALL and n_patients < MIN_PATIENTS:
            skipped += 1
            continue
        part = stays if column == ALL else stays[rows]
        compared.append((column, label, n_patients, _tests(model, part, risk[rows])))
    if skipped:
        notes.append(f"Weeks and groups with fewer than {MIN_PATIENTS} patients are not compared.")
    if not any(test.kind == "performance" for test in compared[0][3]):
        notes.append("Outcomes are not compared: too few are known, or no stays calibrated a model of a binary task.")
    origin = provenance(model) | {"model_hash": model_hash(model), "compared": events.source}
    labels = {variable.name: variable.label for variable in (*stays.variables, *stays.static_variables)}
    return Drift(_table(compared), tuple(notes), origin, simulated=events.simulated, labels=labels)


def _tests(model: FittedModel, stays: Sequences, risk: np.ndarray) -> list[DriftTest]:
    """All tests of some stays, by the last stay of each patient."""
    inputs = patient_inputs(stays)
    names = ([variable.name for variable in group] for group in (stays.variables, stays.static_variables))
    tests = compare_inputs(model.trained_on_["reference"], inputs, *names)
    groups, counts = getattr(model, "risk_groups_", {}).get(""), getattr(model, "calibrated_on_", None)
    if model.task_.task_type != "binary" or counts is None:
        return tests
    last = risk[inputs.stay]
    tests += compare_scores(groups if _risks_comparable(model) else None, last)
    return tests + compare_outcomes(last, stays.outcome[inputs.stay].astype(float), int(counts.get("stays") or 0))


def _risks_comparable(model: FittedModel) -> bool:
    """Whether calibration stays have risks like new ones: those of an ensemble are of one member each."""
    return len(getattr(model, "members_", ())) < 2


def _groups(stays: Sequences) -> Iterator[tuple[str, str, np.ndarray]]:
    """Column, label and rows of each week, and of each label of the group columns."""
    columns: dict[str, Any] = {}
    if stays.has_dates:
        moments = pd.Series(stays.index_time.view("datetime64[us]"))
        columns["week"] = moments.dt.to_period("W").dt.start_time.dt.strftime("%Y-%m-%d").to_numpy(object)
    columns |= {str(name): stays.groups[name].to_numpy(object) for name in stays.groups}
    for column, labels in columns.items():
        rows = pd.Series(labels).groupby(labels, sort=True).indices
        if column == "week" or len(rows) <= MAX_LABELS:
            yield from ((column, str(label), np.asarray(which)) for label, which in rows.items())


def _risks(model: FittedModel, stays: Sequences, scores: Any) -> tuple[np.ndarray, list[str]]:
    """Risk of each stay, NaN where there is none, and notes."""
    if model.task_.task_type != "binary":
        return np.full(len(stays), np.nan), ["Risks are compared for binary tasks only."]
    groups = getattr(model, "risk_groups_", {}).get("")
    notes = []
    if groups is None or len(groups.ranks) < MIN_RANKS:
        notes.append("Risks are not compared: too few stays, or none, calibrated the model.")
    elif not _risks_comparable(model):
        notes.append("Risks are not compared: those that calibrated an ensemble are of single members.")
    if scores is None:
        return score_sequences(model, stays)["risk"].to_numpy(float), notes
    tables = [_scores(one) for one in (scores if isinstance(scores, list | tuple) else [scores])]
    table = pd.concat(tables, ignore_index=True)
    if (table["model_hash"].astype(str) != model_hash(model)).any():
        raise InputError("scores of this model", "those of another", "Pass the bundle that made the scores.")
    table = table.assign(**{name: table[name].astype(str) for name in KEYS})
    table["prediction_time"] = pd.to_datetime(table["prediction_time"])
    table = table.sort_values(["prediction_time", "prediction_hours"], kind="stable").drop_duplicates(KEYS, keep="last")
    wanted = pd.DataFrame({"patient_id": stays.patient.astype(str), "stay_id": stays.stay.astype(str)})
    risk = wanted.merge(table[[*KEYS, "risk"]], on=KEYS, how="left")["risk"].to_numpy(float)
    if np.isnan(risk).all():
        raise InputError("scores of stays of the extract", "none of them", "Pass the scores made of this extract.")
    if np.isnan(risk).any():
        notes.append("Some stays have no risk; their inputs are compared all the same.")
    return risk, notes


def _scores(given: Any) -> pd.DataFrame:
    """A table of `score`, given or read."""
    if isinstance(given, pd.DataFrame):
        table = given
    else:
        path, name = Path(given), Path(given).name
        try:
            with system_errors(name):
                text = dict.fromkeys(KEYS, str)
                table = pd.read_csv(path, dtype=text) if path.suffix == ".csv" else pd.read_parquet(path)
        except (ValueError, TypeError):
            fix = "Pass a .csv or .parquet file, or a folder, that `score` wrote."
            raise InputError("a table that score wrote", "a file that cannot be read as one", fix, where=name) from None
    absent = [name for name in NEEDED if name not in table]
    if absent:
        raise InputError("a table that score wrote", f"one without {', '.join(absent)}", "Pass the output of `score`.")
    return table[NEEDED]


def _table(compared: list[tuple[str, str, int, list[DriftTest]]]) -> pd.DataFrame:
    """A row for each test, with its limit."""
    overall, grouped = compared[0][3], [test for *_, tests in compared[1:] for test in tests]
    rows = [
        {"group": column, "label": label, "patients": n // MIN_PATIENTS * MIN_PATIENTS, **vars(test)}
        for column, label, n, tests in compared
        for test in tests
    ]
    table = pd.DataFrame(rows, columns=["group", "label", "patients", *DriftTest.__annotations__])
    table["limit"] = run_limits(overall, grouped)
    return table.assign(alarm=table["p_value"] < table["limit"])

"""Export: a fitted model as one ONNX graph, its preprocessing contract, and a short program that runs it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.atomic_write import holds_other_files
from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError, BundleError, system_errors
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.network.codes import known_codes
from clinicalgru.optional_packages import import_optional
from clinicalgru.serve.atomic import whole_file
from clinicalgru.serve.bundle import fitted_model
from clinicalgru.serve.onnx.contract import CODE_INPUTS, INPUTS, contract_of
from clinicalgru.serve.onnx.example_stays import example_stays
from clinicalgru.serve.onnx.features_graph import Facts, rows_of
from clinicalgru.serve.onnx.graph import Graph, Value
from clinicalgru.serve.onnx.heads_graph import calibrated, check_task_type, pooled, probability_of
from clinicalgru.serve.onnx.network_graph import Shared, logits_of
from clinicalgru.serve.onnx.onnx_file import onnx_file
from clinicalgru.serve.score_input import score_input

GRAPH, CONTRACT, PROGRAM = "model.onnx", "contract.json", "run_onnx.py"
TOLERANCE = 1e-5  # largest difference from the bundle, with weights of 32 bits
BATCH = 256  # stays of one run


def export_onnx(
    model: Model | str | Path,
    out: str | Path,
    data: Any = None,
    *,
    int8: bool = False,
    require_signature: str | Path | None = None,
    **reading: Any,
) -> Path:
    """Write a model as one ONNX graph of its whole scoring function, which runs without this package.

    The graph holds scaling, decay, recurrence, attention, summaries, all members, and calibration. It is compared with
    the model before anything is written: on random stays of several numbers and lengths, and on the stays of an
    extract, where one is given.

    Parameters
    ----------
    model : GRU estimator, GRUEnsemble, str or Path
        A fitted model for a binary, multiclass, multilabel or early-warning task, or the folder of its bundle. An early
        warning gives the risk after the last measurement.
    out : str or Path
        A folder. It gets model.onnx, contract.json (variables, units, ranges, windows, inputs; see
        data_schemas/onnx_contract.schema.json) and run_onnx.py, which needs numpy and onnxruntime only. An export in
        its place is replaced.
    data : object, optional
        An extract, or Events, to measure the differences on; with outcomes also the accuracy.
    int8 : bool
        Whether weight matrices are stored in 8 bits, with a scale for each output. Needs `data`: what it costs in
        accuracy is stated in contract.json, under "measured".
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArgumentError
        If the model, or a part of its network, is not exported; the packages of the extra `onnx` are absent; `int8` is
        set without `data`; or the graph differs from the model.
    BundleError
        If the folder holds something else than an export.

    Examples
    --------
    >>> from clinicalgru import SummaryBaseline, export_onnx
    >>> export_onnx(SummaryBaseline("logistic regression"), "onnx")
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected a GRU estimator or a GRUEnsemble, which are what ONNX export supports; \
got a SummaryBaseline. Score it with clinicalgru score.
    """
    check_instance("out", out, str, Path)
    fitted = fitted_model(model, require_signature=require_signature)
    _check_exported_model(fitted)
    import_optional("onnx.helper", "onnx.numpy_helper", "onnx", extra="onnx")
    import_optional("onnxruntime", extra="onnx")
    if int8 and data is None:
        fix = "Pass an extract, with outcomes where there are any."
        raise ArgumentError("an extract on which the loss of 8 bits is measured", "none", fix)
    graph = graph_of(fitted)
    session = session_of(graph)
    worst = max(differences(fitted, session, stays).max(initial=0) for stays in example_stays(fitted))
    measured = {"largest_difference_on_random_stays": float(worst)}
    chosen = graph_of(fitted, int8=True) if int8 else graph
    measured |= {"bytes": float(len(chosen)), "bytes_float32": float(len(graph))}
    if data is not None:
        given = score_input(fitted, data, **reading)
        due = (given.reasons["reason_code"] == "").to_numpy() & fitted.has_observations(given.stays)
        measured |= _compared(fitted, given.stays[due], session, session_of(chosen))
        worst = max(worst, measured.pop("largest_difference_float32", 0.0))
    if not worst <= TOLERANCE:
        fix = "Report it: the graph is not written."
        raise ArgumentError(f"a graph that equals the model within {TOLERANCE:g}", f"a difference of {worst:.2g}", fix)
    program = (Path(__file__).parent / PROGRAM).read_bytes()
    files = {GRAPH: chosen, PROGRAM: program}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    vocabulary, weights = _vocabulary_of(fitted), "int8" if int8 else "float32"
    contract = contract_of(fitted, vocabulary, weights=weights, measured=measured, sha256=hashes)
    content = contract.model_dump()  # with a digest of itself: the program refuses one that was edited
    content["sha256"][CONTRACT] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    text = json.dumps(content, indent=1) + "\n"
    return _write(Path(out), files | {CONTRACT: text.encode()})


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write the files, the contract last."""
    with system_errors(folder.name):
        if holds_other_files(folder, CONTRACT):
            expected, got = "a new folder, or an export to replace", "a path that holds something else"
            raise BundleError(expected, got, "Choose another path.", where=folder.name)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with whole_file(folder / name) as file:
                file.write_bytes(content)
    return folder


def _check_exported_model(model: Any) -> None:
    """Raise where a model is not exported."""
    if not isinstance(model, GRUEstimator | GRUEnsemble):
        expected = "a GRU estimator or a GRUEnsemble, which are what ONNX export supports"
        raise ArgumentError(expected, f"a {type(model).__name__}", "Score it with clinicalgru score.")
    check_task_type(model.task_.task_type)
    if any(getattr(member.head_, "n_hazards", 0) for member in _members_of(model)):
        raise ArgumentError("a model with one risk", "one with hazards=True", "Score it with clinicalgru score.")
    vocabularies = {member.network_.spec.code_vocabulary for member in _members_of(model)}
    if len(vocabularies) > 1:
        fix = "Train it without use_codes, or export one member."
        raise ArgumentError("members that know the same codes", "members that know different codes", fix)
    if model.task_.every_step and any(vocabularies):
        expected, fix = "an early warning without coded events", "Train it without use_codes."
        raise ArgumentError(expected, "one with coded events", fix)


def _members_of(model: Model) -> list[GRUEstimator]:
    """Give the networks of a model."""
    return list(model.members_) if isinstance(model, GRUEnsemble) else [model]


def _vocabulary_of(model: Model) -> tuple[str, ...]:
    """Give the coded events that a model knows."""
    return _members_of(model)[0].network_.spec.code_vocabulary


def graph_of(model: Model, *, int8: bool = False) -> bytes:
    """Write the scoring function of a model as an ONNX graph.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    int8 : bool
        Whether weight matrices are stored in 8 bits.

    Returns
    -------
    bytes
        Content of an .onnx file.
    """
    graph, names = Graph(int8=int8), [variable.name for variable in model.variables_]
    specs = [*INPUTS, *(CODE_INPUTS if _vocabulary_of(model) else ())]
    facts = Facts(**{name: Value(graph, name, dtype) for name, dtype, _, _ in specs})
    rows, kind = rows_of(graph, facts, len(names)), model.task_.task_type
    if model.task_.every_step:
        facts = replace(facts, end_hours=rows.hours.reshape(-1).take(rows.last_row))
    shared = Shared.of(graph, facts, rows, names)
    single = [probability_of(logits_of(one.network_, shared), kind) for one in _members_of(model)]
    hours = None if model.task_.every_step else facts.end_hours
    scores = calibrated(pooled(single, kind), model.calibrator_, hours)
    members = [calibrated(one, model.calibrator_, None).unsqueeze(0) for one in single]
    static = len(model.static_variables_)
    inputs = [(name, dtype, [static if a == "static variable" else a for a in axes]) for name, dtype, axes, _ in specs]
    columns = len(model.score_columns_)
    outputs = {
        "scores": (scores, ["stay", columns]),
        "member_scores": (graph.concat(0, *members), [len(members), "stay", columns]),
    }
    return onnx_file(graph, inputs, outputs)


def _inputs_of(model: Model, stays: Sequences) -> dict[str, np.ndarray]:
    """Give stays as the graph of a model takes them."""
    stays = known_codes(stays, _vocabulary_of(model))
    stay, code_stay = stays.stay_of_measurement.astype(np.int64), stays.stay_of_code.astype(np.int64)
    all_stay, all_hours = np.concatenate([stay, code_stay]), np.concatenate([stays.hours, stays.code_hours])
    pairs, row = np.unique(np.stack([all_stay, all_hours]), axis=1, return_inverse=True)
    step = row.reshape(-1) - np.searchsorted(pairs[0], all_stay)
    arrays = {
        "value": stays.value,
        "variable": stays.variable,
        "stay": stay,
        "step": step[: len(stay)],
        "hours": stays.hours,
        "availability_lag": stays.availability_lag,
        "end_hours": stays.end_hours,
        "static": stays.static,
        "code": stays.code,
        "code_stay": code_stay,
        "code_step": step[len(stay) :],
        "code_hours": stays.code_hours,
    }
    specs = [*INPUTS, *(CODE_INPUTS if _vocabulary_of(model) else ())]
    return {name: arrays[name].astype(dtype) for name, dtype, _, _ in specs}


def session_of(graph: bytes) -> Any:
    """Load a graph into onnxruntime, with one thread.

    Parameters
    ----------
    graph : bytes
        Content of an .onnx file.

    Returns
    -------
    onnxruntime.InferenceSession
    """
    runtime = import_optional("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_graph(model: Model, session: Any, stays: Sequences, *, batch: int = BATCH) -> np.ndarray:
    """Score stays with the graph of a model.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    session : onnxruntime.InferenceSession
        Its graph.
    stays : Sequences
        Stays with its variables.
    batch : int
        Number of stays of one run.

    Returns
    -------
    ndarray of float64, shape (stay, column)
    """
    parts = [stays[np.arange(i, min(i + batch, len(stays)))] for i in range(0, len(stays), batch)]
    results = [session.run(["scores"], _inputs_of(model, part))[0] for part in parts]
    return np.concatenate(results) if results else np.zeros((0, len(model.score_columns_)))


def differences(model: Model, session: Any, stays: Sequences, *, batch: int = BATCH) -> np.ndarray:
    """Give the absolute differences between the scores of a graph and those of its model.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    session : onnxruntime.InferenceSession
        Its graph.
    stays : Sequences
        Stays with its variables, each with a measurement.
    batch : int
        Number of stays of one run.

    Returns
    -------
    ndarray, shape (stay, column)
    """
    if not len(stays):
        return np.zeros((0, len(model.score_columns_)))
    return np.abs(run_graph(model, session, stays, batch=batch) - model.score_rows(stays))


def _compared(model: Model, stays: Sequences, graph: Any, chosen: Any) -> dict[str, float]:
    """Differences on the stays of an extract, and accuracy where their outcomes are known."""
    if not len(stays):
        raise ArgumentError("a stay with measurements to compare on", "none", "Pass another extract.")
    own, exact, here = model.score_rows(stays), run_graph(model, graph, stays), run_graph(model, chosen, stays)
    figures = {
        "stays": float(len(stays)),
        "largest_difference_float32": float(np.abs(exact - own).max()),
        "largest_difference": float(np.abs(here - own).max()),
        "mean_difference": float(np.abs(here - own).mean()),
    }
    known = stays.outcome.ndim == 1 and model.task_.task_type == "binary"
    outcome = stays.outcome if known else np.full(len(stays), np.nan)
    if min((outcome == 0).sum(), (outcome == 1).sum()) >= MIN_CELL_SIZE:
        from sklearn.metrics import brier_score_loss, roc_auc_score

        at, true = ~np.isnan(outcome), outcome[~np.isnan(outcome)]
        for name, risk in (("", here), ("_float32", own)):
            figures[f"auroc{name}"] = float(roc_auc_score(true, risk[at, 0]))
            figures[f"brier{name}"] = float(brier_score_loss(true, risk[at, 0]))
    return figures

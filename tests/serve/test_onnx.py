"""ONNX: the graph is the model, at every number and length of stays; what ships with it needs no torch."""

from __future__ import annotations

import copy
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import clinicalgru as cg
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import LabelCalibrator, TemperatureCalibrator
from clinicalgru.evaluate.conformal import ConformalSets
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.model.heads.classification import MultiClass, MultiLabel
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.network.generator import use_generator
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.serve.onnx.example_stays import example_stays
from clinicalgru.serve.onnx.export import differences, graph_of, session_of

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
OPTIONS = (
    {},
    {"cell": "lstm", "gate": "time", "n_layers": 2, "layer_norm": True},
    {"reset": "before", "bidirectional": True, "attention": "multihead"},
    {"cell": "rnn", "attention": None, "encoder": "per_variable", "gate": None},
    {"gate": "time", "readout_inputs": "separate", "code_vocabulary": ("I10", "N17", "Z99")},
    {"cell": "lstm", "bidirectional": True, "encoder": "per_variable", "code_vocabulary": ("I10",)},
    {"readout_inputs": "apart", "code_vocabulary": ("I10",)},
)


def variant(model, *, outputs=1, **options):
    """The model with a network of other options, whose weights are large enough to matter, and its scalers."""
    other, known = copy.copy(model), model.network_
    generator = torch.Generator().manual_seed(3)
    with use_generator(generator), torch.no_grad():
        network = ClinicalGRU(replace(known.spec, outputs=outputs, **options))
        for weight in network.parameters():
            weight.mul_(1.5).add_(0.1 * torch.randn(weight.shape, generator=generator))
    network.scaler.load_state_dict(known.scaler.state_dict())
    other.network_ = network.eval()
    return other


def worst(model):
    session = session_of(graph_of(model))
    return max(differences(model, session, stays, batch=5).max() for stays in example_stays(model))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_graph_equals_the_network_of_any_options(fitted, options):
    model = variant(fitted, **options)
    risks = np.concatenate([model.score_rows(stays) for stays in example_stays(model)])
    assert risks.std() > 0.01
    assert worst(model) < 1e-5


def test_calibration_by_hour_is_part_of_the_graph(fitted):
    model = variant(fitted)
    model.calibrator_ = HourCalibrator(1.3, -0.4, 0.0, 48.0, level=-1.0, bend=0.5, steepness=0.7, middle=-2.0)
    assert worst(model) < 1e-5


def with_head(model, head, calibrator, **task):
    other = variant(model, outputs=head.n_outputs)
    other.head_, other.calibrator_ = head, calibrator
    other.task_ = cg.Task.from_dict(model.task_.to_dict() | task)
    return other


def test_classes_and_labels_are_exported_too(fitted):
    classes = with_head(fitted, MultiClass((0.0, 1.0, 2.0)), TemperatureCalibrator(0.7), task_type="multiclass")
    assert worst(classes) < 1e-5
    labels = cg.GRUMultiLabel()
    vars(labels).update(vars(fitted))
    parts = LabelCalibrator((PlattCalibrator(0.8, 0.3), None))
    task = {"task_type": "multilabel", "outcome": ["a", "b"], "outcome_labels": {}}
    assert worst(with_head(labels, MultiLabel(("a", "b")), parts, **task)) < 1e-5


def test_an_early_warning_gives_the_risk_after_the_last_measurement(fitted):
    warning = cg.GRUEarlyWarning()
    vars(warning).update(vars(fitted))
    task = {"task_type": "early_warning", "outcome_time": "onset", "horizon_hours": 6.0}
    model = with_head(warning, EarlyWarning(0.0, 6.0, 0.0), PlattCalibrator(1.1, -0.3), **task)
    assert worst(model) < 1e-5


def ensemble_of(model):
    both = cg.GRUEnsemble(model)
    both.members_ = [variant(model), variant(model, cell="lstm")]
    both.head_, both.calibrator_ = model.head_, PlattCalibrator(0.9, 0.2)
    for name in ("variables_", "static_variables_", "task_", "trained_on_"):
        setattr(both, name, getattr(model, name))
    return both


def test_an_ensemble_is_one_graph(fitted):
    model = ensemble_of(fitted)
    assert worst(model) < 1e-5
    model.members_[1] = variant(fitted, code_vocabulary=("I10",))
    with pytest.raises(cg.ClinicalGRUError, match="know the same codes"):
        cg.export_onnx(model, "never")


@pytest.mark.parametrize("option", [{"convolution": (2,)}, {"feedback_delay_hours": 2.0}, {"rolling_hours": (6.0,)}])
def test_what_is_not_exported_is_refused_in_one_sentence(fitted, tmp_path, option):
    model = copy.copy(fitted)
    with use_generator(torch.Generator()):
        model.network_ = ClinicalGRU(replace(fitted.network_.spec, **option))
    with pytest.raises(cg.ClinicalGRUError, match="any attention; got one with"):
        cg.export_onnx(model, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_and_a_regression_are_refused(fitted, tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="what ONNX export supports"):
        cg.export_onnx(cg.SummaryBaseline("logistic regression"), tmp_path / "onnx")
    other = copy.copy(fitted)
    other.task_ = cg.Task.from_dict(fitted.task_.to_dict() | {"task_type": "regression"})
    with pytest.raises(cg.ClinicalGRUError, match="binary, multiclass, multilabel"):
        cg.export_onnx(other, tmp_path / "onnx")


@pytest.fixture(scope="module")
def exported(fitted, events, tmp_path_factory):
    return cg.export_onnx(fitted, tmp_path_factory.mktemp("export") / "onnx", events, int8=True, as_of="2150-01-01")


def test_what_8_bits_cost_is_stated(exported, fitted):
    contract = json.loads((exported / "contract.json").read_text())
    measured = contract["measured"]
    assert contract["weights"] == "int8"
    assert measured["bytes"] == (exported / "model.onnx").stat().st_size < measured["bytes_float32"]
    assert 0 < measured["mean_difference"] <= measured["largest_difference"] < 0.05
    assert abs(measured["auroc"] - measured["auroc_float32"]) < 0.02
    assert measured["largest_difference_on_random_stays"] < 1e-5
    assert [one["name"] for one in contract["variables"]] == [one.name for one in fitted.variables_]


def test_8_bits_need_stays_to_measure_their_loss(fitted, tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="loss of 8 bits"):
        cg.export_onnx(fitted, tmp_path / "onnx", int8=True)


def test_a_folder_of_something_else_is_not_replaced(fitted, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(cg.ClinicalGRUError, match="something else"):
        cg.export_onnx(fitted, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_the_program_that_ships_with_it_gives_the_scores_without_torch(fitted, cohort, tmp_path):
    """Rows in any order, repeats, values out of range, unknown variables and stays without rows."""
    fitted = copy.copy(fitted)
    median = 1.00001 * float(np.median(fitted.predict_proba(cg.select(cg.read_events(cohort), fitted.task_))[:, 1]))
    quantiles = {"event": 1 - median / 2, "no event": median}
    fitted.prediction_sets_ = ConformalSets(0.1, quantiles, dict.fromkeys(quantiles, 90), by_outcome=True)
    folder = cg.export_onnx(fitted, tmp_path / "onnx")
    scores = cg.score(fitted, cohort.measurements, stays=cohort.stays, as_of="2150-01-01")
    stays = cohort.stays.copy()
    rows = cohort.measurements.merge(stays[["stay_id", "start"]], on="stay_id")
    columns = {"hours": rows["available_at"].fillna(rows["time"]), "measured_hours": rows["time"]}
    for name, moment in columns.items():
        rows[name] = (moment - rows["start"]) / pd.Timedelta("1h")
    dictionary = {variable.name: variable for variable in fitted.variables_}
    units = rows["variable"].map(lambda name: dictionary[name].unit if name in dictionary else "")
    rows["value"] = [
        dictionary[name].conversion(unit).apply(value) if name in dictionary and unit != own else value
        for name, unit, own, value in zip(rows["variable"], rows["unit"], units, rows["value"], strict=True)
    ]
    rows = pd.concat([rows.sample(frac=1, random_state=0), rows[:50]])
    rows[["stay_id", "hours", "variable", "value", "measured_hours"]].to_csv(tmp_path / "m.csv", index=False)
    stays.to_csv(tmp_path / "s.csv", index=False)
    code = "import sys; sys.modules['torch'] = sys.modules['pandas'] = None; import runpy; sys.argv = sys.argv[1:]; "
    command = [sys.executable, "-c", code + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    command += [str(folder / "run_onnx.py"), str(tmp_path / "m.csv"), str(tmp_path / "s.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    table = pd.read_csv(io.StringIO(done.stdout), dtype={"stay_id": str}).set_index("stay_id")
    scored = scores[scores["status"] == "scored"].set_index("stay_id")
    assert len(scored) > 300
    assert (table.loc[scored.index, "status"] == "scored").all()
    assert np.abs(table.loc[scored.index, "risk"] - scored["risk"]).max() < 1e-5
    assert (table.loc[scored.index, "prediction_set"] == scored["prediction_set"]).all()
    assert scored["prediction_set"].nunique() > 1
    others = scores[scores["reason_code"].isin(["not measured", "too few measurements"])]["stay_id"]
    assert table.loc[others, "risk"].isna().all()


def test_the_program_has_at_most_60_lines_of_code():
    from clinicalgru.serve.onnx import run_onnx

    text = Path(run_onnx.__file__).read_text(encoding="utf-8").split('"""')[2]
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 60


def test_the_command_prints_what_it_measured(fitted, tmp_path):
    from typer.testing import CliRunner

    from clinicalgru.cli.main import app

    bundle = cg.save(fitted, tmp_path / "bundle")
    done = CliRunner().invoke(app, ["export", str(bundle), "--out", str(tmp_path / "onnx"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["largest_difference_on_random_stays"] < 1e-5
    assert sorted(file.name for file in (tmp_path / "onnx").iterdir()) == ["contract.json", "model.onnx", "run_onnx.py"]


def edited(change):
    def edit(folder):
        contract = json.loads((folder / "contract.json").read_text())
        change(contract)
        (folder / "contract.json").write_text(json.dumps(contract))

    return edit


EDITS = {
    "variables exchanged": edited(lambda c: c["variables"].reverse()),
    "a plausible range": edited(lambda c: c["variables"][0].update(plausible=[0, 1e9])),
    "another window": edited(lambda c: c["task"].update(window_hours=[0, 24])),
    "no limits": edited(lambda c: c["limits"].clear()),
    "no digest": edited(lambda c: c["sha256"].clear()),
    "another graph": lambda folder: (folder / "model.onnx").open("ab").write(b"\0"),
}


@pytest.mark.parametrize("name", EDITS)
def test_the_program_refuses_a_contract_or_graph_edited_by_hand(exported, tmp_path, name):
    from clinicalgru.serve.onnx.run_onnx import _scores

    copied = Path(shutil.copytree(exported, tmp_path / "onnx"))
    stays = [{"stay_id": "1"}]
    edited(lambda c: None)(copied)  # other white space is no other contract
    header, row = _scores([], stays, copied)
    assert dict(zip(header, row, strict=True))["status"] == "not scored"
    EDITS[name](copied)
    with pytest.raises(SystemExit, match="changed after the export"):
        _scores([], stays, copied)

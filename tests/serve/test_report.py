"""The report: its 27 items, figures that compute again, its audit trail, and what breaks it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import InputError
from clinicalgru.serve.predictions_file import read_predictions, write_predictions


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    stays = cg.select(cg.read_events(cg.simulate(700, random_state=6)), cg.Task.load("in_hospital_mortality"))
    train, test = cg.split_patients(stays, [0.4, 0.6], random_state=0)
    model = cg.SummaryBaseline("logistic regression").fit(train)
    cg.save(model, folder / "bundle")
    evaluation = cg.evaluate(model, test, n_resamples=50)
    write_predictions(evaluation, test, model.predict_proba(test)[:, 1], folder / "predictions.parquet")
    runs = [{"time": "2031-01-01T00:00:00", "level": "info", "message": "read"}]
    runs.append(runs[0] | {"message": "scored", "run_id": "r7", "model_hash": "abc", "statuses": {"scored": 40}})
    (folder / "run.log").write_text("\n".join(map(json.dumps, runs)))
    return folder, test, evaluation


def test_there_are_27_items_each_filled_with_evidence_or_left_to_the_author(written):
    folder, _, evaluation = written
    items = cg.report(folder / "bundle", predictions=folder / "predictions.parquet").items
    assert items["item"].tolist() == list(range(1, 28))
    filled = items["filled"] != "no"
    assert (items.loc[filled, "evidence"] != "").all()
    assert (items.loc[~filled, "text"] == "author must write").all()
    output = items.set_index("item").loc[15, "text"]
    assert re.fullmatch(r"A prediction for each stay( with \d+ measurements or more)?\.", output)
    assert filled.sum() >= 18
    auroc = evaluation.metrics.set_index("metric").loc["auroc", "estimate"]
    assert f"{auroc:.3f}" in items.set_index("item").loc[23, "text"]


def test_each_figure_computes_again_and_a_changed_one_is_found(written, tmp_path):
    folder, _, _ = written
    result = cg.report(folder / "bundle", predictions=folder / "predictions.parquet")
    assert len(result.numbers) > 40
    assert (result.numbers["difference"] <= 1e-9).all()
    assert result.exit_code == 0
    table = pq.read_table(folder / "predictions.parquet")
    risk = table["risk"].to_numpy().copy()
    risk[0] = 1 - risk[0]
    changed = table.set_column(2, "risk", [risk]).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, tmp_path / "changed.parquet")
    broken = cg.report(folder / "bundle", predictions=tmp_path / "changed.parquet")
    assert broken.exit_code == 6
    assert "figures compute again" in broken.check


def test_stored_predictions_name_nobody_and_belong_to_their_owner(written):
    folder, test, _ = written
    table, _ = read_predictions(folder / "predictions.parquet")
    assert table["patient"].max() < len(np.unique(test.patient.astype(str)))
    raw = (folder / "predictions.parquet").read_bytes()
    assert not [one for one in set(test.patient.astype(str)) if len(one) > 5 and one.encode() in raw]
    assert (folder / "predictions.parquet").stat().st_mode & 0o077 == 0


def test_the_audit_trail_holds_hashes_versions_seed_and_scoring_runs(written):
    folder, _, _ = written
    result = cg.report(folder / "bundle", predictions=folder / "predictions.parquet", logs=[folder / "run.log"])
    trail = dict(zip(result.audit["what"], result.audit["value"], strict=True))
    weights = folder / "bundle" / "weights.safetensors"
    assert trail["sha256 of weights.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert {"version of numpy", "random_state of the resamples", "sha256 of run.log"} <= set(trail)
    assert result.runs["run_id"].tolist() == ["r7"]
    assert result.runs["statuses"].tolist() == ["scored 40"]


def test_text_page_markdown_json_and_command(written, tmp_path, capsys):
    folder, _, _ = written
    files = ["--predictions", f"{folder}/predictions.parquet", "--log", f"{folder}/run.log", "--json"]
    files += ["--page", f"{tmp_path}/r.html", "--markdown", f"{tmp_path}/r.md"]
    with pytest.raises(SystemExit) as ended:
        main(["report", f"{folder}/bundle", *files])
    assert ended.value.code == 0
    held = json.loads(capsys.readouterr().out)
    assert len(held["items"]) == 27
    for shown in ((tmp_path / "r.html").read_text(), (tmp_path / "r.md").read_text()):
        assert "author must write" in shown
        assert "figures compute again" in shown
        assert "r7" in shown


def test_other_files_are_refused_by_name(written, tmp_path):
    folder, _, _ = written
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    (tmp_path / "x.log").write_text("not json")
    with pytest.raises(InputError, match=r"x\.parquet"):
        cg.report(folder / "bundle", predictions=tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x\.log, line 1"):
        cg.report(folder / "bundle", logs=[tmp_path / "x.log"])


def test_small_counts_of_real_patients_are_not_shown(written):
    folder, _, _ = written
    result = cg.report(folder / "bundle", predictions=folder / "predictions.parquet")
    assert result.min_cell_size == 0
    real = replace(result, min_cell_size=11, numbers=result.numbers.replace({"stored": {result_events(result): 7.0}}))
    assert {"stays", "events"} <= set(result.shown_numbers["figure"])
    assert "events" not in set(real.shown_numbers["figure"])
    assert not real.shown_numbers["figure"].str.startswith("operating_points").any()


def result_events(result):
    return result.numbers.set_index("figure").loc["events", "stored"]

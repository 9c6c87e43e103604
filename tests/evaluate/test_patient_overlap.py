"""Figures on patients that a model already knows are said to be optimistic, wherever they are shown."""

import json
import warnings
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
from family import fitted_case

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import DataWarning
from clinicalgru.evaluate.patient_overlap import CALIBRATION, TRAINING, overlap_sentences, patient_overlap
from clinicalgru.serve.tripod import tripod_items


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts[0]).calibrate(parts[2])


def test_training_and_calibration_patients_are_named_in_result_text_page_and_json(model, parts, tmp_path):
    for part, use in zip((parts[0], parts[2], parts[3]), (TRAINING, CALIBRATION, None), strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            evaluation = cg.evaluate(model, part, n_resamples=20)
        expected = {} if use is None else {"GRU": {use: len(part)}}
        assert evaluation.to_dict()["patient_overlap"] == evaluation.patient_overlap == expected
        shown = [str(evaluation), evaluation._repr_html_(), evaluation.to_html(tmp_path / "a.html").read_text()]
        assert [text.count("Not new patients") for text in shown] == [int(use is not None)] * 3
        assert [issubclass(one.category, DataWarning) for one in caught] == [True] * (use is not None)


def test_patients_of_early_stopping_are_known_too_and_an_explanation_says_so(fitted, parts):
    assert fitted._patient_overlap(parts[1]) == {TRAINING: len(parts[1])}
    assert fitted._patient_overlap(parts[3]) == {}
    explained = [cg.explain(fitted, part[[0]]) for part in (parts[1], parts[3])]
    assert ["This patient was used for training" in str(one) for one in explained] == [True, False]


def test_a_baseline_that_knows_the_patients_is_named_and_the_model_is_not(parts, model):
    known = cg.SummaryBaseline("logistic regression").fit(parts[3])
    with pytest.warns(DataWarning, match="trees used those of all stays"):
        evaluation = cg.evaluate(model, parts[3], baselines={"trees": known}, n_resamples=20)
    assert list(evaluation.patient_overlap) == ["trees"]
    with pytest.warns(DataWarning, match="trees used"):
        compared = cg.compare(model, known, parts[3], names=("GRU", "trees"), n_resamples=20)
    assert "trees used those of all stays" in str(compared)


def test_by_hour_warns_once_and_evaluate_once_for_all(parts, model):
    for call in (
        lambda: cg.evaluate_by_hour(model, parts[0], hours=[48], n_resamples=2),
        lambda: cg.evaluate(model, parts[0], by_hour=True, n_resamples=2),
    ):
        with pytest.warns(DataWarning, match="Not new patients") as caught:
            call()
        assert len(caught) == 1


def test_the_report_does_not_claim_new_patients_where_they_are_not(parts, model):
    known = cg.evaluate(model, parts[0], n_resamples=20)
    new = replace(known, patient_overlap={})
    texts = [tripod_items(model, one.to_dict()).set_index("item")["text"].loc[16] for one in (known, new)]
    assert "optimistic" in texts[0]
    assert "no patient of the evaluation" in texts[1].lower()


def test_amounts_are_words_and_risks_know_no_patients():
    model = SimpleNamespace(_patient_overlap=lambda stays: {TRAINING: 51, CALIBRATION: 2})
    overlap = patient_overlap({"ours": model, "risks": [0.1, 0.2]}, [])
    assert "most stays for training or early stopping, and of some stays for calibration" in " ".join(
        overlap_sentences(overlap, 100)
    )
    assert overlap_sentences({}, 100) == []


def test_a_threshold_chosen_on_the_evaluated_stays_is_named():
    case = fitted_case("early_warning")
    chosen = copy(case.model)
    chosen.calibration_patients_ = ()  # another test may have chosen one for the shared model
    assert chosen._patient_overlap(case.test) == {}
    chosen.choose_threshold(case.test).choose_threshold(case.test)
    assert list(chosen._patient_overlap(case.test)) == [CALIBRATION]
    assert len(chosen.calibration_patients_) == 1


def test_the_command_says_so_in_text_json_and_page(parts, model, cohort, tmp_path, capsys):
    bundle, extract = cg.save(model, tmp_path / "bundle"), cohort.write(tmp_path / "extract")
    tables = [f"{extract}/{name}.parquet" for name in ("measurements", "stays", "outcomes")]
    command = ["evaluate", f"{bundle}", tables[0], "--stays", tables[1], "--outcomes", tables[2]]
    command += ["--page", f"{tmp_path}/a.html"]
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, *options])
        assert not ended.value.code
        out = capsys.readouterr().out
        assert "Not new patients" in (tmp_path / "a.html").read_text()
    assert set(json.loads(out)["patient_overlap"]["GRU"]) == {TRAINING, CALIBRATION}

"""What a person at a terminal sees while a command works, and what is kept when it is stopped."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys

import pytest
import typer

import clinicalgru as cg
from clinicalgru import pipeline
from clinicalgru.cli import progress, train
from clinicalgru.cli.progress import waiting
from clinicalgru.cli.stop import stoppable
from clinicalgru.parts import simulated_parts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_one_sentence_and_its_code(capsys, number, code):
    before = signal.getsignal(number)
    with pytest.raises(typer.Exit) as ended, stoppable("Nothing was written."):
        signal.raise_signal(number)
    assert (ended.value.exit_code, signal.getsignal(number)) == (code, before)
    assert capsys.readouterr().err == "Stopped. Nothing was written.\n"


@pytest.fixture(scope="module")
def parts():
    return simulated_parts(200, 0, lambda text: None)


@pytest.fixture(scope="module")
def model(parts):
    return cg.SummaryBaseline("logistic regression").fit(parts.development)


def stopped(capsys, fit, parts, out):
    with pytest.raises(typer.Exit) as ended:
        train._fit_evaluate_write(fit, parts, out, random_state=0)
    return ended.value.exit_code, capsys.readouterr().err


def test_training_stopped_before_a_model_leaves_nothing(capsys, parts, tmp_path):
    code, said = stopped(capsys, lambda: signal.raise_signal(signal.SIGTERM), parts, tmp_path / "out")
    assert (code, said) == (143, "Stopped. Nothing was written.\n")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_in_training_keeps_the_best_weights_and_evaluates_nothing(capsys, parts, model, tmp_path, monkeypatch):
    def fit():
        try:  # as `fit` of an estimator does after its first epoch
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return model

    monkeypatch.setattr(pipeline, "evaluate_with_baselines", None)
    code, said = stopped(capsys, fit, parts, tmp_path / "out")
    assert code == 130
    assert said.startswith("Stopped. The model is kept in ")
    assert said.count("\n") == 1
    assert os.listdir(tmp_path / "out") == ["bundle"]
    assert (cg.load(tmp_path / "out" / "bundle").predict_proba(parts.test) == model.predict_proba(parts.test)).all()


def test_the_bundle_is_written_before_the_evaluation(capsys, parts, model, tmp_path, monkeypatch):
    def evaluate(*_, **options):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(pipeline, "evaluate_with_baselines", evaluate)
    assert stopped(capsys, lambda: model, parts, tmp_path / "out")[0] == 143
    assert type(cg.load(tmp_path / "out" / "bundle")) is type(model)


def written_to(terminal):
    """All that was written to a terminal that its writer has closed; a single read may give a part of it."""
    parts = []
    with contextlib.suppress(OSError):  # Linux: no more to come
        while part := os.read(terminal, 100_000):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize("stdout_is_terminal", [True, False])
def test_a_terminal_shows_what_is_done_and_a_pipe_gets_the_output_alone(monkeypatch, capfd, stdout_is_terminal):
    ours, theirs = pty.openpty()
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        if stdout_is_terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
        with waiting("reading the extract"):
            progress.threading.Event().wait(0.3)
            print("rows in 12")
    seen = written_to(ours)
    os.close(ours)
    assert "reading the extract" in seen
    assert ("rows in 12" in seen) == stdout_is_terminal


def test_nothing_is_shown_where_standard_error_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with waiting("reading"):
        progress.threading.Event().wait(0.05)
    assert capsys.readouterr().err == ""

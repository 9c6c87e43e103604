"""A learning curve grows by patients, keeps its test folds, and says what was held out."""

from __future__ import annotations

import pytest

import clinicalgru as cg

LOGISTIC = cg.SummaryBaseline("logistic regression")


@pytest.fixture(scope="module")
def stays(events, task):
    return cg.select(events, task)[:300]


@pytest.fixture(scope="module")
def curve(stays):
    return cg.learning_curve(LOGISTIC, stays, train_sizes=(0.3, 1.0), n_folds=2, n_resamples=2, random_state=3)


def test_its_last_point_is_the_cross_validation(stays, curve):
    whole = cg.cross_validate(LOGISTIC, stays, n_folds=2, n_resamples=2, random_state=3).folds
    last = curve.folds.query("train_size == 1")
    assert dict(zip(last["metric"] + last["fold"].astype(str), last["estimate"], strict=True)) == pytest.approx(
        dict(zip(whole["metric"] + whole["fold"].astype(str), whole["estimate"], strict=True)), nan_ok=True
    )


def test_parts_are_fractions_of_the_patients_of_the_other_folds(stays, curve):
    patients = curve.folds.groupby(["fold", "train_size"])["patients"].first().unstack()
    assert patients[1.0].sum() == len(set(stays.patient))
    assert (patients[0.3] == (patients[1.0] * 0.3).round()).all()


def test_it_is_drawn_and_refuses_what_cannot_be(stays, curve):
    figure = curve.plot("auroc")
    assert list(figure.data[1].x) == curve.summary.query("metric == 'auroc'")["patients"].tolist()
    with pytest.raises(cg.ClinicalGRUError, match="metric among"):
        curve.plot("beauty")
    for sizes in ((), (0.5, 0.5), (0.5, 0.1), (0.0, 1.0), (0.5, 1.5)):
        with pytest.raises(cg.ClinicalGRUError, match="train_sizes"):
            cg.learning_curve(LOGISTIC, stays, train_sizes=sizes)


@pytest.mark.slow
def test_a_figure_is_written_as_a_picture(curve, tmp_path, monkeypatch):
    pytest.importorskip("kaleido")
    monkeypatch.setenv("BROWSER_PATH", "/usr/bin/chromium")
    curve.plot().write_image(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")

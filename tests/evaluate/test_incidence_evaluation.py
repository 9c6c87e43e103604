"""Evaluation of competing events: equal to scikit-learn's without censoring, near it with; page and command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.competing_risks import followed_weights

HOURS = [12.0, 30.0]
EVENTS = ("death", "home")


def simulated(n=2000, seed=0, *, followed=np.inf):
    """Two exponential events whose rates depend on x, the exact incidence, and uniform censoring up to `followed`."""
    rng = np.random.default_rng(seed)
    rate = np.stack([0.02, 0.05] * np.exp(rng.normal(0, 0.7, (n, 2))), axis=1)
    times = rng.exponential(1 / rate)
    end = rng.uniform(0.3 * followed, followed, n) if np.isfinite(followed) else np.full(n, np.inf)
    total = rate.sum(axis=0)
    exact = (rate / total)[..., None] * (1 - np.exp(-total[:, None] * HOURS))
    hours = np.minimum(times.min(axis=0), end)
    return hours, np.where(times.min(axis=0) <= end, times.argmin(axis=0) + 1, 0), exact.transpose(1, 0, 2)


def estimates(result, metric):
    return result.metrics[result.metrics["metric"] == metric]["estimate"].to_numpy()


def evaluated(hours, cause, predicted, **options):
    options = {"n_resamples": 40, "events": EVENTS, "at_hours": HOURS} | options
    return cg.evaluate_incidence(hours, cause, predicted, **options)


def test_without_censoring_metrics_are_those_of_scikit_learn():
    hours, cause, exact = simulated()
    result = evaluated(hours, cause, exact)
    pairs = [(number, position) for number in (0, 1) for position in (0, 1)]
    cases = [(cause == number + 1) & (hours <= HOURS[position]) for number, position in pairs]
    risks = [exact[:, number, position] for number, position in pairs]
    for metric, right in (
        ("auc", [roc_auc_score(*pair) for pair in zip(cases, risks, strict=True)]),
        ("brier", [brier_score_loss(*pair) for pair in zip(cases, risks, strict=True)]),
        ("observed_expected", [case.mean() / risk.mean() for case, risk in zip(cases, risks, strict=True)]),
    ):
        assert estimates(result, metric) == pytest.approx(right, abs=1e-10)


def test_with_censoring_they_are_near_those_of_whole_follow_up():
    whole = evaluated(*simulated(20_000), n_resamples=2)
    part = evaluated(*simulated(20_000, followed=45.0), n_resamples=2)
    for metric in ("auc", "brier", "observed_expected"):
        assert estimates(part, metric) == pytest.approx(estimates(whole, metric), abs=0.025)
    hours, cause, _ = simulated(followed=45.0)
    assert followed_weights(hours, cause, 30.0).mean() == pytest.approx(1, abs=0.02)
    util = pytest.importorskip("sksurv.nonparametric")
    times, left = util.kaplan_meier_estimator(cause == 0, hours)
    later = hours > 30.0
    expected = 1 / left[np.searchsorted(times, 30.0, side="right") - 1]
    assert followed_weights(hours, cause, 30.0)[later] == pytest.approx(np.full(later.sum(), expected))


def test_sentences_say_whether_the_incidence_fits_and_few_events_say_nothing(tmp_path):
    hours, cause, exact = simulated()
    right, wrong = evaluated(hours, cause, exact), evaluated(hours, cause, np.minimum(2 * exact, 1))
    assert all("as often as predicted" in sentence for sentence in right.sentences)
    assert all("less often than predicted" in sentence for sentence in wrong.sentences)
    few = evaluated(hours[:25], cause[:25], exact[:25])
    assert all("too few" in sentence for sentence in few.sentences)
    assert "suppressed" in few.shown_counts
    page = right.to_html(tmp_path / "page.html").read_text()
    assert "Aalen and Johansen" in page
    assert right.sentences[0] in page.replace("&#39;", "'")
    assert len(right.plot().data) == 4
    assert len(right.plot("calibration").data) == 3
    json.dumps(right.to_dict())


def test_the_first_of_several_outcomes_counts_and_wrong_shapes_are_refused():
    outcomes = {"a": [[4, 1], [9, 0], [3, 0]], "b": [[4, 1], [5, 1], [2, 0]]}
    hours, cause = cg.first_event(outcomes)
    assert (hours.tolist(), cause.tolist()) == ([4, 5, 2], [1, 2, 0])
    hours, cause, exact = simulated(100)
    with pytest.raises(ArgumentError, match="shape"):
        evaluated(hours, cause, exact[:, :1])
    with pytest.raises(ArgumentError, match="Name each event"):
        evaluated(hours, cause, exact[:, :1], events=("death",))
    with pytest.raises(ArgumentError, match="home as the first"):
        evaluated(hours, np.minimum(cause, 1), exact)


def test_the_command_evaluates_the_bundles_of_two_tasks(tmp_path, capsys):
    cohort, rng = cg.simulate(80, random_state=4), np.random.default_rng(0)
    home, dead = (24 + rng.exponential(scale, 80) for scale in (60, 150))
    end = np.minimum(home, dead)
    table = pd.DataFrame({"stay_id": cohort.stays["stay_id"], "hours": end, "dead": dead == end, "home": home == end})
    cohort.measurements.to_parquet(tmp_path / "labs.parquet")
    cohort.stays.assign(end=pd.NaT).to_csv(tmp_path / "stays.csv", index=False)
    table.astype({"dead": int, "home": int}).to_csv(tmp_path / "outcomes.csv", index=False)
    reading = {"stays": tmp_path / "stays.csv", "outcomes": tmp_path / "outcomes.csv"}
    events, bundles = cg.read_events(tmp_path / "labs.parquet", **reading), []
    for name in ("dead", "home"):
        task = cg.Task(name, name, (0, 24), task_type="survival", outcome_time="hours")
        network = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)
        model = cg.GRUSurvival(network, max_epochs=1, distillation=0).fit(cg.select(events, task), verbose=False)
        bundles += ["--bundle", f"{name}={cg.save(model, tmp_path / name)}"]
    files = [str(tmp_path / "labs.parquet"), *(f"--{name}={path}" for name, path in reading.items())]
    with pytest.raises(SystemExit) as ended:
        main(["competing-risks", *files, *bundles, "--at-hours", "100", "--page", str(tmp_path / "page.html")])
    assert ended.value.code == 0
    assert "dead by hour 100" in capsys.readouterr().out
    assert (tmp_path / "page.html").is_file()
    stay = str(cohort.stays["stay_id"].iloc[0])
    options = ["--stay", stay, "--json", "--page", str(tmp_path / "stay.html")]
    with pytest.raises(SystemExit) as ended:
        main(["competing-risks", *files[:2], *bundles, "--at-hours", "50", "--at-hours", "100", *options])
    assert ended.value.code == 0
    rows = json.loads(capsys.readouterr().out)["incidence"]
    assert [row["hours"] for row in rows] == [50, 100]
    for row in rows:
        assert row["dead"] + row["home"] + row["none of these yet"] == pytest.approx(1)
    text = (tmp_path / "stay.html").read_text(encoding="utf-8")
    assert f"Death as the first event: {100 * rows[0]['dead']:.0f}" in text
    assert "What moved the risk of home" in text
    assert stay not in text.split("<script", 1)[0]
    with pytest.raises(SystemExit) as ended:  # beyond the last event of training nothing was learned
        main(["competing-risks", *files[:2], *bundles, "--stay", stay, "--at-hours", "99999"])
    assert ended.value.code == 2
    assert "up to the last event of training" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["competing-risks", *files, *bundles[:2], "--at-hours", "100"])
    assert ended.value.code == 2
    assert "EVENT=FOLDER" in capsys.readouterr().err

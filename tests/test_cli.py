"""The command line as its users meet it: help with an example, exit 2 and one clear message, the whole line once."""

from __future__ import annotations

import json
import re
from functools import partial

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru import pipeline, trained_model
from clinicalgru.cli.main import main
from clinicalgru.model.estimators import pretraining

COMMANDS = ("demo", "check", "audit", "pretrain", "train", "evaluate", "compare", "explain", "score", "leaks")


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return ended.value.code or 0, shown.out, shown.err


@pytest.fixture(scope="session")
def extract(cohort, tmp_path_factory):
    return cohort.write(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def light(monkeypatch, few_trees):
    """Leaks and faithfulness are looked for in few stays, and there are few boosted trees."""
    monkeypatch.setattr(trained_model, "LEAKAGE_STAYS", 8)
    monkeypatch.setattr(pipeline, "FAITHFULNESS_STAYS", 8)


@pytest.fixture(scope="session")
def bundle(fitted, tmp_path_factory):
    return cg.save(fitted, tmp_path_factory.mktemp("cli") / "bundle")


def test_the_list_of_commands_is_whole_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, "--help")
    listed = out.split("Commands:")[1]
    assert code == 0
    assert "..." not in listed
    assert "baselines, explain one stay, score the cohort." in " ".join(listed.split())
    assert max(map(len, out.splitlines())) <= 80


def test_variables_are_listed_below_their_head_and_an_unknown_word_is_named(capsys):
    _, out, _ = run(capsys, "variables", "lactate")
    head, first = out.splitlines()[:2]
    assert head.split() == ["NAME", "UNIT", "LABEL", "LOINC"]
    assert [first.index(text) for text in ("lactate", "mmol/L", "Lactate")] == [
        head.index(text) for text in ("NAME", "UNIT", "LABEL")
    ]
    code, _, err = run(capsys, "variables", "blorb")
    assert code == 2
    assert "got 'blorb', which none has" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_shows_an_example(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: clinicalgru {command}" in re.sub(r"\s+", " ", out)


@pytest.mark.slow
def test_check_prints_a_ledger_that_balances(capsys, extract):
    arguments = ("check", extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    code, out, _ = run(capsys, *arguments, "--json", "--exact")
    ledger = json.loads(out)["ledger"]
    assert code == 0
    rejected = sum(rows for what, rows in ledger.items() if what.startswith("rejected"))
    assert ledger["rows in"] == ledger["used"] + ledger["static values"] + ledger["merged"] + rejected
    assert "rows in" in run(capsys, *arguments)[1]


@pytest.mark.slow
def test_small_counts_are_withheld_unless_asked_for(capsys, tmp_path):
    """Of 40 stays, 3 have a lactate and 38 a heart rate: neither count is shown, nor what would reveal it."""
    rows = [(f"{i}", 0.0, "heart_rate", 80.0) for i in range(38)] + [
        (f"{i}", 1.0, "temperature", 37.0) for i in range(40)
    ]
    rows += [(f"{i}", 2.0, "lactate", 1.5) for i in range(3)] + [("1", 3.0, "heart_rate", 9e9)]
    pd.DataFrame(rows, columns=["patient_id", "time", "variable", "value"]).to_csv(tmp_path / "a.csv", index=False)
    shown = json.loads(run(capsys, "check", tmp_path / "a.csv", "--json")[1])
    assert [row["stays"] for row in shown["variables"]] == [None, None, 40]
    assert [row["measurements"] for row in shown["variables"]] == [None, None, 40]
    assert shown["ledger"]["rejected: implausible"] is shown["ledger"]["used"] is None
    text = run(capsys, "check", tmp_path / "a.csv")[1]
    assert "implausible heart_rate: suppressed, first at a.csv, row 83" in text
    assert not re.search(r"\b(3|38|1|81)\b(?!0)", text.replace("row 83", ""))
    exact = json.loads(run(capsys, "check", tmp_path / "a.csv", "--json", "--exact")[1])
    assert [row["stays"] for row in exact["variables"]] == [38, 3, 40]
    assert "implausible heart_rate: 1, first" in run(capsys, "check", tmp_path / "a.csv", "--exact")[1]


@pytest.mark.slow
def test_the_command_line_scores_as_python_does(capsys, extract, bundle, tmp_path, fitted, cohort):
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    code, out, _ = run(capsys, "score", bundle, *files, "--out", tmp_path / "scores", "--json", "--exact")
    assert code == 0
    table = pd.read_parquet(tmp_path / "scores").drop(columns=["as_of", "scored_at"])
    expected = cg.score(fitted, cohort.measurements, stays=cohort.stays)
    pd.testing.assert_frame_equal(table, expected[list(table)])
    assert sum(json.loads(out).values()) == len(cohort.stays)


@pytest.mark.slow
def test_evaluate_takes_a_bundle_and_writes_a_page(capsys, extract, bundle, tmp_path):
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    outcomes = ("--outcomes", extract / "outcomes.parquet")
    code, out, _ = run(capsys, "evaluate", bundle, *files, *outcomes, "--page", tmp_path / "e.html", "--json")
    assert code == 0
    assert {row["metric"] for row in json.loads(out)["metrics"]} >= {"auroc", "auprc", "brier"}
    assert (tmp_path / "e.html").stat().st_size > 100_000


@pytest.mark.slow
def test_two_bundles_are_compared_on_the_same_stays(capsys, extract, bundle, test_stays, tmp_path):
    other = cg.save(cg.SummaryBaseline("logistic regression").fit(test_stays), tmp_path / "other")
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    outcomes = ("--outcomes", extract / "outcomes.parquet")
    code, out, _ = run(capsys, "compare", bundle, other, *files, *outcomes)
    assert code == 0
    assert "DeLong" in out
    assert f"{bundle.name} minus other" in out


@pytest.mark.slow
def test_explain_names_what_moved_the_risk(capsys, extract, bundle, cohort, test_stays, tmp_path):
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    code, out, _ = run(capsys, "explain", bundle, *files, "--stay", test_stays.stay[0], "--page", tmp_path / "p.html")
    assert code == 0
    assert "completeness gap" in out
    assert test_stays.stay[0] not in out
    assert "Simulated patients" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "none.csv"), "no such path: none.csv"),
        (("demo", "--source", "physionet2012"), "without --data"),
        (("demo", "--source", "physionet2012", "--data", "."), "set-a as .tar.gz"),
        (("score", ".", "none.csv", "--out", "x"), "manifest.json"),
        (("check", "none.csv", "--source", "hl7"), "source among"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err + out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_unknown_stay_is_refused(capsys, extract, bundle):
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    assert run(capsys, "explain", bundle, *files, "--stay", "nobody")[0] == 2


@pytest.mark.slow
def test_the_demo_runs_the_whole_line_and_says_that_its_patients_are_simulated(capsys, tmp_path, monkeypatch, light):
    monkeypatch.setattr(pipeline, "BY_TASK_TYPE", {"binary": partial(cg.GRUClassifier, max_epochs=2)})
    code, out, _ = run(capsys, "demo", "--stays", 300, "--out", tmp_path / "out", "--quiet")
    assert code == 0
    assert "SIMULATED PATIENTS" in out
    for name in ("evaluation.html", "patient.html", "bundle", "scores.parquet"):
        assert str(tmp_path / "out" / name) in out
        assert (tmp_path / "out" / name).exists()
    for page in ("evaluation.html", "patient.html"):
        assert "Simulated patients" in (tmp_path / "out" / page).read_text()
    assert "Are the explanations faithful to the model?" in (tmp_path / "out" / "evaluation.html").read_text()
    assert json.loads((tmp_path / "out" / "bundle" / "manifest.json").read_text())["trained_on"]["simulated"] is True
    assert "boosted trees" in out
    commands = [line.partition("clinicalgru ")[2] for line in out.partition("\nnext\n")[2].splitlines()]
    assert sum(run(capsys, *command.split(), "--help")[0] == 0 for command in commands if command) == 3


@pytest.mark.slow
def test_pretrain_needs_no_outcomes_and_train_on_ones_own_extract_starts_from_it_and_ends_in_a_bundle_that_scores(
    capsys, extract, tmp_path, monkeypatch, light
):
    files = (extract / "measurements.parquet", "--stays", extract / "stays.parquet")
    small = {"network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2), "max_epochs": 2}
    monkeypatch.setattr(pretraining, "pretrain", partial(pretraining.pretrain, **small))
    assert run(capsys, "pretrain", *files, "--out", tmp_path / "encoder", "--quiet")[0] == 0
    started = ("--pretrained", tmp_path / "encoder", "--outcomes", extract / "outcomes.parquet", "--quiet")
    started += ("--set", "max_epochs=2", "--set", "distillation=0")
    code, said, _ = run(capsys, "train", *files, *started, "--out", tmp_path / "mine")
    assert code == 0
    assert "Membership inference: not measured, all test patients took part in pretraining." in said
    card = (tmp_path / "mine" / "bundle" / "card.md").read_text()
    assert "| pretrained on |" in card
    assert "| membership inference | not measured: all test patients took part in pretraining |" in card
    assert json.loads((tmp_path / "mine" / "bundle" / "manifest.json").read_text())["arguments"]["max_epochs"] == 2
    assert run(capsys, "score", tmp_path / "mine" / "bundle", *files, "--out", tmp_path / "s.parquet")[0] == 0
    code, _, error = run(capsys, "score", tmp_path / "encoder", *files, "--out", tmp_path / "t.parquet")
    assert (code, "pretrained encoder" in error) == (2, True)

"""What the documents show runs: docstring examples, and the Python blocks of the README."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pandas as pd
import pytest

import clinicalgru

ROOT = Path(clinicalgru.__file__).parent
READS = re.compile(r">>> .*\b(read_events|simulate)\(")  # an example that reads a cohort takes a second


def as_module(file: Path) -> object:
    """The dotted name of a file; slow where its examples read a cohort."""
    name = ".".join(("clinicalgru", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    marks = [pytest.mark.slow] if READS.search(file.read_text(encoding="utf-8")) else []
    return pytest.param(name, marks=marks, id=name)


pytestmark = pytest.mark.usefixtures("all_reference_stays")
MODULES = [as_module(file) for file in sorted(ROOT.rglob("*.py"))]
README = ROOT.parent / "README.md"
PAGES = [README, *sorted(path for path in (ROOT.parent / "docs").rglob("*.md") if "decisions" not in path.parts)]
USES = re.compile(r"(?:^|  | -m )clinicalgru (?=[a-z])")  # as a command


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    import numpy as np
    import torch

    known = {"np": np, "torch": torch}
    tested = doctest.testmod(importlib.import_module(module), extraglobs=known)
    assert tested.failed == 0


def test_what_explains_shows_how():
    for name in ("explain", "movement", "what_if", "gates", "similar", "importance", "faithfulness"):
        assert ">>>" in (getattr(clinicalgru, name).__doc__ or ""), name


@pytest.mark.slow
def test_the_python_blocks_of_the_readme_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in (README, README.parent / "docs" / "few_outcomes.md")]
    blocks = re.findall(r"```python\n(.*?)```", "\n".join(texts), re.S)
    assert len(blocks) > 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)


def test_ward_moves_and_deaths_become_one_table_of_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    moves = ["NHS_NUMBER;SPELL;WARD_IN;WARD_OUT;WARD;AGE;SEX"]
    moves += ["1;a;03/02/2030 18:00;05/02/2030 09:00;Kirurgi Ø;70;F", "1;a;03/02/2030 08:00;03/02/2030 18:00;AMU;70;F"]
    moves += ["1;b;01/03/2030 10:00;04/03/2030 12:00;AMU;70;F", "2;c;01/03/2030 10:00;02/03/2030 12:00;AMU;50;M"]
    (tmp_path / "ward_moves.csv").write_text("\n".join(moves), encoding="latin-1")
    (tmp_path / "deaths.csv").write_text("NHS_NUMBER;DIED\n1;04/03/2030\n", encoding="latin-1")
    page = (README.parent / "docs" / "howto" / "own_extract.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(import pandas.*?)```", page, re.S)
    exec(compile(block, "own_extract.md", "exec"), {})
    stays = pd.read_csv("stays.csv", encoding="latin-1")
    assert stays[["SPELL", "WARD", "in_hospital_death"]].to_numpy().tolist() == [
        ["a", "AMU", 0],
        ["b", "AMU", 1],
        ["c", "AMU", 0],
    ]
    assert stays.loc[0, ["WARD_IN", "WARD_OUT"]].tolist() == ["2030-02-03 08:00:00", "2030-02-05 09:00:00"]


def test_the_documents_name_only_commands_and_options_that_exist():
    import typer

    from clinicalgru.cli.main import app

    commands = typer.main.get_command(app).commands
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    blocks = [block for text in texts for block in re.findall(r"^```(?:sh|text)\n(.*?)^```", text, re.S | re.M)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if USES.search(line)]
    lines += [code for text in texts for code in re.findall(r"`(clinicalgru [^`]*)`", text)]
    assert len(lines) > 40
    for line in lines:
        words = USES.split(line, maxsplit=1)[1].split(" #")[0].split()
        known = {name for option in commands[words[0]].params for name in option.opts} | {"--help"}
        options = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
        assert options <= known, line


def test_each_test_that_stands_for_a_kind_of_fault_exists():
    tests = Path(__file__).parent
    named = re.findall(r"`([\w/.]+\.py)::(\w+)`", (tests / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    absent = [pair for pair in named if not re.search(rf"^def {pair[1]}\(", (tests / pair[0]).read_text("utf-8"), re.M)]
    assert not absent

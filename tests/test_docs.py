"""What the documents show runs: docstring examples, and the Python blocks of the README."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

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


def test_the_readme_names_only_commands_that_exist():
    from clinicalgru.cli.main import app

    known = {command.callback.__name__ for command in app.registered_commands}
    used = set(re.findall(r"^clinicalgru (\w+)", README.read_text(encoding="utf-8"), re.M))
    assert used
    assert used <= known


def test_each_test_that_stands_for_a_kind_of_fault_exists():
    tests = Path(__file__).parent
    named = re.findall(r"`([\w/.]+\.py)::(\w+)`", (tests / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    absent = [pair for pair in named if not re.search(rf"^def {pair[1]}\(", (tests / pair[0]).read_text("utf-8"), re.M)]
    assert not absent

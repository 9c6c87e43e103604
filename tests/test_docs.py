"""What the documents show runs: docstring examples, and the Python blocks of the README."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import clinicalgru

ROOT = Path(clinicalgru.__file__).parent
MODULES = sorted(
    ".".join(("clinicalgru", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for file in ROOT.rglob("*.py")
)
README = ROOT.parent / "README.md"


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module, request):
    import numpy as np
    import torch

    known = {"np": np, "torch": torch}
    if ".explain." in module:  # these explain a fitted model
        names = {"model": "fitted", "parts": "parts", "test": "test_stays"}
        known |= {name: request.getfixturevalue(fixture) for name, fixture in names.items()}
        known |= {"cg": clinicalgru, "train": known["parts"][0]}
    tested = doctest.testmod(importlib.import_module(module), extraglobs=known)
    assert tested.failed == 0


def test_what_explains_shows_how():
    for name in ("explain", "movement", "what_if", "gates", "similar", "importance", "faithfulness"):
        assert ">>>" in (getattr(clinicalgru, name).__doc__ or ""), name


@pytest.mark.slow
def test_the_python_blocks_of_the_readme_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)


def test_the_readme_names_only_commands_that_exist():
    from clinicalgru.cli import app

    known = {command.callback.__name__ for command in app.registered_commands}
    used = set(re.findall(r"^clinicalgru (\w+)", README.read_text(encoding="utf-8"), re.M))
    assert used
    assert used <= known

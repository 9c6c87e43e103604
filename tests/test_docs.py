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
def test_docstring_examples_run(module):
    import numpy as np
    import torch

    tested = doctest.testmod(importlib.import_module(module), extraglobs={"np": np, "torch": torch})
    assert tested.failed == 0


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

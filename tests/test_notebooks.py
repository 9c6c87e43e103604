"""The notebooks run in a fresh kernel: public names only, nobody named, the same numbers again."""

from __future__ import annotations

import ast
import json
import re
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import environment_of_children

import clinicalgru

pytestmark = pytest.mark.skipif(find_spec("nbclient") is None, reason="nbclient is not installed (extra notebook)")
FOLDER = Path(clinicalgru.__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SWITCH = ("PHYSIONET_2012 = None", "PHYSIONET_2019 = None")
LIBRARIES = {"clinicalgru", "clinicalgru.data.profile", "numpy", "pandas", "pathlib", "sklearn.base", "tempfile"}
ASK_WHO = """
import json
named = [frame for frame in globals().values() if type(frame).__name__ == "Events"]
print(json.dumps(sorted({str(one) for e in named for one in (*e.stays["patient_id"], *e.stays["stay_id"])})))
"""
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == sorted({path.stem[:2] for path in NOTEBOOKS})
    assert len(NOTEBOOKS) >= 4


@by_name
def test_a_notebook_is_stored_without_outputs_in_short_cells(path):
    import nbformat  # takes seconds, and not every run of pytest needs it

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert cell.source.count("\n") + 1 < 12
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= len(notebook.cells) / 4


@by_name
def test_a_notebook_uses_the_public_face_only_and_defines_no_function(path):
    for source in code(path):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= LIBRARIES
            if isinstance(node, ast.ImportFrom):
                assert node.module in LIBRARIES - {"clinicalgru"}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cg":
                assert node.attr in clinicalgru.__all__


@by_name
def test_one_cell_at_the_top_switches_to_real_patients(path):
    cells = code(path)
    assert cells[0].startswith(SWITCH)
    assert sum(cell.startswith(SWITCH) for cell in cells) == 1
    assert any("PHYSIONET_20" in cell for cell in cells[1:])


def run(path: Path, folder: Path) -> tuple[list[str], list[str], float]:
    """What each cell said, in words and numbers; the identifiers of its patients; seconds."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASK_WHO))
    began = time.monotonic()
    kernel = {"timeout": 300, "kernel_name": "python3", "resources": {"metadata": {"path": str(folder)}}}
    nbclient.NotebookClient(notebook, **kernel).execute(env=environment_of_children())
    took = time.monotonic() - began
    said = [shown(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    widgets = json.dumps(notebook.metadata.get("widgets", {}), default=str)
    widgets = re.sub(r'"_esm": "(?:[^"\\]|\\.)*"', '"_esm"', widgets)  # the program of a widget, full of numbers
    return [*said[:-1], stable(widgets)], json.loads(notebook.cells[-1].outputs[0]["text"]), took


def shown(outputs: list) -> str:
    """All that a cell shows, but what no seed decides: progress and names of temporary files."""
    kept = [o for o in outputs if o.get("name") != "stderr"]
    return stable(json.dumps([o.get("data", o.get("text", "")) for o in kept], sort_keys=True))


def stable(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{32}\b", "widget", text)
    text = re.sub(r'"uid": "[^"]*"', '"uid"', text)
    return re.sub(r"[^\s\"']*tmp[^\s\"']*", "temporary", text)


@pytest.mark.slow
@by_name
def test_a_notebook_runs_from_a_fresh_kernel_and_names_nobody(path, tmp_path):
    said, patients, took = run(path, tmp_path)
    assert len(patients) > 100
    everything = "\n".join(said)
    assert not [one for one in patients if re.search(rf"(?<![\w.]){one}(?![\w.])", everything)]
    assert took < 180
    assert "Traceback" not in everything


@pytest.mark.lab
@by_name
def test_a_second_run_gives_identical_numbers(path, tmp_path):
    first, again = (run(path, tmp_path)[0] for _ in range(2))
    assert first[:-1] == again[:-1]

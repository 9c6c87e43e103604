"""The floors of the package: who may import whom, and what loads when."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import clinicalgru

ROOT = Path(clinicalgru.__file__).parent
MAY_IMPORT = {
    "errors": set(),
    "checks": {"errors"},
    "display": {"errors"},
    "atomic_write": {"errors"},
    "disclosure": {"errors", "checks"},
    "html": set(),
    "temporary_folder": set(),
    "markdown": set(),
    "class_names": set(),
    "output_unit": set(),
    "optional_packages": {"errors"},
    "data": {"temporary_folder", "errors", "checks", "display", "disclosure", "html", "atomic_write"},
    "evaluate": {"errors", "checks", "display", "disclosure", "html", "atomic_write"},
    "model": {
        "temporary_folder",
        "errors",
        "checks",
        "display",
        "disclosure",
        "html",
        "atomic_write",
        "data",
        "evaluate",
    },
    "leakage": {"errors", "checks", "display", "disclosure", "html", "data", "model"},
    "explain": {"errors", "checks", "display", "disclosure", "html", "atomic_write", "data", "evaluate", "model"},
    "serve": {
        "temporary_folder",
        "errors",
        "checks",
        "display",
        "disclosure",
        "html",
        "markdown",
        "atomic_write",
        "data",
        "model",
        "evaluate",
        "explain",
    },
    "view": {"errors", "checks", "display", "disclosure", "html", "atomic_write", "data", "evaluate", "explain"},
    "estimator_checks": {"errors", "checks", "data", "model", "serve"},
    "parts": {"errors", "checks", "disclosure", "data"},
}
for layer in ("evaluate", "model", "serve"):
    MAY_IMPORT[layer].add("optional_packages")
for layer in ("data", "evaluate", "model", "explain", "serve", "view"):
    MAY_IMPORT[layer].add("class_names")
for layer in ("model", "explain", "view"):
    MAY_IMPORT[layer].add("output_unit")
MAY_IMPORT["trained_model"] = {"errors", "data", "evaluate", "leakage", "model", "parts", "serve"}
MAY_IMPORT["stay_pages"] = {"data", "model", "explain"}
MAY_IMPORT["pipeline"] = {*MAY_IMPORT}
MAY_IMPORT["dashboard"] = {"errors", "html", "data", "model", "serve", "explain", "view", "output_unit"}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
MAY_IMPORT["__main__"] = {"cli"}
COMMANDS_SHARE = {"cohort", "config", "option_text", "options", "outputs", "progress", "stop"}  # by several commands
FILES = sorted(file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py")


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted names that a file imports, but for typing only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def floor(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_only_from_the_floors_below(file):
    ours = {name.split(".")[1] for name in imported(file) if name.startswith("clinicalgru.") and name.count(".") > 0}
    ours.discard(floor(file))
    assert ours <= MAY_IMPORT[floor(file)]


def test_no_command_imports_another_command():
    for file in (ROOT / "cli").glob("*.py"):
        others = {name.split(".")[2] for name in imported(file) if name.startswith("clinicalgru.cli.")}
        assert file.stem == "main" or others <= COMMANDS_SHARE, file.name


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def test_no_file_imports_a_file_that_imports_it():
    """Imports within functions count too; `display` alone names the registry of figures and pages in a string."""
    modules = {module(file) for file in FILES}
    graph = {}
    for file in FILES:
        names = imported(file)
        names |= {name.rpartition(".")[0] for name in names}
        graph[module(file)] = (names & modules) - {module(file)}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_torch_and_plotly_stay_on_their_floors():
    for file in FILES:
        names = {name.split(".")[0] for name in imported(file)}
        if floor(file) not in ("model", "explain", "serve"):
            assert not names & {"torch", "safetensors"}, file
        if floor(file) != "view":
            assert not names & {"plotly", "ipywidgets"}, file


def test_within_the_model_only_networks_heads_training_and_estimators_import_torch():
    for file in FILES:
        place = file.relative_to(ROOT).parts
        if place[0] == "model" and place[1] not in ("network", "heads", "training", "estimators"):
            assert "torch" not in {name.split(".")[0] for name in imported(file)}, file


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_importing_the_package_is_silent_and_loads_nothing_heavy():
    heavy = "('torch', 'pandas', 'numpy', 'sklearn', 'plotly', 'duckdb', 'pyarrow')"
    assert run(f"import sys, clinicalgru; print([name for name in {heavy} if name in sys.modules])").strip() == "[]"
    assert run("import clinicalgru") == ""


def test_every_public_name_loads():
    for name in clinicalgru.__all__:
        assert getattr(clinicalgru, name) is not None


def test_no_file_is_longer_than_400_lines_and_no_function_than_50():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert not body or body[-1].end_lineno - body[0].lineno < 50, f"{file}: {node.name}"


def test_tensors_that_are_made_name_their_dtype():
    """Without one they have torch's default dtype, which a user may have set to float64."""
    makers = {"zeros", "ones", "empty", "full", "rand", "randn", "linspace", "logspace", "eye"}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in makers:
                is_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
                assert not is_torch or "dtype" in {word.arg for word in node.keywords}, f"{file}: {node.lineno}"


def test_whoever_reads_json_and_expects_damage_expects_deep_nesting_too():
    """Of brackets nested thousands deep, json raises RecursionError, which is no ValueError."""
    unready = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try):
                body = " ".join(map(ast.unparse, node.body))
                caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
                if "json.loads" in body and "ValueError" in caught and "RecursionError" not in caught:
                    unready.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not unready

"""The image: torch first and from its own index, no data in it, and another user than root."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import clinicalgru

ROOT = Path(clinicalgru.__file__).parents[1]
ALLOWED = {"constraints.txt", "pyproject.toml", "README.md", "LICENSE", "clinicalgru", "data_schemas"}


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments; continued lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1]) for line in lines]


def of(instructions, name):
    return [arguments for kind, arguments in instructions if kind == name]


def test_the_user_is_not_root(instructions):
    last = of(instructions, "USER")[-1].split(":")[0]
    assert int(last) > 0
    assert [kind for kind, _ in instructions].index("USER") > max(
        place for place, (kind, _) in enumerate(instructions) if kind == "RUN"
    )


def test_the_entry_point_is_the_command_line(instructions):
    assert json.loads(of(instructions, "ENTRYPOINT")[-1]) == ["clinicalgru"]
    assert json.loads(of(instructions, "CMD")[-1]) == ["--help"]


def test_torch_is_installed_first_from_the_index_that_a_build_argument_names(instructions):
    arguments = dict(argument.split("=", 1) for argument in of(instructions, "ARG"))
    assert arguments["TORCH_INDEX"].endswith("/cpu")
    installs = [run for run in of(instructions, "RUN") if "pip install" in run]
    assert re.search(r'--index-url "\$TORCH_INDEX" .*constraints\.txt torch$', installs[0])
    assert all("constraints.txt" in run and "--no-cache-dir" in run for run in installs)
    assert not any("torch" in run for run in installs[1:])


def test_no_data_is_copied(instructions):
    sources = {source for copied in of(instructions, "COPY") for source in copied.split()[:-1]}
    assert sources == ALLOWED
    assert not of(instructions, "ADD")
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line[0] == "!"} == ALLOWED
    assert all((ROOT / name).exists() for name in ALLOWED)


def test_it_runs_with_a_read_only_root_and_without_network(instructions):
    settings = dict(pair.split("=", 1) for line in of(instructions, "ENV") for pair in line.split())
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    assert settings["HOME"] == "/tmp"
    assert of(instructions, "WORKDIR")[-1] == "/tmp"

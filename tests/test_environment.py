"""environment.yml, constraints.txt and the wheel say what pyproject.toml says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

import clinicalgru
from clinicalgru.serve.manifest import Manifest
from clinicalgru.serve.onnx.contract import Contract
from clinicalgru.serve.score_rows import SCORES

ROOT = Path(clinicalgru.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA = {"pytorch": "torch", "python-duckdb": "duckdb", "pyyaml": "PyYAML"}


def parts(requirement: str) -> tuple[str, str]:
    name, specifier = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", requirement).groups()
    return CONDA.get(name, name), specifier


def test_environment_yml_has_the_packages_and_ranges_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = dict(parts(line) for line in environment if isinstance(line, str) and line != "pip")
    project = PROJECT["project"]
    required = dict(parts(line) for line in project["dependencies"] + project["optional-dependencies"]["notebook"])
    assert conda == required | {"python": project["requires-python"]}


def test_every_dependency_is_pinned_in_constraints():
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    project = PROJECT["project"]
    needed = {parts(line)[0] for line in project["dependencies"] + project["optional-dependencies"]["test"]}
    assert needed <= pinned


def test_the_lock_file_has_hashes_and_the_versions_that_were_tested():
    """`make lock` writes it; torch is not in it, since each machine needs its own build."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in lines)
    locked = dict(re.match(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines)
    pins = (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    tested = {name.lower().replace("_", "-"): version for name, version in pins}
    assert {name: version for name, version in locked.items() if tested.get(name, version) != version} == {}
    project = PROJECT["project"]
    extras = ("notebook", "sql", "ucum", "mlflow", "onnx", "tune", "sign", "images")
    needed = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
    assert {parts(line)[0].lower() for line in needed} - {"torch"} <= set(locked)


def test_the_lowest_versions_that_are_tested_are_those_that_pyproject_allows():
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if "==" in line)
    project = PROJECT["project"]
    extras = [
        line
        for name in ("notebook", "sql", "ucum", "survival", "tune", "onnx", "sign")
        for line in project["optional-dependencies"][name]
    ]
    for name, specifier in (parts(line) for line in project["dependencies"] + extras):
        least = specifier.split(",")[0].removeprefix(">=")
        assert f"{lowest[name]}.".startswith(f"{least}."), name


def test_the_version_stands_once_more_only_where_it_is_equal():
    assert clinicalgru.__version__ == PROJECT["project"]["version"]


def without_open_ends(schema):
    """A JSON schema without `additionalProperties: true`, which pydantic writes from 2.11 on."""
    if isinstance(schema, dict):
        return {
            key: without_open_ends(value)
            for key, value in schema.items()
            if (key, value) != ("additionalProperties", True)
        }
    return [without_open_ends(value) for value in schema] if isinstance(schema, list) else schema


def test_the_manifest_schema_is_the_one_that_is_checked():
    shipped = json.loads((ROOT / "data_schemas" / "manifest.schema.json").read_text())
    assert without_open_ends(shipped) == without_open_ends(Manifest.model_json_schema())


def test_the_schema_of_the_onnx_contract_is_the_one_that_is_checked():
    shipped = json.loads((ROOT / "data_schemas" / "onnx_contract.schema.json").read_text())
    assert without_open_ends(shipped) == without_open_ends(Contract.model_json_schema())


def test_the_score_table_has_the_columns_of_its_schema():
    schema = json.loads((ROOT / "data_schemas" / "scores.schema.json").read_text())
    assert [field["name"] for field in schema["fields"]] == SCORES.names


def test_the_wheel_ships_the_schemas_and_the_style_of_the_pages():
    targets = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert targets["force-include"] == {"data_schemas": "clinicalgru/data_schemas"}
    assert (ROOT / "clinicalgru" / "view" / "pages" / "page.css").is_file()


def test_the_conda_recipe_has_the_packages_and_ranges_of_pyproject():
    text = (ROOT / "conda" / "meta.yaml").read_text()
    listed = text.split("  run:\n")[1].split("test:")[0]
    conda = dict(parts(line.strip(" -").replace(" ", "")) for line in listed.splitlines())
    required = dict(parts(line) for line in PROJECT["project"]["dependencies"])
    assert conda == required | {"python": PROJECT["project"]["requires-python"]}
    assert f'set version = "{PROJECT["project"]["version"]}"' in text

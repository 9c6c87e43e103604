"""What a user installs: the built wheel carries its data and its types."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import clinicalgru

ROOT = Path(clinicalgru.__file__).parents[1]
SCRIPT = """
import clinicalgru as cg

cohort = cg.simulate(50, random_state=0)
sequences = cg.select(cg.read_events(cohort), cg.Task.load("in_hospital_mortality"))
train, test = cg.split_patients(sequences, [0.5, 0.5], random_state=0)
model = cg.GRUClassifier(network=cg.NetworkConfig(hidden_size=8), max_epochs=1).fit(train)
reveal_type(sequences)
reveal_type(model)
reveal_type(cg.evaluate(model, test))
reveal_type(cg.explain(model, test[[0]]))
cg.GRUClassifier(max_epochs="ten")
"""
pytestmark = pytest.mark.slow


def build(folder: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, **environment})
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_types_schemas_styles_and_no_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "py.typed",
        "__init__.pyi",
        "data_schemas/variables.yaml",
        "view/pages/page.css",
        "view/widgets/widget.css",
    ):
        assert f"clinicalgru/{name}" in names
    assert not [name for name in names if name.startswith(("tests/", "notebooks/"))]


def test_the_wheel_is_for_a_platform_with_a_compiler_and_pure_without(wheel, tmp_path):
    pure = build(tmp_path, CC="no-such-compiler")
    assert pure.name.endswith("-py3-none-any.whl")
    libraries = [name for name in zipfile.ZipFile(pure).namelist() if name.endswith(".so")]
    assert libraries == []
    assert "clinicalgru/model/network/scan.c" in zipfile.ZipFile(pure).namelist()
    if os.name != "posix" or not shutil.which("cc"):
        pytest.skip("no C compiler")
    assert wheel.name.endswith(f"{platform.machine()}.whl")
    libraries = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    assert libraries
    assert all(name.startswith("clinicalgru/model/network/scan-") for name in libraries)


def test_a_users_script_is_type_checked_against_the_wheel(wheel, tmp_path):
    """An environment of its own: the wheel, and the packages of this one by a .pth file.

    What `make lint` cached of other packages saves nearly a minute; of a module that changed, mypy uses no cache.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    python = tmp_path / "env" / "bin" / "python"
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", tmp_path / ".mypy_cache")
    options = ["--python-executable", str(python), "--config-file", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "mypy", *options, "script.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = checked.stdout
    for name in ("Sequences", "GRUClassifier", "Evaluation", "Explanation"):
        assert f'.{name}"' in said, said
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(errors) == 1, said
    assert 'Argument "max_epochs" to "GRUClassifier" has incompatible type "str"' in errors[0]

"""Docstrings are numpydoc, and complete: every public function, class and method of every file."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest
from numpydoc.validate import Validator, get_doc_object, validate

import clinicalgru

ROOT = Path(clinicalgru.__file__).parent
MODULES = sorted(
    ".".join(("clinicalgru", *file.relative_to(ROOT).with_suffix("").parts))
    for file in ROOT.rglob("*.py")
    if file.name != "__init__.py"
)
# no docstring; unknown or unfinished summary; parameters missing, unknown or out of order; no return or yield section
CHECKS = {"GL08", "SS01", "SS02", "SS03", "PR01", "PR02", "PR03", "RT01", "YD01"}


def resolved(name: str) -> tuple[object, object]:
    """The class or module that defines a dotted name, and the thing itself."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:-1]:
            owner = getattr(owner, part)
        return owner, inspect.getattr_static(owner, parts[-1])
    raise LookupError(name)


def documented_in_base(name: str) -> bool:
    """Whether a method overrides one of a base class of ours, which documents it."""
    owner, _ = resolved(name)
    key = name.rpartition(".")[2]
    bases = owner.__mro__[1:] if inspect.isclass(owner) else ()
    ours = [base for base in bases if key in vars(base) and base.__module__.startswith("clinicalgru.")]
    return any("\n" in (inspect.getdoc(vars(base)[key]) or "") for base in ours)


def fields_documented(name: str) -> bool:
    """Whether a dataclass lists all its public fields under Attributes."""
    _, thing = resolved(name)
    if not dataclasses.is_dataclass(thing):
        return False
    listed = {part.strip() for entry in get_doc_object(thing)["Attributes"] for part in entry.name.split(",")}
    return {field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")} <= listed


def public_names(module: str) -> list[str]:
    """Dotted names of what a file defines without an underscore, and of the methods it defines."""
    loaded = importlib.import_module(module)
    names = []
    for name, thing in vars(loaded).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            names.append(f"{module}.{name}")
        if inspect.isclass(thing):
            methods = [(key, value) for key, value in vars(thing).items() if not key.startswith("_")]
            names += [
                f"{module}.{name}.{key}"
                for key, value in methods
                if inspect.isfunction(value) or isinstance(value, classmethod | staticmethod | property)
            ]
    return names


def problems(name: str) -> list[str]:
    wrong = [(code, text) for code, text in validate(name)["errors"] if code in CHECKS]
    if documented_in_base(name):
        wrong = [(code, text) for code, text in wrong if code not in ("PR01", "RT01", "YD01")]
    if wrong and fields_documented(name):
        wrong = [(code, text) for code, text in wrong if code != "PR01"]
    return [f"{name}: {code} {text}" for code, text in wrong]


@pytest.mark.parametrize("module", MODULES)
def test_public_docstrings_are_complete(module):
    assert [problem for name in public_names(module) for problem in problems(name)] == []


@pytest.mark.parametrize("name", clinicalgru.__all__)
def test_every_public_name_has_an_example(name):
    thing = getattr(clinicalgru, name)
    documented = Validator(get_doc_object(thing))
    assert documented.examples, name

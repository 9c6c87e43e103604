"""The data dictionary: what each variable is, in which unit it is kept, which values can be true, who calls it what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.dictionary.yaml_file import read_variables
from clinicalgru.errors import DictionaryError


class Dictionary(Mapping[str, Variable]):
    """Variables by name; the shipped dictionary with yours over it.

    >>> dictionary = Dictionary.load({"cardiac_index": {"unit": "L/min/m2", "plausible": [0.5, 12]}})
    >>> dictionary["cardiac_index"].label
    'Cardiac index'
    >>> dictionary.names("physionet2012")["HR"]
    'heart_rate'
    """

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._variables = {variable.name: variable for variable in variables}
        self._names: dict[str, dict[str, str]] = {}
        for variable in self._variables.values():
            self._register(variable)

    def _register(self, variable: Variable) -> None:
        for source, codes in variable.source_codes.items():
            names = self._names.setdefault(source, {})
            for code in codes:
                if names.setdefault(code, variable.name) != variable.name:
                    raise DictionaryError(
                        f"each name of {source} in one variable only",
                        f"{code!r} in {names[code]} and in {variable.name}",
                        f"Remove it from one of them, or override {names[code]} by its name.",
                        where=f"{variable.name}, codes",
                    )

    @classmethod
    def load(cls, *extra: Path | str | Mapping[str, Any]) -> Dictionary:
        """The shipped dictionary, with the variables of each YAML file or dict added or put in place of its own.

        extra    YAML files or dicts, {name: {unit: ..., plausible: ..., also: ..., codes: ...}}, in the form of
                 data_schemas/variables.yaml; a variable that exists is replaced whole
        Refused: unknown fields, duplicate names, impossible ranges or factors, one code for two variables; the error
        names file, variable, field and fix.
        """
        if not extra:
            return _shipped()
        variables = dict(_shipped())
        for more in extra:
            variables |= read_variables(more)
        return cls(variables.values())

    def __getitem__(self, name: str) -> Variable:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"Dictionary({len(self)} variables)"

    def names(self, source: str) -> dict[str, str]:
        """{name in the source: variable name}; empty for a source the dictionary does not know."""
        return dict(self._names.get(source, {}))

    def find(self, name: str, source: str | None = None) -> Variable:
        """The variable called `name`, here or in a source.

        Refused: an unknown name, with the nearest known one.

        >>> Dictionary.load().find("220045", "mimic-iv").label
        'Heart rate'
        """
        known = {own: own for own in self} if source is None else self.names(source)
        if name in known:
            return self[known[name]]
        place = "the data dictionary" if source is None else source
        fix = f"{nearest(name, known)}Else add it to your own dictionary."
        raise DictionaryError(f"one of the {len(known)} names of {place}", repr(name), fix)


@cache
def _shipped() -> Dictionary:
    return Dictionary(read_variables(schema_folder() / "variables.yaml").values())

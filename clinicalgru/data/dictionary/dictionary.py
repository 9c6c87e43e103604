"""The data dictionary: variables with units, plausible ranges and their names in each source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.dictionary.yaml_file import read_variables
from clinicalgru.errors import DictionaryError

PREFIX_MARKS = (":", "/", "//")  # between the name of a code system and a code


class Dictionary(Mapping[str, Variable]):
    """Variables by name: the shipped dictionary, and your own variables.

    Parameters
    ----------
    variables : iterable of Variable
        The variables.

    Raises
    ------
    DictionaryError
        If a source uses one code for two variables.

    Examples
    --------
    >>> from clinicalgru import Dictionary
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
                        where=f"{variable.name}, source_codes",
                    )

    @classmethod
    def load(cls, *extra: Path | str | Mapping[str, Any]) -> Dictionary:
        """Load the shipped dictionary, and add or replace variables.

        Parameters
        ----------
        *extra : Path, str or dict
            YAML files or dicts in the form of data_schemas/variables.yaml: {name: {unit: ..., plausible: ..., also:
            ..., source_codes: ...}}. An entry with `unit` replaces a variable that exists. One without it changes the
            fields that it names, and adds to `also`, `words`, `categories`, `unit_in` and `source_codes`.

        Returns
        -------
        Dictionary
            The dictionary.

        Raises
        ------
        ArgumentError
            If an entry of `extra` has another type.
        DictionaryError
            If there are unknown fields, duplicate names, impossible ranges or factors, or one code for two variables.
            The message names file, variable, field and fix.

        Examples
        --------
        >>> from clinicalgru import Dictionary
        >>> Dictionary.load({"heart_rate": {"plausible": [0, 400]}})["heart_rate"].unit
        '/min'
        """
        for more in extra:
            check_instance("extra", more, Path, str, Mapping, fix="Pass a YAML file or a dict of variables.")
        if not extra:
            return _shipped()
        variables = dict(_shipped())
        for more in extra:
            variables |= read_variables(more, known=variables)
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
        """Names that a source uses.

        Parameters
        ----------
        source : str
            The source, such as "mimic-iv".

        Returns
        -------
        dict of str to str
            Variable by name in the source; empty for an unknown source.
        """
        return dict(self._names.get(source, {}))

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Sources and code systems that the variables have names in, such as "loinc"."""
        return tuple(sorted(self._names))

    def with_names(self, source: str, names: Mapping[str, str], *vocabularies: str) -> Dictionary:
        """Add names to those of a source.

        Parameters
        ----------
        source : str
            The source.
        names : mapping of str to str
            Name in the source -> variable. They go before the names that the source has already.
        *vocabularies : str
            Other sources or code systems whose names are added too, where the source has none; also as written with the
            name of the system before them: "LOINC:8867-4", "LOINC/8867-4", "LOINC//8867-4".

        Returns
        -------
        Dictionary
            A copy.

        Examples
        --------
        >>> dictionary = Dictionary.load().with_names("long", {"Lactate, Arterial": "lactate"}, "loinc")
        >>> dictionary.find("Lactate, Arterial", "long").name, dictionary.find("8867-4", "long").name
        ('lactate', 'heart_rate')
        >>> dictionary.find("LOINC:8867-4", "long").name
        'heart_rate'
        """
        copied = Dictionary(self.values())
        copied._names = {known: dict(codes) for known, codes in self._names.items()}
        further = {
            f"{prefix}{code}": name
            for other in reversed(vocabularies)
            for prefix in ("", *(f"{other.upper()}{mark}" for mark in PREFIX_MARKS))
            for code, name in self.names(other).items()
        }
        copied._names[source] = further | self.names(source) | dict(names)
        return copied

    def find(self, name: str, source: str | None = None) -> Variable:
        """Find a variable by its own name, or by its name in a source.

        Parameters
        ----------
        name : str
            The name.
        source : str, optional
            The source; the name is the variable's own where None.

        Returns
        -------
        Variable
            The variable.

        Raises
        ------
        DictionaryError
            If the name is unknown; the message suggests the nearest.

        Examples
        --------
        >>> from clinicalgru import Dictionary
        >>> Dictionary.load().find("220045", "mimic-iv").label
        'Heart rate'
        """
        check_instance("name", name, str)
        known = {own: own for own in self} if source is None else self.names(source)
        if name in known:
            return self[known[name]]
        place = "the data dictionary" if source is None else source
        fix = f"{nearest(name, known)}Or add it to your own dictionary."
        raise DictionaryError(f"one of the {len(known)} names of {place}", repr(name), fix)


@cache
def _shipped() -> Dictionary:
    return Dictionary(read_variables(schema_folder() / "variables.yaml").values())

"""The data dictionary: what each variable is, in which unit it is kept, which values can be true, who calls it what."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from clinicalgru.errors import DictionaryError

KINDS = ("numeric", "ordinal", "binary", "code")


@dataclass(frozen=True)
class Conversion:
    """From another unit into a variable's own: (value + offset) * factor.

    >>> round(Conversion(5 / 9, offset=-32).apply(98.6), 6)
    37.0
    """

    factor: float
    offset: float = 0.0

    def apply(self, value: Any) -> Any:
        """A number or array in the other unit as one in the variable's own unit."""
        return (value + self.offset) * self.factor


@dataclass(frozen=True)
class Variable:
    """One entry of the data dictionary.

    name, label  "heart_rate", "Heart rate"
    kind         numeric, ordinal, binary or code
    unit         UCUM code of the unit in which values are kept; "1" where there is none
    also         other units and other spellings, each with its conversion into `unit`
    plausible    lowest and highest value that can be true, in `unit`
    reference    adult reference range, in `unit`
    static       a descriptor of the stay (age, sex, height), not a series
    levels       what the values of a closed set mean: {"0": "female", "1": "male"}
    words        other words for a value, in small letters: {"f": 0.0, "m": 1.0}
    codes        source -> names there: {"physionet2012": ("HR",), "mimic-iv": ("220045",)}
    source       where the figures come from
    unit_in      source -> the unit of a source that writes none and does not use `unit`

    >>> Dictionary.load()["glucose"].conversion("mmol/L").apply(5.0)
    90.078
    """

    name: str
    label: str
    kind: str
    unit: str
    also: Mapping[str, Conversion] = field(default_factory=dict)
    plausible: tuple[float, float] | None = None
    reference: tuple[float, float] | None = None
    static: bool = False
    levels: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    unit_in: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, float] = field(default_factory=dict)

    def conversion(self, unit: str) -> Conversion:
        """The way from `unit`, as an extract spells it, into the variable's own unit.

        Upper and lower case may differ where only one unit is meant. A unit that the dictionary does not spell out is
        read as UCUM where it has the same dimension (`clinicalgru.data.ucum`). Refused: a unit that is not known, with
        the known ones and the nearest.

        >>> Dictionary.load()["creatinine"].conversion("MG/DL")
        Conversion(factor=1.0, offset=0.0)
        """
        known = {**self.also, self.unit: Conversion(1.0)}
        text = unit.strip()
        if text in known:
            return known[text]
        meant = {found for spelling, found in known.items() if spelling.casefold() == text.casefold()}
        if len(meant) == 1:
            return meant.pop()
        if not meant and (way := _by_dimension(text, self.unit)) is not None:
            return way
        raise self._unknown_unit(text, known, ambiguous=bool(meant))

    def _unknown_unit(self, text: str, known: Mapping[str, Conversion], *, ambiguous: bool) -> DictionaryError:
        got = repr(text) if any(letter.isalpha() or letter in "%°" for letter in text) else "text that names no unit"
        if ambiguous:
            fix = "Write upper and lower case as in the dictionary."
            return DictionaryError(f"one unit of {self.name}", f"{got}, which may mean several", fix)
        fix = f"{nearest(text, known)}Else add it under `also` of {self.name} in your own dictionary."
        return DictionaryError(f"a unit of {self.name}: {', '.join(known)}", got, fix)

    def to_dict(self) -> dict[str, Any]:
        """The variable as plain values for JSON; `from_dict` gives an equal one back."""
        also = {unit: {"factor": way.factor, "offset": way.offset} for unit, way in self.also.items()}
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "unit": self.unit,
            "also": also,
            "plausible": None if self.plausible is None else list(self.plausible),
            "reference": None if self.reference is None else list(self.reference),
            "static": self.static,
            "levels": dict(self.levels),
            "codes": {source: list(names) for source, names in self.codes.items()},
            "source": self.source,
            "unit_in": dict(self.unit_in),
            "words": dict(self.words),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "manifest") -> Variable:
        """The variable that `to_dict` wrote.

        data     as in a manifest
        where    what to name in an error
        Refused: whatever a data dictionary would not accept.

        >>> age = Dictionary.load()["age"]
        >>> Variable.from_dict(age.to_dict()) == age
        True
        """
        from clinicalgru.data.dictionary_file import variables_from

        entry = {key: value for key, value in data.items() if key != "name"}
        return next(iter(variables_from({data.get("name", ""): entry}, where, spellings={}).values()))


def _by_dimension(unit: str, own: str) -> Conversion | None:
    from clinicalgru.data.ucum import ucum_conversion  # here, as it needs Conversion

    return ucum_conversion(unit, own)


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
        for source, codes in variable.codes.items():
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
        from clinicalgru.data.dictionary_file import read_variables

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


def schema_folder() -> Path:
    """The folder of dictionary, schemas and tasks: inside the package when installed, beside it in a checkout.

    >>> (schema_folder() / "variables.yaml").exists()
    True
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data_schemas", package.parent / "data_schemas"):
        if (folder / "variables.yaml").is_file():
            return folder
    raise DictionaryError("the folder data_schemas", "none in the package or beside it", "Install the package again.")


@cache
def _shipped() -> Dictionary:
    from clinicalgru.data.dictionary_file import read_variables

    return Dictionary(read_variables(schema_folder() / "variables.yaml").values())


def nearest(text: str, known: Iterable[str]) -> str:
    """A sentence that suggests the most similar known name; empty where none is similar.

    >>> nearest("heart_rat", ["heart_rate", "height"])
    'Did you mean heart_rate? '
    """
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(text.casefold(), folded, n=1)
    return f"Did you mean {folded[near[0]]}? " if near else ""

"""Read and check a data dictionary in YAML: data_schemas/variables.yaml, or your own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.dictionary.top_code import TopCode
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.errors import DictionaryError, describe

Spellings = Mapping[str, tuple[str, ...]]
DEFAULT_MERGE = {"numeric": "mean", "ordinal": "last", "binary": "max", "code": "last"}


def _listed(value: Any) -> Any:
    """One name or several, numbers as text: 220045 -> ("220045",)."""
    several = value if isinstance(value, list | tuple) else [value]
    return [str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in several]


def _factor(value: Any) -> Any:
    return {"factor": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _number(value: Any) -> Any:
    """A number, not text or true and false, which would be read as one."""
    if isinstance(value, bool | str | bytes):
        raise ValueError("it", "a number without quotes", describe(value))
    return value


Number = Annotated[float, BeforeValidator(_number)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Conversion(_Strict):
    factor: Number
    offset: Number = 0.0

    @model_validator(mode="after")
    def _check(self) -> _Conversion:
        if self.factor == 0:
            raise ValueError("factor", "a number other than 0", "0")
        return self


class _TopCode(_Strict):
    value: Number
    codes: tuple[Number, Number]


class _Entry(_Strict):
    """One variable as written in YAML."""

    label: str = ""
    variable_type: Literal["numeric", "ordinal", "binary", "code"] = "numeric"
    unit: str
    also: dict[str, Annotated[_Conversion, BeforeValidator(_factor)]] = {}
    plausible: tuple[Number, Number] | None = None
    reference: tuple[Number, Number] | None = None
    static: bool = False
    categories: dict[str, str] = {}
    source_codes: dict[str, Annotated[tuple[str, ...], BeforeValidator(_listed)]] = {}
    source: str = ""
    unit_in: dict[str, str] = {}
    words: dict[str, Number] = {}
    merge: Literal["", "mean", "sum", "last", "min", "max"] = ""  # "": by the type of the variable
    top_coded: _TopCode | None = None
    system: str = ""
    modifiable: bool = False

    @model_validator(mode="after")
    def _check(self) -> _Entry:
        if not self.unit.strip():
            raise ValueError("unit", 'a UCUM code, "1" where there is none', "an empty text")
        if self.plausible and not self.plausible[0] < self.plausible[1]:
            raise ValueError("plausible", "the lower limit, then a higher one", str(list(self.plausible)))
        low, high = self.plausible or (-math.inf, math.inf)
        if self.reference and not low <= self.reference[0] <= self.reference[1] <= high:
            raise ValueError("reference", f"two limits in order, within {low:g} to {high:g}", str(list(self.reference)))
        if self.modifiable and (not self.reference or self.static or self.variable_type != "numeric"):
            raise ValueError(
                "modifiable", "it only where a number has a reference range, and is no static covariate", "true"
            )
        if self.categories and self.variable_type == "numeric":
            raise ValueError(
                "categories", "no categories where variable_type is numeric", f"{len(self.categories)} categories"
            )
        if any(word != word.strip().casefold() for word in self.words):
            raise ValueError("words", "small letters", "capitals, or blanks around a word")
        if self.categories and not {f"{number:.12g}" for number in self.words.values()} <= set(self.categories):
            raise ValueError("words", f"the categories {', '.join(self.categories)}", "a number that is no category")
        if self.top_coded and not low <= self.top_coded.value <= high < self.top_coded.codes[0]:
            raise ValueError("top_coded", "a plausible value, and codes above the plausible range", "others")
        if self.merge in ("mean", "sum") and (self.categories or self.variable_type != "numeric"):
            raise ValueError("merge", "last, min or max, whose result is one of the values", self.merge)
        return self


def read_yaml(path: Path) -> Any:
    """Load a YAML file safely.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        Its content.

    Raises
    ------
    DictionaryError
        If the file is missing or not YAML, or a key occurs twice in one mapping.

    Examples
    --------
    >>> read_yaml(schema_folder() / "units.yaml")["h"]
    ['hr', 'hrs', 'hour', 'hours']
    """
    return load_yaml(path, error=DictionaryError)


def read_variables(
    data: Path | str | Mapping[str, Any], *, known: Mapping[str, Variable] = MappingProxyType({})
) -> dict[str, Variable]:
    """Read variables.

    Parameters
    ----------
    data : Path, str or mapping
        A YAML file, or a mapping {name: {unit: ..., plausible: [low, high], ...}}.
    known : mapping of str to Variable
        Variables of which an entry without `unit` changes the fields that it names.

    Returns
    -------
    dict of str to Variable
        Variables by name.

    Raises
    ------
    DictionaryError
        If an entry contradicts itself; the message names file, variable, field and fix.
    """
    if isinstance(data, Mapping):
        return _variables_from(data, "the given dict", spellings=_spellings(), known=known)
    path = Path(data)
    return _variables_from(read_yaml(path), path.name, spellings=_spellings(), known=known)


def _variables_from(
    content: Any, where: str, *, spellings: Spellings, known: Mapping[str, Variable] = MappingProxyType({})
) -> dict[str, Variable]:
    """Check variables, and give each one all spellings of its units."""
    if not isinstance(content, Mapping):
        fix = "Write `name:` and its fields below."
        raise DictionaryError("variables by name", describe(content), fix, where=where)
    return {
        name: _variable(name, *_completed(entry, known.get(name), spellings), where) for name, entry in content.items()
    }


def _completed(entry: Any, known: Variable | None, spellings: Spellings) -> tuple[Any, Spellings]:
    """An entry without a unit on top of the known variable, and the spellings of the units that it adds.

    With another unit, the known limits and factors would be wrong: such an entry is complete by itself.
    """
    if known is None or not isinstance(entry, Mapping) or "unit" in entry:
        return entry, spellings
    fields = {name: value for name, value in known.to_dict().items() if name != "name"}
    if known.merge == DEFAULT_MERGE[known.variable_type]:
        fields["merge"] = ""
    both = {name for name in entry if isinstance(fields.get(name), dict) and isinstance(entry[name], Mapping)}
    added = {unit: spellings[unit] for unit in (entry["also"] if "also" in both else ()) if unit in spellings}
    return fields | dict(entry) | {name: {**fields[name], **entry[name]} for name in both}, added


def _variable(name: Any, data: Any, spellings: Spellings, where: str) -> Variable:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        fix = "Use small letters, digits and underscores: heart_rate."
        raise DictionaryError("a variable's name", repr(name), fix, where=where)
    try:
        entry = _Entry.model_validate(data)
    except ValidationError as error:
        raise _first_problem(error, f"{where}, {name}") from None
    also = {unit: Conversion(other.factor, other.offset) for unit, other in entry.also.items()}
    fields = dict(entry) | {
        "label": entry.label or name.replace("_", " ").capitalize(),
        "merge": entry.merge or DEFAULT_MERGE[entry.variable_type],
        "top_coded": None if entry.top_coded is None else TopCode(entry.top_coded.value, entry.top_coded.codes),
    }
    variable = Variable(name=name, **fields | {"also": _with_spellings(entry.unit, also, spellings)})
    _check_unit_in(variable, f"{where}, {name}, unit_in")
    return variable


def _first_problem(error: ValidationError, where: str) -> DictionaryError:
    problem = error.errors(include_url=False)[0]
    parts = [str(part) for part in problem["loc"]]
    if problem["type"] == "value_error":
        field, expected, got = problem["ctx"]["error"].args
        return DictionaryError(expected, got, f"Correct {field}.", where=", ".join([where, *parts, field]))
    place = ", ".join([where, *parts])
    if problem["type"] == "extra_forbidden":
        fix = f"{nearest(parts[-1], _Entry.model_fields)}Known fields: {', '.join(_Entry.model_fields)}."
        return DictionaryError("a known field", repr(parts[-1]), fix, where=place)
    if problem["type"] == "missing":
        return DictionaryError(f"the field {parts[-1]}", "an entry without it", f"Add `{parts[-1]}:`.", where=place)
    mapping = problem["type"] in ("model_type", "dict_type")
    expected = "fields with their values" if mapping else problem["msg"].removeprefix("Input should be ")
    return DictionaryError(expected, f"{problem['input']!r:.60}", "See data_schemas/variables.yaml.", where=place)


def _with_spellings(unit: str, also: Mapping[str, Conversion], spellings: Spellings) -> dict[str, Conversion]:
    """Every spelling of every unit with its conversion; the entry itself has priority."""
    spelled = dict(also)
    for known, conversion in {unit: Conversion(1.0), **also}.items():
        for spelling in spellings.get(known, ()):
            if spelling != unit:
                spelled.setdefault(spelling, conversion)
    return spelled


def _check_unit_in(variable: Variable, where: str) -> None:
    for source, unit in variable.unit_in.items():
        try:
            variable.conversion(unit)
        except DictionaryError as error:
            raise DictionaryError(error.expected, error.got, error.fix, where=f"{where}, {source}") from None


@cache
def _spellings() -> Spellings:
    return {unit: tuple(others) for unit, others in read_yaml(schema_folder() / "units.yaml").items()}


def variable_from_dict(data: Mapping[str, Any], *, where: str = "manifest") -> Variable:
    """Make a variable from the fields that `Variable.to_dict` wrote.

    Parameters
    ----------
    data : mapping
        Fields.
    where : str
        What to name in an error.

    Returns
    -------
    Variable
        The variable.

    Raises
    ------
    DictionaryError
        If a data dictionary would not accept it.

    Examples
    --------
    >>> from clinicalgru import Dictionary
    >>> age = Dictionary.load()["age"]
    >>> variable_from_dict(age.to_dict()) == age
    True
    """
    entry = {key: value for key, value in data.items() if key != "name"}
    return next(iter(_variables_from({data.get("name", ""): entry}, where, spellings={}).values()))

"""One variable of the data dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clinicalgru.data.dictionary.schemas import nearest
from clinicalgru.data.dictionary.ucum import ucum_conversion
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.errors import DictionaryError

KINDS = ("numeric", "ordinal", "binary", "code")


@dataclass(frozen=True)
class Variable:
    """One entry of the data dictionary.

    name, label  "heart_rate", "Heart rate"
    variable_type         numeric, ordinal, binary or code
    unit         UCUM code of the unit in which values are kept; "1" where there is none
    also         other units and other spellings, each with its conversion into `unit`
    plausible    lowest and highest value that can be true, in `unit`
    reference    adult reference range, in `unit`
    static       a descriptor of the stay (age, sex, height), not a series
    categories       what the values of a closed set mean: {"0": "female", "1": "male"}
    words        other words for a value, in small letters: {"f": 0.0, "m": 1.0}
    source_codes        source -> names there: {"physionet2012": ("HR",), "mimic-iv": ("220045",)}
    source       where the figures come from
    unit_in      source -> the unit of a source that writes none and does not use `unit`

    >>> from clinicalgru.data.dictionary.dictionary import Dictionary
    >>> Dictionary.load()["glucose"].conversion("mmol/L").apply(5.0)
    90.078
    """

    name: str
    label: str
    variable_type: str
    unit: str
    also: Mapping[str, Conversion] = field(default_factory=dict)
    plausible: tuple[float, float] | None = None
    reference: tuple[float, float] | None = None
    static: bool = False
    categories: Mapping[str, str] = field(default_factory=dict)
    source_codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    unit_in: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, float] = field(default_factory=dict)

    def conversion(self, unit: str) -> Conversion:
        """The way from `unit`, as an extract spells it, into the variable's own unit.

        Upper and lower case may differ where only one unit is meant. A unit that the dictionary does not spell out is
        read as UCUM where it has the same dimension. Refused: a unit that is not known, with the known ones and the
        nearest.

        >>> from clinicalgru.data.dictionary.dictionary import Dictionary
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
        if not meant and (way := ucum_conversion(text, self.unit)) is not None:
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
            "variable_type": self.variable_type,
            "unit": self.unit,
            "also": also,
            "plausible": None if self.plausible is None else list(self.plausible),
            "reference": None if self.reference is None else list(self.reference),
            "static": self.static,
            "categories": dict(self.categories),
            "source_codes": {source: list(names) for source, names in self.source_codes.items()},
            "source": self.source,
            "unit_in": dict(self.unit_in),
            "words": dict(self.words),
        }

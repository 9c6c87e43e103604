"""A variable of the data dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.schemas import nearest
from clinicalgru.data.dictionary.spelling import count_conversion, tidy
from clinicalgru.data.dictionary.top_code import TopCode
from clinicalgru.data.dictionary.ucum import ucum_conversion
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.errors import DictionaryError

VARIABLE_TYPES = ("numeric", "ordinal", "binary", "code")
MERGES = ("mean", "sum", "last", "min", "max")


@dataclass(frozen=True)
class Variable:
    """One variable of the data dictionary.

    Parameters
    ----------
    name : str
        Short name: "heart_rate".
    label : str
        Name in words: "Heart rate".
    variable_type : str
        numeric, ordinal, binary or code.
    unit : str
        UCUM code of the unit of stored values; "1" where there is none.
    also : mapping of str to Conversion
        Other units and other spellings, with their conversion into `unit`.
    plausible : tuple of float, optional
        Lowest and highest value that is physiologically possible, in `unit`.
    reference : tuple of float, optional
        Adult reference range, in `unit`.
    static : bool
        Whether it is a static covariate of the stay (age, sex, height).
    categories : mapping of str to str
        Meaning of the values of a closed set: {"0": "female", "1": "male"}.
    source_codes : mapping of str to tuple of str
        Names in each source: {"physionet2012": ("HR",), "mimic-iv": ("220045",)}.
    source : str
        Where the figures come from.
    unit_in : mapping of str to str
        Unit of a source that records none and does not use `unit`.
    words : mapping of str to float
        Words for values, in lower case: {"f": 0.0, "m": 1.0}.
    merge : str
        How different values of one instant combine: mean, sum (volumes), last, min or max (the worst of a score).
        Exact repeats count once.
    top_coded : TopCode, optional
        How values above a limit are written as one group ("> 89"), and what that is taken as.
    system : str
        System of the body, or kind of record, by which pages group variables: "circulation"; empty where not stated.
    modifiable : bool
        Whether treatment acts on it within hours, towards its reference range.

    Examples
    --------
    >>> from clinicalgru import Dictionary
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
    merge: str = "mean"
    top_coded: TopCode | None = None
    system: str = ""
    modifiable: bool = False

    def conversion(self, unit: str) -> Conversion:
        """Find the conversion from a unit, as an extract spells it, into the unit of the variable.

        Parameters
        ----------
        unit : str
            Upper and lower case, blanks, brackets, micro signs and powers of ten may differ where only one unit is
            possible. Counts of cells are read in every spelling (K/mcL, 10^3/µL, thou/cumm). A unit that the
            dictionary does not list is read as UCUM where it has the same dimension.

        Returns
        -------
        Conversion
            The conversion.

        Raises
        ------
        DictionaryError
            If the unit is unknown; the message lists the known units and the nearest one.

        Examples
        --------
        >>> from clinicalgru import Dictionary
        >>> Dictionary.load()["creatinine"].conversion("MG/DL")
        Conversion(factor=1.0, offset=0.0)
        """
        check_instance("unit", unit, str)
        known = {**self.also, self.unit: Conversion(1.0)}
        text = unit.strip()
        if text in known:
            return known[text]
        for form in (str.casefold, _folded):
            matches = {conversion for spelling, conversion in known.items() if form(spelling) == form(text)}
            if len(matches) == 1:
                return matches.pop()
            if matches:
                raise self._unknown_unit(text, known, ambiguous=True)
        if (count := count_conversion(text, self.unit)) is not None:
            return count
        for ucum in dict.fromkeys([text, text if "(" in text else tidy(text)]):  # brackets of UCUM have a meaning
            if (conversion := ucum_conversion(ucum, self.unit)) is not None:
                return conversion
        raise self._unknown_unit(text, known, ambiguous=False)

    def _unknown_unit(self, text: str, known: Mapping[str, Conversion], *, ambiguous: bool) -> DictionaryError:
        got = repr(text) if any(letter.isalpha() or letter in "%°" for letter in text) else "text that names no unit"
        if ambiguous:
            fix = "Write upper and lower case as in the dictionary."
            return DictionaryError(f"one unit of {self.name}", f"{got}, which may be one of several units", fix)
        fix = f"{nearest(text, known)}Or add it under `also` of {self.name} in your own dictionary."
        return DictionaryError(f"a unit of {self.name}: {', '.join(known)}", got, fix)

    def to_dict(self) -> dict[str, Any]:
        """The variable as plain values, for JSON.

        Returns
        -------
        dict of str to object
            Fields; `variable_from_dict` makes an equal variable from them.
        """
        top = self.top_coded
        also = {unit: {"factor": other.factor, "offset": other.offset} for unit, other in self.also.items()}
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
            "merge": self.merge,
            "top_coded": None if top is None else {"value": top.value, "codes": list(top.codes)},
            "system": self.system,
            "modifiable": self.modifiable,
        }


def _folded(unit: str) -> str:
    return tidy(unit).casefold()


def has_unit(variable: Variable, unit: str) -> bool:
    """Whether a variable can be written in a unit.

    Parameters
    ----------
    variable : Variable
        The variable.
    unit : str
        The unit, as an extract spells it.

    Returns
    -------
    bool
        False where there is no conversion.

    Examples
    --------
    >>> from clinicalgru import Dictionary
    >>> [has_unit(Dictionary.load()["weight"], unit) for unit in ("lb", "left arm")]
    [True, False]
    """
    try:
        variable.conversion(unit)
    except DictionaryError:
        return False
    return True

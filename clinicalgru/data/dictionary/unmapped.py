"""Codes of an extract without a variable, most frequent first, with suggestions."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.name_words import name_words, split_unit
from clinicalgru.data.dictionary.variable import Variable, has_unit
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import UNMAPPED

REASONS = (UNMAPPED, "unknown variable")
COLUMNS = ["code", "label", "rows", "units", "low", "high", "suggestion"]
OTHER_FLUIDS = frozenset(["urine", "csf", "pleural", "ascites", "ascitic", "peritoneal", "synovial", "stool", "drain"])
PRESSURES = "sbp/dbp"  # of values such as 120/80
MIN_SIMILARITY = 0.5  # Jaccard index of words above which a variable is suggested


def unmapped(events: Events, dictionary: Dictionary | None = None) -> pd.DataFrame:
    """List the codes of an extract that the dictionary does not map.

    Parameters
    ----------
    events : Events
        The extract.
    dictionary : Dictionary, optional
        Dictionary for suggestions; the shipped one where None.

    Returns
    -------
    DataFrame
        code, label (its meaning in the source, "" where the source gives none), rows, units (the most frequent first),
        low and high (5th and 95th percentile of the numbers in the first unit, NaN of fewer than 11 patients),
        suggestion (the variable whose words are most similar to the label, "" where fewer than half of the words are
        shared; German, French, Spanish, Dutch and Scandinavian words count as their English ones). Columns of a wide
        table that are not used are listed too. Check a suggestion before you use it. To map a code, pass
        ``names={code: variable}``, or add it under `source_codes` of the variable in your own dictionary.

    Raises
    ------
    ArgumentError
        If an argument has another type.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru import read_events, unmapped
    >>> rows = pd.DataFrame({"patient_id": ["1"] * 3, "time": [0, 1, 2], "value": [80, 81, 5],
    ...                      "variable": ["heart_rate", "rate heart", "shoe size"]})
    >>> unmapped(read_events(rows, max_rejected=1))["suggestion"].tolist()
    ['heart_rate', '']
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    if dictionary is not None:
        check_instance("dictionary", dictionary, Dictionary)
    ledger = events.ledger
    findings = ledger.findings
    rejected = findings[findings["reason"].isin(REASONS) & (findings["variable"] != "")]
    rows = rejected.groupby("variable", sort=False)["rows"].sum().rename_axis("name").reset_index()
    known = ledger.unmapped_values.astype({"name": str, "low": float, "high": float})
    table = known.merge(rows, on="name", how="outer", suffixes=("", "_rejected"))
    table = table.assign(rows=table[["rows", "rows_rejected"]].max(axis=1))  # some were rejected for another reason
    labels = [ledger.labels.get(code, "") for code in table["name"]]
    dictionary = Dictionary.load() if dictionary is None else dictionary
    words, codes = _known_words(dictionary), _known_codes(dictionary)
    table = table.assign(label=labels, units=table["units"].fillna(""))
    spellings = {_folded(unit) for one in dictionary.values() for unit in (one.unit, *one.also)}
    first = table["units"].str.split(", | and ", regex=True).str[0]
    units = first.where(first.map(_folded).isin(spellings), "")  # an unknown unit speaks against no variable
    columns = (table["name"], table["label"], units, table["low"].notna())
    suggestions = [
        codes.get(code)
        or _suggest(label or code, words, dictionary, unit, has_numbers=has_numbers)
        or _suggest_with_unit(label or code, words, dictionary)
        for code, label, unit, has_numbers in zip(*columns, strict=True)
    ]
    table = table.assign(suggestion=suggestions)
    table = table.rename(columns={"name": "code"})[COLUMNS].astype({"rows": "int64"})
    return table.sort_values(["rows", "code"], ascending=[False, True], ignore_index=True)


def _known_words(dictionary: Dictionary) -> dict[frozenset[str], str]:
    """Words of each variable's name and label, and of its names in sources that use words -> its name."""
    spoken = [
        (code, name)
        for source in sorted(dictionary.vocabularies)
        for code, name in dictionary.names(source).items()
        if re.search("[a-zA-Z]{2}", code)
    ]
    named = [(text, name) for name, one in dictionary.items() for text in (one.label, name.replace("_", " "))]
    found: dict[frozenset[str], str | None] = {}
    for text, name in spoken:  # words that mean two variables suggest neither
        words = name_words(text.replace("_", " "))
        found[words] = name if found.get(words, name) == name else None
    return {words: name for words, name in found.items() if name} | {name_words(text): name for text, name in named}


def _known_codes(dictionary: Dictionary) -> dict[str, str]:
    """Codes of any source, such as of LOINC, that mean one variable; bare numbers may mean anything."""
    pairs = {
        (code, name)
        for source in sorted(dictionary.vocabularies)
        for code, name in dictionary.names(source).items()
        if not re.fullmatch(r"[0-9.]*", code)
    }
    table = pd.DataFrame(sorted(pairs), columns=["code", "name"]).drop_duplicates("code", keep=False)
    return dict(zip(table["code"], table["name"], strict=True))


def _folded(unit: str) -> str:
    return "".join(unit.split()).casefold()


def _suggest_with_unit(text: str, known: Mapping[frozenset[str], str], dictionary: Mapping[str, Variable]) -> str:
    """The variable of a name with its unit in brackets, such as "Height (in)"."""
    name, unit = split_unit(text)
    return _suggest(name, known, dictionary, unit) if unit else ""


def _suggest(
    text: str,
    known: Mapping[frozenset[str], str],
    dictionary: Mapping[str, Variable] | None = None,
    unit: str = "",
    *,
    has_numbers: bool = True,
) -> str:
    """The variable whose words are most similar to a text, of those that have the unit, if any is given."""
    given = name_words(text)
    if given == {"pressure"} and not has_numbers:
        return PRESSURES
    fluid = given & OTHER_FLUIDS  # white cells of urine are not those of blood
    suitable = ((words, name) for words, name in known.items() if fluid <= words)
    ranked = ((len(given & words) / max(len(given | words), 1), -len(name), name) for words, name in suitable)
    similar = sorted((one for one in ranked if one[0] > MIN_SIMILARITY), reverse=True)  # of equals the shortest name
    if dictionary is not None:
        similar = [one for one in similar if _names_both(given, dictionary[one[-1]].label)]
    fits = (name for *_, name in similar if dictionary is None or not unit or has_unit(dictionary[name], unit))
    return next(fits, "")


def _names_both(words: frozenset[str], label: str) -> bool:
    """Whether words name both parts of a ratio, such as "Urine albumin to creatinine"; True of what is none."""
    return " to " not in label or name_words(label) - {"to"} <= words

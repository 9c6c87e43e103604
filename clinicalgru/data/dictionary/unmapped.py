"""Codes of an extract without a variable, most frequent first, with suggestions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.dictionary.yaml_file import read_yaml
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import UNMAPPED
from clinicalgru.errors import DictionaryError

REASONS = (UNMAPPED, "unknown variable")
COLUMNS = ["code", "label", "rows", "units", "low", "high", "suggestion"]
ABBREVIATIONS = {
    "resp": "respiratory",
    "temp": "temperature",
    "ven": "venous",
    "sys": "systolic",
    "dias": "diastolic",
    "sgpt": "alt",
    "sgot": "ast",
    "hr": "heart rate",
    "pulse": "heart rate",
    "rr": "respiratory rate",
    "respirations": "respiratory rate",
    "oximetry": "oxygen saturation",
    "nibp": "pressure",
    "nbp": "pressure",
    "abp": "pressure",
    "bp": "pressure",
    "creat": "creatinine",
    "bili": "bilirubin",
    "trop": "troponin",
    "lactic": "lactate",
    "uo": "urine output",
    "sat": "saturation",
    "sats": "oxygen saturation",
    "ox": "oxygen saturation",
    "o": "oxygen",
    "k": "potassium",
}
PLACES = frozenset(["serum", "plasma", "blood", "whole", "ser", "bld", "arterial", "art"])
METHODS = frozenset(
    [
        "level",
        "lvl",
        "count",
        "poc",
        "lab",
        "result",
        "value",
        "wert",
        "valeur",
        "valor",
        "waarde",
        "oral",
        "axillary",
        "tympanic",
        "acid",
    ]
)
UNITS = frozenset(["bpm", "mmhg", "ml", "mg", "dl", "mmol", "pct", "percent", "degf", "degc"])
FILLERS = frozenset(["im", "de", "du", "des", "del", "la", "le", "el", "en", "et", "van", "het", "der"])
NOISE = PLACES | METHODS | UNITS | FILLERS  # words that do not tell variables apart, where others are left
PULSE_OXIMETRY = re.compile(r"\bpulse ox(imetry)?\b")  # no pulse
OTHER_FLUIDS = frozenset(["urine", "csf", "pleural", "ascites", "ascitic", "peritoneal", "synovial", "stool", "drain"])
IN_SERUM = re.compile(r"\bi\.?\s?[sp]\.?(?!\w)")  # "i. S.", "i.P." of German laboratories
RIVA_ROCCI = re.compile(r"\brr\b(?=.*(sys|dia|mitt))")  # a blood pressure in German and Dutch charts
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
        shared; German, French, Spanish and Dutch words count as their English ones). Columns of a wide table that are
        not used are listed too. Check a suggestion before you use it. To map a code, pass ``names={code: variable}``,
        or add it under `source_codes` of the variable in your own dictionary.

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
        codes.get(code) or _suggest(label or code, words, dictionary, unit, has_numbers=has_numbers)
        for code, label, unit, has_numbers in zip(*columns, strict=True)
    ]
    table = table.assign(suggestion=suggestions)
    table = table.rename(columns={"name": "code"})[COLUMNS].astype({"rows": "int64"})
    return table.sort_values(["rows", "code"], ascending=[False, True], ignore_index=True)


@cache
def _translations() -> Mapping[str, str]:
    """English words of a word, of `ABBREVIATIONS` and of data_schemas/synonyms.yaml."""
    languages = read_yaml(schema_folder() / "synonyms.yaml").values()
    return {word: english for words in languages for word, english in words.items()} | ABBREVIATIONS


def _words(text: str) -> frozenset[str]:
    """English words and numbers of a name, without those that say where or how it was measured, if others are left."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    plain = RIVA_ROCCI.sub("bp", IN_SERUM.sub("", PULSE_OXIMETRY.sub("oxygen saturation", plain)))
    english = _translations()
    words = frozenset(
        word for short in re.findall(r"[a-z]+|[0-9]+", plain) for word in english.get(short, short).split()
    )
    return words - NOISE or words


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
        words = _words(text.replace("_", " "))
        found[words] = name if found.get(words, name) == name else None
    return {words: name for words, name in found.items() if name} | {_words(text): name for text, name in named}


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


def _has_unit(variable: Variable, unit: str) -> bool:
    try:
        variable.conversion(unit)
    except DictionaryError:
        return False
    return True


def _folded(unit: str) -> str:
    return "".join(unit.split()).casefold()


def _suggest(
    text: str,
    known: Mapping[frozenset[str], str],
    dictionary: Mapping[str, Variable] | None = None,
    unit: str = "",
    *,
    has_numbers: bool = True,
) -> str:
    """The variable whose words are most similar to a text, of those that have the unit, if any is given."""
    given = _words(text)
    if given == {"pressure"} and not has_numbers:
        return PRESSURES
    fluid = given & OTHER_FLUIDS  # white cells of urine are not those of blood
    suitable = ((words, name) for words, name in known.items() if fluid <= words)
    ranked = ((len(given & words) / max(len(given | words), 1), -len(name), name) for words, name in suitable)
    similar = sorted((one for one in ranked if one[0] > MIN_SIMILARITY), reverse=True)  # of equals the shortest name
    fits = (name for *_, name in similar if dictionary is None or not unit or _has_unit(dictionary[name], unit))
    return next(fits, "")

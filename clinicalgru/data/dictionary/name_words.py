"""Words of the names in an extract: abbreviations and other languages in the English of the dictionary."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml

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
    "hb": "hemoglobin",
    "wcc": "white cells",
    "dia": "diastolic",
    "resps": "respiratory rate",
    "respiration": "respiratory rate",
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
IN_SERUM = re.compile(r"\bi\.?\s?[sp]\.?(?!\w)")  # "i. S.", "i.P." of German laboratories
PANEL = re.compile(r"^(m?e?news\s?2?|u\s?&\s?es?|[fc]bc|lfts?|[bc]mp)\b\W*(?=\w)")  # "U&E: Sodium", "NEWS2 resp"
IN_BRACKETS = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]+)[)\]]")
RIVA_ROCCI = re.compile(r"\brr\b(?=.*(sys|dia|mitt))")  # a blood pressure in German and Dutch charts


@cache
def translations() -> Mapping[str, str]:
    """Load the English words of each word, of `ABBREVIATIONS` and of data_schemas/synonyms.yaml.

    Returns
    -------
    mapping of str to str
        English words by the word, which is in lower case and without accents.
    """
    languages = read_yaml(schema_folder() / "synonyms.yaml").values()
    return {word: english for words in languages for word, english in words.items()} | ABBREVIATIONS


def name_words(text: str) -> frozenset[str]:
    """Split a name of an extract into English words and numbers.

    Parameters
    ----------
    text : str
        The name, in English, German, French, Spanish, Dutch, Danish, Norwegian or Swedish.

    Returns
    -------
    frozenset of str
        Without the words that say where or how it was measured, if others are left.

    Examples
    --------
    >>> sorted(name_words("Kreatinin im Urin"))
    ['creatinine', 'urine']
    """
    written = text.casefold().translate({ord("ø"): "o", ord("æ"): "ae"})
    plain = unicodedata.normalize("NFKD", written).encode("ascii", "ignore").decode()
    plain = PANEL.sub("", plain) or plain
    plain = RIVA_ROCCI.sub("bp", IN_SERUM.sub("", PULSE_OXIMETRY.sub("oxygen saturation", plain)))
    english = translations()
    words = frozenset(
        word for short in re.findall(r"[a-z]+|[0-9]+", plain) for word in english.get(short, short).split()
    )
    words = words - NOISE or words
    return words | {"rate"} if words == {"respiratory"} else words


def split_unit(name: str) -> tuple[str, str]:
    """Split a name with something in brackets at its end, which may be a unit.

    Parameters
    ----------
    name : str
        The name in the extract, such as that of a column.

    Returns
    -------
    name, unit : str
        The unit is empty where there are no brackets.

    Examples
    --------
    >>> split_unit("Weight (lb)")
    ('Weight', 'lb')
    """
    found = IN_BRACKETS.fullmatch(name.strip())
    return (found[1], found[2].strip()) if found else (name, "")


def means_urea(name: str) -> bool:
    """Whether a name says urea and does not say that its nitrogen is meant.

    Parameters
    ----------
    name : str
        The name in the extract.

    Returns
    -------
    bool
        True for "Harnstoff", "Urée", "Urea"; False for "Urea nitrogen", "Harnstoff-N" and "BUN".

    Examples
    --------
    >>> [means_urea(name) for name in ("Harnstoff i.S.", "Urea Nitrogen", "BUN")]
    [True, False, False]
    """
    words = name_words(name)
    return "urea" in words and not words & {"nitrogen", "n", "bun"}

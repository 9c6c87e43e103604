"""Spellings of units in one form, so that a dictionary need not list them all."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from clinicalgru.data.dictionary.units import Conversion

RULES = (  # applied in this order
    (re.compile(r"\bper\b"), "/"),
    (re.compile(r"(?<!\w)[xX]?\s*10\s*(?:\*\*|[*^eE]|\s|(?=\())\s*\(?\s*([0-9]{1,2})\)?(?![0-9])"), r"10*\1"),
    (
        re.compile(
            r"(?<![A-Za-z])(?:micro|MICRO|Micro|mc|MC)\s?(?=(?:g|G|gm|l|L|mol|mole|moles|mols|U|IU|[Uu]nits?)\b)"
        ),
        "u",
    ),
    (re.compile(r"\b(?:cu\.?\s?mm|c\.?mm|mm\s?cu|mm\^?3)\b", re.IGNORECASE), "uL"),  # a cubic millimetre
    (re.compile(r"\.(?=\s)|[\s()]+"), ""),
    (re.compile(r"[.,;:]+$"), ""),
)
SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
WORDS = {"k": 3, "th": 3, "ths": 3, "thou": 3, "thousand": 3, "thousands": 3, "1000": 3, "x1000": 3}
WORDS |= {"m": 6, "mi": 6, "mil": 6, "mill": 6, "million": 6, "millions": 6, "": 0}
WORDS |= {"tsd": 3, "mio": 6, "mrd": 9, "gpt": 9, "giga": 9, "tpt": 12, "tera": 12}  # of German laboratories
VOLUMES = {"/l": 0, "/ml": 3, "/ul": 6, "/nl": 9, "/pl": 12}
COUNT = re.compile(r"(?:10\*([0-9]{1,2})|([a-z]*?|x?1000))(?:#|\{?cells?\}?)?(/?[a-z]+)?")
CONCENTRATION = re.compile(r"10\*([0-9]+)/L")
ROMAN = "m"  # a million in red cells; in white cells also the Roman thousand


@lru_cache(maxsize=4096)
def tidy(unit: str) -> str:
    """Write a unit in one form; upper and lower case stay.

    Parameters
    ----------
    unit : str
        A unit as an extract spells it.

    Returns
    -------
    str
        Without blanks, brackets and full stops; with "u" for micro (mc, both micro signs), "/" for per, "10*3" for
        every spelling of a power of ten, and "uL" for a cubic millimetre.

    Examples
    --------
    >>> [tidy(unit) for unit in ("mcg / dL", "x10(3)/mcL", "K/cu mm", "mm Hg", "&#176;C", "10^3/µL")]
    ['ug/dL', '10*3/uL', 'K/uL', 'mmHg', '°C', '10*3/uL']
    """
    text = html.unescape(unit).replace("º", "°").replace("×", "x").replace("·", ".")
    text = SUPERSCRIPT.sub(r"^\g<0>", text)
    text = unicodedata.normalize("NFKC", text).replace("μ", "u").strip()
    for pattern, other in RULES:
        text = pattern.sub(other, text)
    return text


def count_conversion(unit: str, own: str) -> Conversion | None:
    """Convert between counts of cells in a volume.

    Parameters
    ----------
    unit : str
        A unit as an extract spells it: K/mcL, 10^3/µL, thou/cumm, 1000/uL, cells/mm3, 10*9/L, M/uL.
    own : str
        The unit to convert into, a power of ten per litre: "10*9/L".

    Returns
    -------
    Conversion or None
        None where either is no count. A power without a volume is taken where only one volume gives `own`. "M" is a
        million in 10*12/L; elsewhere it may be the Roman thousand, and is not converted.

    Examples
    --------
    >>> count_conversion("K/mcL", "10*9/L")
    Conversion(factor=1.0, offset=0.0)
    >>> count_conversion("cells/mm3", "10*9/L")
    Conversion(factor=0.001, offset=0.0)
    >>> count_conversion("mcg/L", "10*9/L") is None
    True
    """
    target, given = CONCENTRATION.fullmatch(own), COUNT.fullmatch(tidy(unit).casefold())
    if target is None or given is None:
        return None
    power, word, volume = given.groups()
    exponent = int(target[1])
    scale = WORDS.get(word or "") if power is None else int(power)
    if scale is None or (word == ROMAN and exponent < 12) or (power is None and not (volume or "").startswith("/")):
        return None
    if volume is None:
        return Conversion(1.0) if scale in (exponent, exponent - 6) else None
    per = VOLUMES.get(f"/{volume.lstrip('/')}")
    return None if per is None else Conversion(float(f"1e{scale + per - exponent}"))

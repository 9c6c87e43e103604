"""The codes of admission, discharge, death, birth and sex in a MEDS dataset: those of common ETLs, or the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clinicalgru.data.ingest.tables import literal

BEGINS = {"stay": "STAY_START", "icu": "ICU_ADMISSION", "hospital": "HOSPITAL_ADMISSION", "visit": "VISIT_START"}
ENDS = {"stay": "STAY_END", "icu": "ICU_DISCHARGE", "hospital": "HOSPITAL_DISCHARGE", "visit": "VISIT_END"}
# Inpatient visits of the OMOP CDM, as code or concept: Inpatient Visit, Emergency Room and Inpatient Visit, ...
INPATIENT = "(IP|ERIP|EI|9201|262|8717)"
VISIT = "([Vv]isit|VISIT)(_occurrence|_start|_START)?//?"
# What a code means -> regular expression of the whole code; the first that fits counts.
DEFAULTS = {
    "STAY_START": "STAY_START",
    "STAY_END": "STAY_END",
    "ICU_ADMISSION": "(ICU|UNIT)_ADMISSION(//.*)?",
    "ICU_DISCHARGE": "(ICU|UNIT)_DISCHARGE(//.*)?",
    "HOSPITAL_ADMISSION": f"((HOSPITAL|INPATIENT)_)?ADMISSION(//.*)?|{VISIT}([^/]+//?)?{INPATIENT}",
    "HOSPITAL_DISCHARGE": "((HOSPITAL|INPATIENT)_)?DISCHARGE(//.*)?|(visit(_occurrence)?_end|VISIT_END)(//.*)?",
    "VISIT_START": f"{VISIT}.+",
    "MEDS_DEATH": "(MEDS_)?DEATH(//.*)?|SNOMED//?419620001",
    "MEDS_BIRTH": "(MEDS_)?BIRTH(//.*)?|DOB|SNOMED//?(184099003|3950001)",
    "GENDER": "(GENDER|[Gg]ender|SEX|Sex)//?.+",  # sex is a variable of the dictionary
}


def event_patterns(event_codes: Mapping[str, Iterable[str]], anchor: str) -> dict[str, str]:
    """Return what a code means -> regular expression of the code.

    Parameters
    ----------
    event_codes : mapping of str to iterable of str
        The user's codes of "admission", "discharge" and "death". A code stands for itself and what continues it after
        "//" or "/"; * stands for any text.
    anchor : str
        What a stay is: the user's admissions and discharges begin and end such stays.

    Returns
    -------
    dict of str to str
        The user's before the defaults.

    Examples
    --------
    >>> from clinicalgru.data.sources.meds.event_codes import event_patterns
    >>> event_patterns({"death": ["EXITUS"]}, "hospital")["MEDS_DEATH"]
    'EXITUS(//?.*)?'
    """
    meanings = {"admission": BEGINS[anchor], "discharge": ENDS[anchor], "death": "MEDS_DEATH"}
    own = {meanings[name]: "|".join(map(_pattern, codes)) for name, codes in event_codes.items()}
    return own | {kind: pattern for kind, pattern in DEFAULTS.items() if kind not in own}


def _pattern(code: str) -> str:
    return re.escape(code).replace(r"\*", ".*") + "(//?.*)?"


def kind_sql(patterns: Mapping[str, str], code: str) -> str:
    """Return SQL of what a code means; NULL where it is another event.

    Parameters
    ----------
    patterns : mapping of str to str
        What `event_patterns` returned.
    code : str
        SQL of the code.

    Returns
    -------
    str
        SQL expression.
    """
    cases = (f"WHEN regexp_full_match({code}, {literal(pattern)}) THEN '{kind}'" for kind, pattern in patterns.items())
    return f"CASE {' '.join(cases)} END"

"""Codes of an extract without a variable, most frequent first, with suggestions."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import UNMAPPED

REASONS = (UNMAPPED, "unknown variable")
ABBREVIATIONS = {
    "resp": "respiratory",
    "temp": "temperature",
    "ven": "venous",
    "sys": "systolic",
    "sgpt": "alt",
    "sgot": "ast",
}
PLACES = frozenset(["serum", "plasma", "blood", "whole", "ser", "bld", "arterial", "art"])
NOISE = PLACES | {"level", "lvl", "count", "poc", "lab", "result", "value"}  # words that do not tell variables apart
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
        code, label (its meaning in the source, "" where the source gives none), rows, suggestion (the variable whose
        words are most similar to the label, "" where fewer than half of the words are shared). Check a suggestion
        before you use it. To map a code, add it under `source_codes` of the variable in your own dictionary.

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
    findings = events.ledger.findings
    rejected = findings[findings["reason"].isin(REASONS) & (findings["variable"] != "")]
    labels = [events.ledger.labels.get(code, "") for code in rejected["variable"]]
    known = _known_words(Dictionary.load() if dictionary is None else dictionary)
    suggestions = [_suggest(label or code, known) for code, label in zip(rejected["variable"], labels, strict=True)]
    columns = {"code": rejected["variable"], "label": labels, "rows": rejected["rows"], "suggestion": suggestions}
    table = pd.DataFrame(columns).astype({"rows": "int64"})
    return table.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def _words(text: str) -> frozenset[str]:
    """Words and numbers of a name, without those that say where or how it was measured; all of them if none is left."""
    words = frozenset(ABBREVIATIONS.get(word, word) for word in re.findall(r"[a-z]+|[0-9]+", text.casefold()))
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


def _suggest(text: str, known: Mapping[frozenset[str], str]) -> str:
    given = _words(text)
    similarity, name = max((len(given & words) / max(len(given | words), 1), name) for words, name in known.items())
    return name if similarity > MIN_SIMILARITY else ""

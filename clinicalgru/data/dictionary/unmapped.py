"""The codes of an extract that no variable claims, most frequent first, with what they may be."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import UNMAPPED

REASONS = (UNMAPPED, "unknown variable")
ALIKE = 0.5  # share of common words above which a variable is suggested


def unmapped(events: Events, dictionary: Dictionary | None = None) -> pd.DataFrame:
    """The names in the extract that the dictionary does not know.

    events      as read
    dictionary  to suggest from; the shipped one where None
    returns     code, label (what the source says that it means, "" where it does not), rows, suggestion: the variable
                whose words the label shares most, "" where none shares more than half. A person decides; to map a code,
                add it under `codes` of the variable in your own dictionary

    >>> from clinicalgru.data.read_events import read_events
    >>> rows = pd.DataFrame({"patient_id": ["1"] * 3, "time": [0, 1, 2], "value": [80, 81, 5],
    ...                      "variable": ["heart_rate", "rate heart", "shoe size"]})
    >>> unmapped(read_events(rows, max_rejected=1))["suggestion"].tolist()
    ['heart_rate', '']
    """
    findings = events.ledger.findings
    found = findings[findings["reason"].isin(REASONS) & (findings["variable"] != "")]
    labels = [events.ledger.labels.get(code, "") for code in found["variable"]]
    known = _words_of(Dictionary.load() if dictionary is None else dictionary)
    suggestions = [_suggest(label or code, known) for code, label in zip(found["variable"], labels, strict=True)]
    columns = {"code": found["variable"], "label": labels, "rows": found["rows"], "suggestion": suggestions}
    table = pd.DataFrame(columns).astype({"rows": "int64"})
    return table.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.casefold()))


def _words_of(dictionary: Dictionary) -> dict[frozenset[str], str]:
    """Words of each variable's name and label -> its name."""
    named = {_words(variable.name.replace("_", " ")): name for name, variable in dictionary.items()}
    return {_words(variable.label): name for name, variable in dictionary.items()} | named


def _suggest(text: str, known: Mapping[frozenset[str], str]) -> str:
    have = _words(text)
    share, name = max((len(have & words) / max(len(have | words), 1), name) for words, name in known.items())
    return name if share > ALIKE else ""

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
    known = _words_of(Dictionary.load() if dictionary is None else dictionary)
    suggestions = [_suggest(label or code, known) for code, label in zip(rejected["variable"], labels, strict=True)]
    columns = {"code": rejected["variable"], "label": labels, "rows": rejected["rows"], "suggestion": suggestions}
    table = pd.DataFrame(columns).astype({"rows": "int64"})
    return table.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.casefold()))


def _words_of(dictionary: Dictionary) -> dict[frozenset[str], str]:
    """Words of each variable's name and label -> its name."""
    named = {_words(variable.name.replace("_", " ")): name for name, variable in dictionary.items()}
    return {_words(variable.label): name for name, variable in dictionary.items()} | named


def _suggest(text: str, known: Mapping[frozenset[str], str]) -> str:
    given = _words(text)
    similarity, name = max((len(given & words) / max(len(given | words), 1), name) for words, name in known.items())
    return name if similarity > MIN_SIMILARITY else ""

"""Tables and text in Markdown, with every cell escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\`*_\[\]|#])")


def escape_markdown(text: object) -> str:
    """Return text that Markdown and HTML show as it is, on one line.

    Parameters
    ----------
    text : object
        Any value.

    Returns
    -------
    str
        Its text, escaped.

    Examples
    --------
    >>> print(escape_markdown("a|b <i>*c*</i>"))
    a\\|b &lt;i&gt;\\*c\\*&lt;/i&gt;
    """
    plain = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown.

    Parameters
    ----------
    head : sequence
        Name of each column.
    rows : iterable of sequence
        Cells, one for each column.

    Returns
    -------
    str
        Lines.

    Examples
    --------
    >>> print(markdown_table(["a", "b"], [[1, "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [head, *rows]
    texts = ["| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines]
    return "\n".join([texts[0], "|" + "---|" * len(head), *texts[1:]])

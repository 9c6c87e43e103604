"""The model card, which is Markdown of headings, tables and paragraphs, as HTML."""

from __future__ import annotations

import html
import re

from clinicalgru.html import Markup, join, table, tag

CELL_BORDER = re.compile(r"(?<!\\)\|")
MARKS = re.compile(r"\\(.)|\*\*|`")  # escapes keep their letter; bold and code are shown as plain text


def card_html(card: str) -> Markup:
    """Turn a model card into HTML.

    Parameters
    ----------
    card : str
        The card, in the Markdown that `clinicalgru.serve.card.card` writes.

    Returns
    -------
    Markup
        Headings below those of a section, tables and paragraphs; every text is escaped.

    Examples
    --------
    >>> from clinicalgru.view.text.card_html import card_html
    >>> print(card_html("Not for `a < b`."))
    <p>Not for a &lt; b.</p>
    """
    blocks = re.split(r"\n\s*\n", re.sub(r"^(#+ .*)$", r"\1\n", card, flags=re.MULTILINE).strip())
    return join(*(_block(block.strip().splitlines()) for block in blocks if block.strip()))


def _block(lines: list[str]) -> Markup:
    if lines[0].startswith("#"):
        return tag("h3", _plain(lines[0].lstrip("#")))
    if lines[0].startswith("|"):
        head, _, *rows = ([_plain(cell) for cell in CELL_BORDER.split(line)[1:-1]] for line in lines)
        if not any(head[1:]):  # names and values
            return table(head[0], [""] * len(head), rows, n_text_columns=len(head))
        return table(f"Each {head[0]}", head, rows, n_text_columns=len(head))
    return tag("p", _plain(" ".join(lines)))


def _plain(text: str) -> str:
    return html.unescape(MARKS.sub(lambda mark: mark[1] or "", text)).strip()

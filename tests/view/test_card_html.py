"""A model card on a page: its tables are tables, its text is text, and nothing in it becomes an element."""

from __future__ import annotations

import re
from html import unescape

from clinicalgru.markdown import escape_markdown
from clinicalgru.view.text.card_html import card_html

from .conftest import PAYLOADS


def test_whatever_the_card_escapes_is_on_the_page_letter_by_letter():
    for payload in (*PAYLOADS, "10*9/L", "mm[Hg]", "a|b", "#1", "`x`", "back\\slash"):
        card = f"# Title\n\n| variable | unit |\n|---|---|\n| {escape_markdown(payload)} | g |\n"
        shown = card_html(card)
        assert set(re.findall(r"<(\w+)", shown)) == {
            "h3",
            "div",
            "table",
            "caption",
            "thead",
            "tr",
            "th",
            "tbody",
            "td",
        }
        assert " ".join(payload.split()) in unescape(re.search(r'scope="row">(.*?)</th>', shown)[1])

"""HTML elements, tables and summary cards as `markupsafe.Markup`: any other text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

NO_ATTRIBUTES: Mapping[str, str] = {}


def tag(name: str, *children: str, attrs: Mapping[str, str] = NO_ATTRIBUTES) -> Markup:
    """An element around its children.

    name      the element: "p"
    children  `Markup` is kept as it is, any other text is escaped
    attrs     attributes; their values are escaped
    returns   `Markup`

    >>> str(tag("p", "Lactate > 4 & ", tag("b", "rising"), attrs={"class": "lead"}))
    '<p class="lead">Lactate &gt; 4 &amp; <b>rising</b></p>'
    """
    inside = join(*children)
    written = "".join(f' {key}="{escape(value)}"' for key, value in attrs.items())
    return Markup(f"<{name}{written}>" if name == "meta" else f"<{name}{written}>{inside}</{name}>")


def join(*children: str) -> Markup:
    """Children one after the other, escaped unless they are `Markup`.

    >>> str(join("a < b ", tag("i", "always")))
    'a &lt; b <i>always</i>'
    """
    return Markup("").join(children)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Markup:
    """A table with a caption, column headers, and a header in front of each row.

    caption   what the table shows
    head      one name per column
    rows      cells as text, as many as there are columns
    words     how many leading columns hold words; the others hold numbers and are set flush right
    returns   `Markup`
    """
    kinds = [NO_ATTRIBUTES if column < words else {"class": "number"} for column in range(len(head))]
    heads = [tag("th", name, attrs={"scope": "col", **kind}) for name, kind in zip(head, kinds, strict=True)]
    body = [_row(cells, kinds) for cells in rows]
    inner = tag("table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body))
    return tag("div", inner, attrs={"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption})


def summary_html(title: str, facts: Mapping[str, str], *more: Markup, note: str = "") -> str:
    """What a result shows of itself in a notebook: a title, facts by name, then tables.

    title  what it is
    facts  name: what is said of it
    more   `Markup`, as of `table`
    note   one quiet sentence at the end
    returns  HTML without style or script of its own

    >>> summary_html("Sequences", {"stays": "12"})
    '<div><strong>Sequences</strong><table><tbody><tr><th scope="row">stays</th><td>12</td></tr></tbody></table></div>'
    """
    lines = [_row((name, said), (NO_ATTRIBUTES, NO_ATTRIBUTES)) for name, said in facts.items()]
    parts = [tag("table", tag("tbody", *lines))] if lines else []
    last = [tag("p", tag("small", note))] if note else []
    return str(tag("div", tag("strong", title), *parts, *more, *last))


def _row(cells: Sequence[str], kinds: Sequence[Mapping[str, str]]) -> Markup:
    first = tag("th", cells[0], attrs={"scope": "row", **kinds[0]})
    return tag("tr", first, *(tag("td", cell, attrs=kind) for cell, kind in zip(cells[1:], kinds[1:], strict=True)))

"""HTML elements, tables and summary cards as `markupsafe.Markup`: any other text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    import pandas as pd

NO_ATTRIBUTES: Mapping[str, str] = {}
HYPHEN_MINUS = re.compile(r"(?<![\w.,-])-(?=\d)")  # of a number, not of a date or a word
UNKNOWN = re.compile(r"(?<![^ (])-(?![^ )])")  # "-" alone, as in "- / -"


def tag(name: str, *children: str, attrs: Mapping[str, str] = NO_ATTRIBUTES) -> Markup:
    """Build an HTML element.

    Parameters
    ----------
    name : str
        Name of the element, such as "p".
    *children : str
        Content. `Markup` is kept as it is, any other text is escaped.
    attrs : mapping of str to str, optional
        Attributes; their values are escaped.

    Returns
    -------
    Markup
        The element.

    Examples
    --------
    >>> from clinicalgru.html import tag
    >>> str(tag("p", "Lactate > 4 & ", tag("b", "rising"), attrs={"class": "lead"}))
    '<p class="lead">Lactate &gt; 4 &amp; <b>rising</b></p>'
    """
    content = join(*children)
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in attrs.items())
    return Markup(f"<{name}{attributes}>" if name == "meta" else f"<{name}{attributes}>{content}</{name}>")


def join(*children: str) -> Markup:
    """Concatenate text and HTML; text that is not `Markup` is escaped.

    Parameters
    ----------
    *children : str
        Text and `Markup`, in order.

    Returns
    -------
    Markup
        The concatenation.

    Examples
    --------
    >>> from clinicalgru.html import join, tag
    >>> str(join("a < b ", tag("i", "always")))
    'a &lt; b <i>always</i>'
    """
    return Markup("").join(children)


def minus_signs(text: str) -> str:
    """Write negative numbers with a minus sign, and an unknown number as a dash.

    Parameters
    ----------
    text : str
        A number, an interval or a sentence.

    Returns
    -------
    str
        `Markup` stays `Markup`.

    Examples
    --------
    >>> minus_signs("-0.2 (-0.3 to 0.1), 2023-07-24"), minus_signs("- (-)")
    ('−0.2 (−0.3 to 0.1), 2023-07-24', '– (–)')
    """
    shown = UNKNOWN.sub("–", HYPHEN_MINUS.sub("−", text))
    return Markup(shown) if isinstance(text, Markup) else shown


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, n_text_columns: int = 1) -> Markup:
    """Build an HTML table with a caption, column headers and row headers.

    Parameters
    ----------
    caption : str
        What the table shows.
    head : sequence of str
        Name of each column.
    rows : iterable of sequence of str
        Cells, one for each column; the first cell of a row is its header.
    n_text_columns : int, default 1
        Number of leading columns that hold text. The others hold numbers and are aligned to the right.

    Returns
    -------
    Markup
        The table inside a region that scrolls sideways.

    Examples
    --------
    >>> from clinicalgru.html import table
    >>> html = table("Effects", ["Variable", "Effect"], [["Lactate", "+0.3"]])
    >>> '<th scope="row">Lactate</th><td class="number">+0.3</td>' in html
    True
    """
    styles = [NO_ATTRIBUTES if column < n_text_columns else {"class": "number"} for column in range(len(head))]
    heads = [column_header(name, style) for name, style in zip(head, styles, strict=True)]
    body = [_row(cells, styles) for cells in rows]
    inner = tag("table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body))
    return tag("div", inner, attrs={"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption})


def frame_table(caption: str, shown: pd.DataFrame, *, n_text_columns: int = 1, style: str = ".6g") -> Markup:
    """Build an HTML table of a DataFrame.

    Parameters
    ----------
    caption : str
        What the table shows.
    shown : DataFrame
        Its columns; the index is left out. An unknown value is "-".
    n_text_columns : int, default 1
        As for `table`.
    style : str
        Format of numbers that are not whole.

    Returns
    -------
    Markup
        As of `table`.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.html import frame_table
    >>> html = frame_table("Effects", pd.DataFrame({"Variable": ["Lactate"], "Effect": [None]}))
    >>> '<th scope="row">Lactate</th><td class="number">–</td>' in html
    True
    """
    columns = [shown[name].astype(object).where(shown[name].notna(), "-") for name in shown]
    texts = [[format(cell, style) if isinstance(cell, float) else str(cell) for cell in column] for column in columns]
    return table(caption, [*map(str, shown)], list(zip(*texts, strict=True)), n_text_columns=n_text_columns)


def column_header(name: str, attrs: Mapping[str, str] = NO_ATTRIBUTES) -> Markup:
    """Build the header of a column; an empty cell where the column has no name, since a header must have text.

    Parameters
    ----------
    name : str
        Name of the column.
    attrs : mapping of str to str, optional
        Attributes.

    Returns
    -------
    Markup
        The cell.

    Examples
    --------
    >>> from clinicalgru.html import column_header
    >>> str(column_header("Effect")), str(column_header(""))
    ('<th scope="col">Effect</th>', '<td></td>')
    """
    shown = name[:1].upper() + name[1:] if name[1:2].islower() else name  # not "p", not "pH"
    return tag("th", shown, attrs={"scope": "col", **attrs}) if name else tag("td", attrs=attrs)


def summary_html(title: str, entries: Mapping[str, str], *tables: Markup, note: str = "") -> str:
    """Build the summary that a result shows of itself in a notebook.

    Parameters
    ----------
    title : str
        Kind of the result.
    entries : mapping of str to str
        Text by name, shown as a table of two columns.
    *tables : Markup
        Further tables, as `table` returns them.
    note : str, optional
        One sentence in small print at the end.

    Returns
    -------
    str
        HTML without style or script of its own.

    Examples
    --------
    >>> from clinicalgru.html import summary_html
    >>> html = summary_html("Sequences", {"stays": "12"})
    >>> '<strong>Sequences</strong>' in html and '<th scope="row">stays</th><td>12</td>' in html
    True
    """
    lines = [_row(entry, (NO_ATTRIBUTES, NO_ATTRIBUTES)) for entry in entries.items()]
    overview = [tag("table", tag("tbody", *lines))] if lines else []
    notes = [tag("p", tag("small", note))] if note else []
    return str(tag("div", tag("strong", title), *overview, *tables, *notes))


def _row(cells: Sequence[str], styles: Sequence[Mapping[str, str]]) -> Markup:
    """Build a row of a table: the first cell is its header."""
    first = tag("th", cells[0], attrs={"scope": "row", **styles[0]})
    texts = (minus_signs(cell) if style else cell for cell, style in zip(cells[1:], styles[1:], strict=True))
    return tag("tr", first, *(tag("td", text, attrs=style) for text, style in zip(texts, styles[1:], strict=True)))

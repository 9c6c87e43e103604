"""The frame of every HTML page: one file that needs nothing but a browser, and its writing to disk."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from clinicalgru.atomic_write import atomic_write
from clinicalgru.errors import ArgumentError, describe, system_errors
from clinicalgru.html import Markup, join, tag
from clinicalgru.view.assets import read_asset
from clinicalgru.view.text.format import capitalize_first, format_name

NOT_A_DEVICE = (
    "This is not a medical device. It was made for research and must not decide the care of a patient.",
    "A risk is a statement about patients like this one in the data named on this page. It does not say what will "
    "happen to one of them.",
)
PLOTLY_PATH = f"/plotly-{plotly.__version__}.js"  # of a server whose pages share it
SIMULATED = "No figure on this page says anything about real patients."


def page(
    title: str,
    lead: str,
    *sections: Markup,
    provenance: Mapping[str, str],
    limits: Sequence[str] = (),
    navigation: Markup | None = None,
    scripts: Sequence[str] | None = None,
    style: str = "",
    plotly_path: str | None = None,
) -> Markup:
    """Build a whole HTML page that loads nothing from elsewhere.

    Parameters
    ----------
    title : str
        Heading.
    lead : str
        One sentence under the heading.
    *sections : Markup
        What `section` returns, in order.
    provenance : mapping of str to str
        Data, task, model hash, versions, random state, date, by name. "simulated": "yes" puts a banner on top.
    limits : sequence of str, optional
        Sentences added to the limits that hold for every page.
    navigation : Markup, optional
        Links above the heading.
    scripts : sequence of str, optional
        Scripts of a page without figures, which may ask its own server. Default: plotly, and what draws the figures.
    style : str
        Style sheet added to that of every page.
    plotly_path : str, optional
        Where the page's own server has plotly, which a browser then reads once for all pages. Default: in the page.

    Returns
    -------
    Markup
        The page, with its provenance and its limits at the end.

    Examples
    --------
    >>> from clinicalgru.view.pages.html_page import page, section
    >>> html = page("Report", "In short", section("Results", "None yet."), provenance={"data": "12 stays"})
    >>> html.startswith("<!doctype html>")
    True
    """
    footer = (_provenance(provenance), _limits(limits))
    links = [] if navigation is None else [tag("nav", navigation, attrs={"aria-label": "Pages"})]
    header = tag("header", *links, tag("h1", title), tag("p", lead, attrs={"class": "quiet"}))
    wrap = tag("div", header, tag("main", *sections, *footer), attrs={"class": "wrap"})
    run = (*(() if plotly_path else (get_plotlyjs(),)), read_asset("pages", "page.js")) if scripts is None else scripts
    shared = [tag("script", attrs={"src": plotly_path})] if plotly_path else []
    elements = (tag("script", Markup(script)) for script in run)
    body = tag("body", _banner(provenance), wrap, _noscript(), *shared, *elements)
    policy = _policy(run, fetches=scripts is not None, own_scripts=plotly_path is not None)
    head = _head(title, policy, style=style)
    html = tag("html", head, body, attrs={"lang": "en"})
    return Markup("<!doctype html>\n{}\n").format(html)


def plotly_script() -> str:
    """Give what a server has at `PLOTLY_PATH`.

    Returns
    -------
    str
        The script of plotly that the package has.

    Examples
    --------
    >>> from clinicalgru.view.pages.html_page import plotly_script
    >>> len(plotly_script()) > 1_000_000
    True
    """
    return str(get_plotlyjs())


def section(heading: str, *children: str) -> Markup:
    """Build a section of a page.

    Parameters
    ----------
    heading : str
        Its heading.
    *children : str
        Its content; text that is not `Markup` is escaped.

    Returns
    -------
    Markup
        The section.
    """
    return tag("section", tag("h2", heading), *children)


def figure(drawing: go.Figure | dict[str, Any], title: str, caption: str) -> Markup:
    """Build a figure with its title and a caption, which a screen reader reads aloud.

    Parameters
    ----------
    drawing : plotly.graph_objects.Figure or dict
        A figure with a height, or its data and layout as plain values.
    title : str
        Short title.
    caption : str
        One or two sentences that say what the figure shows.

    Returns
    -------
    Markup
        The figure as JSON, which the script of the page draws.
    """
    height = drawing["layout"]["height"] if isinstance(drawing, dict) else drawing.layout.height
    # plotly writes "<" as \u003c, so that no string in it can end the script element
    data = Markup(to_json_plotly(drawing) if isinstance(drawing, dict) else drawing.to_json())
    # a group, not an image: the buttons of the mode bar within it can have the focus
    label = {"role": "group", "aria-label": f"{title}. {caption}".strip(), "style": f"height:{height}px"}
    place = tag("div", attrs={"class": "plot", **label})
    text = tag("figcaption", tag("h3", title), *([tag("p", caption)] if caption else []))
    return tag("figure", text, place, tag("script", data, attrs={"type": "application/json"}))


def _definition_list(entries: Mapping[str, str]) -> Markup:
    """Build a list of names and their meanings, one pair to a line."""
    lines = (join(tag("dt", name), tag("dd", text)) for name, text in entries.items())
    return tag("dl", *lines, attrs={"class": "facts"})


def tiles(entries: Iterable[tuple[str, str, str]], *, css_class: str = "tiles") -> Markup:
    """Build a row of tiles, each with one large number.

    Parameters
    ----------
    entries : iterable of (str, str, str)
        Name, number and note of each tile.
    css_class : str, default "tiles"
        Class of the row in the style sheet.

    Returns
    -------
    Markup
        The tiles.
    """
    boxes = (
        tag("div", tag("dt", name), tag("dd", number, attrs={"class": "big"}), tag("dd", note, attrs={"class": "note"}))
        for name, number, note in entries
    )
    return tag("dl", *boxes, attrs={"class": css_class})


def write(html: Markup, path: str | os.PathLike[str]) -> Path:
    """Write a page to disk, completely or not at all.

    Parameters
    ----------
    html : Markup
        What `page` returned.
    path : str or path
        File to write; its folder is created.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If `path` is a folder or no path.
    InputError
        If the system refuses to write, as without permission or on a full disk.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError("the path of an HTML file", describe(path), 'Pass a path such as "report.html".')
    target = Path(path)
    with system_errors(target.name):
        if target.is_dir():
            raise ArgumentError("the path of an HTML file", "a folder", f"Add a file name: {target / 'report.html'}.")
    with atomic_write(target) as draft:
        draft.write_text(html, encoding="utf-8", newline="\n")
    return target


def _head(title: str, policy: str, *, style: str) -> Markup:
    """Build the head of the page: title, style sheet and security policy."""
    return tag(
        "head",
        tag("meta", attrs={"charset": "utf-8"}),
        tag("meta", attrs={"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", attrs={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", attrs={"name": "referrer", "content": "no-referrer"}),
        tag("title", title),
        tag("style", Markup(read_asset("pages", "page.css") + style)),
    )


def _policy(scripts: Sequence[str], *, fetches: bool, own_scripts: bool) -> str:
    """Allow only the page's own scripts, named by their hash; nothing may be fetched but from the page's own server."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join([*(["'self'"] if own_scripts else []), *(f"'sha256-{digest}'" for digest in digests)])
    others = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"  # plotly's styles
    own = "connect-src 'self'; frame-src 'self'; " if fetches else "connect-src 'self'; " if own_scripts else ""
    return f"default-src 'none'; script-src {allowed}; {own}{others}"


def _banner(provenance: Mapping[str, str]) -> Markup:
    """Build the banner of a page about simulated patients."""
    if provenance.get("simulated") != "yes":
        return Markup("")
    text = (tag("strong", "Simulated patients. "), SIMULATED)
    return tag("aside", *text, attrs={"class": "banner", "aria-label": "Simulated patients"})


def _noscript() -> Markup:
    return tag("noscript", tag("p", "The figures need JavaScript; the tables give the same numbers."))


def _provenance(provenance: Mapping[str, str]) -> Markup:
    """Build the section that says which data and which model a page is about."""
    entries = {capitalize_first(format_name(name)): text for name, text in provenance.items()}
    content = _definition_list(entries) if entries else tag("p", "Nothing was recorded.")
    return section("Provenance", tag("div", content, attrs={"class": "card"}))


def _limits(limits: Sequence[str]) -> Markup:
    """Build the section of limits: those of every page, then those of this one."""
    items = (tag("li", sentence) for sentence in (*NOT_A_DEVICE, *limits))
    return section("Limits", tag("div", tag("ul", *items), attrs={"class": "card"}))

"""One page that needs nothing but a browser: the frame around every report, and its writing to disk."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from clinicalgru.errors import ArgumentError
from clinicalgru.html import Markup, join, tag
from clinicalgru.view.text.format import capitalize_first, format_name

NOT_A_DEVICE = (
    "This is not a medical device. It was made for research and must not decide the care of a patient.",
    "A risk is a statement about patients like this one in the data named below, not about what will happen to "
    "one of them.",
)
SIMULATED = "No figure on this page says anything about real patients."


def page(title: str, lead: str, *sections: Markup, provenance: Mapping[str, str], limits: Sequence[str] = ()) -> Markup:
    """A whole page around its sections, with where it comes from and its limits at the end.

    title       the heading
    lead        one sentence under it
    sections    what `section` returns, in order
    provenance  facts by name: data, task, model hash, versions, seed, date; "simulated": "yes" puts a banner on top
    limits      sentences added to those that hold for every page
    returns     `Markup` that loads nothing from elsewhere
    """
    last = (_provenance(provenance), _limits(limits))
    header = tag("header", tag("h1", title), tag("p", lead, attrs={"class": "quiet"}))
    wrap = tag("div", header, tag("main", *sections, *last), attrs={"class": "wrap"})
    plotly, start = get_plotlyjs(), _read_asset("page.js")
    scripts = (tag("script", Markup(plotly)), tag("script", Markup(start)))
    body = tag("body", _banner(provenance), wrap, _noscript(), *scripts)
    return Markup("<!doctype html>\n" + tag("html", _head(title, plotly, start), body, attrs={"lang": "en"}) + "\n")


def section(heading: str, *children: str) -> Markup:
    """A part of a page under its own heading."""
    return tag("section", tag("h2", heading), *children)


def figure(drawn: go.Figure, title: str, said: str) -> Markup:
    """A figure with its title and, in words, what it shows; the words are also what a screen reader says.

    drawn    a plotly figure with a height
    title    short
    said     one or two sentences
    returns  `Markup`; the figure is data, drawn by the page's own script
    """
    data = Markup(drawn.to_json())  # plotly writes "<" as \u003c, so that no string in it can end the script element
    about = {"role": "img", "aria-label": f"{title}. {said}", "style": f"height:{drawn.layout.height}px"}
    place = tag("div", attrs={"class": "plot", **about})
    caption = tag("figcaption", tag("h3", title), tag("p", said))
    return tag("figure", caption, place, tag("script", data, attrs={"type": "application/json"}))


def definition_list(pairs: Mapping[str, str]) -> Markup:
    """Names and what they stand for, one pair to a line."""
    lines = (join(tag("dt", name), tag("dd", said)) for name, said in pairs.items())
    return tag("dl", *lines, attrs={"class": "facts"})


def tiles(shown: Sequence[tuple[str, str, str]]) -> Markup:
    """A few large figures side by side: what it is, the figure, a word on it."""
    boxes = (
        tag("div", tag("dt", name), tag("dd", big, attrs={"class": "big"}), tag("dd", note, attrs={"class": "quiet"}))
        for name, big, note in shown
    )
    return tag("dl", *boxes, attrs={"class": "tiles"})


def write(html: Markup, path: str | os.PathLike[str]) -> Path:
    """A page on disk, whole or not at all.

    html     what `page` returned
    path     the file; its folders are made
    returns  the path
    refused  a path that is a folder (ArgumentError)
    """
    target = Path(path)
    if target.is_dir():
        raise ArgumentError("the path of an HTML file", "a folder", f"Add a file name: {target / 'report.html'}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.write_text(html, encoding="utf-8", newline="\n")
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _read_asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _head(title: str, *scripts: str) -> Markup:
    return tag(
        "head",
        tag("meta", attrs={"charset": "utf-8"}),
        tag("meta", attrs={"http-equiv": "Content-Security-Policy", "content": _policy(scripts)}),
        tag("meta", attrs={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", attrs={"name": "referrer", "content": "no-referrer"}),
        tag("title", title),
        tag("style", Markup(_read_asset("page.css"))),
    )


def _policy(scripts: Sequence[str]) -> str:
    """Only the page's own two scripts may run, named by their hash; nothing may be fetched."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    own = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"  # plotly styles inline
    return f"default-src 'none'; script-src {allowed}; {own}"


def _banner(provenance: Mapping[str, str]) -> Markup:
    if provenance.get("simulated") != "yes":
        return Markup("")
    return tag("div", tag("strong", "Simulated patients. "), SIMULATED, attrs={"class": "banner", "role": "note"})


def _noscript() -> Markup:
    return tag("noscript", tag("p", "The figures need JavaScript; the tables say the same in numbers."))


def _provenance(provenance: Mapping[str, str]) -> Markup:
    named = {capitalize_first(format_name(name)): said for name, said in provenance.items()}
    inner = definition_list(named) if named else tag("p", "Nothing was recorded.")
    return section("Where this comes from", tag("div", inner, attrs={"class": "card"}))


def _limits(limits: Sequence[str]) -> Markup:
    items = (tag("li", said) for said in (*NOT_A_DEVICE, *limits))
    return section("Limits", tag("div", tag("ul", *items), attrs={"class": "card"}))

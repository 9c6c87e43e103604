"""HTML page of scored stays: search, sort, filters, threshold; the page of a stay opens next to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clinicalgru.html import Markup, tag
from clinicalgru.view.assets import read_asset
from clinicalgru.view.pages.html_page import page

COLUMNS = (("name", "Stay"), ("ward", "Ward"), ("risk", "Risk"), ("change", "Change"), ("status", "Status"))
PREDICTION = "Prediction"  # in place of "Risk", for a number in the unit of the outcome


def worklist_html(
    rows: Sequence[Mapping[str, Any]],
    *,
    run: Mapping[str, Any],
    threshold: float | None,
    provenance: Mapping[str, str],
    is_risk: bool = True,
) -> Markup:
    """Build the page of a worklist, whose script reads `/rows.json` and opens `/stay/<key>`.

    Parameters
    ----------
    rows : sequence of mapping
        key, name, ward, risk, change since the last run, status, reason, hours.
    run : mapping
        scored_at, as_of, before (as_of of the run before), not_in_extract (scored stays that the extract lacks).
    threshold : float or None
        Risk from which stays are marked at first.
    provenance : mapping of str to str
        Outcome and model.
    is_risk : bool
        Whether the number of each stay is a risk, or a number in the unit of the outcome.

    Returns
    -------
    Markup
        The page.

    Examples
    --------
    >>> from clinicalgru.view.pages.worklist_page import worklist_html
    >>> html = worklist_html([], run={}, threshold=0.2, provenance={"outcome": "death"})
    >>> "Worklist" in html
    True
    """
    start = {"rows": list(rows), "run": dict(run), "is_risk": is_risk}
    data = Markup(json.dumps(start).replace("<", "\\u003c"))
    percent = "" if threshold is None else f"{100 * threshold:g}"
    controls = tag(
        "form",
        _control("Search", "input", {"id": "search", "type": "search", "autocomplete": "off"}),
        _control("Ward", "select", {"id": "ward"}),
        _control("Status", "select", {"id": "status"}),
        _control("Threshold, %", "input", {"id": "threshold", "type": "number", "min": "0", "max": "100", "step": "any",
                                           "value": percent}),
        tag("button", "Refresh", attrs={"id": "refresh", "type": "button"}),
        tag("button", "Print", attrs={"id": "print", "type": "button"}),
        attrs={"class": "controls card no-print", "id": "controls"},
    )  # fmt: skip
    labels = dict(COLUMNS) | ({} if is_risk else {"risk": PREDICTION})
    heads = (
        tag("th", tag("button", label, attrs={"type": "button", "data-column": name}), attrs={"scope": "col"})
        for name, label in labels.items()
    )
    table = tag(
        "table",
        tag("caption", "Scored stays", attrs={"id": "count", "aria-live": "polite"}),
        tag("thead", tag("tr", *heads)),
        tag("tbody", attrs={"id": "rows"}),
        attrs={"class": "worklist"},
    )
    region = {"class": "scroll", "id": "list", "tabindex": "0", "role": "region", "aria-label": "Scored stays"}
    frame = tag("iframe", attrs={"id": "patient", "title": "Page of the stay", "hidden": ""})
    columns = tag(
        "div", tag("section", tag("div", table, attrs=region)), frame, attrs={"class": "split-view", "id": "split-view"}
    )
    store = tag("script", data, attrs={"type": "application/json", "id": "data"})
    title = "; ".join(provenance[name] for name in ("outcome", "predicted") if name in provenance)
    return page(
        "Worklist",
        title,
        controls,
        columns,
        store,
        provenance=provenance,
        scripts=(read_asset("pages", "worklist.js"),),
        style=read_asset("pages", "worklist.css"),
    )


def _control(label: str, name: str, attrs: Mapping[str, str]) -> Markup:
    return tag("label", tag("span", label), _void(name, attrs))


def _void(name: str, attrs: Mapping[str, str]) -> Markup:
    """An element; an input has no end tag."""
    element = tag(name, attrs=attrs)
    return Markup(element.removesuffix(f"</{name}>")) if name == "input" else element

"""One file, whole or not at all, that asks nothing of a network."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest

from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.view.pages.html_page import figure, page, section, write


class Page(HTMLParser):
    """The attributes of every element, and the text inside scripts."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def html() -> str:
    drawn = go.Figure(go.Scatter(y=[1, 2]), layout={"height": 300})
    shown = figure(drawn, "Risk", "It rises.")
    return page(
        "Report", "In short", section("One", shown, shown), provenance={"model_hash": "3f2a", "simulated": "no"}
    )


def test_plotly_is_in_the_page_once_and_nothing_is_loaded(html):
    read = Page(html)
    kinds = [attrs.get("type", "code") for tag, attrs in read.elements if tag == "script"]
    assert kinds == ["application/json", "application/json", "code", "code"]
    assert not [attrs for _, attrs in read.elements if {"src", "href", "srcset", "action"} & set(attrs)]
    assert html.count("plotly.js v") == 1


def test_only_the_two_scripts_of_the_page_may_run(html):
    read = Page(html)
    policy = next(a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    hashed = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in read.scripts[-2:]]
    assert re.findall(r"sha256-([^']+)", policy) == hashed
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_the_page_names_no_server_for_charts_to_be_sent_to(html):
    assert 'showSendToCloud: false, plotlyServerURL: ""' in Page(html).scripts[-1]


def test_a_figure_says_in_words_what_it_shows(html):
    about = [attrs for _, attrs in Page(html).elements if attrs.get("role") == "group"]
    assert [one["aria-label"] for one in about] == ["Risk. It rises."] * 2
    assert ("html", {"lang": "en"}) in Page(html).elements


def test_a_page_starts_with_its_document_type(html):
    assert html.startswith("<!doctype html>\n<html")


def test_every_page_says_that_it_is_no_medical_device(html):
    assert "This is not a medical device." in html


@pytest.mark.parametrize(("simulated", "banners"), [("yes", 1), ("no", 0)])
def test_simulated_patients_are_announced_before_anything_else(simulated, banners):
    body = page("T", "lead", provenance={"simulated": simulated}).split("<body>")[1]
    assert body.startswith('<aside class="banner" aria-label="Simulated patients"><strong>Simulated patients') == bool(
        banners
    )


def test_a_folder_is_refused_and_missing_folders_are_made(html, tmp_path):
    with pytest.raises(ArgumentError, match=r"got a folder\. Add a file name"):
        write(html, tmp_path)
    assert write(html, tmp_path / "new" / "deep" / "report.html").read_text(encoding="utf-8") == html


def test_a_write_that_fails_leaves_the_old_page_and_no_scraps(html, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"report\.html: Expected .*space"):
        write(html, target)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "old"

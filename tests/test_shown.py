"""What a result shows of itself in a notebook: nothing that runs, nobody's name, no small cell."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

import clinicalgru as cg

PAYLOAD = "</td></tr></table><script>alert(1)</script><img src=x onerror=alert(1)>"
ALLOWED = {"div", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "p", "small"}


def elements(html: str) -> set[str]:
    return set(re.findall(r"<([a-z]+)", html))


@pytest.fixture
def shown(events, parts, task, fitted, test_stays):
    why = cg.explain(fitted, test_stays[[0]])
    return [x._repr_html_() for x in (events, events.ledger, parts[0], task, fitted, cg.GRUClassifier(), why)]


def test_each_result_shows_tables_and_nothing_that_could_run(shown):
    for html in shown:
        assert elements(html) <= ALLOWED
        assert not re.search(r"<[^>]* (style|src|href|on\w+)=", html)


@pytest.mark.slow
def test_no_identifier_is_shown(shown, events):
    everything = " ".join(shown)
    names = {*events.stays["patient_id"], *events.stays["stay_id"]}
    assert not [one for one in names if re.search(rf"\b{one}\b", everything)]


def test_a_result_is_its_text_at_the_prompt_and_in_a_saved_notebook(fitted, test_stays):
    """The representation that dataclasses write would hold whole tables, and so the values of patients."""
    why = cg.explain(fitted, test_stays[[0]])
    assert repr(why) == str(why)
    folder, lacking = Path(cg.__file__).parent, []
    for file in folder.rglob("*.py"):
        for found in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(found, ast.ClassDef) or "dataclass" not in "".join(
                map(ast.unparse, found.decorator_list)
            ):
                continue
            body = ast.unparse(found)
            holds_tables = "DataFrame" in " ".join(ast.unparse(n) for n in found.body if isinstance(n, ast.AnnAssign))
            if holds_tables and "def __str__" in body and "__repr__" not in body:
                lacking.append(found.name)
    assert lacking == []


def test_words_from_the_data_stay_words(events, parts, task, fitted):
    made = replace(task, title=PAYLOAD, outcome=PAYLOAD)
    flow = ((PAYLOAD, 300), ("kept", 200))
    for html in (
        made._repr_html_(), replace(parts[0], task=made, flow=flow)._repr_html_(),
        replace(events, source=PAYLOAD)._repr_html_(), replace(events.ledger, notes={PAYLOAD: 40})._repr_html_(),
    ):  # fmt: skip
        assert elements(html) <= ALLOWED
        assert "&lt;script&gt;" in html


@pytest.mark.slow
def test_small_counts_of_real_patients_are_withheld_and_of_simulated_ones_shown(three, events):
    real = cg.read_events(three, max_rejected=0.5)
    assert "suppressed" in real._repr_html_()
    assert not re.search(r">[1-9]</td>|>10</td>", real.ledger._repr_html_())
    assert "suppressed" not in events._repr_html_()


def test_an_estimator_says_what_it_learned_from(fitted):
    html = fitted._repr_html_()
    assert "stays of" in html
    assert "best epoch" in html
    assert fitted._repr_mimebundle_()["text/html"] == html
    assert "not fitted yet" in cg.GRUClassifier()._repr_html_()
    for whole in (cg.GRUEnsemble(cg.GRUClassifier(max_epochs=7)), cg.Hybrid(), cg.SummaryBaseline("boosted trees")):
        html = whole._repr_mimebundle_()["text/html"]
        assert elements(html) <= ALLOWED
    assert "max_epochs=7" in cg.GRUEnsemble(cg.GRUClassifier(max_epochs=7))._repr_html_()

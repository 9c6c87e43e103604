"""A stay of 10,000 measurements: all of them count, fewer are drawn, and the cursor sends next to nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from ipywidgets import Widget

import clinicalgru as cg
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.explain.result import Explanation
from clinicalgru.view.text.risk_points import format_effect

COUNT = 10_000
NAMES = [f"v{number}" for number in range(8)]


@pytest.fixture(scope="module")
def long() -> Explanation:
    random = np.random.default_rng(0)
    hours = np.sort(random.uniform(0, 48, COUNT))
    effect = random.normal(size=COUNT)
    rows = pd.DataFrame(
        {"hours": hours, "variable": random.choice(NAMES, COUNT), "value": random.normal(50, 10, COUNT)}
    )
    rows = rows.assign(by_value=effect, by_measured=0.0, by_timing=0.0, contribution=effect)
    risk = 1 / (1 + np.exp(-np.cumsum(random.normal(size=COUNT)) / 30))
    course = pd.DataFrame({"hours": hours, "risk": risk, "low": 0.8 * risk, "high": 1 - 0.8 * (1 - risk)})
    return Explanation(
        stay_label="stay", variables=tuple(Variable(name, name, "numeric", "mmol/L") for name in NAMES), risk=risk[-1],
        reference_risk=0.1, measurements=rows, static=pd.DataFrame({"name": [], "value": [], "contribution": []}),
        completeness_gap=0.0, risk_trajectory=course, attention=pd.DataFrame({"hours": [1.0], "weight": [1.0]}),
        provenance={"outcome": "death", "simulated": "yes"}, n_heads=16, n_networks=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def view(long):
    return cg.PatientView(long)


@pytest.fixture
def sent(monkeypatch):
    """Every message that a widget sends to the browser."""
    messages, send = [], Widget._send

    def hear(self, message, buffers=None):
        messages.append((type(self).__name__, message.get("state", {}), list(buffers or [])))
        return send(self, message, buffers=buffers)

    monkeypatch.setattr(Widget, "_send", hear)
    return messages


@pytest.mark.slow
def test_all_measurements_count_and_at_most_a_thousand_of_a_variable_are_drawn(view, long):
    assert "10,000" in view.facts.value
    points = [len(trace.x) for trace in view.figure.data if trace.x is not None]
    assert max(points) <= 2 * 1002
    assert sum(points) < 15_000
    summed = long.measurements.groupby("variable")["contribution"].sum()
    notes = " ".join(note.text for note in view.figure.layout.annotations)
    assert f"{format_effect(long, summed[view.variables[0]])}; " in notes


def test_the_highest_and_the_lowest_risk_are_drawn(view, long):
    drawn = next(trace for trace in view.figure.data if trace.name == "predicted risk")
    assert max(drawn.y) == long.risk_trajectory["risk"].max()
    assert min(drawn.y) == long.risk_trajectory["risk"].min()


def test_a_move_of_the_cursor_sends_a_line_and_words_and_no_trace(view, sent):
    view.cursor = 20.0
    updates = [state["_py2js_update"] for _, state, _ in sent if state.get("_py2js_update")]
    assert len(updates) == 1
    assert not any(updates[0]["style_data"].values())
    assert sorted(key.split(".")[-1] for key in updates[0]["layout_data"]) == ["x0", "x1"]
    assert not any(buffers for _, _, buffers in sent)
    assert len(json.dumps([state for _, state, _ in sent], default=str)) < 10_000

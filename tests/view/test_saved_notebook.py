"""A saved notebook through nbconvert: where no widget runs, each shows its picture and its table."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pandas as pd
import pytest
from traitlets.config import Config

import clinicalgru as cg
from clinicalgru.view.widgets import widget_base

from .test_widgets import explained

pytestmark = pytest.mark.skipif(find_spec("nbconvert") is None, reason="nbconvert is not installed (extra notebook)")


@pytest.fixture(scope="module")
def html() -> dict[str, str]:
    """What nbconvert makes of the output of each widget; JupyterLab saves no state of widgets."""
    import nbconvert  # takes seconds, and not every run of pytest needs it
    import nbformat

    scores = pd.DataFrame({"risk": [0.1, 0.7, None], "status": ["scored", "scored", "not scored"], "reason": ""})
    history = [{"epoch": epoch, "train_loss": 0.5, "val_loss": 0.4} for epoch in (1, 2)]
    widgets = {
        "patient": cg.PatientView(explained()), "cohort": cg.CohortView(scores, trajectories=[[0.1, 0.2], [0.3], None]),
        "training": cg.TrainingView(history), "data": cg.DataView(cg.read_events(cg.simulate(40, random_state=0))),
    }  # fmt: skip
    exported = {}
    for name, widget in widgets.items():
        shown = nbformat.v4.new_output("display_data", data=widget._repr_mimebundle_())
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("view", outputs=[shown])])
        exported[name] = nbconvert.HTMLExporter().from_notebook_node(notebook)[0].split("<body", 1)[1]
    return exported


@pytest.mark.parametrize("name", ["patient", "cohort", "training", "data"])
def test_each_widget_leaves_a_picture_or_a_table_and_needs_no_program(html, name):
    output = html[name]
    assert "widget-view+json" not in output
    assert re.search(r"<table|<img[^>]+data:image|<svg", output)
    assert "children=(" not in output


def test_the_patient_has_both_and_the_cohort_its_rows(html):
    assert "data:image/svg+xml;base64," in html["patient"]
    assert "Lactate" in html["patient"]
    assert html["cohort"].count("<tr") == 4


@pytest.mark.slow
def test_a_stored_state_of_widgets_is_left_out_on_request(html):
    """With the state, nbconvert would write a script that fetches programs from the network, and nothing else."""
    import nbconvert
    import nbformat

    view = cg.TrainingView([{"epoch": epoch, "train_loss": 0.5, "val_loss": 0.4} for epoch in (1, 2)])
    shown = nbformat.v4.new_output("display_data", data=view._repr_mimebundle_())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("view", outputs=[shown])])
    state = {"version_major": 2, "version_minor": 0, "state": type(view).get_manager_state()["state"]}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    stored = nbconvert.HTMLExporter().from_notebook_node(notebook)[0].split("<body", 1)[1]
    assert "widget-view+json" in stored
    settings = Config({"ClearMetadataPreprocessor": {"enabled": True}})
    cleared = nbconvert.HTMLExporter(config=settings).from_notebook_node(notebook)[0].split("<body", 1)[1]
    assert "widget-view+json" not in cleared
    assert re.search(r"<table|<img[^>]+data:image|<svg", cleared)


def test_a_shown_view_is_saved_twice_as_the_widget_and_as_html_that_hides_next_to_it(monkeypatch):
    shown = []
    monkeypatch.setattr(widget_base, "display", lambda data, **_: shown.append(data))
    view = cg.TrainingView([{"epoch": epoch, "train_loss": 0.5, "val_loss": 0.4} for epoch in (1, 2)])
    view._ipython_display_()
    live, static = shown
    assert set(live) == {widget_base.WIDGET_VIEW, "text/plain"}
    assert set(static) == {"text/html", "text/plain"}
    assert str(view._static_html()) in static["text/html"]

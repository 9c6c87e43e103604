"""Run notebooks and store them with their outputs, which the site shows: python docs/execute_notebooks.py 01 04.

Run by hand after a notebook changed; the site itself executes nothing.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import plotly.io as pio
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
WARNING = re.compile(r"^.*?[^\s:]+\.py:\d+: (\w+Warning: )", re.M)  # the place of a file on this machine
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH = 900  # pixels of a picture


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove widget state, and the places of files from warnings.

    Parameters
    ----------
    notebook : NotebookNode
        A notebook that was run.

    Returns
    -------
    NotebookNode
        The same notebook.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                lines = WARNING.sub(r"\1", output.text).splitlines(keepends=True)
                output.text = "".join(line for line in lines if not line.startswith("  "))  # the line of code
        # the widget itself; its picture and table are the output after it
        outputs = [output for output in cell.get("outputs", []) if WIDGET_VIEW not in output.get("data", {})]
        if "outputs" in cell:
            cell.outputs = outputs
        cell.metadata.pop("execution", None)
    return notebook


def add_pictures(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Put a picture next to each figure of plotly, for viewers that draw none, such as those of code hosts.

    Parameters
    ----------
    notebook : NotebookNode
        A notebook that was run.

    Returns
    -------
    NotebookNode
        The same notebook.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data and "image/png" not in data:
                drawn = {name: part for name, part in data[PLOTLY].items() if name in ("data", "layout")}
                picture = pio.from_json(json.dumps(drawn)).to_image("png", width=WIDTH)
                data["image/png"] = base64.b64encode(picture).decode()
    return notebook


def main(stems: list[str]) -> None:
    """Run and store.

    Parameters
    ----------
    stems : list of str
        First letters of the names of notebooks; none: all.
    """
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if stems and not path.name.startswith(tuple(stems)):
            continue
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=1500, store_widget_state=False, resources=resources).execute()
        nbformat.write(add_pictures(clean(notebook)), ROOT / "docs" / "executed" / path.name)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Run notebooks and store them with their outputs, which the site shows: python docs/execute_notebooks.py 01 04.

Run by hand after a notebook changed; the site itself executes nothing.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
WARNING = re.compile(r"^.*?[^\s:]+\.py:\d+: (\w+Warning: )", re.M)  # the place of a file on this machine
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


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
        nbformat.write(clean(notebook), ROOT / "docs" / "executed" / path.name)


if __name__ == "__main__":
    main(sys.argv[1:])

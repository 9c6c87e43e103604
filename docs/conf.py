"""Sphinx: pages of this folder, the notebooks with their stored outputs, and the API from the docstrings."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import clinicalgru  # noqa: E402

project, author, release = "clinicalgru", "The clinicalgru founders", clinicalgru.__version__
copyright = author
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
html_theme = "pydata_sphinx_theme"
html_title = "clinicalgru"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "navbar_center": [],  # all pages stand on the left
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"**": ["globaltoc.html"]}
html_show_sourcelink = False
html_extra_path: list[str] = []
templates_path = ["_templates"]
exclude_patterns = ["executed/*", "_build", "_templates", "notebooks/*.json"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.xref_ambiguous"]
nitpicky = False

# Notebooks are shown with the outputs that were stored; nothing is run when the site is built.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings
autodoc_inherit_docstrings = True
autodoc_mock_imports: list[str] = []
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

PLOT = (
    '<div id="{name}" style="height:{height}px"></div>'
    '<script>Plotly.newPlot("{name}",{data},{layout},{{displaylogo:false,responsive:true}})</script>'
)
GROUPS = {
    "Data": ("data",),
    "Models": ("model",),
    "Evaluation": ("evaluate",),
    "Explanations": ("explain",),
    "Saving and scoring": ("serve",),
    "Widgets": ("view",),
    "Errors": ("errors",),
}


def write_api(_: Any = None) -> None:
    """Write the list of all public names, by group, from the stub of the package."""
    stub = (ROOT / "clinicalgru" / "__init__.pyi").read_text(encoding="utf-8")
    found = re.findall(r"^from \.(\w+)[\w.]* import (?:\w+) as (\w+)$", stub, re.M)
    names = {name: folder for folder, name in found}
    lines = ["# API reference", "", "Every public name of the package: `import clinicalgru as cg`.", ""]
    known = {folder for folders in GROUPS.values() for folder in folders}
    others = tuple(set(names.values()) - known)
    for group, folders in (GROUPS | {"Checks and others": others}).items():
        own = sorted(name for name, folder in names.items() if folder in folders)
        if own:
            lines += [f"## {group}", "", "```{eval-rst}", ".. autosummary::", "   :toctree: generated", ""]
            lines += [*(f"   clinicalgru.{name}" for name in own), "```", ""]
    _write(HERE / "api.md", "\n".join(lines))


def copy_notebooks(_: Any = None) -> None:
    """Copy the notebooks: the version with stored outputs where there is one. Figures of plotly become HTML."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        stored = HERE / "executed" / path.name
        notebook = json.loads((stored if stored.is_file() else path).read_text(encoding="utf-8"))
        number = 0
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":  # the folder of the notebooks is another one here
                cell["source"] = "".join(cell["source"]).replace("](../docs/", "](../")
            kept = []
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                figure = data.pop("application/vnd.plotly.v1+json", None)
                data.pop("application/vnd.jupyter.widget-view+json", None)
                if figure is not None:
                    number += 1
                    data.pop("image/png", None)
                    data["text/html"] = _plot(f"{path.stem}-{number}", figure)
                if output["output_type"] not in ("display_data", "execute_result") or data:
                    kept.append(output)
            if "outputs" in cell:
                cell["outputs"] = kept
        if number:
            script = "<script src='../_static/plotly.min.js'></script>"
            first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")
            first["source"] = "".join(first["source"]) + f"\n\n{script}"
        _write(target / path.name, json.dumps(notebook))


def _plot(name: str, figure: dict[str, Any]) -> str:
    data, layout = (json.dumps(figure[part]).replace("<", "\\u003c") for part in ("data", "layout"))
    return PLOT.format(name=name, height=figure["layout"].get("height", 420), data=data, layout=layout)


def add_plotly(app: Any, error: Exception | None) -> None:
    """Add the script that draws figures, from the installed package: the site asks no other server."""
    if error is None and app.builder.format == "html":
        from plotly.offline import get_plotlyjs

        (Path(app.outdir) / "_static" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Prepare generated pages.

    Parameters
    ----------
    app : Sphinx
        The application.
    """
    shutil.rmtree(HERE / "notebooks", ignore_errors=True)
    write_api()
    copy_notebooks()
    app.connect("build-finished", add_plotly)

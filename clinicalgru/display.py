"""Figures and pages of results, by name.

Results (`Evaluation`, `Explanation`, ...) stand below `view` and may not import it. Their methods `plot` and `to_html`
call these functions. Only when one of them is called is `clinicalgru.view.registry` loaded, as pandas loads a plotting
backend.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from clinicalgru.errors import ArgumentError

REGISTRY = "clinicalgru.view.registry"


def plot(result: Any, name: str, **options: Any) -> Any:
    """Draw a result.

    Parameters
    ----------
    result : object
        A result of the package.
    name : str
        Which figure; the error for an unknown name lists all.
    **options
        Passed on to the function that draws it.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure.

    Raises
    ------
    ArgumentError
        If the result has no figure of that name.
    """
    known = import_module(REGISTRY).PLOTS.get(type(result).__name__, {})
    if name not in known:
        raise ArgumentError(f"a figure among {', '.join(known) or 'none'}", repr(name), "Choose one of them.")
    return known[name](result, **options)


def to_html(result: Any, path: str | Path, **options: Any) -> Path:
    """Write a result as one offline HTML page.

    Parameters
    ----------
    result : object
        A result of the package.
    path : str or Path
        File to write; its folder is created.
    **options
        Passed on to the function that writes it.

    Returns
    -------
    Path
        The file.
    """
    written: Path = import_module(REGISTRY).PAGES[type(result).__name__](result, path, **options)
    return written

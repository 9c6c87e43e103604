"""Scripts and style sheets that ship with the package."""

from __future__ import annotations

from importlib.resources import files


def read_asset(folder: str, name: str) -> str:
    """Read a text file that ships with the package.

    Parameters
    ----------
    folder : str
        Folder of `clinicalgru.view`, such as "pages".
    name : str
        Name of the file.

    Returns
    -------
    str
        Its content.

    Examples
    --------
    >>> from clinicalgru.view.assets import read_asset
    >>> read_asset("pages", "page.js").startswith('"use strict"')
    True
    """
    return (files("clinicalgru.view") / folder / name).read_text(encoding="utf-8")

"""The packages of the extra `notebook`; where one is missing, the error names the extra."""

from __future__ import annotations

from clinicalgru.errors import MissingPackageError

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise MissingPackageError(
        "ipywidgets and anywidget, which views need",
        f"no package named {error.name}",
        'Run pip install "clinicalgru[notebook]".',
    ) from error

__all__ = ["anywidget", "ipywidgets", "traitlets"]

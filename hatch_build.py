"""Build hook: compiles the native GRU layer where there is a C compiler; without one the wheel is pure Python.

`python hatch_build.py [FOLDER]` compiles it into the source tree, or into a folder.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a program, without hatchling
    BuildHookInterface = object  # type: ignore[assignment, misc]

SOURCE = Path(__file__).parent / "clinicalgru" / "model" / "network" / "scan.c"
OPTIONS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fPIC", "-shared")
LEVELS = {"x86-64-v3": ("-march=x86-64-v3",), "x86-64-v4": ("-march=x86-64-v4", "-mprefer-vector-width=512")}


def compile_scan(folder: Path) -> list[Path]:
    """The libraries that could be compiled: one for each level of x86-64, or one for another processor.

    Parameters
    ----------
    folder : Path
        Where they are written to.

    Returns
    -------
    list of Path
        Empty without a C compiler, and on Windows.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if os.name != "posix" or not compiler or not shutil.which(compiler[0]):
        return []
    machine = platform.machine()
    levels = LEVELS if machine in ("x86_64", "AMD64") else {machine: ()}
    made = {folder / f"scan-{name}.so": flags for name, flags in levels.items()}
    return [path for path, flags in made.items() if _compiled(compiler, flags, path)]


def _compiled(compiler: list[str], flags: tuple[str, ...], path: Path) -> bool:
    checksum = zlib.crc32(SOURCE.read_bytes()) & 0x7FFFFFFF
    draft = path.with_name(f"{path.name}.{os.getpid()}")  # two environments may be installed from one tree at a time
    command = [*compiler, *OPTIONS, *flags, f"-DSOURCE={checksum}", str(SOURCE), "-o", str(draft)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        draft.unlink(missing_ok=True)
        return False
    draft.replace(path)
    return True


class NativeLayer(BuildHookInterface):
    """Adds the libraries to a wheel, which is then one for this platform; an editable install has them in the tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if version == "editable":
            compile_scan(SOURCE.parent)
            return
        self.folder = Path(tempfile.mkdtemp())
        made = compile_scan(self.folder)
        if made:
            build_data["force_include"] |= {str(path): f"clinicalgru/model/network/{path.name}" for path in made}
            build_data["pure_python"], build_data["tag"] = False, f"py3-none-{_platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the compiled files."""
        if version != "editable":
            shutil.rmtree(self.folder)


def _platform() -> str:
    """The platform of the wheel. The libraries need no others, so that any glibc of torch's own floor will do."""
    from packaging.tags import platform_tags

    tags = list(platform_tags())
    oldest = f"manylinux_2_28_{platform.machine()}"
    return oldest if oldest in tags else tags[0]


def get_build_hook() -> type[NativeLayer]:
    """The hook, for hatchling."""
    return NativeLayer


if __name__ == "__main__":
    print(*compile_scan(Path(sys.argv[1]) if sys.argv[1:] else SOURCE.parent), sep="\n")

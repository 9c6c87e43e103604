"""YAML files from anywhere, read so that no file can do more than hold plain values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from clinicalgru.errors import ClinicalGRUError

MAX_BYTES = 10_000_000
MAX_DEPTH = 50
MAX_ALIASES = 50  # each may repeat all that stands before it


OLD_TAGS = (":int", ":float", ":bool", ":merge", ":value")  # resolved as in YAML 1.1, unless replaced below


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with scalars as YAML 1.2 has them (024 is 24; 24:00, yes and no are text).

    Each key occurs once, and one such as 012 or 1e3 is text, as it is written.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (as the library declares it)
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(OLD_TAGS)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
            if key.tag.endswith((":int", ":float")) and str(self.construct_object(key)) != key.value:
                key.tag = "tag:yaml.org,2002:str"  # the code 012 is a name, and not 12
                self.constructed_objects.pop(key, None)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), [*"-+0123456789"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"([-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    [*"-+.0123456789"],
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), [*"tTfF"])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_yaml(path: Path, *, error: type[ClinicalGRUError], max_bytes: int = MAX_BYTES) -> Any:
    """Load a YAML file of plain values.

    Parameters
    ----------
    path : Path
        The file.
    error : type of ClinicalGRUError
        The error to raise.
    max_bytes : int
        Largest size of the file.

    Returns
    -------
    object
        Its content.

    Raises
    ------
    ClinicalGRUError
        If the file is missing, too large or no YAML; is nested too deeply; or a key occurs twice in one mapping.
    """
    fix = 'Look for a tab, a missing colon or unquoted "%", "[" or "{".'
    try:
        if path.stat().st_size > max_bytes:
            raise error("a YAML file", f"more than {max_bytes:,} bytes", "Keep what is needed.", where=path.name)
        text = path.read_text(encoding="utf-8")
        if _is_excessive(text):
            got = f"more than {MAX_DEPTH} levels or {MAX_ALIASES} aliases"
            raise error("YAML of a few levels", got, "Write it plainly.", where=path.name)
        return yaml.load(text, _Loader)
    except OSError:
        raise error("a readable YAML file", f"no such file as {path.name}", "Check the path.") from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"{path.name}, line {mark.line + 1}" if mark else path.name
        if str(problem.problem).endswith(" twice"):
            fix = "Keep one of the two, or rename one."
            raise error("each name once", str(problem.problem), fix, where=where) from None
        raise error("YAML", problem.problem or "another text", fix, where=where) from None
    except UnicodeDecodeError:
        raise error("YAML", "text in another encoding", "Save it as UTF-8.", where=path.name) from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as problem:
        if isinstance(problem, ClinicalGRUError):
            raise
        raise error("YAML", "a value that is not what its tag says", fix, where=path.name) from None


def _is_excessive(text: str) -> bool:
    """Whether a text is nested so deeply, or repeats so much, that building its values may exhaust the process."""
    depth = n_aliases = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        n_aliases += isinstance(event, yaml.AliasEvent)
        if depth > MAX_DEPTH or n_aliases > MAX_ALIASES:
            return True
    return False

"""Sequences in a folder: measurements as memory-mapped columns, identifiers as Arrow text, the rest as JSON."""

from __future__ import annotations

import json
import mmap
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from clinicalgru.atomic_write import flush_to_disk, holds_other_files, replace_folder
from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.data.sequences.layout import RAGGED, STAY_FIELDS
from clinicalgru.data.sequences.memmap import MemoryMaps, mapped_columns, open_columns, read_array
from clinicalgru.data.sequences.ragged import RaggedStays
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, InputError, system_errors

FORMAT = "clinicalgru sequences 2"
ABOUT = "sequences.json"
NAMES = "identifiers.arrow"
GROUP = "group "  # before the names of groups in it
VARIABLE_FIELDS = ("variables", "static_variables")
STAY_FILES = (*RAGGED, "static", "outcome", "end_hours", "index_time")


def write_sequences(
    sequences: RaggedStays,
    folder: str | Path,
    index: np.ndarray | None = None,
    *,
    change: Callable[[Any], Any] = lambda chunk: chunk,
    chunk_size: int | None = None,
) -> Path:
    """Write sequences, chunk by chunk, to a folder that `read_sequences` reads.

    Parameters
    ----------
    sequences : Sequences
        The sequences.
    folder : str or Path
        A new or empty folder, or one with sequences, which are replaced.
    index : ndarray of int, optional
        Positions of the stays to write; all where None.
    change : callable
        What becomes of each chunk before it is written; its stays remain.
    chunk_size : int, optional
        Measurements per chunk, as of `chunks`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArgumentError
        If the folder holds something else.
    """
    groups = sequences.groups if index is None else sequences.groups.iloc[index]
    of_stays: dict[str, list[np.ndarray]] = {name: [] for name in STAY_FIELDS}
    counts: dict[str, list[np.ndarray]] = {name: [] for name in RAGGED}
    with _new_folder(folder) as new:
        with ExitStack() as files:
            columns = [files.enter_context(open_columns(new, dtypes)) for dtypes in RAGGED.values()]
            for chunk in map(change, sequences.chunks(index, size=chunk_size)):
                for entries in columns:
                    entries.add(**{name: getattr(chunk, name) for name in entries.dtypes})
                for name, parts in of_stays.items():
                    parts.append(getattr(chunk, name))
                for name, parts in counts.items():
                    parts.append(np.diff(getattr(chunk, name)))
        by_stay: dict[str, Any] = {name: np.concatenate(parts) for name, parts in of_stays.items()}
        starts: dict[str, Any] = {name: np.cumsum(np.concatenate([[0], *parts])) for name, parts in counts.items()}
        _write_stays(new, by_stay | starts | {GROUP: groups}, chunk)
    return Path(folder)


def _write_stays(folder: Path, arrays: Mapping[str, Any], stays: RaggedStays) -> None:
    """Write everything but the entries of stays."""
    names: dict[str, Any] = {name: arrays[name] for name in ("patient", "stay")}
    names |= {f"{GROUP}{name}": arrays[GROUP][name] for name in arrays[GROUP]}
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in names.items()})
    feather.write_feather(table, str(folder / NAMES), compression="uncompressed")
    for name in STAY_FILES:
        np.save(folder / f"{name}.npy", arrays[name], allow_pickle=False)
    about = {
        "format": FORMAT,
        "variables": [variable.to_dict() for variable in stays.variables],
        "static_variables": [variable.to_dict() for variable in stays.static_variables],
        "code_vocabulary": list(stays.code_vocabulary),
        "task": stays.task.to_dict(),
        "has_dates": stays.has_dates,
        "source": stays.source,
        "simulated": stays.simulated,
        "reading": dict(stays.reading),
        "flow": [[step, count] for step, count in stays.flow],
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sequences(folder: str | Path) -> dict[str, Any]:
    """Read the fields of the sequences in a folder; the entries of stays are memory-mapped.

    Parameters
    ----------
    folder : str or Path
        A folder that `write_sequences` wrote.

    Returns
    -------
    dict of str to object
        The fields of `Sequences`.

    Raises
    ------
    InputError
        If a file is missing, damaged or cut off.
    """
    path = Path(folder)
    about = _about(path)
    names = _identifiers(path / NAMES)
    by_stay = {name: read_array(path / f"{name}.npy") for name in STAY_FILES}
    _check_lengths(by_stay, len(names["stay"]))
    entries: dict[str, Any] = {}
    maps: list[mmap.mmap] = []
    for starts, dtypes in RAGGED.items():
        arrays, own_maps = mapped_columns(path, dtypes, int(by_stay[starts][-1]))
        entries |= arrays
        maps += own_maps
    return names | by_stay | entries | _fields(about) | {"_maps": MemoryMaps(maps)}


def _fields(about: dict[str, Any]) -> dict[str, Any]:
    """The fields that stand in the JSON file."""
    try:
        return {
            **{name: about[name] for name in ("has_dates", "source", "simulated", "reading")},
            **{name: tuple(variable_from_dict(v, where=ABOUT) for v in about[name]) for name in VARIABLE_FIELDS},
            "code_vocabulary": tuple(about["code_vocabulary"]),
            "task": Task.from_dict(about["task"], where=ABOUT),
            "flow": tuple((str(step), int(stays)) for step, stays in about["flow"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(str(error) if isinstance(error, InputError) else "missing fields") from None


def _about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        got = "a damaged file" if (path / ABOUT).is_file() else f"no such file in {path.name}"
        raise _damaged(got) from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _damaged("another format")
    return about


def _damaged(got: str) -> InputError:
    return InputError(f"a {ABOUT} as save() writes it", got, "Save the sequences again.", where=ABOUT)


def _identifiers(path: Path) -> dict[str, Any]:
    try:
        table = feather.read_table(str(path), memory_map=False)
        names = {name: table[name].to_pandas().to_numpy(dtype=object) for name in ("patient", "stay")}
        groups = [name for name in table.schema.names if name.startswith(GROUP)]
        labels = {name.removeprefix(GROUP): table[name].to_pandas().astype(object) for name in groups}
        return names | {"groups": pd.DataFrame(labels, index=range(len(table)))}
    except (OSError, pa.ArrowInvalid, KeyError):
        got = "a damaged file" if path.is_file() else "no such file"
        raise InputError("a table of identifiers", got, "Save the sequences again.", where=path.name) from None


def _check_lengths(arrays: dict[str, np.ndarray], stays: int) -> None:
    for name, array in arrays.items():
        expected = stays + 1 if name in RAGGED else stays
        ascending = name not in RAGGED or (array[0] == 0 and (np.diff(array) >= 0).all())
        if len(array) != expected or not ascending:
            raise InputError(f"{expected:,} rows", f"{len(array):,}", "Save the sequences again.", where=f"{name}.npy")


@contextmanager
def _new_folder(folder: str | Path) -> Iterator[Path]:
    """Open a temporary folder that takes the given name at the end; existing sequences stay whole until then."""
    path = Path(folder)
    with system_errors(path.name):
        if holds_other_files(path, ABOUT):
            got = f"{path.name}, which holds other files"
            raise ArgumentError("a new or empty folder", got, "Choose another folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:50]}-") as scratch:
            new = Path(scratch) / "new"
            new.mkdir(mode=0o700)  # the folder holds patient data
            yield new
            for file in new.iterdir():
                flush_to_disk(file)
            replace_folder(new, path, trash=Path(scratch))  # open maps of the one before keep their content
            flush_to_disk(path.parent)

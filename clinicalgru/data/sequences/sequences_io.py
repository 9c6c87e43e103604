"""Sequences in a folder: facts as memory-mapped columns, identifiers as Arrow text, the rest as readable JSON."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from clinicalgru.data.dictionary.yaml_file import variable_from_dict
from clinicalgru.data.sequences.memmap import Pages, mapped_columns, on_disk, read_array
from clinicalgru.data.sequences.sequences import BLOCK, BY_MEASUREMENT, CODE_DTYPES, MEASUREMENT_DTYPES, Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, InputError

FORMAT = "clinicalgru sequences 1"
ABOUT = "sequences.json"
NAMES = "identifiers.arrow"
OF_STAYS = ("starts", "code_starts", "static", "outcome", "end_hours", "index_time")


def save_sequences(sequences: Sequences, folder: str | Path, which: np.ndarray | None = None) -> Path:
    """Write the sequences, or the stays of them at the positions `which`, block by block; see `Sequences.save`."""
    index = np.arange(len(sequences)) if which is None else np.arange(len(sequences))[which]
    with new_folder(folder) as made:
        with on_disk(made, MEASUREMENT_DTYPES) as facts, on_disk(made, CODE_DTYPES) as codes:
            for block in _blocks(sequences, index):
                facts.add(**{name: getattr(block, name) for name in BY_MEASUREMENT})
                codes.add(code_hours=block.code_hours, code=block.code)
        by_stay: dict[str, Any] = {name: getattr(sequences, name)[index] for name in ("patient", "stay", *OF_STAYS[2:])}
        starts: dict[str, Any] = {name: _starts(getattr(sequences, name), index) for name in ("starts", "code_starts")}
        write_stays(made, replace(sequences, **by_stay, **starts))
    return Path(folder)


def _blocks(sequences: Sequences, index: np.ndarray) -> Iterator[Sequences]:
    """The stays at these positions, a bounded number of facts at a time; none is held longer than its turn."""
    if np.array_equal(index, np.arange(len(sequences))):
        yield from sequences.chunks()
        return
    facts = np.cumsum(sequences.n_measurements[index])
    cuts = np.searchsorted(facts, np.arange(BLOCK, int(facts[-1]) if len(facts) else 0, BLOCK))
    for part in np.split(index, cuts):
        yield sequences[part]


def _starts(starts: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(starts[index + 1] - starts[index])])


def write_stays(folder: Path, stays: Sequences) -> None:
    """Everything but the facts and the coded events, whose columns are there already."""
    names = pa.table({name: pa.array(getattr(stays, name), pa.string()) for name in ("patient", "stay")})
    feather.write_feather(names, str(folder / NAMES), compression="uncompressed")
    for name in OF_STAYS:
        np.save(folder / f"{name}.npy", getattr(stays, name), allow_pickle=False)
    about = {
        "format": FORMAT,
        "variables": [variable.to_dict() for variable in stays.variables],
        "static_variables": [variable.to_dict() for variable in stays.static_variables],
        "code_vocabulary": list(stays.code_vocabulary),
        "task": stays.task.to_dict(),
        "has_dates": stays.has_dates,
        "source": stays.source,
        "simulated": stays.simulated,
        "flow": [[step, count] for step, count in stays.flow],
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def open_sequences(folder: str | Path) -> Sequences:
    """The sequences of a folder; see `Sequences.open`."""
    path = Path(folder)
    about = _about(path)
    names = _identifiers(path / NAMES)
    of_stays = {name: read_array(path / f"{name}.npy") for name in OF_STAYS}
    _check_lengths(of_stays, len(names["stay"]))
    facts, fact_maps = mapped_columns(path, MEASUREMENT_DTYPES, int(of_stays["starts"][-1]))
    codes, code_maps = mapped_columns(path, CODE_DTYPES, int(of_stays["code_starts"][-1]))
    try:
        described = {
            name: tuple(variable_from_dict(one, where=ABOUT) for one in about[name])
            for name in ("variables", "static_variables")
        }
        plain = {name: about[name] for name in ("has_dates", "source", "simulated")}
        vocabulary, task = tuple(about["code_vocabulary"]), Task.from_dict(about["task"], where=ABOUT)
        flow = tuple((str(step), int(stays)) for step, stays in about["flow"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(str(error) if isinstance(error, InputError) else "missing fields") from None
    arrays: dict[str, Any] = {**names, **of_stays, **facts, **codes, **described, **plain}
    return Sequences(task=task, code_vocabulary=vocabulary, flow=flow, _pages=Pages(fact_maps + code_maps), **arrays)


def _about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _damaged(f"none, or a damaged one, in {path.name}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _damaged("another format")
    return about


def _damaged(came: str) -> InputError:
    return InputError(f"a {ABOUT} as save() writes it", came, "Save the sequences again.", where=ABOUT)


def _identifiers(path: Path) -> dict[str, np.ndarray]:
    try:
        table = feather.read_table(str(path), memory_map=False)
        return {name: table[name].to_pandas().to_numpy(dtype=object) for name in ("patient", "stay")}
    except (OSError, pa.ArrowInvalid, KeyError):
        raise InputError("a table of identifiers", "none, or a damaged one", "Save again.", where=path.name) from None


def _check_lengths(of_stays: dict[str, np.ndarray], stays: int) -> None:
    for name, array in of_stays.items():
        expected = stays + 1 if name in ("starts", "code_starts") else stays
        ascending = name not in ("starts", "code_starts") or (array[0] == 0 and (np.diff(array) >= 0).all())
        if len(array) != expected or not ascending:
            raise InputError(f"{expected:,} rows", f"{len(array):,}", "Save the sequences again.", where=f"{name}.npy")


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder to write to that takes the given name once all went well; sequences there before stay whole till then.

    Refused: a folder that holds something else.
    """
    path = Path(folder)
    if path.exists() and not (path / ABOUT).is_file() and (path.is_file() or any(path.iterdir())):
        raise ArgumentError("a new or empty folder", f"{path.name}, which holds other files", "Choose another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield made
        if path.exists():
            shutil.rmtree(path)  # maps of it that are still open keep their content
        made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)

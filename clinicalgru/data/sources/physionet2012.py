"""PhysioNet/CinC Challenge 2012: a folder, .tar.gz or .zip of one text file a stay, with lines Time,Parameter,Value.

Source: Silva et al., Predicting in-hospital mortality of ICU patients, Comput Cardiol 2012;39:245-248.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from clinicalgru.data.sources.intake import Intake
from clinicalgru.data.sources.source import Request, Supplied
from clinicalgru.data.sources.stays import read_outcomes
from clinicalgru.data.sources.tables import Part
from clinicalgru.errors import InputError

HEADER = b"Time,Parameter,Value"
IDENTIFIER = "RecordID"
CLOCK = re.compile(r"\d{2,3}:[0-5]\d")
NOT_MEASURED = (-1.0,)
LARGEST_FILE = 10_000_000  # bytes; a real stay has about 10,000
OUTCOMES = {  # theirs -> ours; SAPS-I and SOFA are scores, not outcomes
    "In-hospital_death": "in_hospital_death",
    "Length_of_stay": "length_of_stay",
    "Survival": "survival_days",
}
CELLS = pacsv.ConvertOptions(
    column_types={"Time": pa.string(), "Parameter": pa.string(), "Value": pa.string()}, strings_can_be_null=False
)


def read(intake: Intake, data: Any, request: Request) -> Supplied:
    """A set as published; `outcomes` is its Outcomes file. Each record is one patient's one stay."""
    part, table = _all_stays(Path(data))
    intake.sql.register(part.sql, table)
    intake.name_identifiers(IDENTIFIER)
    intake.add(part, {}, missing=NOT_MEASURED)
    outcomes = None
    if request.outcomes is not None:
        keys = {"stay_id": IDENTIFIER}
        outcomes = read_outcomes(request.outcomes, columns=keys, renamed=OUTCOMES, missing=NOT_MEASURED)
    return Supplied(outcomes=outcomes, at_start={"weight": "admission_weight"})


def _all_stays(path: Path) -> tuple[Part, pa.Table]:
    """All stays of a set as one relation: c_file, c_row, patient_id, time (hours since admission), variable, value.

    Refused: an archive that cannot be read, a file of another form, a file that holds another stay than its name says.
    """
    names, bodies = [], []
    for name, content in stay_files(path):
        lines = content.splitlines()
        if not lines or lines[0].strip() != HEADER:
            raise InputError(
                HEADER.decode(), "another first line", "Pass the files as published.", where=f"{name}, row 1"
            )
        names.append(name)
        bodies.append(lines[1:])
    if not names:
        raise InputError("text files of stays", f"none in {path.name}", "Pass set-a.tar.gz, a .zip or the folder.")
    table = _parse(names, bodies)
    types = {"patient_id": "VARCHAR", "time": "VARCHAR", "variable": "VARCHAR", "value": "VARCHAR"}
    return Part(path.name, "physionet2012", types, first_row=2, files=tuple(names)), table


def stay_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each stay's file, in order of their names; nothing is unpacked to disk."""
    if path.is_dir():
        for file in sorted(path.glob("*.txt")):
            yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        yield from _zip_files(path)
    elif path.exists():
        yield from _tar_files(path)
    else:
        raise InputError("an existing archive or folder", f"no such path: {path.name}", "Check the path.")


def _zip_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if member.filename.endswith(".txt") and not _too_large(member.file_size, member.filename):
                yield member.filename, archive.read(member)


def _tar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".txt") and not _too_large(member.size, member.name):
                    file = archive.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError):
        raise InputError("a whole .tar.gz or .zip", "a damaged archive", "Fetch it again.", where=path.name) from None


def _too_large(size: int, name: str) -> bool:
    if size > LARGEST_FILE:
        fix = "This is not a stay of the challenge; remove it."
        raise InputError(f"at most {LARGEST_FILE:,} bytes", f"{size:,}", fix, where=PurePosixPath(name).name)
    return False


def _parse(names: list[str], bodies: list[list[bytes]]) -> pa.Table:
    kept = [[line for line in body if line.strip()] for body in bodies]
    rows = np.array([len(body) for body in kept])
    text = HEADER + b"\n" + b"\n".join(line for body in kept for line in body)
    try:
        table = pacsv.read_csv(io.BytesIO(text), convert_options=CELLS)
    except pa.ArrowInvalid:
        raise _broken_row(names, kept) from None
    file = np.repeat(np.arange(len(names)), rows)
    row = np.arange(len(file)) - np.repeat(np.cumsum(rows) - rows, rows) + 2
    records = pa.array([PurePosixPath(name).stem for name in names])
    stay = records.take(pa.array(file))
    _check_records(names, file, stay, table)
    return pa.table(
        {
            "c_file": pa.array(file.astype(np.int32)),
            "c_row": pa.array(row),
            "patient_id": stay,
            "time": _hours(table["Time"]),
            "variable": table["Parameter"],
            "value": table["Value"],
        }
    )


def _hours(clock: pa.ChunkedArray) -> pa.Array:
    """HH:MM since admission as hours; what is not HH:MM stays as it is, to be counted as not readable."""
    encoded = clock.combine_chunks().dictionary_encode()
    hours = [
        f"{int(written[:-3]) + int(written[-2:]) / 60:.17g}" if CLOCK.fullmatch(written) else f"{written}?"
        for written in encoded.dictionary.to_pylist()
    ]
    return pa.array(hours, pa.string()).take(encoded.indices)


def _check_records(names: list[str], file: np.ndarray, stay: pa.Array, table: pa.Table) -> None:
    other = pc.and_(pc.equal(table["Parameter"], IDENTIFIER), pc.not_equal(table["Value"], stay))
    if pc.any(other).as_py():
        name = names[file[pc.index(other, True).as_py()]]
        raise InputError("the RecordID of the file's name", "another one", "Restore the file's name.", where=name)


def _broken_row(names: list[str], bodies: list[list[bytes]]) -> InputError:
    for name, body in zip(names, bodies, strict=True):
        for number, line in enumerate(body, start=2):
            if line.count(b",") != 2 or not re.fullmatch(rb"[ -~]*", line):
                where = f"{name}, row {number}"
                return InputError("three fields: Time,Parameter,Value", "another form", "Repair the row.", where=where)
    return InputError("lines of Time,Parameter,Value", "text that cannot be parsed", "Fetch the set again.")

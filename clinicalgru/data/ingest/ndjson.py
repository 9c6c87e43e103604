"""FHIR resources from bulk-export NDJSON, with errors that name file and line and quote neither."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clinicalgru.data.ingest.compression import check_packed, format_of, open_plain
from clinicalgru.data.ingest.table_files import FolderFiles, one_file
from clinicalgru.data.ingest.tables import ANY_FILE, literal
from clinicalgru.errors import InputError

NDJSON = ".ndjson"
SUFFIXES = tuple(f"{kind}{packed}" for kind in (NDJSON, ".jsonl") for packed in ("", ".gz", ".zst"))
OPTIONS = (
    "format='newline_delimited', auto_detect=false, records=true, ignore_errors=false, "
    f"convert_strings_to_integers=false, {ANY_FILE}"
)
LARGEST = 32 << 20  # bytes of one resource
PACKED_JSON = re.compile(r"\.(nd)?jsonl?\.\w+$", re.IGNORECASE)
AT_LINE = re.compile(r"JSON transform error .* in line (\d+)")


def export_files(inside: FolderFiles) -> tuple[dict[str, list[Path]], int]:
    """Find the NDJSON files of a bulk export, each by the resourceType of its first resource, whatever its name.

    Parameters
    ----------
    inside : FolderFiles
        The files of an export.

    Returns
    -------
    files : dict of str to list of Path
        The files of each type, sorted: Patient.000.ndjson, 1_Patient.ndjson or MimicPatient.ndjson.gz.
    n_other : int
        How many files were left out: hidden, or NDJSON that is empty or without FHIR resources, such as a log.

    Raises
    ------
    InputError
        If a file does not begin with JSON or is packed in another way.
    """
    shown = [file for file in inside.files if file.name.lower().endswith(SUFFIXES)]
    for file in inside.files:
        if not file.name.lower().endswith((".gz", ".zst")) and PACKED_JSON.search(file.name):
            fix = "Unpack it, or export it again."
            raise InputError("JSON, plain or as .gz or .zst", "another form of it", fix, where=file.name)
    files: dict[str, list[Path]] = {}
    for file in shown:
        kind = _first_type(file)
        if kind is not None:
            files.setdefault(kind, []).append(file)
    return files, len(shown) + sum(inside.notes.values()) - sum(map(len, files.values()))


def _first_type(file: Path) -> str | None:
    """The resourceType of a file's first resource; None where it has none."""
    try:
        with open_plain(file) as lines:
            first = next((line for line in iter(lambda: lines.readline(LARGEST + 1), b"") if line.strip()), None)
    except InputError:
        named = re.search(r"(?<![A-Za-z])[A-Z][A-Za-z]+", file.name)  # its type by its name: reported when it is read
        return named[0] if named else None
    if first is None:
        return None
    try:
        resource = json.loads(first)
    except (ValueError, RecursionError):  # a resource that is broken, if it names its type: it is reported when read
        typed = re.search(rb'"resourceType"\s*:\s*"([A-Za-z]+)"', first)
        resource = {"resourceType": typed[1].decode()} if typed else None
    if not isinstance(resource, dict):
        fix = "Take it out of the folder, export it again, or repair this line."
        raise InputError("one FHIR resource as JSON in each line", "a line that cannot be parsed", fix, where=file.name)
    kind = resource.get("resourceType")
    return kind if isinstance(kind, str) else None


def resources_sql(file: Path, columns: dict[str, str]) -> str:
    """Write SQL of the resources of a file; only the requested fields are parsed.

    Parameters
    ----------
    file : Path
        The NDJSON file, plain or compressed by gzip or zstd.
    columns : dict of str to str
        Field -> DuckDB type that it is read as.

    Returns
    -------
    str
        A subquery of these fields and c_row, the number of the resource; blank lines do not count.

    Raises
    ------
    InputError
        If a compressed file is damaged or cut off, or is compressed in another way.
    """
    codec = format_of(file)
    if codec not in ("none", "gzip", "zstd"):
        raise InputError("NDJSON, plain or as .gz or .zst", f"a {codec} file", "Unpack it.", where=file.name)
    check_packed(file)
    fields = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    options = f"{OPTIONS}, maximum_object_size={LARGEST}, compression={literal(codec)}, columns={{{fields}}}"
    return f"(SELECT *, row_number() OVER () AS c_row FROM read_json({one_file(file)}, {options}))"


def check_kind(connection: duckdb.DuckDBPyConnection, table: str, file: Path, kind: str) -> None:
    """Refuse a file that holds other resources too.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that has the table.
    table : str
        Table of the file's resources, with columns c_row and kind.
    file : Path
        The file, for the message.
    kind : str
        Type of resource that it must hold.

    Raises
    ------
    InputError
        If a resource is of another type.
    """
    other = f"SELECT min(c_row) FROM {table} WHERE kind IS DISTINCT FROM {literal(kind)}"
    row = connection.execute(other).fetchall()[0][0]
    if row is not None:
        got = "a resource of another type"
        raise InputError(f"resources of the type {kind} only", got, "Export it again.", where=f"{file.name}, row {row}")


@contextmanager
def json_errors(file: Path) -> Iterator[None]:
    """Raise DuckDB's errors, which quote the line, as ours, which name it.

    Parameters
    ----------
    file : Path
        The file that is read.

    Yields
    ------
    None
        Nothing; the block reads the file.

    Raises
    ------
    InputError
        If memory does not suffice, or the file is truncated or has a line that cannot be parsed.
    """
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise _as_ours(str(error), file) from None


def _as_ours(message: str, file: Path) -> InputError:
    if "Out of Memory" in message or "could not allocate" in message:
        return InputError("enough memory", "more than allowed", "Raise memory_gb or free disk space.", where=file.name)
    odd = AT_LINE.search(message)
    try:
        line = _broken_line(file, int(odd[1]) if odd else None)
    except InputError as damaged:
        return damaged
    where = f"{file.name}, line {line}" if line else file.name
    expected = "a field of the type that FHIR gives it" if odd else "one whole FHIR resource as JSON in UTF-8"
    return InputError(expected, "a line that cannot be parsed", "Export it again, or repair this line.", where=where)


def _broken_line(file: Path, record: int | None) -> int | None:
    """The number of the line that holds this record; without a number, of the first that is no JSON object.

    Only files that could not be read come here: DuckDB counts lines otherwise than an editor does.
    """
    records = 0
    with open_plain(file) as lines:
        for number, line in enumerate(iter(lambda: lines.readline(LARGEST + 1), b""), start=1):
            records += bool(line.strip())
            if (record is None and not _is_object(line)) or (record is not None and records == record):
                return number
    return None


def _is_object(line: bytes) -> bool:
    try:
        return not line.strip() or (len(line) <= LARGEST and isinstance(json.loads(line.decode("utf-8")), dict))
    except (ValueError, RecursionError):
        return False

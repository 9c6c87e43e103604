"""FHIR resources from JSON files: Bundles, as Synthea and servers write them, and single resources."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import duckdb

from clinicalgru.data.ingest.compression import format_of, open_plain, plain_chunks
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.ndjson import NDJSON, export_files
from clinicalgru.data.ingest.table_files import FolderFiles, folder_files, one_file
from clinicalgru.data.ingest.tables import ANY_FILE, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.fhir.coded_events import RESOURCES
from clinicalgru.errors import InputError

NEEDED = ("Patient", "Encounter", "Observation")
KINDS = (*NEEDED, *RESOURCES, "Medication", "Location")
SUFFIXES = (".json", ".json.gz", ".json.zst")
LARGEST = 512 << 20  # bytes of one Bundle
SEPARATOR = "\x01"  # JSON text has none
SAME = "resource, CASE WHEN json_extract(resource, '$.id') IS NULL THEN c_row END"  # without an id each is its own
RESOURCE = "entry->'resource'"
ID_IN_URL = "regexp_extract(entry->>'fullUrl', '([A-Za-z0-9.-]+)$', 1)"
NAMED = f"""CASE WHEN (entry->>'fullUrl') LIKE 'urn:%' AND ({RESOURCE}->>'id') IS DISTINCT FROM {ID_IN_URL}
    THEN json_merge_patch({RESOURCE}, json_object('id', {ID_IN_URL})) ELSE {RESOURCE} END"""
ENTRIES = (
    "CASE WHEN json->>'resourceType' = 'Bundle' THEN (json->'entry')::JSON[] ELSE [json_object('resource', json)] END"
)


def resource_files(workspace: Workspace, path: Path) -> tuple[dict[str, list[Path]], int]:
    """Find the resources of an export, each type in NDJSON files of its own; Bundles are divided into such files.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; its temporary folder holds what Bundles are divided into.
    path : Path
        Folder of NDJSON or JSON files, or one such file.

    Returns
    -------
    files : dict of str to list of Path
        The files of each type.
    n_other : int
        How many files were left out: hidden, empty, or without FHIR resources, such as a log.

    Raises
    ------
    InputError
        If there is no such path, a type that is needed is missing, or a file cannot be parsed.

    Notes
    -----
    A resource of a Bundle is known to the others by its `fullUrl` where that is a URN, as in a transaction, else by its
    id. The same resource in several Bundles, as on the pages of a search, counts once.

    References
    ----------
    HL7 FHIR R4, Resource Bundle, https://hl7.org/fhir/R4/bundle.html
    """
    inside = folder_files(path) if path.is_dir() else FolderFiles([path] if path.is_file() else [])
    files, n_other = export_files(inside)
    bundles = [file for file in inside.files if file.name.lower().endswith(SUFFIXES)]
    n_other += _read(workspace, bundles)
    for kind, divided in _divided(workspace, Path(workspace.folder.name)):
        files.setdefault(kind, []).append(divided)
    for kind in NEEDED:
        if kind not in files:
            got = f"{path.name} without it" if path.exists() else f"no such path: {path.name}"
            fix = "Pass the folder of a bulk export or of Bundles: Patient, Encounter, Observation."
            raise InputError(f"resources of the type {kind}, as NDJSON or in Bundles", got, fix)
    return files, n_other


def _read(workspace: Workspace, files: Iterable[Path]) -> int:
    """Put the resources of JSON files into the table fhir_resources; give how many files have none."""
    workspace.sql.execute("CREATE TABLE fhir_resources (c_row BIGINT, kind VARCHAR, resource VARCHAR)")
    n_other = 0
    for number, file in enumerate(files):
        before = _n_rows(workspace)
        with duckdb_errors(file.name):
            try:
                workspace.sql.execute(f"INSERT INTO fhir_resources {_resources(file, number)}")
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                raise _cannot_be_parsed(file) from None
        n_other += before == _n_rows(workspace)
    return n_other


def _n_rows(workspace: Workspace) -> int:
    return int(workspace.sql.execute("SELECT count(*) FROM fhir_resources").fetchall()[0][0])


def _resources(file: Path, number: int) -> str:
    """SQL of the resources of a file: their order, type and text."""
    codec, size = format_of(file), sum(map(len, plain_chunks(file)))
    if codec not in ("none", "gzip", "zstd"):
        raise InputError("JSON, plain or as .gz or .zst", f"a {codec} file", "Unpack it.", where=file.name)
    if size > LARGEST:
        fix = "Divide it, or export NDJSON."
        raise InputError(f"Bundles of at most {LARGEST >> 20} MiB", f"{size >> 20} MiB", fix, where=file.name)
    options = f"format='unstructured', maximum_object_size={size + 1024}, compression={literal(codec)}, {ANY_FILE}"
    entries = f"SELECT unnest({ENTRIES}) AS entry FROM read_json_objects({one_file(file)}, {options})"
    rows = f"SELECT {RESOURCE}->>'resourceType' AS kind, {NAMED} AS resource FROM ({entries})"
    order, kinds = f"({number}::BIGINT << 32) + row_number() OVER ()", ", ".join(map(literal, KINDS))
    return f"SELECT {order}, kind, json(resource)::VARCHAR FROM ({rows}) WHERE kind IN ({kinds})"


def _divided(workspace: Workspace, folder: Path) -> Iterable[tuple[str, Path]]:
    """Write the resources of each type as NDJSON, in the order of the files."""
    kinds = workspace.sql.execute("SELECT DISTINCT kind FROM fhir_resources ORDER BY kind").fetchall()
    form = f"FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER {literal(SEPARATOR)}"
    for (kind,) in kinds:
        path = folder / f"{kind} in Bundles{NDJSON}"
        once = f"SELECT resource, min(c_row) AS c_row FROM fhir_resources WHERE kind = {literal(kind)} GROUP BY {SAME}"
        with duckdb_errors("Bundles"):
            workspace.sql.execute(
                f"COPY (SELECT resource FROM ({once}) ORDER BY c_row) TO {literal(str(path))} ({form})"
            )
        yield kind, path
    workspace.sql.execute("DROP TABLE fhir_resources")


def _cannot_be_parsed(file: Path) -> InputError:
    """The error of a file that is no such JSON, with its line where there is one; DuckDB's quotes its text."""
    where = file.name
    try:
        with open_plain(file) as text:
            json.load(text)
    except json.JSONDecodeError as error:
        where = f"{file.name}, line {error.lineno}"
    except (ValueError, RecursionError):  # of bytes that are no UTF-8, or nested too deeply
        pass
    expected, fix = "FHIR Bundles or resources as JSON in UTF-8", "Export it again, or take it out of the folder."
    return InputError(expected, "text that cannot be parsed so", fix, where=where)

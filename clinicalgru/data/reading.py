"""How an extract was read: the arguments of `read_events` that a bundle keeps, and a YAML file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.data.events import Events
from clinicalgru.data.ingest.column_names import OUTCOMES, STAYS, OptionalColumns, columns_of, match_columns, normalize
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.errors import InputError

KEPT = (
    "names",
    "time_format",
    "time_unit",
    "units",
    "detection_limits",
    "units_in_values",
    "flags_in_values",
    "row_filter",
    "delimiter",
    "encoding",
    "decimal",
    "anchor",
    "timezone",
)
PATHS = ("stays", "outcomes", "variables")
LIMITS = ("max_rejected", "allow", "memory_gb", "query")
MAPPED = ("source", "columns", "outcomes_columns", "missing", "vocabulary", "event_codes")
LISTS = ("data_tables", "group_columns")
ARGUMENTS = (*MAPPED, *LISTS, *KEPT, *PATHS, *LIMITS)
TABLES, STATIC, ENDS = "tables", "static_variables", "with_ends"  # what a record says besides arguments
MAX_YAML_BYTES = 1_000_000


def recorded(options: ReadOptions, source: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a read as plain values, for a manifest; no path, and nothing of a patient.

    Parameters
    ----------
    options : ReadOptions
        The arguments.
    source : str
        The source.
    columns : mapping of str to collection of str
        Each table that was read, as "data", "stays" or "outcomes" -> its columns.

    Returns
    -------
    dict
        Arguments of `read_events` that differ from their defaults; `tables`: which tables were given; and `with_ends`:
        whether ends of stays are among their columns.
    """
    record: dict[str, Any] = {"source": source}
    defaults = ReadOptions(dictionary=options.dictionary)
    for name in KEPT:
        if getattr(options, name) != getattr(defaults, name):
            value = getattr(options, name)
            record[name] = dict(value) if isinstance(value, Mapping) else value
    if options.missing.everywhere or options.missing.by_name:
        by_name = {name: list(values) for name, values in options.missing.by_name.items()}
        record["missing"] = by_name or list(options.missing.everywhere)
    if options.vocabulary:
        record["vocabulary"] = list(options.vocabulary)
    if options.event_codes:
        record["event_codes"] = {event: list(codes) for event, codes in options.event_codes.items()}
    if options.data_tables:
        record["data_tables"] = [table.plain for table in options.data_tables]
    if options.outcomes_columns is not None:
        record["outcomes_columns"] = list(options.outcomes_columns)
    renamed = {table: _those_of(columns_of(options.columns, table), names) for table, names in columns.items()}
    if any(renamed.values()):
        record["columns"] = {table: names for table, names in renamed.items() if names}
    names = {normalize(name) for name in match_columns(columns.get(STAYS, ()), columns_of(options.columns, STAYS))}
    return record | {TABLES: sorted(columns), ENDS: has_own_stays(source) or "end" in names}


def has_own_stays(source: str) -> bool:
    """Whether a source brings its own stays; in the others a stay is what a table of stays, or a row, names.

    Parameters
    ----------
    source : str
        The source.

    Returns
    -------
    bool
        True for databases of several tables, such as "mimic-iv" or "omop".

    Examples
    --------
    >>> has_own_stays("omop"), has_own_stays("long")
    (True, False)
    """
    return source not in ("long", "wide", "yaib", "sql", "physionet2012", "physionet2019")


def _those_of(columns: Mapping[str, str], have: Any) -> dict[str, str]:
    """The entries of a mapping whose column a table has."""
    folded = {normalize(name) for name in have}
    return {ours: theirs for ours, theirs in columns.items() if normalize(theirs) in folded}


def arguments_like(
    record: Mapping[str, Any], given: Mapping[str, Any], *, accept_differences: bool = False
) -> dict[str, Any]:
    """Return the arguments that read a new extract as an earlier one was read.

    Parameters
    ----------
    record : mapping
        How the earlier extract was read, as `Events.reading` holds it.
    given : mapping
        Arguments of `read_events` that are given for the new one; they go before those of the record.
    accept_differences : bool
        Whether the tables may lack columns that the record names.

    Returns
    -------
    dict
        Arguments of `read_events`.

    Notes
    -----
    Where another source is given, nothing of the record is used. What speaks of the stays or outcomes table is used
    only where such a table is given.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("source", record.get("source", "long")) != record.get("source", "long"):
        return given
    arguments = {name: value for name, value in record.items() if name in ARGUMENTS}
    arguments |= given
    if "columns" in record and "columns" not in given:
        absent = {table for table in (STAYS, OUTCOMES) if given.get(table) is None}
        kind = OptionalColumns if accept_differences else dict
        arguments["columns"] = {table: kind(names) for table, names in record["columns"].items() if table not in absent}
    if given.get(OUTCOMES) is None:
        arguments.pop("outcomes_columns", None)
        if "units" in record and "units" not in given:
            variables = given.get("variables")
            known = variables if isinstance(variables, Dictionary) else Dictionary.load()
            arguments["units"] = {name: unit for name, unit in record["units"].items() if name in known}
    return arguments


def check_same_tables(record: Mapping[str, Any], events: Events) -> None:
    """Raise where a model was trained with ends of stays or static variables, and a new extract has no column of them.

    Parameters
    ----------
    record : mapping
        How the training extract was read.
    events : Events
        The new extract.

    Raises
    ------
    InputError
        If the new extract lacks the ends of stays, or all static variables, that the training extract had.
    """
    fix = "Pass the table of the stays with stays= (--stays), or accept_differences=True (--accept-differences)."
    if record.get(ENDS) and not events.reading.get(ENDS) and events.stays["end"].isna().all():
        got = "an extract without them: a stay that has ended would be taken for one that has not"
        raise InputError("ends of stays, as in training", got, fix, where=STAYS)
    trained = list(record.get(STATIC, ()))
    if STAYS in record.get(TABLES, ()) and trained and not any(name in events.stays for name in trained):
        got = "an extract without any of them"
        raise InputError(f"static variables, as in training ({', '.join(trained)})", got, fix, where=STAYS)


def load_reading(path: str | Path) -> dict[str, Any]:
    """Load the description of an extract: a YAML file with arguments of `read_events`.

    Parameters
    ----------
    path : str or Path
        The file. Paths in it (stays, outcomes, variables, names) are relative to its folder.

    Returns
    -------
    dict
        Arguments of `read_events`.

    Raises
    ------
    InputError
        If the file cannot be read, is no mapping, or has another key.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from clinicalgru.data.reading import load_reading
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "extract.yaml"
    ...     _ = path.write_text("time_unit: minutes\\ncolumns: {patient_id: MRN}\\n")
    ...     load_reading(path)
    {'time_unit': 'minutes', 'columns': {'patient_id': 'MRN'}}
    """
    path = Path(path)
    expected, fix = "a YAML file of arguments of read_events", f"Use the keys {', '.join(ARGUMENTS)}."
    content = load_yaml(path, error=InputError, max_bytes=MAX_YAML_BYTES)
    if not isinstance(content, Mapping):
        raise InputError(expected, "another kind of YAML", fix, where=path.name)
    content = {name: value for name, value in content.items() if name not in (TABLES, STATIC, ENDS)}
    unknown = [str(name) for name in content if name not in ARGUMENTS]
    if unknown:
        raise InputError(expected, f"the key {unknown[0]}", fix, where=path.name)
    return {
        name: path.parent / value if name in (*PATHS, "names", "data_tables") and isinstance(value, str) else value
        for name, value in content.items()
    }

"""The tables of events of MIMIC-IV: where they are, which columns they need, and SQL of their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clinicalgru.data.ingest.detection_limit_sql import limit_sql
from clinicalgru.data.ingest.tables import TablePart, quoted
from clinicalgru.data.sources.hospital_stays import icd_sql
from clinicalgru.errors import InputError

OWN_STAY = {"icu": "r.stay_id", "hospital": "r.hadm_id"}  # of the ICU's tables, which have both
BY_TIME = {"icu": "NULL::VARCHAR", "hospital": "r.hadm_id"}
OF_ADMISSION = {"icu": "a.last_icu", "hospital": "r.hadm_id"}
ADMISSION = "LEFT JOIN mimic_admissions a ON a.hadm = CAST(r.hadm_id AS VARCHAR)"
CHARTED = "TRY_CAST(r.chartdate AS TIMESTAMP)"
END_OF_CHARTED = f"date_trunc('day', {CHARTED}) + INTERVAL '86399.999999 seconds'"  # without a discharge
WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
ROUNDED = ("FLOAT", "DOUBLE")
ICD_DIGITS = 3  # the fewest digits of an ICD-9 code, of diagnoses and of procedures
ITEM = "LEFT JOIN mimic_items i ON i.itemid = CAST(r.itemid AS VARCHAR)"


@dataclass(frozen=True)
class Table:
    """One table of events: where it is, and SQL of the stay, time, value and meaning of a row.

    Attributes
    ----------
    path : str
        Path in the folder, without its ending.
    stay : dict of str to str
        SQL of the stay, by anchor.
    needs : tuple of str
        Columns that the table must have.
    optional : tuple of str
        Further columns; without one its cells are unknown, which the ledger's notes say.
    time : str
        SQL of the time of the event.
    stored : str
        SQL of when it was stored.
    variable, value, unit, code : str
        SQL of these.
    tail : str
        SQL of the tables it is joined with.
    is_duplicate_source : bool
        Whether its rows may be copies of rows of another table.
    """

    path: str
    stay: dict[str, str]
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    time: str
    stored: str
    variable: str = "r.itemid"
    value: str = "NULL::VARCHAR"
    unit: str = "NULL::VARCHAR"
    code: str = "NULL::VARCHAR"
    tail: str = ""
    is_duplicate_source: bool = False

    def select(self, anchor: str) -> str:
        """Return SQL of the intake's columns.

        Parameters
        ----------
        anchor : str
            "icu" or "hospital".

        Returns
        -------
        str
            SQL of the columns, separated by commas.
        """
        return (
            f"r.subject_id AS patient_id, {self.stay[anchor]} AS stay_id, {self.time} AS time, "
            f"{self.stored} AS available_at, {self.variable} AS variable, "
            f"{self.value} AS value, {self.unit} AS unit, {self.code} AS code"
        )

    def with_limits(self) -> Table:
        """Return the table with limits of detection, which stand in `value` or in the comment, as values.

        Returns
        -------
        Table
            Itself where it has no limits of detection.
        """
        if self.value != "r.valuenum":
            return self
        texts = ", ".join(limit_sql(f"r.{name}") for name in TEXTS)
        value = f"coalesce(CAST(r.valuenum AS VARCHAR), {texts})"
        return replace(self, value=value, optional=(*self.optional, *TEXTS))


TEXTS = ("value", "comments")


def _measured(path: str, stay: dict[str, str], value: str, *, is_duplicate_source: bool = False) -> Table:
    optional = ("hadm_id", "stay_id", "valueuom")
    return Table(
        path,
        stay,
        ("subject_id", "itemid", "charttime", "storetime", value),
        tuple(name for name in optional if name != "stay_id" or stay is OWN_STAY),
        "r.charttime",
        "r.storetime",
        value=f"r.{value}",
        unit="r.valueuom",
        is_duplicate_source=is_duplicate_source,
    )


def _item(path: str, variable: str) -> Table:
    needs, optional = ("subject_id", "itemid", "starttime", "storetime"), ("hadm_id", "stay_id")
    code = "coalesce(i.label, CAST(r.itemid AS VARCHAR))"
    return Table(
        path, OWN_STAY, needs, optional, "r.starttime", "r.storetime", variable=f"'{variable}'", code=code, tail=ITEM
    )


def _icd(path: str, variable: str, time: str, known: str, *needs: str) -> Table:
    """Codes for billing: written after the discharge, so known at the discharge only."""
    version = "regexp_replace(trim(CAST(r.icd_version AS VARCHAR)), '\\.0+$', '')"
    code = icd_sql(version, "trim(CAST(r.icd_code AS VARCHAR))", procedure=variable == "procedure")
    needs = ("subject_id", "hadm_id", "icd_code", "icd_version", *needs)
    return Table(path, OF_ADMISSION, needs, (), time, known, variable=f"'{variable}'", code=code, tail=ADMISSION)


TABLES = (
    _measured("hosp/labevents", BY_TIME, "valuenum"),
    _measured("icu/chartevents", OWN_STAY, "valuenum", is_duplicate_source=True),
    _measured("icu/outputevents", OWN_STAY, "value"),
    _item("icu/inputevents", "drug"),
    _item("icu/procedureevents", "procedure"),
    _icd("hosp/diagnoses_icd", "diagnosis", "a.discharge", "a.discharge"),
    _icd("hosp/procedures_icd", "procedure", CHARTED, f"coalesce(a.discharge, {END_OF_CHARTED})", "chartdate"),
)


def check_columns(needs: tuple[str, ...], have: list[str], where: str) -> None:
    """Raise where a table lacks columns that it must have.

    Parameters
    ----------
    needs : tuple of str
        The columns.
    have : list of str
        The columns of the table; letter case is ignored.
    where : str
        Name of the file, for the message.

    Raises
    ------
    InputError
        If a column is missing; the message names it.
    """
    folded = {name.casefold() for name in have}
    missing = [name for name in needs if name not in folded]
    if missing:
        fix = "Pass the tables of MIMIC-IV 1.0 or later as published."
        got = f"a table of {len(have)} columns without them"
        raise InputError(f"the columns {', '.join(missing)}", got, fix, where=where)


def usable_part(part: TablePart, table: Table) -> tuple[TablePart, dict[str, str]]:
    """Check the columns of a table, and add the optional ones that it lacks, without values.

    Parameters
    ----------
    part : TablePart
        The file.
    table : Table
        What is read of it.

    Returns
    -------
    part : TablePart
        The file, with all columns of the table.
    remarks : dict of str to str
        What the ledger should say of the file, with SQL that counts the rows it holds for.

    Raises
    ------
    InputError
        If a needed column is missing, or identifiers are floating point.

    Notes
    -----
    Codes of the ICD as whole numbers have lost their leading zeros. They are filled up to three digits, the fewest that
    a code has; a longer code that began with a zero cannot be distinguished from another, which the ledger says.
    """
    check_columns(table.needs, list(part.types), part.label)
    names = {name.casefold(): name for name in part.types}
    types = {name.casefold(): dtype for name, dtype in part.types.items()}
    rounded = [name for name in ("subject_id", "hadm_id", "stay_id", "itemid") if types.get(name) in ROUNDED]
    if rounded:
        fix = "Write it as whole numbers or text."
        raise InputError(f"{rounded[0]} as whole numbers or text", "floating point", fix, where=part.label)
    absent = [name for name in table.optional if name not in names]
    columns = [f"NULL::VARCHAR AS {name}" for name in absent]
    remarks = {f"rows of {table.path} without a column {name}": "true" for name in absent}
    select = "*"
    if types.get("icd_code", "").startswith((*WHOLE_NUMBERS, *ROUNDED)):
        code = quoted(names["icd_code"])
        select = f"* REPLACE (format('{{:0{ICD_DIGITS}d}}', TRY_CAST({code} AS BIGINT)) AS {code})"
        remarks[f"codes of {table.path} as numbers, whose leading zeros are lost"] = f"{code} IS NOT NULL"
    if not remarks:
        return part, {}
    sql = f"(SELECT {', '.join([select, *columns])} FROM {part.sql})"
    return replace(part, sql=sql, types=part.types | dict.fromkeys(absent, "VARCHAR")), remarks

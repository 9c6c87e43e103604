"""The reading of long rows with our checks, as a skilled user of pandas or polars would write them by hand.

Both do the job of `ingest.py` and look for what `read_events` looks for: identifiers that are blank or damaged, words
for missing values, numbers and times that cannot be read, unknown variables and units, implausible values, dates that
stand for "unknown", columns of midnights, exact repeats. They count the rejected rows by reason and variable with the
place of the first, the converted rows by unit, and the merged rows, and stop where these do not add up.

They leave out what few rows need and costs little: two kinds of header, exchanged day and month, UTC offsets,
available_at, codes, static variables, stays tables, and the checks of bytes that find a damaged file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING_WORDS = ["", "na", "n/a", "nan", "null", "none", ".", "<na>"]
DAMAGED = r"[\x00-\x1f\x7f\"]"
LONGEST = 200  # letters of an identifier
YEARS = (1901, 2249)
KEYS = ["patient_id", "stay_id", "time", "variable"]
TEXTS = ("patient_id", "stay_id", "variable", "unit")
REASONS = (
    "damaged identifier", "no identifier", "no variable", "missing value", "no time", "time not readable",
    "value is not a number", "sentinel date", "unknown variable", "unknown unit", "implausible",
)  # fmt: skip
Meaning = Sequence[tuple[str, str, float, float, float, float]]  # variable, unit, offset, factor, low, high
NAMES = ["variable", "unit", "offset", "factor", "low", "high"]


def by_pandas(path: str, meaning: Meaning) -> tuple[int, float]:
    """Read, check and count in pandas.

    Parameters
    ----------
    path : str
        The extract.
    meaning : sequence of tuple
        The dictionary's variables, units, conversions and ranges.

    Returns
    -------
    n_measurements : int
        Measurements of the first 48 hours.
    total : float
        The sum of their values.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    if path.endswith(".parquet"):
        rows = pq.read_table(path, page_checksum_verification=True).to_pandas()
    else:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in TEXTS:
        rows[name] = rows[name].str.strip().astype("category")  # each text once
    time = (
        rows["time"]
        if rows["time"].dtype.kind == "M"
        else pd.to_datetime(rows["time"], format="ISO8601", errors="coerce")
    )
    number = pd.to_numeric(rows["value"], errors="coerce")
    number = number.where(np.isfinite(number))
    known = pd.DataFrame(list(meaning), columns=NAMES)
    is_variable = rows["variable"].isin(known["variable"])
    rows = rows.assign(written=rows["time"], time=time, text=rows["value"], value=number)
    categories = rows[["variable", "unit"]].merge(known, on=["variable", "unit"], how="left")
    value = (rows["value"] + categories["offset"]) * categories["factor"]
    identifiers = [rows["patient_id"], rows["stay_id"]]
    is_damaged = np.logical_or.reduce(
        [
            _of_categories(each, lambda text: text.str.contains(DAMAGED) | (text.str.len() > LONGEST))
            for each in identifiers
        ]
    )
    is_blank = np.logical_or.reduce([_of_categories(each, lambda text: text == "") for each in identifiers])
    is_missing = (
        rows["value"].isna() & (rows["text"].isna() | rows["text"].astype(str).str.lower().isin(MISSING_WORDS))
        if rows["value"].isna().any()
        else np.zeros(len(rows), bool)
    )
    no_time = rows["time"].isna()
    tests = [
        is_damaged, is_blank, rows["variable"].isin([""]) | rows["variable"].isna(), is_missing,
        no_time & (rows["written"].isna() | rows["written"].isin([""])), no_time, rows["value"].isna(),
        ~rows["time"].dt.year.between(*YEARS), ~is_variable, categories["factor"].isna(),
        ~value.between(categories["low"], categories["high"]),
    ]  # fmt: skip
    reason = pd.Categorical.from_codes(np.select(tests, range(len(REASONS)), -1), REASONS)
    rows = rows.assign(value=value, reason=reason, row=np.arange(len(rows)))
    rejected = rows[rows["reason"].notna()]
    findings = rejected.groupby(["reason", "variable"], observed=True).agg(rows=("row", "size"), first=("row", "min"))
    is_used = rows["reason"].isna()
    is_converted = is_used & ((categories["factor"] != 1) | (categories["offset"] != 0))
    converted = rows[is_converted].groupby(["variable", "unit"], observed=True).size()
    assert converted.sum() == is_converted.sum()
    used = rows.loc[is_used, [*KEYS, "value"]]
    assert not (used["time"] == used["time"].dt.normalize()).all(), "a column of dates"
    distinct = used.drop_duplicates()
    merged = distinct.groupby(KEYS, observed=True)["value"].mean().reset_index()
    n_merged = len(used) - len(merged)
    assert len(rows) == len(merged) + n_merged + findings["rows"].sum()
    first = merged.groupby("stay_id", observed=True)["time"].transform("min")
    merged = merged[(merged["time"] - first).dt.total_seconds() / 3600 <= 48]
    return len(merged), float(merged["value"].sum())


def _of_categories(column: Any, test: Any) -> np.ndarray:
    """A test of text, made once for each different text."""
    return np.append(test(column.cat.categories.to_series()).to_numpy(dtype=bool), True)[column.cat.codes]


def by_polars(path: str, meaning: Meaning) -> tuple[int, float]:
    """Read, check and count in polars, by its lazy and streaming engine.

    Parameters
    ----------
    path : str
        The extract.
    meaning : sequence of tuple
        The dictionary's variables, units, conversions and ranges.

    Returns
    -------
    n_measurements : int
        Measurements of the first 48 hours.
    total : float
        The sum of their values.
    """
    import polars as pl

    is_parquet = path.endswith(".parquet")
    rows = pl.scan_parquet(path) if is_parquet else pl.scan_csv(path, infer_schema=False, empty_string_is_null=False)
    known = pl.LazyFrame(list(meaning), schema=NAMES, orient="row")
    variables = known.select("variable").unique().with_columns(is_variable=True)
    text, written = pl.col("value").cast(pl.String).str.strip_chars(), pl.col("time").cast(pl.String).str.strip_chars()
    time = pl.col("time") if is_parquet else pl.col("time").str.strip_chars().str.to_datetime(strict=False)
    number = text.cast(pl.Float64, strict=False) if not is_parquet else pl.col("value")
    no_text = pl.col("text").is_null() | pl.col("text").str.to_lowercase().is_in(MISSING_WORDS)
    damaged = [pl.col(each).str.contains(DAMAGED) | (pl.col(each).str.len_chars() > LONGEST) for each in TEXTS[:2]]
    blank = [pl.col(each).is_null() | (pl.col(each) == "") for each in TEXTS[:2]]
    tests = [
        pl.any_horizontal(damaged), pl.any_horizontal(blank), pl.col("variable").is_null() | (pl.col("variable") == ""),
        pl.col("value").is_null() & no_text, pl.col("time").is_null() & (pl.col("written").fill_null("") == ""),
        pl.col("time").is_null(), pl.col("value").is_null(), ~pl.col("time").dt.year().is_between(*YEARS),
        pl.col("is_variable").is_null(), pl.col("factor").is_null(),
        ~pl.col("converted").is_between(pl.col("low"), pl.col("high")),
    ]  # fmt: skip
    reason = pl.coalesce([pl.when(test).then(pl.lit(number)) for number, test in enumerate(tests)])
    checked = (
        rows.with_row_index("row")
        .with_columns(pl.col(TEXTS).str.strip_chars(), text=text, written=written, time=time, value=number)
        .with_columns(value=pl.when(pl.col("value").is_finite()).then(pl.col("value")))
        .join(known, on=["variable", "unit"], how="left")
        .join(variables, on="variable", how="left")
        .with_columns(converted=(pl.col("value") + pl.col("offset")) * pl.col("factor"))
        .with_columns(reason=reason)
    )
    used = checked.filter(pl.col("reason").is_null())
    findings = (
        checked.filter(pl.col("reason").is_not_null()).group_by("reason", "variable").agg(pl.len(), pl.col("row").min())
    )
    is_converted = (pl.col("factor") != 1) | (pl.col("offset") != 0)
    by_unit = used.group_by("variable", "unit").agg(pl.len(), converted=is_converted.sum())
    at_midnight = used.select((pl.col("time") == pl.col("time").dt.truncate("1d")).all())
    merged = used.select(*KEYS, value="converted").group_by(KEYS).agg(pl.col("value").unique().sort().mean()).sort(KEYS)
    findings_, units, dates, result = pl.collect_all([findings, by_unit, at_midnight, merged], engine="streaming")
    assert not dates.item(), "a column of dates"
    n_used = units["len"].sum()
    n_merged = n_used - len(result)
    n_rows = pl.scan_parquet(path).select(pl.len()).collect().item() if is_parquet else n_used + findings_["len"].sum()
    assert n_rows == len(result) + n_merged + findings_["len"].sum()
    since = (pl.col("time") - pl.col("time").min().over("stay_id")).dt.total_microseconds() / 3.6e9
    result = result.filter(since <= 48)
    return len(result), float(result["value"].sum())

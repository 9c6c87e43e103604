"""Values of one variable at one instant become one, as the dictionary says how; pandas is the oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest import accepted_rows, sort_rows
from clinicalgru.data.ingest.merge_duplicates import KEY, MERGES, merge_duplicates

PAIN = {"pain": {"label": "Pain", "unit": "1", "variable_type": "ordinal", "plausible": [0, 10], "source": "ours"}}


def at_one_instant(variable: str, values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_id": "1", "stay_id": "11", "time": "2031-01-01 08:00", "variable": variable, "value": values}
    )


def merged(variable: str, *values: float) -> float:
    events = cg.read_events(at_one_instant(variable, list(values)), variables=PAIN)
    assert events.ledger.used + events.ledger.merged == events.ledger.rows_in == len(values)
    assert sum(rows for note, rows in events.ledger.notes.items() if note.startswith("merged: ")) == len(values) - 1
    return events.to_frame()["value"].item()


def test_volumes_add_up_and_measurements_are_averaged():
    assert merged("urine_output", 100, 300) == 400
    assert merged("heart_rate", 100, 300) == 200


def test_exact_repeats_count_once():
    assert merged("urine_output", 100, 100) == 100
    assert merged("urine_output", 100, 300, 100) == 400
    assert merged("heart_rate", 80, 90, 90) == 85


@pytest.mark.slow
def test_a_closed_set_gives_one_of_its_values():
    assert merged("mechanical_ventilation", 0, 1) == merged("mechanical_ventilation", 1, 0) == 1
    assert merged("gcs", 15, 3) == merged("gcs", 3, 15) == 3


@pytest.mark.slow
def test_of_a_score_the_last_row_of_the_extract_counts():
    assert merged("pain", 3, 7, 5) == 5
    assert merged("pain", 7, 7, 3) == 3
    assert merged("pain", 5, 3, 5) == 5


def test_a_value_known_later_is_another_value():
    rows = at_one_instant("urine_output", [100, 300]).assign(available_at=["2031-01-01 08:00", "2031-01-01 09:00"])
    assert cg.read_events(rows).to_frame()["value"].tolist() == [100, 300]


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_merging_equals_pandas_however_the_rows_are_cut(size):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.integers(0, 5, 2000) for name in ("stay", "available", "variable", "value")})
    rows = rows.assign(time=rows["available"], value=rows["value"] / 7, place=0)
    is_last = rows["variable"] == MERGES.index("last")
    rows["place"] = np.where(is_last, rows.index, rows["place"])
    rows = rows.sort_values([*KEY, "place", "value"], ignore_index=True)
    table = pa.Table.from_pandas(rows[[*KEY, "value"]], preserve_index=False)
    made = list(merge_duplicates(table.to_batches(max_chunksize=size), MERGES))
    ours = pd.concat([batch.to_pandas() for batch, _ in made], ignore_index=True)

    theirs = []
    for position, merge in enumerate(MERGES):
        values = rows[rows["variable"] == position]
        values = values if merge == "last" else values.drop_duplicates([*KEY, "value"])
        theirs.append(values.groupby(list(KEY), as_index=False)["value"].agg(merge))
    expected = pd.concat(theirs).sort_values(list(KEY), ignore_index=True)
    pd.testing.assert_frame_equal(ours, expected, check_dtype=False)
    assert sum(sum(n_merged.values()) for _, n_merged in made) == 2000 - len(expected)


@pytest.mark.slow
def test_stays_that_are_sorted_in_parts_give_the_same_measurements(monkeypatch):
    cohort = cg.simulate(60, random_state=2)
    rows = pd.concat([cohort.measurements, cohort.measurements.head(2_000)]).sample(frac=1, random_state=0)
    whole = cg.read_events(rows, stays=cohort.stays, max_rejected=1)
    monkeypatch.setattr(sort_rows, "SORTED_ROWS", 700)
    monkeypatch.setattr(accepted_rows, "STREAM_ROWS", 2_048)
    parts = cg.read_events(rows, stays=cohort.stays, max_rejected=1)
    assert parts.measurements.equals(whole.measurements)
    assert (parts.ledger.notes, parts.ledger.merged) == (whole.ledger.notes, whole.ledger.merged)

"""Small cells cannot be read, nor worked out: attackers that try everything, on all small tables."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clinicalgru.disclosure import (
    format_count,
    stays_of_patients,
    suppress,
    suppress_flow,
    suppress_ledger,
    suppress_nested,
)
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.evaluate.evaluation_text import heading

SMALL = 3  # in place of 11, so that all tables can be tried


def worlds(function, cases):
    """For each output, all inputs that lead to it: what someone knows who sees the output and knows the program."""
    behind = defaultdict(list)
    for case in cases:
        behind[function(case)].append(case)
    return {shown: np.array(inputs) for shown, inputs in behind.items()}


def flow_of(counts, small=SMALL):
    return tuple(stays for _, stays in suppress_flow([(str(i), n) for i, n in enumerate(counts)], min_cell_size=small))


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_nobody_can_tell_whom_a_step_of_the_flow_left_out_even_knowing_the_program(steps):
    most = 9
    falling = [c for c in itertools.product(range(most), repeat=steps) if sorted(c, reverse=True) == list(c)]
    tried = 0
    for counts in worlds(flow_of, falling).values():
        if counts.max() == most - 1:
            continue  # here the end of the trial, not of what is possible, limits the guesses
        for first, second in itertools.combinations(range(-1, steps), 2):
            cell = (counts[:, first] if first >= 0 else 0) - counts[:, second]
            assert not (len(set(cell)) == 1 and 0 < abs(cell[0]) < SMALL)
            tried += 1
    assert tried > 20


def parts_of(counts):
    return tuple(-1 if pd.isna(n) else int(n) for n in suppress(pd.Series(counts), min_cell_size=SMALL))


@pytest.mark.slow
def test_nobody_can_tell_a_small_part_of_a_whole_even_knowing_the_program():
    most, tried = 8, 0
    for counts in worlds(parts_of, itertools.product(range(most), repeat=3)).values():
        if counts.max() < most - 1:
            tried += 1
            for cell in counts.T:
                assert not (len(set(cell)) == 1 and 0 < cell[0] < SMALL)
    assert tried > 100


@pytest.mark.slow
def test_no_sum_or_difference_of_a_table_gives_a_small_cell_away():
    rng = np.random.default_rng(4)
    hidden = 0
    for _ in range(40):
        shape = tuple(rng.integers(2, 5, 2))
        table = pd.DataFrame(rng.integers(0, 60, shape) * (rng.random(shape) < 0.8))
        shown = suppress(table)
        truth = table.assign(total=table.sum(axis=1))
        truth = pd.concat([truth, truth.sum().to_frame("total").T])
        kept = shown.notna().to_numpy()
        small = truth.gt(0).to_numpy() & truth.lt(11).to_numpy()
        assert not (kept & small).any()
        assert (shown.to_numpy(dtype=float, na_value=np.nan)[kept] == truth.to_numpy()[kept]).all()
        hidden += (~kept).sum()
        assert not solvable(kept)[small].any()
    assert hidden > 100


def solvable(kept):
    """True where linear algebra alone finds a suppressed cell: it stands in no way of moving suppressed cells about."""
    rows, columns = kept.shape
    cell = np.arange(kept.size).reshape(kept.shape)
    sums = np.zeros((rows + columns, kept.size))
    for i in range(rows):
        sums[i, cell[i, :-1]], sums[i, cell[i, -1]] = 1, -1
    for j in range(columns):
        sums[rows + j, cell[:-1, j]], sums[rows + j, cell[-1, j]] = 1, -1
    unknown = np.flatnonzero(~kept)
    found = np.zeros(kept.size, dtype=bool)
    _, sizes, turned = np.linalg.svd(sums[:, unknown])
    free = turned[(sizes > 1e-9).sum() :]
    found[unknown] = np.abs(free).sum(axis=0) < 1e-9
    return found.reshape(kept.shape)


def test_what_is_not_small_nor_gives_away_is_shown():
    assert suppress(pd.Series([20, 0, 31])).tolist() == [20, 0, 31, 51]
    assert suppress(pd.DataFrame({"a": [20, 12], "b": [11, 0]})).loc["total"].tolist() == [32, 11, 43]
    assert flow_of([4000, 3900, 3900, 0], 11) == (4000, 3900, 3900, 0)
    assert suppress_nested([100, 90, 89]) == (100, None, 89)
    assert format_count(None) == "suppressed"


def test_no_more_of_a_table_is_suppressed_than_one_small_cell_needs():
    # Four inner cells hide one small one; the totals of groups stay.
    groups = pd.DataFrame({"without": [100, 220, 80, 300], "with": [20, 5, 30, 60]}, index=list("ABCD"))
    shown = suppress(groups, keep_total=True)
    assert int(shown.isna().sum().sum()) == 4
    assert shown["total"].tolist() == [120, 225, 110, 360, 815]
    # A group that is small in all takes one neighbour with it, not all groups.
    rare = pd.DataFrame({"without": [500, 400, 3], "with": [60, 50, 0]}, index=["F", "M", "unknown"])
    assert suppress(rare, keep_total=True).loc["M", "total"] == 450


def test_so_many_stays_are_those_of_eleven_patients_however_they_are_chosen():
    rng = np.random.default_rng(0)
    for _ in range(50):
        patient = rng.integers(0, 40, 300) // rng.integers(1, 3)
        least = stays_of_patients(patient.tolist())
        worst = np.isin(patient, pd.Series(patient).value_counts().index[:10])  # all stays of ten patients
        assert worst.sum() == least - 1 or least == 11
        for _ in range(20):
            assert len(np.unique(rng.permutation(patient)[:least])) >= 11


def test_counts_of_stays_of_few_patients_are_suppressed_in_any_evaluation():
    """Forty events of four patients: the count of stays is large, that of patients is not."""
    rng = np.random.default_rng(0)
    patient = np.concatenate([np.repeat(np.arange(4), 10), 4 + np.arange(400)])
    outcome = (patient < 4).astype(float)
    evaluation = evaluate(outcome, rng.random(440), patients=patient, n_resamples=20)
    assert "a suppressed number with the event" in heading(evaluation)
    assert "40 with the event" in heading(replace(evaluation, simulated=True))
    assert "40 with the event" in heading(evaluate(outcome, rng.random(440), n_resamples=20))


def test_what_is_no_count_is_refused():
    for wrong in ([1.5, 2], [-1, 20], [np.nan, 20]):
        with pytest.raises(ArgumentError, match="whole counts of 0 or more"):
            suppress(pd.Series(wrong))


def test_a_ledger_still_balances_where_it_is_shown_and_a_complement_is_no_way_round():
    entries = {
        "rows in": 1000, "used": 900, "static values": 60, "merged": 30, "rejected: implausible": 7,
        "rejected: no time": 3,
        "converted: glucose: mmol/L -> mg/dL": 4, "stays": 400, "stays without a series": 20,
    }  # fmt: skip
    out = suppress_ledger(entries)
    assert out["rejected: implausible"] is out["rejected: no time"] is out["used"] is None
    assert (out["merged"], out["rows in"], out["stays without a series"]) == (30, 1000, 20)
    assert out["converted: glucose: mmol/L -> mg/dL"] is None
    assert suppress_ledger(entries, shown=[378])["stays without a series"] is None  # 400 - 20 - 378 would be 2
    assert suppress_ledger(entries, shown=[397])["stays"] is None
    assert suppress_ledger(entries | {"stays without a series": 0}, shown=[397])["stays without a series"] == 0
    assert suppress_ledger(entries, min_cell_size=0) == entries


def test_the_parts_of_merged_do_not_reveal_each_other():
    entries = {"rows in": 100, "used": 60, "merged": 40, "merged: exact repeats": 37, "merged: mean": 3}
    assert suppress_ledger(entries) == {
        "rows in": 100, "used": 60, "merged": 40, "merged: exact repeats": None, "merged: mean": None
    }  # fmt: skip
    single = {"rows in": 40, "merged": 37, "rejected: no time": 3, "merged: exact repeats": 37}
    assert suppress_ledger(single)["merged"] is suppress_ledger(single)["merged: exact repeats"] is None


@pytest.mark.slow
def test_the_row_of_totals_stays_where_groups_are_small_and_no_small_cell_can_be_found():
    rng = np.random.default_rng(4)
    for _ in range(60):
        table = pd.DataFrame(rng.integers(0, 30, (int(rng.integers(2, 5)), 2)), columns=["others", "events"])
        table += 11 * (table.index == 0).astype(int)[:, None]
        shown = suppress(table, keep_total=True)
        whole = table.assign(total=table.sum(axis=1))
        assert shown.loc["total"].tolist() == whole.sum().tolist()
        small = (whole > 0) & (whole < 11)
        assert shown.loc[table.index].isna().to_numpy()[small.to_numpy()].all()
        groups = shown.loc[table.index]
        for column in groups:  # what is left of a column holds no small cell alone
            missing = groups[column].isna()
            assert missing.sum() != 1 or not small.loc[missing, column].any()

"""Sequences on disk: the same bits as in memory, in a bounded memory, and nothing read from a damaged folder."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.sequences import ragged as module
from clinicalgru.errors import InputError


@pytest.fixture(scope="module")
def on_disk(parts, tmp_path_factory):
    """The same four parts, saved and opened."""
    folder = tmp_path_factory.mktemp("spool")
    return [cg.Sequences.open(part.save(folder / str(i))) for i, part in enumerate(parts)]


def assert_equal(ours, theirs):
    for field in fields(ours):
        left, right = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)
        elif isinstance(left, pd.DataFrame):
            pd.testing.assert_frame_equal(left, right, check_column_type=False)  # without any column, its type is free
        elif not field.name.startswith("_"):
            assert left == right, field.name


def small(**others):
    return cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2), max_epochs=1, random_state=1, **others
    )


def weights(model):
    return {name: tensor.numpy() for name, tensor in model.network_.state_dict().items()}


def test_what_was_saved_is_opened_to_the_bit_and_stays_on_disk(parts, on_disk):
    for ours, theirs in zip(parts, on_disk, strict=True):
        assert_equal(ours, theirs)
        assert theirs.mapped
        assert not ours.mapped
        assert not theirs.value.flags.owndata
        assert not theirs.value.flags.writeable


@pytest.mark.slow
def test_sequences_on_disk_give_the_same_risks_and_train_to_the_same_bits(parts, on_disk, few_trees):
    ours, theirs = (small().fit(p[0], validation=p[1], verbose=False) for p in (parts, on_disk))
    for (name, left), right in zip(weights(ours).items(), weights(theirs).values(), strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
    np.testing.assert_array_equal(ours.predict_proba(parts[3]), theirs.predict_proba(on_disk[3]))


@pytest.mark.slow
def test_without_tune_stays_a_cohort_on_disk_trains_to_the_same_bits(parts, on_disk, few_trees):
    ours, theirs = (small().fit(p[0], verbose=False) for p in (parts, on_disk))
    for left, right in zip(weights(ours).values(), weights(theirs).values(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("include_ineligible", [True, False])
def test_selecting_to_a_folder_is_selecting(events, task, tmp_path, include_ineligible, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_MEASUREMENTS", 5000)  # many blocks
    ours = cg.select(events, task, include_ineligible=include_ineligible)
    theirs = cg.select(events, task, include_ineligible=include_ineligible, folder=tmp_path / "cohort")
    assert_equal(ours, theirs)
    assert_equal(ours, cg.Sequences.open(tmp_path / "cohort"))
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]  # nothing else is left
    halves = cg.split_patients(theirs, [0.5, 0.5], random_state=2, folder=tmp_path / "halves")
    for left, right in zip(cg.split_patients(ours, [0.5, 0.5], random_state=2), halves, strict=True):
        assert_equal(left, right)
        assert right.mapped


def test_coded_events_are_saved_too(three, task, tmp_path):
    own = {"finding": {"label": "Finding", "variable_type": "code", "unit": "1", "source": "ours"}}
    coded = three.head(3).assign(variable="finding", value="", unit="", code=["I10", "E11", "I10"])
    events = cg.read_events(pd.concat([three.assign(code=""), coded]), variables=own)
    ours = cg.select(events, task, include_ineligible=True)
    assert len(ours.code) > 0
    assert_equal(ours, cg.Sequences.open(ours.save(tmp_path / "coded")))


def test_blocks_go_through_all_stays_once_and_in_order(test_stays, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_MEASUREMENTS", 777)
    blocks = list(test_stays.chunks())
    assert len(blocks) > 3
    assert max(len(block.value) for block in blocks) <= 777 + test_stays.n_measurements.max()
    assert np.concatenate([block.stay for block in blocks]).tolist() == test_stays.stay.tolist()
    np.testing.assert_array_equal(np.concatenate([block.value for block in blocks]), test_stays.value)
    steps = np.array([len(np.unique(test_stays[[i]].hours)) for i in range(len(test_stays))])
    np.testing.assert_array_equal(test_stays[np.arange(len(test_stays))].n_steps, steps)


@pytest.mark.slow
def test_scoring_in_blocks_gives_the_risks_of_scoring_at_once(fitted, test_stays, monkeypatch):
    from clinicalgru.serve.score_rows import score_sequences

    whole = score_sequences(fitted, test_stays)
    monkeypatch.setattr(module, "CHUNK_MEASUREMENTS", 2000)
    blocks = score_sequences(fitted, test_stays)
    np.testing.assert_allclose(blocks["risk"], whole["risk"], atol=1e-6)
    assert blocks.drop(columns="risk").equals(whole.drop(columns="risk"))


def test_no_stay_and_no_fact_can_be_saved(test_stays, tmp_path):
    none = test_stays[np.zeros(len(test_stays), bool)]
    assert_equal(none, cg.Sequences.open(none.save(tmp_path / "none")))
    blind = test_stays.filter_measurements(np.zeros(len(test_stays.value), bool))
    assert_equal(blind, cg.Sequences.open(blind.save(tmp_path / "blind")))


def test_sequences_can_be_saved_over_themselves_but_over_nothing_else(test_stays, tmp_path):
    first = cg.Sequences.open(test_stays.save(tmp_path / "a"))
    assert_equal(test_stays, cg.Sequences.open(first.save(tmp_path / "a")))
    assert_equal(test_stays, first)  # still readable
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("my work")
    with pytest.raises(cg.ClinicalGRUError, match="a new or empty folder; got b"):
        test_stays.save(tmp_path / "b")
    assert (tmp_path / "b" / "thesis.txt").read_text() == "my work"


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = {
    "no json": (lambda folder: (folder / "sequences.json").unlink(), "sequences.json"),
    "another format": (lambda folder: (folder / "sequences.json").write_text('{"format": "x"}'), "another format"),
    "a field lost": (lambda folder: drop(folder, "task"), "missing fields"),
    "a column lost": (lambda folder: (folder / "hours.npy").unlink(), "hours.npy"),
    "a column cut off": (lambda folder: cut(folder / "value.npy"), "value.npy"),
    "starts cut off": (lambda folder: cut(folder / "starts.npy"), "starts.npy"),
    "identifiers cut off": (lambda folder: cut(folder / "identifiers.arrow"), "identifiers.arrow"),
    "another kind": (
        lambda folder: np.save(folder / "availability_lag.npy", np.zeros(3)),
        "availability_lag.npy: Expected .* of float32",
    ),
    "objects": (lambda folder: np.save(folder / "hours.npy", np.array([{}], dtype=object)), "hours.npy"),
}


def drop(folder, name):
    about = json.loads((folder / "sequences.json").read_text())
    del about[name]
    (folder / "sequences.json").write_text(json.dumps(about))


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_folder_is_refused_and_the_file_named(test_stays, tmp_path, case):
    damage, message = DAMAGE[case]
    folder = test_stays.save(tmp_path / "a")
    damage(folder)
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.Sequences.open(folder)


def test_a_scale_is_learned_from_a_part_of_many_stays_alone(test_stays, monkeypatch):
    from clinicalgru.model.network import scaling

    everything = scaling._thin_out(test_stays)
    assert everything is test_stays
    monkeypatch.setattr(scaling, "MAX_MEASUREMENTS", len(test_stays.value) // 4)
    some = scaling._thin_out(test_stays)
    assert len(test_stays) / 5 < len(some) <= len(test_stays) / 4
    assert some.stay[0] == test_stays.stay[0]
    assert some.stay[-1] == test_stays.stay[-1]


MEASURED = """
import re, sys
from pathlib import Path
import numpy as np
import clinicalgru as cg
from clinicalgru.data.sequences import memmap
from clinicalgru.data.sequences import ragged
memmap.RESIDENT_BYTES, ragged.CHUNK_MEASUREMENTS = 16 * 2**20, 500_000
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
folder = sys.argv[1]
events = cg.read_events(folder + "/rows.parquet", memory_gb=0.5)
reading = peak()
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
cohort = cg.select(events, cg.Task.load("in_hospital_mortality"), include_ineligible=True, folder=folder + "/cohort")
for index in np.array_split(np.random.default_rng(0).permutation(len(cohort)), len(cohort) // 64):
    cohort[index]
assert len(cohort.n_steps) == len(cohort)
print(reading, peak())
"""


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a phase can be read on Linux only")
def test_four_times_the_rows_take_hardly_more_memory(tmp_path, monkeypatch):
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)  # the file imports its neighbour
    write_rows = runpy.run_path(str(benchmarks / "ingest.py"))["write_rows"]
    reading, selecting = {}, {}
    for rows in (1_000_000, 4_000_000):
        write_rows(tmp_path / "rows.parquet", rows)
        command = [sys.executable, "-c", MEASURED, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        reading[rows], selecting[rows] = map(float, done.stdout.split())
    assert reading[4_000_000] < 700  # MB
    assert reading[4_000_000] - reading[1_000_000] < 140
    assert selecting[4_000_000] - selecting[1_000_000] < 100  # 3 million rows are 90 MB of facts, 54 MB of sequences


def test_of_many_writers_of_one_folder_each_leaves_a_whole_one(tmp_path):
    """Threads race as processes do: none ends in an error, the last folder is whole, and no draft remains."""
    stays = cg.select(cg.read_events(cg.simulate(30)), cg.Task.load("in_hospital_mortality"))
    model = cg.SummaryBaseline("logistic regression").fit(stays)
    for save, read in ((stays.save, cg.Sequences.open), (lambda path: cg.save(model, path), cg.load)):
        for _ in range(3):
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(lambda _, save=save: save(tmp_path / "folder"), range(6)))
            read(tmp_path / "folder")
        assert [file.name for file in tmp_path.iterdir()] == ["folder"]
        shutil.rmtree(tmp_path / "folder")


def test_a_folder_that_the_system_refuses_is_one_error(tmp_path):
    events = cg.read_events(cg.simulate(5))
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("a" * 300), tmp_path / "a\0b"):
        for write in (lambda path: cg.write_meds(events, path), cg.simulate(5).write):
            with pytest.raises(InputError):
                write(folder)

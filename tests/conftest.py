"""What all tests share: a hand-written cohort, a small synthetic one, models fitted on it, real data."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ten_trees
from postgres_server import postgres as postgres

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.model import reference_stays

gc.set_threshold(50_000, 20, 20)  # the garbage collector went through a million objects of imported libraries too often


def pytest_collection_finish() -> None:
    """The libraries and the collected tests stay: the garbage collector need not go through them any more."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # else libraries complain that the interpreter ends with their objects


@pytest.fixture(scope="session", autouse=True)
def few_reference_stays() -> Iterator[None]:
    """Explanations count from the average of 40 training stays for 100: it is computed for each model that is saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_stays, "N_STAYS", 40)
        yield


@pytest.fixture(scope="module")
def all_reference_stays(few_reference_stays: None) -> Iterator[None]:
    """As many reference stays as users have, for models that are fitted in the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_stays, "N_STAYS", 100)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; tests that need it are skipped where there is none."""
    folder = os.environ.get("CLINICALGRU_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CLINICALGRU_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture(scope="session")
def physionet_2012(real_data: Path) -> Callable[[str], Events]:
    """Set a or b with its outcomes, read once."""
    folder = real_data / "physionet2012"

    @cache
    def read(name: str) -> Events:
        return cg.read_events(
            folder / f"set-{name}.tar.gz", source="physionet2012", outcomes=folder / f"Outcomes-{name}.txt"
        )

    return read


@pytest.fixture(scope="session")
def mimic_iv_demo(real_data: Path) -> Events:
    """The demo of MIMIC-IV by ICU stay."""
    return cg.read_events(real_data / "mimic-iv-demo", source="mimic-iv")


def three_rows() -> pd.DataFrame:
    """Three patients, 15 rows, to be checked by eye."""
    rows = [
        ("007", "1", "2031-01-01 08:00", "heart_rate", "88", "/min", ""),
        ("007", "1", "2031-01-01 09:30", "heart_rate", "92", "/min", ""),
        ("007", "1", "2031-01-01 09:30", "temperature", "98.6", "[degF]", ""),
        ("007", "1", "2031-01-01 10:00", "lactate", "1.8", "mmol/L", "2031-01-01 11:15"),
        ("007", "1", "2031-01-01 12:00", "creatinine", "88.42", "umol/L", ""),
        ("012", "2", "2031-02-01 00:00", "heart_rate", "120", "/min", ""),
        ("012", "2", "2031-02-01 01:00", "heart_rate", "124", "/min", ""),
        ("012", "2", "2031-02-01 01:00", "heart_rate", "126", "/min", ""),
        ("012", "2", "2031-02-01 02:00", "lactate", "6.1", "mmol/L", "2031-02-01 03:00"),
        ("012", "2", "2031-02-01 02:00", "temperature", "38.9", "Cel", ""),
        ("012", "2", "2031-02-01 04:00", "temperature", "", "Cel", ""),
        ("012", "3", "2031-06-01 00:00", "heart_rate", "999", "/min", ""),
        ("012", "3", "2031-06-01 01:00", "heart_rate", "70", "/min", ""),
        ("100", "4", "2031-03-01 00:00", "heart_rate", "75", "/min", ""),
        ("100", "4", "2031-03-01 06:00", "glucose", "5", "mmol/L", ""),
    ]
    names = ["patient_id", "stay_id", "time", "variable", "value", "unit", "available_at"]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture
def three() -> pd.DataFrame:
    """The rows of three patients."""
    return three_rows()


@pytest.fixture(scope="session")
def three_read() -> Events:
    """The rows of three patients, read."""
    return cg.read_events(three_rows())


@pytest.fixture(scope="session")
def cohort() -> SimulatedCohort:
    return cg.simulate(400, random_state=3)


@pytest.fixture(scope="session")
def events(cohort: SimulatedCohort) -> Events:
    return cg.read_events(cohort)


@pytest.fixture(scope="session")
def task() -> cg.Task:
    return cg.Task.load("in_hospital_mortality")


@pytest.fixture(scope="session")
def parts(events: Events, task: cg.Task) -> tuple[cg.Sequences, ...]:
    """Train, tune, calibrate, test."""
    return cg.split_patients(cg.select(events, task), [0.5, 0.15, 0.15, 0.2], random_state=0)


@pytest.fixture(scope="session")
def fitted(parts: tuple[cg.Sequences, ...]) -> cg.GRUClassifier:
    """A small calibrated model."""
    train, tune, calibrate, _ = parts
    model = cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4), max_epochs=4, random_state=0
    )
    return model.fit(train, validation=tune, verbose=False).calibrate(calibrate)


@pytest.fixture
def few_trees() -> Iterator[None]:
    """Ten boosted trees for hundreds, where a test asks what is done with them and not how good they are."""
    with ten_trees():
        yield


@pytest.fixture(scope="module")
def few_trees_in_module() -> Iterator[None]:
    """Ten boosted trees for hundreds, in all tests of a module."""
    with ten_trees():
        yield


@pytest.fixture(scope="session")
def test_stays(parts: tuple[cg.Sequences, ...]) -> cg.Sequences:
    return parts[3]


@pytest.fixture(autouse=True)
def same_draws_in_any_order(request, monkeypatch):
    """A module's generator begins anew in each test, so that no test depends on those that ran before it."""
    if isinstance(getattr(request.module, "CHANCE", None), np.random.Generator):
        monkeypatch.setattr(request.module, "CHANCE", np.random.default_rng(0))

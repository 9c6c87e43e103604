"""What convolution and delay are for: tasks that they solve, and the plain GRU does not in the same time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.heads.classification import Binary
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.network import ClinicalGRU

SAMPLES, RATE = 2500, 250  # ten seconds


def sequences(like: Sequences, values: np.ndarray, hours: np.ndarray, outcome: np.ndarray) -> Sequences:
    """One variable, measured at the same hours in each stay: values (stay, step)."""
    stays, steps = values.shape
    names = np.array([f"{i:05d}" for i in range(stays)], dtype=object)
    arrays = {
        "starts": np.arange(stays + 1) * steps,
        "hours": np.tile(hours, stays),
        "availability_lag": np.zeros(stays * steps, np.float32),
        "variable": np.zeros(stays * steps, np.int16),
        "value": values.astype(np.float32).ravel(),
        "code_starts": np.zeros(stays + 1, np.int64),
        "code_hours": np.empty(0),
        "code": np.empty(0, np.int32),
        "static": np.zeros((stays, 0), np.float32),
        "outcome": outcome.astype(float),
        "end_hours": np.full(stays, hours[-1]),
        "index_time": np.zeros(stays, np.int64),
    }
    return replace(
        like, variables=like.variables[:1], static_variables=(), code_vocabulary=(), patient=names, stay=names, **arrays
    )


def rhythms(like: Sequences, stays: int, random_state: int) -> Sequences:
    """Single-lead traces: a spike at each beat, and noise. The rhythm goes from 60 to 120 a minute half-way (a
    tachycardia sets in), or the other way round: no summary of single samples tells them apart."""
    chance = np.random.default_rng(random_state)
    faster = np.arange(stays) % 2
    t = np.arange(SAMPLES) / RATE
    beats = np.cumsum(np.where(t < 5, 1.0, 2.0) / RATE) + chance.uniform(0, 1, stays)[:, None]
    trace = np.exp(-(((beats % 1 - 0.5) / 0.04) ** 2))
    trace = np.where(faster[:, None], trace, trace[:, ::-1])
    return sequences(like, trace + 0.05 * chance.standard_normal(trace.shape), t / 3600, faster)


def copies(like: Sequences, stays: int, random_state: int, steps: int = 80) -> Sequences:
    """Noise by the hour; the outcome is the sign of what was measured 60 hours before the end."""
    values = np.random.default_rng(random_state).standard_normal((stays, steps))
    return sequences(like, values, np.arange(steps, dtype=float), (values[:, steps - 61] > 0).astype(int))


def learned(train: Sequences, test: Sequences, *, seconds: float, rate: float, **options) -> tuple[float, int]:
    """AUROC on the test stays after so many seconds of training, and how many epochs they allowed; readout of the
    sequence alone, since summaries have no part in these tasks."""
    torch.manual_seed(0)
    network = ClinicalGRU(NetworkSpec(1, (), readout_size=16, ensemble_size=1, dropout=0.0, **options))
    network.scaler.fit(train)
    optimizer, chance, begin, epochs = (
        torch.optim.Adam(network.parameters(), rate),
        np.random.default_rng(0),
        time.process_time(),
        0,
    )
    batches = [network.make_batch(train[i::8]) for i in range(8)]
    while time.process_time() - begin < seconds:
        for number in chance.permutation(8):
            batch = batches[number]
            optimizer.zero_grad()
            loss = Binary().loss(network(batch), Binary().labels(train[int(number) :: 8], batch))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            if time.process_time() - begin > seconds:
                break
        epochs += 1
    batch = network.eval().make_batch(test)
    with torch.no_grad():
        return roc_auc_score(test.outcome[batch.order], network(batch)[0, :, 0]), epochs


@pytest.mark.slow
@pytest.mark.lab
def test_a_delay_copies_what_the_plain_gru_has_forgotten(test_stays):
    train, test = copies(test_stays, 600, 0), copies(test_stays, 300, 1)
    same = {"hidden_size": 16, "attention": None, "seconds": 15.0, "rate": 5e-3}
    assert learned(train, test, **same, feedback_delay_hours=60.0)[0] > 0.95
    assert learned(train, test, **same)[0] < 0.7


@pytest.mark.slow
@pytest.mark.lab
def test_a_convolution_finds_the_rhythm_that_the_plain_gru_on_raw_samples_does_not(test_stays):
    train, test = rhythms(test_stays, 160, 0), rhythms(test_stays, 80, 1)
    same = {"hidden_size": 16, "seconds": 8.0, "rate": 3e-3}
    assert learned(train, test, **same, convolution=(10, 5))[0] > 0.9
    assert learned(train, test, **same)[0] < 0.7

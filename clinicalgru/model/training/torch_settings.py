"""Settings of torch that hold for a while, and are set back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(random_state: list[int]) -> Iterator[None]:
    """Torch's chance from this seed, the caller's left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(random_state).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many torch threads within, as many as before after: small steps on several threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

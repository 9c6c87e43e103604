"""Settings of torch that hold for a while in the calling thread, and are set back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

import numpy as np
import torch

from clinicalgru.model.network.generator import use_generator

_lock = Lock()
_thread_counts: list[int] = []  # the user's number of threads, once for each context that is open in any thread
_nested: ContextVar[bool] = ContextVar("clinicalgru_threads", default=False)


@contextmanager
def seeded(random_state: Sequence[int]) -> Iterator[None]:
    """Draw initial parameters and dropout masks from a generator with this seed, and not from torch's global one.

    Parameters
    ----------
    random_state : sequence of int
        Whole numbers of 0 or more, such as the seed of an estimator and the number of the epoch.

    Yields
    ------
    None
    """
    seed = int(np.random.SeedSequence(random_state).generate_state(1, np.uint64)[0] >> np.uint64(1))
    with use_generator(torch.Generator().manual_seed(seed)):
        yield


@contextmanager
def torch_defaults(*, grad: bool = True) -> Iterator[None]:
    """Compute as a fresh process would, whatever the caller has switched on in this thread.

    Inference mode, `no_grad`, autocast and another default device of the caller have no effect within.

    Parameters
    ----------
    grad : bool
        Whether operations are recorded for gradients.

    Yields
    ------
    None

    Notes
    -----
    The default dtype is a setting of the whole process and is left alone: all tensors of the package name their dtype.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.training.torch_settings import torch_defaults
    >>> with torch.inference_mode(), torch_defaults():
    ...     (torch.ones(2, requires_grad=True) * 3).requires_grad
    True
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(grad))
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Compute with this number of torch threads in the calling thread; afterwards with as many as before.

    Parameters
    ----------
    n_threads : int
        At least 1. Small steps on several threads wait for each other, so that 1 is often fastest.

    Yields
    ------
    None

    Notes
    -----
    torch keeps the number for each thread, and starts new threads with the number that any thread set last. The number
    to go back to is therefore that before the first of all contexts that are open at the time.
    """
    outermost = not _nested.get()
    before = (
        torch.get_num_threads()
    )  # also makes torch ready in a new thread, which else would forget what is set below
    with _lock:
        if outermost:
            before = _thread_counts[0] if _thread_counts else before
            _thread_counts.append(before)
    token = _nested.set(True)
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        _nested.reset(token)
        torch.set_num_threads(before)
        if outermost:
            with _lock:
                _thread_counts.remove(before)

"""Prefetch: the next batch is prepared in a background thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prefetch(prepare: Callable[[Item], Prepared], items: Iterable[Item]) -> Generator[Prepared, None, None]:
    """Apply a function to each item in order; the next item is prepared in a thread while one is used.

    Parameters
    ----------
    prepare : callable
        Called with one item after the other, never twice at the same time.
    items : iterable
        The items.

    Yields
    ------
    object
        What `prepare` returns. An exception is raised when its item is due.

    Notes
    -----
    NumPy and torch release the global interpreter lock, so that a second core does a part of the work.

    Examples
    --------
    >>> from clinicalgru.model.training.prefetch import prefetch
    >>> list(prefetch(str, [1, 2]))
    ['1', '2']
    """
    with ThreadPoolExecutor(1) as executor:
        remaining = iter(items)
        ready = [prepare(item) for item in islice(remaining, 1)]
        for item in remaining:
            future = executor.submit(prepare, item)
            yield ready.pop()
            ready.append(future.result())
        yield from ready

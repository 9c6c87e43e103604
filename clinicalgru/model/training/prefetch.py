"""Work done beside: what the next step needs is made in a thread while this one learns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def one_ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Made, None, None]:
    """make(item) of each, one after the other and in order; the next one in a thread beside while one is used.

    NumPy and torch let go of Python's lock while they work, so that a second core takes part of the time. What `make`
    raises comes when its turn has come.

    >>> list(one_ahead(str, [1, 2]))
    ['1', '2']
    """
    with ThreadPoolExecutor(1) as beside:
        waiting = iter(items)
        ready = [make(item) for item in islice(waiting, 1)]
        for item in waiting:
            coming = beside.submit(make, item)
            yield ready.pop()
            ready.append(coming.result())
        yield from ready

"""What is made one ahead: in order, beside, and no further."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from clinicalgru.model.training.prefetch import prefetch


def test_the_next_one_is_made_while_one_is_used_and_no_other():
    made, second = [], threading.Event()

    def make(item):
        made.append(item)
        if item == 2:
            second.set()
        return item

    with closing(prefetch(make, [1, 2, 3, 4])) as ready:
        assert next(ready) == 1
        assert second.wait(timeout=60)  # without a second call
        assert made == [1, 2]
        assert list(ready) == [2, 3, 4]
    assert made == [1, 2, 3, 4]


def test_what_cannot_be_made_is_told_when_its_turn_has_come():
    ready = prefetch(lambda item: 6 // item, [1, 2, 0, 3])
    assert [next(ready), next(ready)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(ready)


@pytest.mark.parametrize("items", [[], [1]])
def test_one_alone_needs_no_thread(items):
    before = threading.active_count()
    with closing(prefetch(lambda item: threading.current_thread(), items)) as ready:
        assert all(made is threading.main_thread() for made in ready)
    assert threading.active_count() == before

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kafila.workers import collector as module
from kafila.workers.collector import OLDER, OLDEST, YOUNG, collector


@contextmanager
def full_collections() -> Iterator[list[int]]:
    """How many objects each of them looks at."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(len(gc.get_objects()))

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


def test_nothing_is_collected_while_the_process_loads_and_all_is_as_before_in_the_end() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with collector() as cycles:
        assert not gc.isenabled()
        cycles.settle()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_cycles_are_collected_again_when_the_process_does_not_come_up() -> None:
    with pytest.raises(OSError, match="no"), collector():
        raise OSError("no")
    assert gc.isenabled()


def test_nothing_looks_at_everything_while_much_is_made_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YOUNG", 10)
    monkeypatch.setattr(module, "OLDEST", 10)
    with collector() as cycles, full_collections() as seen:
        cycles.settle()
        gc.collect()  # of what is left: what comes is much beside it
        seen.clear()
        made: list[list[int]] = [[] for _ in range(20_000)]
        assert seen  # otherwise it does
        seen.clear()
        with cycles.keeping():
            made += ([] for _ in range(20_000))
        assert not seen
        assert not any(each is made[-1] for each in gc.get_objects())


def test_what_stays_is_examined_in_small_batches() -> None:
    """Each holds the event loop: of 20,000 objects that were made over some seconds for 25 ms."""
    sizes: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            sizes.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

    with collector() as cycles:
        cycles.settle()
        gc.callbacks.append(note)
        try:
            made: list[list[int]] = [[] for _ in range(200_000)]
        finally:
            gc.callbacks.remove(note)
    assert len(sizes) >= len(made) // (2 * YOUNG)
    assert max(sizes) <= (OLDER + 3) * YOUNG < 15_000


def test_cycles_that_end_while_they_are_young_go_with_what_is_kept() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    with collector() as cycles:
        cycles.settle()
        with cycles.keeping():
            gone = weakref.ref(Cycle())
        assert gone() is None
        assert gc.isenabled()
        assert gc.get_threshold() == (YOUNG, OLDER, OLDEST)

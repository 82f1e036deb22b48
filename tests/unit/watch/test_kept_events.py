"""What stays in memory of a resource's history: bounded by number and by bytes, and without a gap."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.resources import Key
from app.store.interface import Row
from app.watch import cache
from app.watch.cache import Resource

THING = Key("things", "", "x")
SMALL = b'{"metadata":{"name":"x"}}'


@pytest.fixture(autouse=True, scope="module")
def _small_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "EVENTS_KEPT", 8)
        patch.setattr(cache, "BYTES_KEPT", 4096)
        yield


@given(st.lists(st.tuples(st.integers(0, 4000), st.booleans()), max_size=60))
def test_bounds(changes: list[tuple[int, bool]]) -> None:
    things = Resource("things", 0)
    revisions = []
    for revision, (size, deleted) in enumerate(changes, 1):
        body = orjson.dumps({"metadata": {"name": "x"}, "data": "a" * size})
        things.put(Row(revision, THING, body, deleted, revision - 1))
        revisions.append(revision)
        assert len(things.events) < 16
        assert sum(event.size for event in things.events) < 8192
        assert [event.revision for event in things.events] == [r for r in revisions if r > things.dropped]
        if things.dropped < revision:
            assert things.events_after(revision - 1) == [things.events[-1]]
    assert things.dropped == 0 or len(things.events) == 0 or things.events_after(things.dropped - 1) is None


def test_small_objects_are_kept_by_number() -> None:
    things = Resource("things", 0)
    for revision in range(1, 16):
        things.put(Row(revision, THING, SMALL, False, revision - 1))
    assert len(things.events) == 15
    things.put(Row(16, THING, SMALL, False, 15))
    assert [event.revision for event in things.events] == list(range(9, 17))

"""What stays in memory of the history: bounded by bytes over all resources, without a gap in any of them."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.store.interface import Row
from kafila.store.memory import MemoryStore
from kafila.watch import Cache

LIMIT = 8192
NAMES = ("things", "others", "quiet")


def _cache() -> Cache:
    cache = Cache(MemoryStore(), LIMIT)
    for name in NAMES:
        cache.resource(name, 0)
    return cache


def _row(revision: int, resource: str, size: int, deleted: bool = False) -> Row:
    body = orjson.dumps({"metadata": {"name": "x"}, "data": "a" * size})
    return Row(revision, Key(resource, "", "x"), body, deleted, revision - 1)


@given(st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.integers(0, 4000), st.booleans()), max_size=60))
def test_bounds(changes: list[tuple[str, int, bool]]) -> None:
    cache = _cache()
    revisions: dict[str, list[int]] = {name: [] for name in NAMES}
    for revision, (name, size, deleted) in enumerate(changes, 1):
        cache._on_rows([_row(revision, name, size, deleted)])
        revisions[name].append(revision)
        kept = [event for resource in cache.resources() for event in resource.events]
        assert sum(event.size for event in kept) <= LIMIT
        assert sum(event.size for event in kept if event.frames is not None) <= LIMIT // 8
        for resource in cache.resources():
            assert [e.revision for e in resource.events] == [
                r for r in revisions[resource.name] if r > resource.dropped
            ]
            if resource.dropped:
                assert resource.events_after(resource.dropped - 1) is None
            if resource.events:
                assert resource.events_after(resource.events[-1].revision - 1) == [resource.events[-1]]
    assert cache.resource("quiet").dropped == 0


def test_a_busy_resource_takes_the_room_of_a_quiet_one() -> None:
    cache = _cache()
    cache._on_rows([_row(1, "quiet", 10)])
    cache._on_rows([_row(revision, "things", 1000) for revision in range(2, 40)])
    assert cache.resource("quiet").events == []
    assert cache.resource("quiet").dropped == 1
    assert cache.resource("quiet").get("", "x") is not None
    assert len(cache.resource("things").events) >= 2


def test_who_began_to_listen_first_hears_first() -> None:
    cache, heard = _cache(), list[str]()
    for name in ("a", "b", "c"):
        cache.listen("things", lambda event, name=name: heard.append(name))  # type: ignore[misc]
    cache._on_rows([_row(1, "things", 10)])
    assert heard == ["a", "b", "c"]

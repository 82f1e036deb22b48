"""What a policy has claimed, and how much that is."""

from __future__ import annotations

import orjson

from kafila.core.resources import Key
from kafila.placement import constants
from kafila.reconcile.karmada.indexes import ClaimIndex
from kafila.watch import Entry


def claimed(name: str, by: str, label: str = constants.PP_PERMANENT_ID) -> Entry:
    body = {"metadata": {"name": name, "namespace": "shop", "labels": {label: by} if by else {}}}
    return Entry(Key("configmaps", "shop", name), 1, orjson.dumps(body))


def test_claims_are_counted_as_they_come_and_go() -> None:
    index = ClaimIndex()
    for entry in (claimed("a", "one"), claimed("b", "one"), claimed("c", "two", constants.CPP_PERMANENT_ID)):
        index.put(entry)
        index.put(entry)
    assert [index.count(each) for each in ("one", "two", "nobody", "")] == [2, 1, 0, 0]
    index.put(claimed("b", "two"))
    assert [index.count(each) for each in ("one", "two")] == [1, 2]
    index.put(claimed("a", ""))
    index.remove(claimed("c", "two").key)
    assert [index.count(each) for each in ("one", "two")] == [0, 1]
    assert [key.name for key in index.keys("two")] == ["b"]
    index.clear()
    assert index.count("two") == 0

"""Sets by key, none of them empty."""

from __future__ import annotations

from kafila.core import sets


def test_an_empty_set_does_not_stay() -> None:
    found = {"a": {1, 2}}
    assert not sets.discard(found, "b", 1)
    assert not sets.discard(found, "a", 3)
    assert not sets.discard(found, "a", 1)
    assert found == {"a": {2}}
    assert sets.discard(found, "a", 2)
    assert found == {}

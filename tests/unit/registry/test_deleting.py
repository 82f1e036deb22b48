"""Which finalizers a DELETE leaves (k8s.io/apiserver deletionFinalizersForGarbageCollection)."""

from __future__ import annotations

import pytest

from kafila.catalog.catalog import builtin_kinds
from kafila.registry.context import DeleteOptions, Propagation
from kafila.registry.deleting import mark_deleted

KINDS = {kind.resource: kind for kind in builtin_kinds()}


@pytest.mark.parametrize(
    ("resource", "there", "said", "left"),
    [
        ("deployments.apps", [], None, []),
        ("deployments.apps", ["orphan"], None, ["orphan"]),
        ("deployments.apps", ["orphan"], "Foreground", ["foregroundDeletion"]),
        ("jobs.batch", [], None, ["orphan"]),
        ("jobs.batch", ["foregroundDeletion"], None, ["foregroundDeletion"]),
        ("jobs.batch", [], "Background", []),
        ("replicationcontrollers", ["example.com/f"], None, ["example.com/f", "orphan"]),
        ("events", ["example.com/f"], "Foreground", ["example.com/f"]),
    ],
)
def test_finalizers(resource: str, there: list[str], said: Propagation | None, left: list[str]) -> None:
    old = {"metadata": {"name": "x", "finalizers": there}}
    marked = mark_deleted(KINDS[resource], old, DeleteOptions(propagation=said), "2026-01-01T00:00:00Z")
    assert (marked or {"metadata": {}})["metadata"].get("finalizers", []) == left

"""Keeps the index of roles and bindings as current as the watch cache is: in every process, from its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafila.watch import Cache, Event

from .index import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES, Index
from .rbac import Rbac

Put = Callable[[str, str, bytes | None], None]
_RESOURCES: Final = (
    (ROLES, Index.put_role),
    (CLUSTER_ROLES, Index.put_role),
    (BINDINGS, Index.put_binding),
    (CLUSTER_BINDINGS, Index.put_binding),
)


def follow(cache: Cache) -> Rbac:
    """Decisions from what ``cache`` has. A change counts for the next decision after the cache has seen it."""
    rbac = Rbac()

    def load() -> None:
        rbac.index = Index()
        for resource, put in _RESOURCES:
            for entry in cache.resource(resource).entries():
                put(rbac.index, entry.key.namespace, entry.key.name, entry.body)
        rbac.changed()

    def observe(put: Callable[[Index, str, str, bytes | None], None], event: Event) -> None:
        new = event.new
        put(rbac.index, event.key.namespace, event.key.name, new.body if new is not None else None)
        rbac.changed()

    for resource, put in _RESOURCES:
        cache.listen(resource, lambda event, put=put: observe(put, event))  # type: ignore[misc]
    cache.on_reset(load)
    load()
    return rbac

"""Keeps the index of roles and bindings, and which clusters there are, as current as the watch cache is: in every process, from its events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from kafila.watch import Cache, Event

from .index import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES
from .members import CLUSTERS
from .rbac import Rbac

Put = Callable[[Rbac, str, str, bytes | None], None]
_RESOURCES: Final[tuple[tuple[str, Put], ...]] = (
    (ROLES, Rbac.put_role),
    (CLUSTER_ROLES, Rbac.put_role),
    (BINDINGS, Rbac.put_binding),
    (CLUSTER_BINDINGS, Rbac.put_binding),
    (CLUSTERS, Rbac.put_cluster),
)


def follow(cache: Cache) -> Rbac:
    """Decisions from what ``cache`` has. A change counts for the next decision after the cache has seen it."""
    rbac = Rbac()

    def load() -> None:
        rbac.forget()
        for resource, put in _RESOURCES:
            for entry in cache.resource(resource).entries():
                put(rbac, entry.key.namespace, entry.key.name, entry.body)

    def observe(put: Put, event: Event) -> None:
        new = event.new
        put(rbac, event.key.namespace, event.key.name, new.body if new is not None else None)

    for resource, put in _RESOURCES:
        cache.listen(resource, partial(observe, put))
    cache.on_reset(load)
    load()
    return rbac

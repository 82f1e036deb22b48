"""Roles and bindings that every cluster has: created at the first start, reconciled at each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from kafila.authorization.reconciliation import (
    has_other_role,
    is_protected,
    reconciled_binding,
    reconciled_role,
)
from kafila.catalog.karmada.roles import ROLES as KARMADA
from kafila.catalog.kind import Kind
from kafila.catalog.tables import read_table
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.watch import Entry

from .bootstrap import OPTIONS
from .codec import decode_entry
from .context import Change, DeleteOptions
from .decoding import decode_object
from .registry import Registry

log = structlog.get_logger(__name__)
_ATTEMPTS: Final = 8
_RETRY: Final = 0.05  # seconds: another process starts at the same time


def default_roles() -> list[Object]:
    """Kubernetes' own and Karmada's."""
    return [*read_table("bootstrap_roles.json")["objects"], *KARMADA]


async def ensure_roles(registry: Registry, roles: Iterable[Object]) -> None:
    """All that is missing in one transaction. Raises StatusError."""
    wanted = list(roles)
    for attempt in range(_ATTEMPTS):
        try:
            await _remove_outdated(registry, wanted)
            await registry.commit_together([change for role in wanted if (change := _change(registry, role))])
            return
        except StatusError as error:
            if not (error.is_conflict or error.is_not_found) or attempt == _ATTEMPTS - 1:
                raise
        await asyncio.sleep(_RETRY)
        await registry.wait_for_consistent_read()


async def _remove_outdated(registry: Registry, wanted: list[Object]) -> None:
    """Bindings of other roles than they have to be of."""
    for role in wanted:
        kind, entry = _found(registry, role)
        if entry is None or "roleRef" not in role:
            continue
        existing = decode_entry(kind, entry)
        if has_other_role(existing, role) and not is_protected(existing):
            options = DeleteOptions(uid=entry.meta.uid)
            await registry.delete(kind, entry.key.namespace, entry.key.name, options)


def _found(registry: Registry, role: Object) -> tuple[Kind, Entry | None]:
    group, _, version = role["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, role["kind"])
    assert kind is not None
    metadata = role["metadata"]
    return kind, registry.cache.get(kind.resource, metadata.get("namespace", ""), metadata["name"])


def _change(registry: Registry, role: Object) -> Change | None:
    kind, entry = _found(registry, role)
    if entry is None:
        obj = decode_object(kind, role, OPTIONS)
        return registry.stage_create(kind, role["metadata"].get("namespace", ""), obj, OPTIONS)
    existing = decode_entry(kind, entry)
    new = reconciled_binding(existing, role) if "roleRef" in role else reconciled_role(existing, role)
    if new is None:
        return None
    log.info("role reconciled", kind=kind.kind, name=entry.key.name, namespace=entry.key.namespace)
    return registry.stage_update(kind, entry, new, OPTIONS)

"""Small writes that several controllers do."""

from __future__ import annotations

from collections.abc import Callable

from kafila.catalog.kind import Kind
from kafila.core.errors import ignoring_not_found
from kafila.core.metadata import remove_finalizer
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.placement.detector import binding as bindings
from kafila.placement.types import PropagationPolicy
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry

from .kinds import OPTIONS


async def drop_finalizer(registry: Registry, kind: Kind, obj: AnyObject, finalizer: str) -> None:
    def without(current: Object) -> Object:
        remove_finalizer(current["metadata"], finalizer)
        return current

    metadata = obj["metadata"]
    with ignoring_not_found():
        await registry.modify(kind, metadata.get("namespace", ""), metadata["name"], without, OPTIONS)


async def unclaim(registry: Registry, kind: Kind, entry: Entry, policy: PropagationPolicy | None = None) -> Entry:
    """Takes the claim of ``policy``, or of any, off a template or binding; what was placed by it stays, as in Karmada."""
    obj = decode_entry(kind, entry)
    if bindings.unclaim(obj, policy) is obj:
        return entry
    with ignoring_not_found():
        key = entry.key
        return await registry.modify(
            kind, key.namespace, key.name, lambda current: bindings.unclaim(current, policy), OPTIONS
        )
    return entry


async def modify_status(registry: Registry, kind: Kind, key: Key, uid: str, change: Callable[[Object], Object]) -> None:
    """Of the object with this uid: nothing is written where it is gone, or was made anew under its name. Raises StatusError."""

    def changed(current: Object) -> Object:
        return change(current) if current["metadata"]["uid"] == uid else current

    with ignoring_not_found():
        await registry.modify(kind, key.namespace, key.name, changed, OPTIONS, "status")

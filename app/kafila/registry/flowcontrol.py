"""FlowSchemas and priority levels that every server has: made at the first start, kept as they have to be."""

from __future__ import annotations

from typing import Final

import structlog

from kafila.catalog.kind import Kind
from kafila.core.clock import rfc3339
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.quoting import quoted
from kafila.core.values import Object
from kafila.flowcontrol.bootstrap import API_VERSION, WANTED, is_left_over, revised
from kafila.flowcontrol.objects import GROUP
from kafila.watch import Entry

from .codec import decode_entry
from .context import DeleteOptions, Options
from .decoding import decode_object
from .patching import Patch
from .registry import Registry

log = structlog.get_logger(__name__)
PRODUCER: Final = Options(manager="api-priority-and-fairness-config-producer-v1")
CONSUMER: Final = Options(manager="api-priority-and-fairness-config-consumer-v1", force=True)
DANGLING: Final = "Dangling"


async def ensure_flow_control(registry: Registry) -> None:
    """All of them, and none that an earlier server had. Raises StatusError."""
    for kind, name in WANTED:
        await ensure_bootstrap_object(registry, kind, name)
    schemas, levels = (registry.kind(GROUP, "v1", name) for name in ("flowschemas", "prioritylevelconfigurations"))
    for kind in (schemas, levels):
        for entry in list(registry.cache.resource(kind.resource).entries()):
            await remove_left_over(registry, kind, entry)
    for entry in list(registry.cache.resource(schemas.resource).entries()):
        await write_dangling(registry, entry.key.name)


async def ensure_bootstrap_object(registry: Registry, kind_name: str, name: str) -> None:
    """Raises StatusError, but not when another process did it just now."""
    wanted = WANTED[kind_name, name]
    kind = registry.catalog.by_kind(GROUP, "v1", kind_name)
    assert kind is not None
    entry = registry.cache.get(kind.resource, "", name)
    try:
        if entry is None:
            await registry.create(kind, "", decode_object(kind, wanted, PRODUCER), PRODUCER)
            return
        new = revised(decode_entry(kind, entry), wanted)
        if new is not None:
            log.info("flow control restored", kind=kind_name, name=name)
            await registry.update(kind, "", name, new, PRODUCER)
    except StatusError as error:
        if not (error.is_already_exists or error.is_conflict):
            raise


async def remove_left_over(registry: Registry, kind: Kind, entry: Entry) -> None:
    """Raises StatusError, but not when it has gone or was changed just now."""
    if not is_left_over(kind.kind, decode_entry(kind, entry)):
        return
    try:
        log.info("flow control of an earlier version removed", kind=kind.kind, name=entry.key.name)
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision))
        await registry.delete(kind, "", entry.key.name, options)
    except StatusError as error:
        if not (error.is_not_found or error.is_conflict):
            raise


async def write_dangling(registry: Registry, name: str) -> None:
    """Says in a FlowSchema's status whether the level that it names is there. Raises StatusError."""
    kind = registry.kind(GROUP, "v1", "flowschemas")
    levels = registry.kind(GROUP, "v1", "prioritylevelconfigurations").resource
    entry = registry.cache.get(kind.resource, "", name)
    if entry is None:
        return
    schema = entry.decode()
    level = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name") or ""
    wanted = dangling_condition(level, registry.cache.get(levels, "", level) is not None)
    conditions = (schema.get("status") or {}).get("conditions") or ()
    if any({**found, **wanted} == found for found in conditions):
        return
    condition = {**wanted, "lastTransitionTime": rfc3339()}
    document = {
        "apiVersion": API_VERSION,
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "status": {"conditions": [condition]},
    }
    with ignoring_not_found():
        await registry.patch(kind, "", name, Patch("apply", document), CONSUMER, "status")


def dangling_condition(level: str, found: bool) -> Object:
    about = f"This FlowSchema references the PriorityLevelConfiguration object named {quoted(level)}"
    return {
        "type": DANGLING,
        "status": "False" if found else "True",
        "reason": "Found" if found else "NotFound",
        "message": f"{about} and it exists" if found else f"{about} but there is no such object",
    }

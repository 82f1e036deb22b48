"""Webhooks about requests that store no object of their own: evictions, bindings, tokens, reviews, connections."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from kafila.catalog.catalog import subresources_of
from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions

from .request import Request

_FLAGS: Final = ("stdin", "stdout", "stderr", "tty")
_CONNECTING: Final = frozenset({"attach", "exec", "portforward", "proxy"})


async def admitted(
    registry: Registry, kind: Kind, request: Request, obj: Object, options: Options | DeleteOptions | None = None
) -> Object:
    """``obj`` as webhooks have left it. Raises StatusError."""
    target = request.target
    assert target is not None
    name = target.name or (obj.get("metadata") or {}).get("name") or ""
    options = options or request.options()
    where = target.namespace if kind.namespaced else ""
    return await registry.staging.admitted(kind, target.subresource, "CREATE", name, where, obj, options)


def is_connection(subresource: str) -> bool:
    return subresource in _CONNECTING


async def connecting(registry: Registry, kind: Kind, request: Request) -> None:
    """Raises the StatusError of a webhook that refuses it."""
    target = request.target
    assert target is not None
    if not registry.staging.asks(kind, target.subresource, "CONNECT"):
        return
    where = target.namespace if kind.namespaced else ""
    obj = _connect_options(kind, request)
    options = Options(user=request.user, sent={}, warnings=request.warnings)
    if request.audit is not None:
        options.annotate = request.audit.annotate
    await registry.staging.admitted(kind, target.subresource, "CONNECT", target.name, where, obj, options)


def _connect_options(kind: Kind, request: Request) -> Object:
    """PodExecOptions and the like, from the query."""
    target = request.target
    assert target is not None
    shown = next(each.kind for each in subresources_of(kind) if each.name == target.subresource)
    group, version = (shown.group, shown.version) if shown.version else (kind.group, kind.version)
    found: Object = {"kind": shown.kind, "apiVersion": f"{group}/{version}" if group else version}
    if target.subresource == "proxy":
        return {**found, "path": f"/{target.rest}"} if target.rest else found
    for name in _FLAGS:
        if name in request.query:
            found[name] = request.flag(name)
    if container := request.query.get("container"):
        found["container"] = container
    command = [value for name, value in parse_qsl(request.raw_query, keep_blank_values=True) if name == "command"]
    if command:
        found["command"] = command
    return found

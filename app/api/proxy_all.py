"""``clusters/*/proxy``: all members asked at once. Lists come merged; an object is found where it is, if that is one place only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import orjson
import structlog

from app.core.errors import StatusError
from app.members.proxy import IN_PATHS, target_of
from app.members.transport import Unreachable

from .request import Request, Target, parse_target
from .responses import Response

log = structlog.get_logger(__name__)
ALL: Final = "*"
PATIENCE: Final = 30.0  # seconds for each member; one that is away must not keep the others' answers back
CONNECTING: Final = ("exec", "log")  # cannot be asked for on trial: the object is

Object = dict[str, Any]
# (cluster, path and query) to status and body of a GET as the caller. Raises StatusError, Unreachable.
Ask = Callable[[str, str], Awaitable[tuple[int, bytes]]]


class Found(NamedTuple):
    cluster: str
    body: bytes


def wanted(through: Target) -> Target | None:
    """What a request asks members for; None when that is no object or list: discovery and the like."""
    target = parse_target("/" + unquote(through.rest).lstrip("/"))
    return target if target is not None and target.plural else None


async def locate(asked: Target, clusters: list[str], ask: Ask) -> str:
    """The one cluster that has the object. Raises StatusError 404, 409."""
    parts = ["apis", asked.group] if asked.group else ["api"]
    parts.append(asked.version)
    if asked.namespace:
        parts += ["namespaces", asked.namespace]
    parts += [asked.plural, asked.name]
    if asked.subresource and asked.subresource not in CONNECTING:
        parts.append(asked.subresource)
    found = await _everywhere(clusters, target_of(quote("/".join(parts), safe=IN_PATHS), ""), ask)
    if not found:
        raise StatusError(404, "NotFound", "resource not found or don't have permission to get it")
    if len(found) > 1:
        where = ",".join(one.cluster for one in found)
        raise StatusError(409, "Conflict", f"conflict resource, exist in more than one cluster: {where}")
    return found[0].cluster


async def merged_list(request: Request, asked: Target, clusters: list[str], ask: Ask) -> Response:
    """Items of all members in the order of their names; kind and metadata are those of the first. Raises StatusError 404, 405."""
    verb = {"POST": "create", "DELETE": "deletecollection"}.get(request.method, request.method.lower())
    if request.method in ("GET", "HEAD"):
        verb = "watch" if asked.watch or request.flag("watch") else "list"
    if verb != "list":
        raise StatusError(405, "MethodNotAllowed", f"Request verb {verb} is not support")
    assert request.target is not None
    found = await _everywhere(clusters, target_of(request.target.rest, request.raw_query), ask)
    if not found:
        raise StatusError(404, "NotFound", "not found")
    merged: Object = orjson.loads(found[0].body)
    items = merged["items"] = merged.get("items") or []
    for one in found[1:]:
        items.extend(orjson.loads(one.body).get("items") or ())
    return Response(200, orjson.dumps(merged))


async def _everywhere(clusters: list[str], target: str, ask: Ask) -> list[Found]:
    """The members that answered with success. The others are left out, as in Karmada."""

    async def one(cluster: str) -> Found | None:
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await ask(cluster, target)
        except (StatusError, Unreachable, TimeoutError) as error:
            log.warning("left out of an answer of all members", cluster=cluster, error=str(error) or "timed out")
            return None
        return Found(cluster, body) if status == 200 else None

    answers = await asyncio.gather(*map(one, clusters))
    return [answer for answer in answers if answer is not None]

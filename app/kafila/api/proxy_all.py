"""``clusters/*/proxy``: all members asked at once. Lists come merged; an object is found where it is, if that is one place only."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

import orjson
import structlog

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.paging import pages
from kafila.members.proxy import IN_PATHS, target_of
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.settings.answers import AnswerLimits

from .request import Request, Target, parse_target
from .responses import Made, Response

log = structlog.get_logger(__name__)
ALL: Final = "*"
TIMEOUT: Final = 30.0  # seconds for each member; one that is away must not keep the others' answers back
_NUMBER: Final = re.compile("[0-9]{1,9}")
CONNECTING: Final = ("exec", "log")  # cannot be asked for on trial: the object is

# (cluster, path and query) to status and body of a GET as the caller. Raises StatusError, Unreachable.
Ask = Callable[[str, str], Awaitable[tuple[int, bytes]]]


T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    cluster: str
    value: T


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
    target = target_of(quote("/".join(parts), safe=IN_PATHS), "")

    async def there(cluster: str) -> bool | None:
        status, _ = await ask(cluster, target)
        return status == 200 or None

    found = await _everywhere(clusters, there)
    if not found:
        raise StatusError(404, "NotFound", "resource not found or don't have permission to get it")
    if len(found) > 1:
        where = ",".join(one.cluster for one in found)
        raise StatusError(409, "Conflict", f"conflict resource, exist in more than one cluster: {where}")
    return found[0].cluster


async def merged_list(request: Request, asked: Target, clusters: list[str], ask: Ask, limits: AnswerLimits) -> Response:
    """Items of all members in the order of their names; kind and metadata are those of the first. Raises StatusError 404, 405."""
    verb = {"POST": "create", "DELETE": "deletecollection"}.get(request.method, request.method.lower())
    if request.method in ("GET", "HEAD"):
        verb = "watch" if asked.watch or request.flag("watch") else "list"
    if verb != "list":
        raise StatusError(405, "MethodNotAllowed", f"Request verb {verb} is not support")
    assert request.target is not None
    most = max(limits.answer, limits.kept // max(1, len(clusters)))
    found = await _everywhere(clusters, partial(_listed, request.target.rest, request.raw_query, ask, limits, most))
    if not found:
        raise StatusError(404, "NotFound", "not found")
    head = orjson.dumps(found[0].value.head).removesuffix(b"}")
    pieces = [piece for one in found for piece in one.value.items if piece]
    parts = [head + (b"," if head != b"{" else b"") + b'"items":[']
    for number, piece in enumerate(pieces):
        parts += (b",", piece) if number else (piece,)
    parts.append(b"]}")
    return Response(200, Made(iter(parts), sum(map(len, parts)), exact=True))


class _Listed(NamedTuple):
    """A member's list: without its items, and these as JSON, page by page, without brackets."""

    head: Object
    items: list[bytes]


async def _listed(rest: str, query: str, ask: Ask, limits: AnswerLimits, most: int, cluster: str) -> _Listed:
    """All that the caller asked for, of at most ``most`` bytes. Raises StatusError, Unreachable, UnusableAnswer."""
    what = f"GET {rest}"
    given = dict(parse_qsl(query, keep_blank_values=True, encoding="latin-1"))
    wanted = int(given["limit"]) if _NUMBER.fullmatch(given.get("limit", "")) else 0

    async def page(asked: Mapping[str, str]) -> tuple[int, bytes]:
        return await ask(cluster, target_of(rest, urlencode(asked, encoding="latin-1")))

    pieces: list[bytes] = []
    head: Object = {}
    size = 0
    async with contextlib.aclosing(pages(page, what, given, limits, wanted=wanted)) as found:
        async for one in found:
            pieces.append(_joined(one.items, what))
            size += len(pieces[-1])
            if size > most:
                raise UnusableAnswer(f"the list of {what} is longer than {most} bytes")
            head = head or {**one.answer, "metadata": {**one.metadata}}
            head.pop("items", None)
            for name in ("continue", "remainingItemCount"):  # the last page says how it goes on
                head["metadata"].pop(name, None)
                if one.metadata.get(name):
                    head["metadata"][name] = one.metadata[name]
    return _Listed(head, pieces)


def _joined(items: list[Object], what: str) -> bytes:
    try:
        return orjson.dumps(items)[1:-1]
    except orjson.JSONEncodeError:
        raise UnusableAnswer(f"the answer to {what} has an object that is nested too deep") from None


async def _everywhere(clusters: list[str], ask: Callable[[str], Awaitable[T | None]]) -> list[Found[T]]:
    """What the members have to say that have something. The others are left out, as in Karmada."""

    async def one(cluster: str) -> Found[T] | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                value = await ask(cluster)
        except (StatusError, Unreachable, TimeoutError) as error:
            log.warning("left out of an answer of all members", cluster=cluster, error=str(error) or "timed out")
            return None
        return Found(cluster, value) if value is not None else None

    answers = await asyncio.gather(*map(one, clusters))
    return [answer for answer in answers if answer is not None]

"""``clusters/*/proxy``: all members asked at once. Lists come merged; an object is found where it is, if that is one place only.

Who cannot be asked, or has no usable answer, is left out with a warning.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

import orjson
import structlog

from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.paging import pages
from kafila.members.proxy import IN_PATHS, target_of
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.search.versions import encode, own_version, parse
from kafila.settings.answers import AnswerLimits

from .member_lists import Unlike, content_of, head_of, marked
from .negotiation import accepted, without
from .request import Request, Target, parse_target
from .responses import Made, Response

log = structlog.get_logger(__name__)
ALL: Final = "*"
TIMEOUT: Final = 30.0  # seconds for all of them; one that is away must not keep the others' answers back
AT_ONCE: Final = 100  # members that are asked at the same time
_NUMBER: Final = re.compile("[0-9]{1,9}")
_VERSION: Final = re.compile("[0-9A-Za-z_.-]{1,64}")
MATCH: Final = "resourceVersionMatch"
CONNECTING: Final = ("attach", "exec", "log", "portforward")  # cannot be asked for on trial: the object is

# (cluster, path and query, what is accepted) to status and body of a GET as the caller. Raises StatusError, Unreachable.
Ask = Callable[[str, str, str], Awaitable[tuple[int, bytes]]]


T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    cluster: str
    value: T


def wanted(through: Target) -> Target | None:
    """What a request asks members for; None when that is no object or list: discovery and the like."""
    target = parse_target("/" + unquote(through.rest).lstrip("/"))
    return target if target is not None and target.plural else None


async def locate(request: Request, asked: Target, clusters: list[str], ask: Ask) -> str:
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
        status, _ = await ask(cluster, target, "application/json")
        return status == 200 or None

    found = await everywhere(clusters, there, request.warnings)
    if not found:
        raise StatusError(404, "NotFound", "resource not found or don't have permission to get it")
    if len(found) > 1:
        where = ",".join(one.cluster for one in found)
        raise StatusError(409, "Conflict", f"conflict resource, exist in more than one cluster: {where}")
    return found[0].cluster


async def merged_list(request: Request, asked: Target, clusters: list[str], ask: Ask, limits: AnswerLimits) -> Response:
    """Items of all members in the order of their names; the kind is that of the first, the resourceVersion that of all.
    Raises StatusError 404, 405, 410."""
    verb = {"POST": "create", "DELETE": "deletecollection"}.get(request.method, request.method.lower())
    if request.method in ("GET", "HEAD"):
        verb = "watch" if asked.watch else "list"
    if verb != "list":
        raise StatusError(405, "MethodNotAllowed", f"Request verb {verb} is not support")
    assert request.target is not None
    rest = request.target.rest
    going_on = _continued(request.query.get("continue", ""))
    if going_on:
        clusters = [cluster for cluster in clusters if cluster in going_on]
    most = max(limits.answer, limits.kept // max(1, len(clusters)))
    query = query_of(request)
    version = query.get("resourceVersion", "")
    if version not in ("", "0") and not parse(version).of:  # on this a client lists again, and asks for the newest
        raise errors.expired(f"too old resource version: {version[:64]} is none of a list of all members")

    def listed(cluster: str) -> Awaitable[_Listed]:
        given = _for_one(query, cluster, going_on.get(cluster, ""))
        return _listed(rest, given, form_of(request), ask, limits, most, cluster)

    found = await everywhere(clusters, listed, request.warnings)
    if not found:
        raise StatusError(404, "NotFound", "not found")
    return _joined(found, request.warnings)


def _for_one(query: Mapping[str, str], cluster: str, more: str) -> dict[str, str]:
    """What of a list of all is asked of one member: its own version, unless its own token has it."""
    given = dict(query)
    version = given.get("resourceVersion", "")
    own = own_version(version, cluster)
    if own is not None:
        given["resourceVersion"] = own
    if more:
        given["continue"] = more
    if more or not given.get("resourceVersion"):
        given.pop("resourceVersion", None)
        given.pop(MATCH, None)
    return given


def query_of(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.raw_query, keep_blank_values=True, encoding="latin-1"):
        found.setdefault(name, value)  # the first counts, as in what was decided by
    return found


def form_of(request: Request) -> str:
    """What members are asked for: JSON, in the form that the caller wants. Raises StatusError 406."""
    form = accepted(without(request.header(b"accept"), "PartialObjectMetadata"), False)
    plain = "application/json"
    return f"{plain};as={form.form};v={form.version};g=meta.k8s.io, {plain}" if form.form else plain


class _Listed(NamedTuple):
    """A member's list: without its items, and these as JSON, page by page, without brackets."""

    head: Object
    items: list[bytes]
    more: str  # how it goes on


async def _listed(
    rest: str, given: dict[str, str], accept: str, ask: Ask, limits: AnswerLimits, most: int, cluster: str
) -> _Listed:
    """All that the caller asked for, of at most ``most`` bytes. Raises StatusError, Unreachable, UnusableAnswer."""
    what = f"GET {rest}"
    wanted = int(given["limit"]) if _NUMBER.fullmatch(given.get("limit", "")) else 0

    async def page(asked: Mapping[str, str]) -> tuple[int, bytes]:
        return await ask(cluster, target_of(rest, urlencode(asked, encoding="latin-1")), accept)

    pieces: list[bytes] = []
    head: Object = {}
    size, more = 0, ""
    async with contextlib.aclosing(pages(page, what, given, limits, wanted=wanted, read=content_of)) as found:
        async for one in found:
            marked(one.answer, one.items, cluster)
            pieces.append(_json(one.items, what))
            size += len(pieces[-1])
            if size > most:
                raise UnusableAnswer(f"the list of {what} is longer than {most} bytes")
            head = head or head_of(one.answer)
            more = one.metadata.get("continue") or ""
    _json([head], what)  # if not this one is left out, nobody has an answer
    return _Listed(head, pieces, more)


def _joined(found: list[Found[_Listed]], warnings: list[str]) -> Response:
    """One list; a member whose list is of another form than the first one's is left out."""
    first = found[0].value.head
    unlike = Unlike(first)
    kept = [one for one in found if not unlike.differs(one.value.head)]
    warnings += [
        _left_out(one.cluster, "its list is of another form") for one in found if unlike.differs(one.value.head)
    ]
    more = {one.cluster: one.value.more for one in kept if one.value.more}
    metadata = {**first["metadata"]}
    versions = {one.cluster: version for one in kept if (version := version_of(one.value.head["metadata"]))}
    if versions:  # as in Karmada's search: a watch goes on from it
        metadata["resourceVersion"] = encode(versions)
    if more:
        metadata["continue"] = base64.urlsafe_b64encode(orjson.dumps(more)).decode().rstrip("=")
    head = orjson.dumps({**first, "metadata": metadata}).removesuffix(b"}")
    pieces = [piece for one in kept for piece in one.value.items if piece]
    parts = [head + b',"' + unlike.field.encode() + b'":[']
    for number, piece in enumerate(pieces):
        parts += (b",", piece) if number else (piece,)
    parts.append(b"]}")
    return Response(200, Made(iter(parts), sum(map(len, parts)), exact=True))


def version_of(metadata: Object) -> str:
    """ "" for one that no kube-apiserver gives."""
    found = metadata.get("resourceVersion")
    return found if isinstance(found, str) and _VERSION.fullmatch(found) else ""


def _continued(token: str) -> dict[str, str]:
    """How the lists of members go on, by cluster. Raises StatusError 410 for a token that is none of ours."""
    if not token:
        return {}
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ValueError
    except (ValueError, binascii.Error):
        raise errors.expired("The provided continue parameter is not one of a list of all members.") from None
    return found


def _json(items: list[Object], what: str) -> bytes:
    try:
        return orjson.dumps(items)[1:-1]
    except orjson.JSONEncodeError:
        raise UnusableAnswer(f"the answer to {what} is nested too deep") from None


async def everywhere(
    clusters: list[str], ask: Callable[[str], Awaitable[T | None]], warnings: list[str]
) -> list[Found[T]]:
    """What the members have to say that have something. The others are left out, as in Karmada; it is said of whom and why, but not
    of those that only have nothing of the kind."""
    until = asyncio.get_running_loop().time() + TIMEOUT
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(cluster: str) -> Found[T] | str | None:
        try:
            async with asyncio.timeout_at(until), turns:
                value = await ask(cluster)
        except (StatusError, Unreachable, TimeoutError) as error:
            why = str(error) or f"no answer within {TIMEOUT:.0f} s"
            log.warning("left out of an answer of all members", cluster=cluster, error=why)
            return None if isinstance(error, StatusError) and error.code == 404 else _left_out(cluster, why)
        return Found(cluster, value) if value is not None else None

    answers = await asyncio.gather(*map(one, clusters))
    warnings += [answer for answer in answers if isinstance(answer, str)]
    return [answer for answer in answers if isinstance(answer, Found)]


def _left_out(cluster: str, why: str) -> str:
    return f"cluster {cluster} is left out: {why}"

"""GETs of one object on a connection whose requests differ in nothing but the path, as those of most clients do.

What else their head says was read before, by the parser and by ``app.py``, and is plain: JSON is asked for, nobody is impersonated, no
body comes. What is left to find out is who asks, whether he may, how he is classified and what there is. Whatever turns out not to
be plain after all, an object that is not there included, goes the ordinary way as if nothing had been tried (docs/adr/0011).
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, NamedTuple, Protocol, final

from kafila.authentication.chain import Authentication
from kafila.authentication.credentials import Credentials, Peer
from kafila.authorization import MASTERS, Authorizer
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.flowcontrol.configuration import ClassifiedFlow
from kafila.flowcontrol.fairness import Fairness, Seat
from kafila.registry import Registry, User
from kafila.registry.codec import wire_bytes
from kafila.watch import Entry

from . import metrics, seats
from .aggregating import ExtensionProxy
from .auditing import Auditor
from .authorization import attributes_of
from .dispatch import is_plain
from .negotiation import JSON, accepted
from .request import Target, parse_target
from .responses import CHUNK, GZIP_MINIMUM, is_for_people

_PLAIN: Final = frozenset((b"host", b"accept", b"accept-encoding", b"user-agent", b"authorization", b"connection"))
_METHOD, _VERSION, _END = b"GET ", b" HTTP/1.1\r\n", b"\r\n\r\n"
_PATH: Final = re.compile(
    rb"/[\w.:/~@-]{1,1024}"
)  # which means what it says: nothing is encoded, and no parameters come
_AROUND: Final = 1024  # bytes of kind and apiVersion, at most
MOST: Final = CHUNK - _AROUND  # bytes of an object; what is longer is sent in pieces
MOST_ZIPPED: Final = GZIP_MINIMUM - _AROUND  # where the client takes what is zipped
_CONTENT: Final = b"cache-control: no-cache, private\r\ncontent-type: application/json\r\ncontent-length: "


class Head(NamedTuple):
    """All of a request but its path. ``rest``: the bytes behind the path."""

    rest: bytes
    headers: list[tuple[bytes, bytes]]
    accept: str
    zipped: bool


def plain_head(data: bytes, headers: list[tuple[bytes, bytes]]) -> Head | None:
    """Of a request that came as ``data``, with nothing before or behind it. ``headers`` with lower-case names, as the parser
    has read them. None: it is not plain, and neither are others like it."""
    at = data.find(_VERSION)
    if not data.startswith(_METHOD) or at < 0 or data.find(_END) != len(data) - len(_END):
        return None
    found = dict(headers)
    if len(found) < len(headers) or not found.keys() <= _PLAIN or is_for_people(found):
        return None
    if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    zipped = b"gzip" in found.get(b"accept-encoding", b"")
    return Head(data[at:], headers, found.get(b"accept", b"").decode("latin-1"), zipped)


class Connection(Protocol):
    """That a request came on (``point_protocol.py``)."""

    def classified(self, flow: ClassifiedFlow) -> None: ...

    def can_write(self) -> bool: ...

    def answered(self, read: PointRead, answer: list[bytes]) -> None:
        """``answer``: the lines of its head but those that are the connection's own, and its body."""

    def go_ordinary_way(self, read: PointRead) -> None: ...


class _Nobody:
    """Waits for what a request tells."""

    def set(self) -> None: ...


@final
class PointRead:
    """One of them; to uvicorn's protocol the cycle of a request and its answer, to others a request."""

    __slots__ = (
        *("data", "disconnected", "head", "keep_alive", "kind", "path", "peer", "response_complete", "seat", "started"),
        *("target", "task", "user", "way"),
    )

    method: Final = "GET"
    query: Final[dict[str, str]] = {}
    authorizer: Final = None
    message_event: Final = _Nobody()

    def __init__(self, way: Connection, data: bytes, head: Head, peer: Peer | None) -> None:
        self.way = way
        self.data = data
        self.head = head
        self.peer = peer
        self.path = data[len(_METHOD) : -len(head.rest)].decode("ascii")
        self.target: Target
        self.kind: _Kind
        self.user: User
        self.seat: Seat | None = None
        self.task: asyncio.Task[None]
        self.started = time.perf_counter()
        self.disconnected = self.response_complete = False
        self.keep_alive = True

    def flag(self, name: str) -> bool:
        return False


def may_be_one(data: bytes, head: Head) -> bool:
    """Whether a request that came as ``data`` differs from others in nothing but a path that may be an object's."""
    rest = head.rest
    return (
        data.startswith(_METHOD)
        and data.endswith(rest)
        and _PATH.fullmatch(data, len(_METHOD), len(data) - len(rest)) is not None
    )


class App(Protocol):
    """What an application is asked (``app.py``)."""

    registry: Registry
    authentication: Authentication
    authorizer: Authorizer
    auditor: Auditor | None
    fairness: Fairness | None
    extension_proxy: ExtensionProxy | None


class _Kind(NamedTuple):
    """``plain``: its objects are stored as they are answered."""

    kind: Kind
    plain: bool
    counted: metrics.Counted


@final
class PointReads:
    def __init__(self, app: App) -> None:
        self._app = app
        self._kinds: dict[tuple[str, str, str], _Kind] = {}

    def begin(self, read: PointRead) -> bool:
        """False: it is not plain, and nothing was done."""
        app = self._app
        target = parse_target(read.path)
        if target is None or not target.name or target.subresource or target.watch or app.auditor is not None:
            return False
        kind = self._kind(target)
        if kind is None or not kind.plain or kind.kind.namespaced != bool(target.namespace):
            return False
        if app.extension_proxy is not None and app.extension_proxy.routes.of(target.group, target.version):
            return False
        read.target, read.kind = target, kind
        if self._stored(read) is None or not self._is_allowed(read):
            return False
        flow = None
        if app.fairness is not None:
            flow = seats.flow_of(app.fairness, read)
            if not flow.level.queues.exempt:
                read.way.classified(flow)
            read.seat = app.fairness.begin(flow, read.started, about=read)
            if read.seat is None:
                return False
        read.task = asyncio.get_running_loop().create_task(self._answer(read))
        return True

    def _kind(self, target: Target) -> _Kind | None:
        key = target[:3]
        kind, known = self._app.registry.catalog.get(*key), self._kinds.get(key)
        if known is not None and known.kind is kind:
            return known
        if kind is None:
            self._kinds.pop(key, None)
            return None
        counted = metrics.counted("get", kind, target, False)
        known = self._kinds[key] = _Kind(kind, is_plain(kind), counted)
        return known

    def _is_allowed(self, read: PointRead) -> bool:
        """Whether that is known here, and at once."""
        app, head, kind = self._app, read.head, read.kind.kind
        try:
            if accepted(head.accept, bool(kind.protobuf) and not kind.custom) != JSON:
                return False
            user = app.authentication.at_once(Credentials(head.headers, read.path, read.peer))
        except StatusError:
            return False
        if user is None:
            return False
        read.user = user
        if MASTERS in user.groups:
            return True
        return not app.authorizer.asks_others and app.authorizer.decide(attributes_of(read, False)).allowed

    def _stored(self, read: PointRead) -> Entry | None:
        """What there is, where that is answered in one piece as it is. Asked first too: else storage would be asked twice."""
        target = read.target
        entry = self._app.registry.cache.get(read.kind.kind.resource, target.namespace, target.name)
        if entry is None or len(entry.body) > (MOST_ZIPPED if read.head.zipped else MOST):
            return None
        return entry

    async def _answer(self, read: PointRead) -> None:
        seat, fairness = read.seat, self._app.fairness
        try:
            if seat is None or fairness is None:
                answer = await self._found(read)
            else:
                answer = await fairness.paced(seat.flow, self._found(read))
        except Exception:  # the ordinary way meets it again, and says what it is
            answer = None
        except BaseException:
            if seat is not None:
                seat.leave(time.perf_counter())
            raise
        read.seat = None  # which knows the request: both would wait for the garbage collector
        if answer is None:
            if seat is not None:
                seat.pause()  # nothing has begun: it does not count
            read.way.go_ordinary_way(read)
            return
        now = time.perf_counter()
        if seat is not None:
            seat.leave(now)
        read.kind.counted.add(200, now - read.started, len(answer[-1]))
        read.way.answered(read, answer)

    async def _found(self, read: PointRead) -> list[bytes] | None:
        """The answer; None when it is no plain one."""
        await self._app.registry.wait_for_consistent_read()
        entry = self._stored(read)
        if entry is None or not read.way.can_write():
            return None
        body = wire_bytes(read.kind.kind, entry)
        answer = [_CONTENT, str(len(body)).encode(), b"\r\naudit-id: ", new_uid().encode(), b"\r\n"]
        if read.seat is not None:
            for name, value in read.seat.flow.headers:
                answer += (name, b": ", value, b"\r\n")
        answer.append(body)
        return answer

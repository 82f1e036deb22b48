"""Verbs on one member's API (or on any Kubernetes API): JSON objects in, JSON objects out, errors as the member said them.

One client per member: its own connections, its own limits. A slow or dead member therefore delays nobody else, and when it is
known to be away its requests fail at once (:class:`~kafila.members.limits.CircuitBreaker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final
from urllib.parse import urlencode

import orjson

from kafila.core.rates import TokenBucket
from kafila.core.values import Object
from kafila.settings.answers import ANSWER_LIMITS, AnswerLimits

from .answers import event_error, status_error
from .conduct import Conduct
from .limits import DEFAULT_BURST, DEFAULT_QPS, CircuitBreaker, Faults
from .login import Credential, CredentialSource
from .paging import FIRST_PAGE, pages
from .paths import resource_path as resource_path
from .shapes import check_object, document, mapping
from .transport import NO_TLS, TLS, Headers, Response, Timeouts, TooLong, Transport, Unreachable, UnusableAnswer
from .wire import lines

if TYPE_CHECKING:
    from .network import NetworkTransport

Objects = list[Object]
Fence = Callable[[], object]

USER_AGENT = "kafila"
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

READING: Final = ("GET", "HEAD", "OPTIONS")

MAX_CONCURRENT = 64  # requests under way at a time; watches do not count
MAX_THROTTLED = 5  # times a 429 is waited for
_SECONDS: Final = re.compile("[0-9]{1,5}")
LONGEST_THROTTLE = 10  # seconds
WATCH_SECONDS = 540
WATCH_IDLE = 90.0  # bookmarks come every minute: longer silence is a dead stream


class _Exchange(NamedTuple):
    method: str
    target: str
    body: bytes | None
    content_type: str
    headers: Headers
    probe: bool

    @property
    def what(self) -> str:
        return f"{self.method} {self.target.partition('?')[0]}"


class WatchEvent(NamedTuple):
    type: str  # ADDED, MODIFIED, DELETED or BOOKMARK
    object: Object
    size: int = 0  # bytes that it came in


@final
class MemberClient:
    """``token`` is a bearer token or where to get what is shown. ``transport`` overrides the network (simulation).

    ``fence`` is asked right before each request that may write is sent, and raises when it must not be.
    """

    def __init__(
        self,
        name: str,
        endpoint: str = "",
        *,
        tls: TLS = NO_TLS,
        token: str | CredentialSource = "",
        proxy_url: str = "",
        proxy_headers: Mapping[str, str] | None = None,
        headers: Headers = (),
        transport: Transport | None = None,
        qps: float = DEFAULT_QPS,
        burst: int = DEFAULT_BURST,
        concurrency: int = MAX_CONCURRENT,
        timeout: float = 30.0,
        fence: Fence | None = None,
        limits: AnswerLimits = ANSWER_LIMITS,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.breaker = CircuitBreaker()
        self.limits = limits
        self.faults = Faults()
        self.conduct = Conduct()
        self.kept = 0  # bytes of objects that informers remember
        self._network: NetworkTransport | None = None
        if transport is None:
            from .network import NetworkTransport

            transport = self._network = NetworkTransport(endpoint, tls, proxy_url, proxy_headers)
        self._transport = transport
        self._token = token
        self._headers = (("User-Agent", USER_AGENT), *headers)
        self._bucket = TokenBucket(qps, burst)
        self._slots = asyncio.Semaphore(concurrency)
        self.timeouts = Timeouts(timeout, timeout)
        self._fence = fence

    async def close(self) -> None:
        await self._transport.close()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        probe: bool = False,
        timeout: float | None = None,
        headers: Headers = (),
    ) -> tuple[int, bytes]:
        """Status and body, whatever the status is. ``probe`` goes out even while the breaker is open (health checks).

        Raises Unreachable, UnusableAnswer for an answer over the limit; requests that the member throttled (429) have had no
        effect and are repeated as it asks.
        """
        status, _, data = await self.exchange(
            method, path, body, query=query, content_type=content_type, probe=probe, timeout=timeout, headers=headers
        )
        return status, data

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        probe: bool = False,
        timeout: float | None = None,
        headers: Headers = (),
    ) -> tuple[int, Mapping[str, str], bytes]:
        """``request`` with the answer's headers."""
        target = f"{path}?{urlencode(query)}" if query else path
        exchange = _Exchange(method, target, body, content_type, headers, probe)
        timeouts = self.timeouts if timeout is None else Timeouts(timeout, timeout)
        # a probe must not stand behind requests that a silent member holds up
        async with contextlib.nullcontext() if probe else self._slots:
            for attempt in range(MAX_THROTTLED + 1):
                response = await self._send(exchange, timeouts)
                try:
                    data = await self._read(exchange, response)
                finally:
                    await response.close()
                self.conduct.answered(exchange.what, response.status, data, asyncio.get_running_loop().time())
                pause = response.headers.get("Retry-After") or response.headers.get("retry-after")
                if (
                    response.status != 429
                    or not pause
                    or not _SECONDS.fullmatch(pause)
                    or attempt == MAX_THROTTLED
                    or probe
                ):
                    break
                await asyncio.sleep(min(int(pause), LONGEST_THROTTLE))
        return response.status, response.headers, data

    async def _read(self, exchange: _Exchange, response: Response) -> bytes:
        try:
            return await response.read(self.limits.answer)
        except TooLong as error:
            raise TooLong(f"{error}: {exchange.what}") from None

    @contextlib.contextmanager
    def judging(self, what: str) -> Iterator[None]:
        """What comes of asking for ``what`` (method and path) is remembered, if it cannot be used."""
        try:
            yield
        except UnusableAnswer as error:
            self.faults.record(what, str(error), asyncio.get_running_loop().time())
            raise
        self.faults.mended(what)

    async def _send(self, exchange: _Exchange, timeouts: Timeouts) -> Response:
        if (wait := self._bucket.reserve(asyncio.get_running_loop().time())) > 0:
            await asyncio.sleep(wait)
        shown = await self._credential(None)
        response = await self._guarded(exchange, timeouts, shown)
        if response.status == 401 and callable(self._token):
            await response.close()
            response = await self._guarded(exchange, timeouts, await self._credential(shown))
        return response

    async def _credential(self, refused: Credential | None) -> Credential:
        if not callable(self._token):
            return Credential(self._token)
        found = await self._token(refused)
        if self._network is not None and found.certificate:
            await self._network.present(found.certificate, found.key)
        return found

    async def _guarded(self, exchange: _Exchange, timeouts: Timeouts, shown: Credential) -> Response:
        loop = asyncio.get_running_loop()
        headers = self._request_headers(exchange, shown.token)
        if self._fence is not None and exchange.method not in READING:
            self._fence()
        if not self.breaker.admits(loop.time()) and not exchange.probe:
            raise Unreachable(f"cluster {self.name} is not reachable; tried again soon", sent=False)
        try:
            response = await self._transport.send(exchange.method, exchange.target, headers, exchange.body, timeouts)
        except Unreachable:
            self.breaker.failed(loop.time())
            raise
        except BaseException:
            self.breaker.left()
            raise
        self.breaker.succeeded()
        return response

    def _request_headers(self, exchange: _Exchange, token: str) -> list[tuple[str, str]]:
        headers = [*self._headers, *exchange.headers]
        if not any(name == "Accept" for name, _ in exchange.headers):
            headers.append(("Accept", JSON))
        if token:
            headers.append(("Authorization", token if " " in token else f"Bearer {token}"))
        if exchange.body is not None:
            headers.append(("Content-Type", exchange.content_type))
        return headers

    async def stream(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON,
        headers: Headers = (),
        idle: float = 0,
    ) -> Response:
        """The answer's head as soon as it is there, its body as it comes; the caller closes it. For logs and the proxy.

        ``target`` is an encoded path with its query; ``idle`` (seconds, 0: none) bounds the silence. Raises Unreachable.
        """
        return await self._send(_Exchange(method, target, body, content_type, headers, False), Timeouts(0, idle))

    def set_token(self, token: str) -> None:
        """From the next request on (tokens are renewed before they expire)."""
        self._token = token

    # -- objects ----------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        obj: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Any:
        """One exchange of JSON. Raises StatusError for every status of 400 and above, Unreachable without an answer."""
        body = None if obj is None else orjson.dumps(obj)
        what = f"{method} {path}"
        with self.judging(what):
            status, data = await self.request(method, path, body, query=query, content_type=content_type)
            if 200 <= status < 300:
                return check_object(document(data, what), what) if data else None
        raise status_error(status, data)

    async def get(self, path: str) -> Object:
        return await self.call("GET", path)

    async def find(self, path: str, timeout: float | None = None) -> Object | None:
        """The object, or None when the member says that it does not exist."""
        with self.judging(f"GET {path}"):
            status, data = await self.request("GET", path, timeout=timeout)
            if status == 200:
                return check_object(document(data, f"GET {path}"), f"GET {path}")
        error = status_error(status, data)
        if error.code == 404:
            return None
        raise error

    async def create(self, path: str, obj: Object, *, query: Mapping[str, str] | None = None) -> Object:
        return await self.call("POST", path, obj, query=query)

    async def update(self, path: str, obj: Object, *, query: Mapping[str, str] | None = None) -> Object:
        return await self.call("PUT", path, obj, query=query)

    async def patch(
        self, path: str, patch: Any, *, content_type: str = MERGE_PATCH, query: Mapping[str, str] | None = None
    ) -> Object:
        return await self.call("PATCH", path, patch, query=query, content_type=content_type)

    async def delete(
        self,
        path: str,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_period: int | None = None,
    ) -> Object:
        """``propagation``: Background, Foreground or Orphan. ``uid`` keeps a successor of the same name alive (409)."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if preconditions := {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        return await self.call("DELETE", path, options)

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> tuple[Objects, str]:
        """All items and the list's resourceVersion. Raises StatusError 410 when paging took too long."""
        items: Objects = []
        version = ""
        async for found, latest in self.pages(path, query=query):
            items += found
            version = latest
        return items, version

    async def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, first: int = FIRST_PAGE
    ) -> AsyncIterator[tuple[Objects, str]]:
        """A list piece by piece, for readers that keep little of each. Items come with kind and apiVersion."""
        what = f"GET {path}"
        with self.judging(what):
            ask = partial(self._page, path)
            async with contextlib.aclosing(pages(ask, what, query or {}, self.limits, first=first)) as found:
                async for page in found:
                    kind = page.answer.get("kind", "").removesuffix("List")
                    api_version = page.answer.get("apiVersion", "")
                    for item in page.items:  # typed lists leave them out
                        item.setdefault("kind", kind)
                        item.setdefault("apiVersion", api_version)
                    yield page.items, page.metadata.get("resourceVersion", "")

    async def _page(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        return await self.request("GET", path, query=query)

    # -- watch ------------------------------------------------------------------------------------------------------

    async def watch(
        self,
        path: str,
        resource_version: str,
        *,
        query: Mapping[str, str] | None = None,
        seconds: int = WATCH_SECONDS,
        idle: float = WATCH_IDLE,
    ) -> AsyncIterator[WatchEvent]:
        """Events after ``resource_version`` until the stream ends; the caller resumes from the last version it saw.

        Raises StatusError (410: relist) and Unreachable."""
        asked = {
            **(query or {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        exchange = _Exchange("GET", f"{path}?{urlencode(asked)}", None, JSON, (), False)
        response = await self._send(exchange, Timeouts(0, idle))
        try:
            if response.status != 200:
                data = await self._read(exchange, response)
                self.conduct.answered(exchange.what, response.status, data, asyncio.get_running_loop().time())
                raise status_error(response.status, data)
            async for line in lines(response.chunks(), self.limits.answer):
                event = mapping(line, exchange.what)
                type, obj = event.get("type"), event.get("object")
                if not isinstance(type, str) or not isinstance(obj, dict):
                    raise UnusableAnswer(f"an event of {exchange.what} has no type or no object")
                if type == "ERROR":
                    raise event_error(obj)
                yield WatchEvent(type, check_object(obj, exchange.what), len(line))
        except UnusableAnswer as error:
            self.faults.record(exchange.what, str(error), asyncio.get_running_loop().time())
            raise
        finally:
            await response.close()

"""The requests that are sent to an OpenSearch, and what is believed of its answers: sizes, times, and texts that are its own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple, final
from urllib.parse import quote, unquote, urlsplit

import orjson

from kafila.members.network import NetworkTransport
from kafila.members.transport import TLS, Timeouts, Transport, Unreachable

from .documents import INDEX, OWNER_FIELDS

LARGEST_ANSWER: Final = 16 << 20  # bytes
TIMES: Final = Timeouts(total=60.0, idle=30.0)
SCROLLED: Final = 2_000  # documents in one answer
KEPT_OPEN: Final = "2m"  # a scroll, between two answers
MOST_SCROLLED: Final = 50_000_000  # documents of one index
LONGEST_TEXT: Final = 256  # characters of what it says
_JSON: Final = ("Content-Type", "application/json")
_BULK: Final = ("Content-Type", "application/x-ndjson")
_BUSY: Final = (429, 502, 503, 504)


class BackendError(Exception):
    """Why nothing can be written. ``reason``: of a condition."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class TooMuch(Exception):
    """A request that has more than this server takes at once."""


class Credentials(NamedTuple):
    """``authority``: PEM of the CA of its certificate; empty: the system's roots."""

    username: str = ""
    password: str = ""
    authority: bytes = b""


class Action(NamedTuple):
    """``document`` None: it is deleted."""

    index_name: str
    id: str
    document: bytes | None = None

    def lines(self) -> bytes:
        verb = "delete" if self.document is None else "index"
        head = orjson.dumps({verb: {"_index": self.index_name, "_id": self.id}})
        return head + b"\n" if self.document is None else b"".join((head, b"\n", self.document, b"\n"))


class Outcome(NamedTuple):
    """Of one action. ``again``: it was not done, and may be later; ``refused``: why it never will be, "" when it was done."""

    again: bool = False
    refused: str = ""


class Document(NamedTuple):
    id: str
    source: Any  # the fields that tell whose it is


class _Answer(NamedTuple):
    status: int
    value: Any


@final
class OpenSearch:
    """``addresses``: of its nodes; the first that answers is asked until it does not.

    ``fence`` is asked right before each request that writes documents is sent, and raises when it must not be.
    """

    def __init__(
        self, addresses: Sequence[str], credentials: Credentials, fence: Callable[[], object] | None = None
    ) -> None:
        self._fence = fence
        self._nodes: list[tuple[str, Transport, tuple[tuple[str, str], ...]]] = []
        for address in addresses:
            host, username, password = _taken_apart(address)
            if credentials.username:
                username, password = credentials.username, credentials.password
            transport = NetworkTransport(host, TLS(credentials.authority))
            self._nodes.append((host, transport, _authorization(username, password)))
        self._at = 0

    async def close(self) -> None:
        for _, transport, _ in self._nodes:
            await transport.close()

    async def check(self) -> None:
        """Raises BackendError where no OpenSearch answers, or none that knows us: nothing else is sent there."""
        answer = await self._ask("GET", "/")
        version = answer.value.get("version") if isinstance(answer.value, dict) else None
        if answer.status != 200 or not isinstance(version, dict) or not isinstance(version.get("number"), str):
            raise BackendError("NotOpenSearch", f"{self._host}: what answers (status {answer.status}) is no OpenSearch")

    async def index(self, name: str) -> str:
        """Its uid; it is made where it is not there. Raises BackendError."""
        path = f"/{quote(name)}"
        found = await self._ask("GET", f"{path}/_settings/index.uuid")
        if found.status == 404:
            made = await self._ask("PUT", path, orjson.dumps(INDEX))
            if made.status != 200 and _error(made.value)[0] != "resource_already_exists_exception":
                raise self._refusal(f"create index {name}", made)
            found = await self._ask("GET", f"{path}/_settings/index.uuid")
        if found.status != 200 or not isinstance(found.value, dict):
            raise self._refusal(f"read index {name}", found)
        uids = sorted(str(_at(each, "settings", "index", "uuid")) for each in found.value.values())
        return ",".join(uids)[:LONGEST_TEXT]

    async def bulk(self, actions: Sequence[Action]) -> list[Outcome]:
        """In their order. Raises BackendError, and TooMuch where fewer may do."""
        body = await asyncio.to_thread(lambda: b"".join(action.lines() for action in actions))
        path = "/_bulk?filter_path=items.*.status,items.*.error"
        answer = await self._ask("POST", path, body, _BULK, fenced=True)
        if answer.status == 413:
            raise TooMuch
        items = answer.value.get("items") if isinstance(answer.value, dict) else None
        if answer.status != 200 or not isinstance(items, list) or len(items) != len(actions):
            raise self._refusal("write documents", answer)
        return [_outcome(item, action) for item, action in zip(items, actions, strict=True)]

    async def documents(self, index: str) -> AsyncIterator[list[Document]]:
        """All of the index, or none where there is no such index. Raises BackendError."""
        path = f"/{quote(index)}"
        await self._ask("POST", f"{path}/_refresh")
        query = {"size": SCROLLED, "sort": ["_doc"], "_source": list(OWNER_FIELDS)}
        answer = await self._ask("POST", f"{path}/_search?scroll={KEPT_OPEN}", orjson.dumps(query))
        scroll, left = None, MOST_SCROLLED
        try:
            while answer.status != 404:
                hits = _at(answer.value, "hits", "hits")
                scroll = _at(answer.value, "_scroll_id") or scroll
                if answer.status != 200 or not isinstance(hits, list) or not isinstance(scroll, str):
                    raise self._refusal(f"read index {index}", answer)
                if not hits:
                    return
                found = [hit for hit in hits if isinstance(hit, dict) and isinstance(hit.get("_id"), str)]
                yield [Document(hit["_id"], hit.get("_source")) for hit in found]
                left -= len(hits)
                if left < 0:
                    raise BackendError("Refused", f"{self._host}: index {index} has no end")
                more = {"scroll": KEPT_OPEN, "scroll_id": scroll}
                answer = await self._ask("POST", "/_search/scroll", orjson.dumps(more))
        finally:
            if scroll is not None:
                await self._forget(scroll)

    async def _forget(self, scroll: str) -> None:
        try:
            await self._ask("DELETE", "/_search/scroll", orjson.dumps({"scroll_id": scroll}))
        except BackendError:
            return  # it ends by itself

    # -- one request ---------------------------------------------------------------------------------------------------

    @property
    def _host(self) -> str:
        return self._nodes[self._at][0]

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        media_type: tuple[str, str] = _JSON,
        *,
        fenced: bool = False,
    ) -> _Answer:
        """Of the first node that answers. Raises BackendError."""
        for left in range(len(self._nodes) - 1, -1, -1):
            host, transport, authorization = self._nodes[self._at]
            headers = (*authorization, *((media_type,) if body is not None else ()), ("Accept", "application/json"))
            if fenced and self._fence is not None:
                self._fence()
            try:
                answer = await self._answered(transport, method, path, headers, body)
            except Unreachable as error:
                failure = BackendError("Unreachable", f"{host}: {str(error)[:LONGEST_TEXT]}")
            else:
                if answer.status not in _BUSY:
                    return self._known(answer)
                failure = BackendError("Overloaded", f"{host}: {_said(answer)}")
            if not left:
                self._next()
                raise failure
            self._next()
        raise BackendError("Unreachable", "it has no address")

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self._nodes)

    async def _answered(
        self, transport: Transport, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes | None
    ) -> _Answer:
        """Raises Unreachable."""
        answer = await transport.send(method, path, headers, body, TIMES)
        try:
            content = await answer.read(LARGEST_ANSWER)
        finally:
            await answer.close()
        try:
            value = await asyncio.to_thread(orjson.loads, content) if len(content) > 65536 else orjson.loads(content)
        except orjson.JSONDecodeError:
            value = None
        return _Answer(answer.status, value)

    def _known(self, answer: _Answer) -> _Answer:
        if answer.status == 401:
            raise BackendError("Unauthorized", f"{self._host}: username and password are not those that it knows")
        if answer.status == 403:
            raise BackendError("Unauthorized", f"{self._host}: {_said(answer)}")
        return answer

    def _refusal(self, what: str, answer: _Answer) -> BackendError:
        return BackendError("Refused", f"{self._host}: cannot {what}: {_said(answer)}")


def _taken_apart(address: str) -> tuple[str, str, str]:
    """The address without the credentials that it has, and these."""
    parts = urlsplit(address)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return bare, unquote(parts.username or ""), unquote(parts.password or "")


def _authorization(username: str, password: str) -> tuple[tuple[str, str], ...]:
    if not username:
        return ()
    return (("Authorization", f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"),)


def _outcome(item: Any, action: Action) -> Outcome:
    found = next(iter(item.values()), None) if isinstance(item, dict) else None
    status = found.get("status") if isinstance(found, dict) else None
    if not isinstance(status, int):
        return Outcome(refused="the answer has no status for it")
    if 200 <= status < 300 or (status == 404 and action.document is None):
        return Outcome()
    if status in _BUSY or status in (401, 403):  # too many at once, or an index that may not be written now
        return Outcome(again=True, refused=_said(_Answer(status, found)))
    return Outcome(refused=_said(_Answer(status, found)))


def _said(answer: _Answer) -> str:
    """What an OpenSearch says of an error; of anything else that answers only the status: whoever reads this did not ask it."""
    kind, why = _error(answer.value)
    return f"status {answer.status}, {kind}: {why}"[:LONGEST_TEXT] if kind else f"status {answer.status}"


def _error(value: Any) -> tuple[str, str]:
    error = value.get("error") if isinstance(value, dict) else None
    kind, why = (error.get("type"), error.get("reason")) if isinstance(error, dict) else (None, None)
    return (kind, why) if isinstance(kind, str) and isinstance(why, str) else ("", "")


def _at(value: Any, *path: str) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value

"""Answers on the wire: status, headers, body."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, final

import orjson

from kafila.catalog.protobuf import codec
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.machinery import protobuf, yamlout

from .auditing import Record
from .client_side import ClientSide
from .negotiation import Accepted, without_forms
from .request import Request

Headers = list[tuple[bytes, bytes]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = Callable[[Send, int, Headers, bytes], bool]  # a server's short way: status, headers and body at once
Switch = Callable[[Send, Headers], ClientSide | None]  # the same for one that ends HTTP on its connection
BreakOff = Callable[[Send], None]  # its way to end an answer that has begun and cannot be completed
GZIP_MINIMUM = 128 * 1024  # bytes, as kube-apiserver
CHUNK = 1 << 18
PRETTY = 1 << 20  # bytes; nobody reads through more, and it is written on one line
ZIPPED = ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"))
WARNINGS = 4 * 1024  # characters of all warnings of an answer
WARNING = 256  # of each one, where all are more

COMMON = ((b"cache-control", b"no-cache, private"),)


class Made(NamedTuple):
    """A body that is made while it is read: whoever does not read it costs one piece of it. ``size``: bytes, nearly unless
    it is ``exact``."""

    pieces: Iterator[bytes]
    size: int
    exact: bool = False


class Response(NamedTuple):
    status: int
    body: bytes | Made
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error_response(error: StatusError, request: Request) -> Response:
    """The Status in the encoding that the request prefers."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after is not None:
        headers = ((b"retry-after", str(error.retry_after).encode()),)
    return status_response(error.status(), error.code, request)._replace(headers=headers)


def status_response(document: dict[str, Any], status: int, request: Request) -> Response:
    """A ``v1 Status`` in the encoding that the request prefers."""
    return encoded(document, without_forms(request.header(b"accept")), status)


def encoded(document: dict[str, Any], accept: Accepted, status: int = 200) -> Response:
    """A document with kind and apiVersion in an encoding; as JSON when its kind has no protobuf form."""
    if accept.encoding == "protobuf":
        group, _, version = document.get("apiVersion", "").rpartition("/")
        found = codec(group, version, document["kind"])
        if found is not None:
            raw = protobuf.envelope(document.get("apiVersion", ""), document["kind"], found.encode(document))
            return Response(status, raw, accept.content_type)
    body = orjson.dumps(document) + b"\n"
    if accept.encoding == "yaml":
        return Response(status, to_yaml(body), accept.content_type)
    return Response(status, body)


def not_found_page() -> Response:
    """What a path that is no API at all is answered with."""
    return text_response("404 page not found\n", 404)


def text_response(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), b"text/plain; charset=utf-8", ((b"x-content-type-options", b"nosniff"),))


def to_yaml(document: bytes) -> bytes:
    return yamlout.dump(orjson.loads(document))


@final
class Sender:
    """ASGI's ``send`` of one request: names the request in the answer and remembers the status that was sent."""

    __slots__ = ("_answer", "_break_off", "_send", "_switch", "audit_id", "flow", "record", "size", "status")

    def __init__(
        self,
        send: Send,
        answer: Answer | None = None,
        audit_id: bytes | None = None,
        switch: Switch | None = None,
        break_off: BreakOff | None = None,
    ) -> None:
        self.status = 0  # nothing was sent so far
        self.size = 0  # bytes of the body that were sent
        self.record: Record | None = None  # of a request that is audited
        self.flow: tuple[tuple[bytes, bytes], ...] = ()  # headers that say how it was classified
        self._send = send
        self._answer = answer
        self._switch = switch
        self._break_off = break_off
        self.audit_id = audit_id  # empty: one is made

    async def __call__(self, message: dict[str, Any]) -> None:
        """Raises StatusError 500 for a header that is none."""
        if message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            message["headers"].extend(self._begin(message["status"], message["headers"]))
        await self._send(message)

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Sends an answer at once; False when that cannot be done, and nothing was sent. Raises StatusError 500."""
        named = self._begin(status, headers)
        if self._answer is None or not self._answer(self._send, status, [*headers, *named], body):
            self.status = 0
            return False
        self.size = len(body)
        return True

    def switched(self, headers: Headers) -> ClientSide | None:
        """Answers that another protocol is spoken from now on, and gives the connection away; None when the client has left.
        Raises StatusError 500."""
        named = self._begin(101, headers)
        return self._switch(self._send, [*headers, *named]) if self._switch is not None else None

    def break_off(self) -> None:
        """The answer that has begun ends unfinished, and does not look complete. Other servers see so by themselves."""
        if self._break_off is not None:
            self._break_off(self._send)

    def _begin(self, status: int, headers: Headers) -> Iterable[tuple[bytes, bytes]]:
        """The one place that all headers of answers pass, whoever made them."""
        said = b"".join(map(b"".join, headers))
        if b"\n" in said or b"\r" in said or b"\0" in said:  # what follows would be another header, or another answer
            raise errors.internal_error("the answer has a header that is not one line")
        self.status = status
        if self.record is not None:
            self.record.started(status)
        return ((b"audit-id", self.audit_id or new_uid().encode()), *self.flow)


async def send_response(send: Sender, request: Request, response: Response) -> None:
    if request.audit is not None:
        response = _recorded(request.audit, response)
    body = response.body
    headers = [*response.headers]
    if not headers or not any(name == b"cache-control" for name, _ in headers):
        headers += COMMON
    if response.content_type and response.status not in (204, 304):
        headers.append((b"content-type", response.content_type))
    if request.warnings:
        headers += warning_headers(request)
    if isinstance(body, bytes) and 0 < len(body) <= PRETTY and response.content_type == b"application/json":
        if wants_pretty(request):
            body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n"
    zipped = b"gzip" in request.headers.get(b"accept-encoding", b"")
    if isinstance(body, Made):
        if request.chunks or (body.exact and not zipped):
            await _send_made(send, request, response.status, headers, body, zipped)
            return
        body = b"".join(body.pieces)
    if zipped and len(body) >= GZIP_MINIMUM:
        body = await asyncio.to_thread(_gzip, body)
        headers.extend(ZIPPED)
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    if len(body) <= CHUNK and request.method != "HEAD" and send.whole(response.status, headers, body):
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if request.method != "HEAD":
        await _send_piece(send, body)
    await send({"type": "http.response.body", "body": b""})


def _recorded(record: Record, response: Response) -> Response:
    media_type = response.content_type.partition(b";")[0].decode("latin-1")
    if isinstance(response.body, Made):
        return response._replace(body=response.body._replace(pieces=record.pieces(response.body.pieces, media_type)))
    record.answer(response.status, response.body, media_type)
    return response


async def _send_made(send: Sender, request: Request, status: int, headers: Headers, body: Made, zipped: bool) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31) if zipped else None
    if packer is not None:
        headers.extend(ZIPPED)
    elif body.exact:
        headers.append((b"content-length", str(body.size).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if request.method != "HEAD":
        for piece in body.pieces:
            if packer is not None:
                await _send_piece(send, await asyncio.to_thread(packer.compress, piece))
            else:
                await _send_piece(send, piece)
            await asyncio.sleep(0)  # where the client reads as fast as pieces are made, others want a turn all the same
    await send({"type": "http.response.body", "body": packer.flush() if packer is not None else b""})


async def _send_piece(send: Sender, piece: bytes) -> None:
    for start in range(0, len(piece), CHUNK):  # each waits until the client has read enough of the ones before
        part = piece if len(piece) <= CHUNK else piece[start : start + CHUNK]
        await send({"type": "http.response.body", "body": part, "more_body": True})


def wants_pretty(request: Request) -> bool:
    given = request.query.get("pretty")
    if given is not None:
        return given.lower() in ("", "1", "true")
    return is_for_people(request.headers)


def is_for_people(headers: Mapping[bytes, bytes]) -> bool:
    """Whether somebody looks at the answer."""
    return headers.get(b"user-agent", b"").startswith((b"curl", b"Wget", b"Mozilla"))


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def warning_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Each text once. Where all are too long together each is cut, and those that come after the limit are left out."""
    if not request.warnings:
        return []
    texts = [text for text in dict.fromkeys(request.warnings) if text]
    if sum(map(len, texts)) > WARNINGS:
        texts = _cut(texts)
    return [(b"warning", _warning(text)) for text in texts]


def _cut(texts: list[str]) -> list[str]:
    """As kube-apiserver, which begins to cut with the first that does not fit, and then takes what came before in full number."""
    whole = 0
    seen = 0
    for text in texts:
        seen += len(text)
        whole += 1
        if seen > WARNINGS:
            break
    out = [text[:WARNING] for text in texts[:whole]]
    size = sum(map(len, out))
    for text in texts[whole:]:
        if size >= WARNINGS:
            break
        out.append(text[:WARNING])
        size += len(out[-1])
    return out


def _warning(text: str) -> bytes:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    quoted = "".join(c if c.isprintable() else " " for c in quoted)  # a header is one line
    return f'299 - "{quoted}"'.encode("utf-8", "replace")

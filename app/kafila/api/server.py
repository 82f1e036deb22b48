"""uvicorn's protocol, taught to hand the client's certificate to the application, to write streams quickly and to offer HTTP/1.1 only.

HTTP/2 is not offered because client-go falls back by itself and no Python server keeps a connection with thousands of
streams (docs/adr/0001).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import httptools
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from kafila.flowcontrol.configuration import ClassifiedFlow

from .client_side import ClientSide
from .cycle import Cycle
from .framing import MOST_HEADERS, check_head
from .listener import Listener
from .listener import Peer as Address
from .refusals import Refused
from .tls import peer_of

_LAST_BYTES: Final = 0.5  # seconds for the end of an answer to leave, once we close or are shutting down
MOST_PIPELINED: Final = 100  # requests that are sent before the first of them is answered
UNREAD: Final = 8 << 20  # bytes of a body that nobody wants: its sender should live to read why
DIRECT: Final = 32  # pieces of a head that go to the parser as they come; it copies what it has with each
PIECE: Final = 4096  # bytes of the pieces after those
NEVER: Final = math.inf
GRACE: Final = 2.0  # seconds: who reads a body has a deadline too, and more to say


class ObjectsProtocol(HttpToolsProtocol):
    """Puts into ``scope["state"]`` the verified client certificate (``peer``) and short ways to the client:
    ``answer`` for whole answers, ``push`` for chunks of one that has begun; ``lost`` takes whom to call when the client leaves, and
    ``classified`` the flow of a request that can be held up.

    What a peer may send and how long it may take is the listener's ``options``; it sweeps for who is ``late`` from time to time.
    """

    alpn_protocols: ClassVar[list[str]] = ["http/1.1"]
    peer: Address
    _ending = False
    _upgrading = False  # what comes is no HTTP, if the request is granted
    _deaf = False  # nothing more is read: the connection ends with the answer
    _in_head = _in_body = False
    _silent = 0  # bytes that were no body since the message began, or since the last ones that were
    _pieces = 0  # that they came in
    _unread = 0  # bytes of a body whose request is answered
    _lost: Callable[[], None] | None = None

    def __init__(self, listener: Listener, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._listener = listener
        self._limits = listener.options
        self._gathered = bytearray()
        self._kept = bytearray()  # that came before its sender's turn
        self._sender: ClassifiedFlow | None = None  # of the last request
        self.late = self._late_reading = self._late_writing = NEVER
        self._reason = ""
        self._unwritten = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        tls = transport.get_extra_info("ssl_object")
        peer = peer_of(tls) if tls else None
        self.app_state = {**self.app_state, "push": self._push, "answer": self._answer, "lost": self._when_lost}
        self.app_state |= {"classified": self.classified, "break_off": self._break_off}
        if peer is not None:
            self.app_state["peer"] = peer
        super().connection_made(transport)
        super().on_message_begin()
        self._blank = self.scope.copy()  # of what each of its requests begins with
        self._expect("header_timeout", self._limits.read_header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.gone(self)
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost()

    def classified(self, flow: ClassifiedFlow) -> None:
        self._sender = flow

    def _when_lost(self, call: Callable[[], None] | None) -> None:
        """Whom to tell that the client has left, before its request has read anything. The last one counts."""
        self._lost = call
        if call is not None and self.transport.is_closing():
            call()

    # -- deadlines -------------------------------------------------------------------------------------------------

    def _expect(self, reason: str, seconds: float) -> None:
        """The peer has so long for what it sends next; the reason is what happens else."""
        self._reason = reason
        self._late_reading = self.loop.time() + seconds
        self.late = min(self._late_reading, self._late_writing)

    def expire(self) -> None:
        """Without a word, as net/http: what there was to say is said, or nobody listens."""
        now = self.loop.time()
        if self._late_writing <= now:
            left = self.transport.get_write_buffer_size()
            if left < self._unwritten:  # slow, but it reads
                self.pause_writing()
                return
            self._count("slow_reader")
        elif self.flow.read_paused:  # by us: the peer cannot go on
            self._expect(self._reason, self._limits.request_timeout)
            return
        elif self._reason != "idle":
            self._count(self._reason)
        self.late = NEVER
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unwritten = self.transport.get_write_buffer_size()
        self._late_writing = self.loop.time() + self._limits.request_timeout
        self.late = min(self._late_reading, self._late_writing)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._late_writing = NEVER
        self.late = self._late_reading

    # -- reading ---------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """What begins another request of a user who has much under way is looked at in turn."""
        sender = self._sender
        if sender is not None and not self._deaf and not self._in_head and not self._in_body:
            if self._kept:
                self._kept += data
                self.flow.pause_reading()
                return
            if not sender.turns.arrives(sender, self.loop.time()):
                self._kept += data
                self.flow.pause_reading()
                sender.turns.call(sender, self._take_kept)
                return
        self._read(data)

    def _take_kept(self) -> bool:
        data, self._kept = bytes(self._kept), bytearray()
        if self.transport.is_closing():
            return False
        self.flow.resume_reading()
        self._read(data)
        return True

    def _read(self, data: bytes) -> None:
        if self._deaf:
            if self._upgrading:
                self._keep_early(data)
            return
        if self._pieces >= DIRECT:
            self._gathered += data
            if len(self._gathered) < PIECE and b"\n" not in data:  # whatever comes to its end does so with a line
                return
            data = bytes(self._gathered)
            self._gathered.clear()
        self._pieces += 1
        self._silent += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:  # on_headers_complete has seen it
            self._keep_early(data[upgrade.args[0] :])
        except HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, MemoryError):
                raise cause from None
            self._refuse(cause if isinstance(cause, Refused) else Refused("malformed", 400))
            return
        if self._silent > self._limits.max_header_bytes:
            self._refuse(Refused("header_bytes", 431))
        elif self._in_body and not self.cycle.response_complete:
            self._expect("body_timeout", self._limits.request_timeout + GRACE)
        elif self._in_head and self._reason != "header_timeout":
            self._expect("header_timeout", self._limits.read_header_timeout)

    def on_message_begin(self) -> None:
        """uvicorn's, which makes the whole scope anew."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        scope = self.scope = self._blank.copy()
        scope["headers"] = self.headers
        scope["state"] = self.app_state.copy()
        self._in_head = True
        self._reason = ""

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.max_header_bytes:
            raise Refused("request_line", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer: it comes after the request was begun, and says nothing that is used
        if len(self.headers) == MOST_HEADERS:
            raise Refused("header_count", 431)
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """uvicorn's, with what is checked before."""
        parser, scope = self.parser, self.scope
        version, upgrade = parser.get_http_version(), parser.should_upgrade()
        self.expect_100_continue = check_head(version, self.headers, upgrade)
        url = httptools.parse_url(self.url)
        if len(self.pipeline) == MOST_PIPELINED:
            raise Refused("pipelined", 400)
        path = url.path.decode("ascii")
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        self._in_head, self._in_body = False, True
        self._silent = self._pieces = self._unread = 0
        self._listener.works(self)
        before = self.cycle
        self.cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.server_state.default_headers,
            self.expect_100_continue,
            version != "1.0" and not upgrade and parser.should_keep_alive(),
            self.on_response_complete,
        )
        self._deaf = self._upgrading = upgrade  # who does not take it up answers as ever, and then the connection ends
        if upgrade:
            scope["state"]["switch"] = self._switch
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._silent = self._pieces = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()
            return
        self._unread += len(body)
        if self._unread > UNREAD:
            raise Refused("unread_body", 0)

    def on_message_complete(self) -> None:
        self._silent = self._pieces = 0
        self._in_body = False
        if self.cycle.response_complete:
            self._wait()
        else:
            self.cycle.more_body = False
            self.cycle.message_event.set()
            self._late_reading = NEVER
            self.late = self._late_writing

    def _refuse(self, refused: Refused) -> None:
        """Ends the connection, after the answer and after those that are still due."""
        self._deaf = True
        self._late_reading = NEVER
        self.late = self._late_writing
        self._count(refused.reason)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not self._in_body:  # it came whole, and what is wrong came behind it
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
        if refused.status:
            self.transport.write(refused.answer())
        self.transport.close()
        self._cut_soon()

    def _count(self, reason: str) -> None:
        self._listener.refusals.count(reason, self.peer.address)

    # -- answering -------------------------------------------------------------------------------------------------

    def _answer(self, send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Writes an answer as a whole, in one piece (TLS record, packet) and without ASGI's detours; False when the client
        does not keep up. ``send`` is the request's own: what came behind it on this connection waits for its turn."""
        cycle = send.__self__
        if self.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected:
            return True
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(lines))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _keep_early(self, data: bytes) -> None:
        """What a client has to say in the other protocol before it knows that it is spoken."""
        self._kept += data
        if len(self._kept) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def _switch(self, send: Any, headers: list[tuple[bytes, bytes]]) -> ClientSide | None:
        """Answers 101 and gives the connection away; None when the client has left."""
        cycle = send.__self__
        if cycle.response_started or cycle.disconnected or self.transport.is_closing():
            return None
        lines = [STATUS_LINE[101]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*lines, b"\r\n")))
        cycle.response_started = cycle.response_complete = True
        self.server_state.total_requests += 1
        self.late = self._late_reading = self._late_writing = NEVER
        self._upgrading = False
        self.flow.resume_reading()
        return ClientSide(self, self.transport, bytes(self._kept))

    def _break_off(self, send: Any) -> None:
        """Ends an answer that cannot be completed by closing the connection: it must not look complete."""
        send.__self__.disconnected = True  # uvicorn calls an unfinished answer of a connected client a fault of ours
        self.transport.close()

    def _push(self, chunk: bytes) -> bool:
        """Writes a finished chunk of an answer that has begun, without ASGI's detours; False when the client does not keep up."""
        if self.flow.write_paused:
            return False
        if not self.transport.is_closing():
            self.transport.write(chunk)
        return True

    def shutdown(self) -> None:
        """Closing TLS waits for the peer's answer, which clients with idle connections do not give: those are cut."""
        self._ending = True
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:
            self._cut_soon()

    def on_response_complete(self) -> None:
        """uvicorn's, without its timer: the listener looks after those that wait."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._listener.waits(self)  # for the peer to close as well
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_body:
            self._wait()
        else:  # the rest of a body that nobody reads
            self._listener.waits(self)
            self._expect("body_timeout", self._limits.request_timeout + GRACE)
        if self._ending:
            self._cut_soon()

    def _wait(self) -> None:
        self._listener.waits(self)
        if not self._in_head:
            self._expect("idle", self._limits.idle_timeout)

    def _cut_soon(self) -> None:
        self.loop.call_later(_LAST_BYTES, self.transport.abort)

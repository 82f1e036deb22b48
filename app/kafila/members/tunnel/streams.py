"""Streams over one connection: each has a window of its own, so that a slow reader stops its own writer and nobody else's.

Who has something to send takes turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, final

from prometheus_client import Counter, Gauge

from kafila.members.joined_connections import Side

from .frames import (
    GOING_AWAY,
    MOST_STREAMS,
    Frame,
    Kind,
    ProtocolError,
    close,
    decode,
    encode,
)
from .incoming import Incoming
from .stream import Stream, TunnelError
from .websocket import (
    UNSENDABLE,
    VIOLATION,
    Closed,
    Event,
    Message,
    Part,
    Pinged,
    Ponged,
    WebSocket,
)

PERIOD: Final = 10.0  # seconds between pings
DEADLINE: Final = 30.0  # seconds for the answer to one
OPENING: Final = 10.0  # seconds until a stream is open
TOGETHER: Final = 64 << 10  # bytes that are written at once
TURN: Final = 1 << 20  # bytes that are sent before others on the event loop go on
STREAMS: Final = Gauge("kafila_tunnel_streams", "Streams that are open over tunnels to members.")
BYTES: Final = Counter("kafila_tunnel_bytes", "Bytes of streams over tunnels to members.", ["direction"])
_SENT, _RECEIVED = BYTES.labels("sent"), BYTES.labels("received")


@final
class Tunnel:
    """One end of it. ``accept``: what an agent does with a stream that the control plane opens; the control plane accepts none."""

    def __init__(
        self, client: bool, accept: Callable[[Stream], None] | None = None, most_streams: int = MOST_STREAMS
    ) -> None:
        self.ended: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.latency = 0.0  # seconds that the last ping took; 0: none was answered
        self.on_latency: Callable[[], None] = lambda: None
        self._websocket = WebSocket(client)
        self._incoming = Incoming(self._websocket)
        self._reading = False  # somebody takes what has come
        self._accept = accept
        self._most_streams = most_streams
        self._connection: Side | None = None
        self._streams: dict[int, Stream] = {}
        self._last = 0  # number of a stream
        self._ready: deque[Stream] = deque()
        self._full = False  # the connection takes no more for now
        self._pumping = False
        self._pings: dict[bytes, float] = {}
        self._pinged = 0
        self._pong: bytes | None = None  # that could not be sent yet

    def over(self, connection: Side) -> None:
        """The connection that it goes over, which is joined with it afterwards."""
        self._connection = connection

    @property
    def streams(self) -> int:
        return len(self._streams)

    async def open(self) -> Stream:
        """Raises TunnelError."""
        if self.ended.done():
            raise TunnelError("the tunnel has ended")
        if len(self._streams) >= self._most_streams:
            raise TunnelError(f"{self._most_streams} connections go through the tunnel, and no more")
        self._last += 1
        stream = self._add(self._last)
        self.send(Frame(Kind.OPEN, stream.number))
        try:
            async with asyncio.timeout(OPENING):
                await asyncio.shield(stream.opened)
        except TimeoutError:
            stream.abort()
            raise TunnelError(f"the agent has not reached its cluster's API server within {OPENING:g}s") from None
        except asyncio.CancelledError:
            stream.abort()
            raise
        return stream

    async def keep(self) -> None:
        """Pings until it has ended, and ends it when the other end does not answer."""
        loop = asyncio.get_running_loop()
        while not self.ended.done():
            now = loop.time()
            if any(now - at > DEADLINE for at in self._pings.values()):
                self.end(GOING_AWAY, f"nothing was heard for {DEADLINE:g}s")
                return
            self._pinged += 1
            payload = self._pinged.to_bytes(8, "big")
            self._pings[payload] = now
            self._write(self._websocket.ping(payload))
            await asyncio.wait((self.ended,), timeout=PERIOD)

    def end(self, code: int, reason: str) -> None:
        """With everything that is under way."""
        if self.ended.done():
            return
        self._close(Closed(code, reason), self._websocket.close(code, reason))

    # -- what the connection calls ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """What has come."""
        if self.ended.done():
            return
        self._incoming.add(data)
        if not self._reading:  # else it comes behind what is being read
            self._reading = True
            self._read()

    def pause_reading(self) -> None:
        self._full = True

    def resume_reading(self) -> None:
        self._full = False
        if self._pong is not None:
            payload, self._pong = self._pong, None
            self._write(self._websocket.pong(payload))
        self._pump()

    def finish(self) -> None:
        """The connection is lost."""
        if not self.ended.done():
            self._close(Closed(1006, "the connection was lost"))

    # -- what came -------------------------------------------------------------------------------------------------

    def _read(self, paused: bool = False) -> None:
        """``paused``: the connection hands over nothing more until all is read."""
        try:
            for event in self._incoming.turn():
                if self.ended.done():
                    break
                self._came(event)
        except ProtocolError as error:
            self.end(VIOLATION, str(error))
        if self.ended.done():
            self._incoming.drop()
        if not self._incoming.is_through:
            if not paused and self._connection is not None:
                self._connection.pause_reading()
            asyncio.get_running_loop().call_soon(self._read, True)
            return
        self._reading = False
        if paused and self._connection is not None:
            self._connection.resume_reading()

    def _came(self, event: Event) -> None:
        """Raises ProtocolError."""
        match event:
            case Message(data):
                self._frame(decode(data))
            case Part(is_crumb):
                if is_crumb:
                    self._count_control()
            case Pinged(payload):
                self._count_control()
                if self._full:  # of many that nobody reads the answers of, the last is answered
                    self._pong = payload
                else:
                    self._write(self._websocket.pong(payload))
            case Ponged(payload):
                self._count_control()
                at = self._pings.pop(payload, None)
                if at is not None:
                    self.latency = asyncio.get_running_loop().time() - at
                    self.on_latency()
            case Closed():
                code = event.code if event.code not in UNSENDABLE else 1000
                self._close(event, self._websocket.close(code, event.reason))  # also for what it could not read

    def _count_control(self) -> None:
        """Raises ProtocolError."""
        self._incoming.count_control(asyncio.get_running_loop().time())

    def _frame(self, frame: Frame) -> None:
        """Raises ProtocolError."""
        if frame.kind is not Kind.DATA or frame.stream not in self._streams:
            self._count_control()
        if frame.kind is Kind.OPEN:
            self._opened_there(frame.stream)
            return
        stream = self._streams.get(frame.stream)
        if stream is None:
            if frame.stream > self._last:
                raise ProtocolError("a frame of a stream that was never opened")
            return  # it was closed here meanwhile
        match frame.kind:
            case Kind.OPENED:
                if self._accept is not None or stream.opened.done():
                    raise ProtocolError("a stream that is opened twice")
                stream.opened.set_result(None)
            case Kind.DATA:
                _RECEIVED.inc(len(frame.payload))
                stream.came(frame.payload)
            case Kind.WINDOW:
                stream.granted(frame.granted)
            case Kind.CLOSE:
                self._remove(stream, frame.reason)

    def _opened_there(self, number: int) -> None:
        if self._accept is None:
            raise ProtocolError("a stream that an agent opens")
        if number <= self._last:
            raise ProtocolError("a stream's number that was used before")
        self._last = number
        if len(self._streams) >= self._most_streams:
            self.send(close(number, "too many connections"))
            return
        self._accept(self._add(number))

    def _add(self, number: int) -> Stream:
        stream = self._streams[number] = Stream(self, number)
        STREAMS.inc()
        return stream

    def _remove(self, stream: Stream, reason: str) -> None:
        if self._streams.pop(stream.number, None) is not None:
            STREAMS.dec()
        stream.end(reason)

    def _close(self, why: Closed, last: bytes = b"") -> None:
        self.ended.set_result(why)
        self._write(last)
        for stream in list(self._streams.values()):
            self._remove(stream, "the tunnel has ended")
        self._ready.clear()
        self._pong = None
        if self._connection is not None:
            self._connection.finish()

    # -- what goes -------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if data and self._connection is not None:
            self._connection.write(data)

    def send(self, frame: Frame) -> None:
        if not self.ended.done():
            self._write(self._websocket.message(encode(frame)))

    def send_of(self, stream: Stream) -> None:
        if not stream.queued and (stream.waits_for_turn or stream.is_through):
            stream.queued = True
            self._ready.append(stream)
        self._pump()

    def send_close(self, stream: Stream, reason: str) -> None:
        if stream.number in self._streams:
            self.send(close(stream.number, reason))
        self._remove(stream, reason)

    def _pump(self) -> None:
        """Sends what streams have to say, in turn, until the connection takes no more."""
        if self._pumping:  # who is told to go on reading may write at once
            return
        self._pumping = True
        sent = 0
        try:
            while self._ready and not self._full and not self.ended.done():
                if sent > TURN:
                    asyncio.get_running_loop().call_soon(self._pump)
                    return
                sent += self._send_together()
        finally:
            self._pumping = False

    def _send_together(self) -> int:
        """A turn of some streams in one piece, which costs TLS and the system less. Its bytes."""
        pieces: list[bytes] = []
        size = 0
        while self._ready and size < TOGETHER:
            stream = self._ready.popleft()
            stream.queued = False
            if stream.ended.done():
                continue
            if data := stream.take():
                size += len(data)
                pieces.append(self._websocket.message(encode(Frame(Kind.DATA, stream.number, data))))
            if stream.is_through:
                pieces.append(self._websocket.message(encode(close(stream.number))))
                self._remove(stream, "")
            elif stream.waits_for_turn and not stream.queued:
                stream.queued = True
                self._ready.append(stream)
        _SENT.inc(size)
        self._write(b"".join(pieces))
        return size

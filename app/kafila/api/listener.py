"""Accepting connections: never more than there are descriptors for, never so many of one peer that others are kept out.

When there are too many, the one that has waited longest for a request makes room: whoever only keeps connections open loses
them, and whoever comes is served. A connection with a request under way is never ended for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import resource
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast, final

from prometheus_client import Gauge

from kafila.settings.serving import ServingOptions

from .refusals import Refusals

CONNECTIONS = Gauge("kafila_connections", "Open connections, with those that have not finished their handshake.")
AT_ONCE: Final = 2  # accepted before others get a turn: a handshake takes as long as some requests
SHUTDOWN: Final = 30.0  # seconds for a peer to take the rest of an answer once its connection is closed
PAUSE: Final = 1.0  # seconds without accepting, when the system has nothing to give
SWEEP: Final = 1.0  # seconds between two sweeps for who is late
RESERVED: Final = 64  # descriptors, at least, for the database, members, files and programs
_OF_THE_PEER = "ECONNABORTED EPROTO EPERM ENOPROTOOPT EOPNOTSUPP ENETDOWN ENETUNREACH EHOSTDOWN EHOSTUNREACH ENONET"
OF_THE_PEER: Final = {getattr(errno, name, 0) for name in _OF_THE_PEER.split()}  # accept(2): of whoever would have come
SCARCE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Accepted(Protocol):
    """What the listener makes of a connection."""

    transport: asyncio.Transport  # None until the handshake is done
    late: float  # loop time at which it ends, unless something happens before
    peer: Peer

    def expire(self) -> None: ...


@final
class Peer:
    """The connections from one address; ``waiting`` are those without a request under way, oldest first."""

    def __init__(self, address: str) -> None:
        self.address = address  # or the network that one subscriber has of IPv6
        self.open: dict[Accepted, asyncio.Task[None] | None] = {}  # with the handshake, as long as it lasts
        self.waiting: dict[Accepted, None] = {}


def peer_of(address: str) -> str:
    """Whose connections are counted together: of IPv6 everybody has 2**64 addresses."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))


def most_connections(options: ServingOptions) -> int:
    """What the limit of descriptors leaves of ``--max-connections``."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(options.max_connections, allowed - descriptors()))


def descriptors() -> int:
    """Those that are left for what else needs some."""
    return max(RESERVED, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


@final
class Listener:
    """Has the shape of :class:`asyncio.Server`, as far as uvicorn looks."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        tls: ssl.SSLContext | None,
        options: ServingOptions,
        make: Callable[[Listener], Accepted],
    ) -> None:
        self.sockets = tuple(sockets)
        self.options = options
        self.refusals = Refusals()
        self.most = most_connections(options)
        self.most_per_peer = options.max_connections_per_peer or max(1, self.most // 2)
        self._tls = tls
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._peers: dict[str, Peer] = {}
        self._open = 0
        self._waiting: dict[Accepted, None] = {}
        self._keep_spare()
        self._sweeping: asyncio.TimerHandle | None = None

    def start(self) -> None:
        for listening in self.sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)
        self._sweep()

    def close(self) -> None:
        for listening in self.sockets:
            self._loop.remove_reader(listening)
            listening.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
            if self._spare >= 0:
                os.close(self._spare)
        for peer in list(self._peers.values()):
            for shaking in list(peer.open.values()):
                if shaking is not None:
                    shaking.cancel()

    async def wait_closed(self) -> None:
        """Its sockets are closed at once."""

    # -- who is there ----------------------------------------------------------------------------------------------

    def waits(self, connection: Accepted) -> None:
        """It has no request under way: from now on it can make room."""
        self._waiting[connection] = connection.peer.waiting[connection] = None

    def works(self, connection: Accepted) -> None:
        self._waiting.pop(connection, None)
        connection.peer.waiting.pop(connection, None)

    def gone(self, connection: Accepted) -> None:
        """Said as often as one likes."""
        peer = connection.peer
        self.works(connection)
        if connection in peer.open:
            del peer.open[connection]
            self._open -= 1
            CONNECTIONS.dec()
            if not peer.open:
                self._peers.pop(peer.address, None)

    # -- accepting -------------------------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        """An error that is not known here is nobody's: the loop's handler ends the process."""
        for _ in range(AT_ONCE):
            try:
                stream, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in OF_THE_PEER:
                    continue
                if error.errno not in SCARCE:
                    raise
                self._shed(listening, error)
                return
            self._admit(stream, peer_of(str(address[0])))

    def _admit(self, stream: socket.socket, address: str) -> None:
        peer = self._peers.get(address) or Peer(address)
        if len(peer.open) >= self.most_per_peer and not self._make_room(peer.waiting, "peer_connections"):
            self.refusals.count("peer_connections", address)
            stream.close()
            return
        if self._open >= self.most and not self._make_room(self._waiting, "connections"):
            self.refusals.count("connections", address)
            stream.close()
            return
        stream.setblocking(False)
        connection = self._make(self)
        connection.peer = self._peers[address] = peer
        self._open += 1
        CONNECTIONS.inc()
        peer.open[connection] = self._loop.create_task(self._shake_hands(stream, connection))
        self.waits(connection)

    def _make_room(self, waiting: dict[Accepted, None], reason: str) -> bool:
        """Whether one of these could be ended."""
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        self.refusals.count(f"evicted_for_{reason}", oldest.peer.address)
        shaking = oldest.peer.open[oldest]
        if shaking is not None:
            shaking.cancel()
        else:
            oldest.transport.abort()
        self.gone(oldest)
        return True

    async def _shake_hands(self, stream: socket.socket, connection: Accepted) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: cast(asyncio.Protocol, connection),
                stream,
                ssl=self._tls,
                ssl_handshake_timeout=self.options.read_header_timeout if self._tls else None,
                ssl_shutdown_timeout=SHUTDOWN if self._tls else None,
            )
        except ConnectionAbortedError:
            self.refusals.count("handshake_timeout", connection.peer.address)
        except OSError:  # it speaks no TLS, or other TLS, or has left
            self.refusals.count("handshake", connection.peer.address)
        finally:
            if connection.transport is None:
                self.gone(connection)
            elif connection in connection.peer.open:
                connection.peer.open[connection] = None

    def _shed(self, listening: socket.socket, error: OSError) -> None:
        """There is no descriptor for whoever is next: with the spare one he is sent away, and does not wait for nothing."""
        self._make_room(self._waiting, "descriptors")
        address = ""
        if error.errno == errno.EMFILE and self._spare >= 0:
            os.close(self._spare)
            with contextlib.suppress(OSError):
                stream, (address, *_) = listening.accept()
                stream.close()
            self._keep_spare()
        self.refusals.count("descriptors", address)
        if not address or self._spare < 0:  # it would be woken again and again for somebody who waits
            self._loop.remove_reader(listening)
            self._loop.call_later(PAUSE, self._resume, listening)

    def _keep_spare(self) -> None:
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            self._spare = -1

    def _resume(self, listening: socket.socket) -> None:
        if self._sweeping is not None:
            if self._spare < 0:
                self._keep_spare()
            self._loop.add_reader(listening, self._accept, listening)

    def _sweep(self) -> None:
        """One sweep over all, instead of a timer for each that is set anew with each request."""
        now = self._loop.time()
        late = [c for peer in self._peers.values() for c in peer.open if c.late <= now]
        for connection in late:
            connection.expire()
        self._sweeping = self._loop.call_later(SWEEP, self._sweep)

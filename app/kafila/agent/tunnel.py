"""The agent's one outgoing connection through which the control plane reaches its cluster's API server, and nothing else there."""

from __future__ import annotations

import asyncio
import base64
import os
import random
from functools import partial
from typing import Final, final
from urllib.parse import quote, urlencode, urlsplit

import structlog
from prometheus_client import Counter, Gauge

from kafila.core.rates import Backoff
from kafila.members.connections import Connections
from kafila.members.dialing import ProxyDialer
from kafila.members.join import CLUSTERS
from kafila.members.joined_connections import bridged
from kafila.members.kubeconfig import Access, KubeconfigError
from kafila.members.proxy import Upstream
from kafila.members.transport import Unreachable
from kafila.members.tunnel.ends import SocketEnd
from kafila.members.tunnel.frames import GOING_AWAY, PROTOCOL, REPLACED
from kafila.members.tunnel.stream import Stream
from kafila.members.tunnel.streams import Tunnel
from kafila.members.tunnel.websocket import Closed
from kafila.members.upgraded import Upgraded
from kafila.members.wire import joined
from kafila.telemetry.tasks import cancelled

log = structlog.get_logger(__name__)
CONNECTED: Final = Gauge("kafila_agent_tunnel_connected", "Whether the tunnel to the control plane is open.")
OPENED: Final = Counter("kafila_agent_tunnels_opened", "Attempts to open the tunnel.", ["outcome"])
DIAL: Final = 5.0  # seconds to reach the API server
OPENING: Final = 30.0  # seconds for the answer that a tunnel is open
FIRST_PAUSE: Final = 1.0  # seconds
LONGEST_PAUSE: Final = 30.0
REPLACED_PAUSE: Final = 60.0  # two agents with one identity would take it from each other as quickly as they can
LONG: Final = 30.0  # seconds after which a tunnel counts as one that works
_LONGEST_WHY: Final = 1 << 16  # bytes


@final
class TunnelKeeper:
    """``plane``, ``member``: how the agent itself reaches them."""

    def __init__(self, plane: Access, member: Access, cluster: str) -> None:
        """Raises ValueError for a proxy on the way to the member through which nobody connects."""
        self._dialer = ProxyDialer(member.proxy_url, member.endpoint) if member.proxy_url else None
        self._plane = plane
        self._cluster = cluster
        at = urlsplit(member.endpoint)
        self._host, self._port = at.hostname or "", at.port or (443 if at.scheme == "https" else 80)
        asked = {"endpoint": member.endpoint, "serverName": member.tls.server_name or at.hostname or ""}
        self._target = f"{CLUSTERS}/{quote(cluster)}/tunnel?{urlencode(asked)}"
        self._dialling: set[asyncio.Task[None]] = set()
        self._said = ""

    async def keep(self) -> None:
        """Until it is cancelled."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random.random)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            pause = 0.0
            try:
                why = await self._serve()
                OPENED.labels("success").inc()
                log.info("tunnel ended", reason=why.reason or why.code)
                if why.code == REPLACED:
                    pause = REPLACED_PAUSE * (1 + random.random())
            except (KubeconfigError, Unreachable, ConnectionError, TimeoutError) as error:
                OPENED.labels("error").inc()
                self._say(str(error) or f"the control plane did not answer within {OPENING:g} s")
            if loop.time() - began > LONG:
                backoff.reset()
            await asyncio.sleep(max(pause, backoff.failed()))

    def _say(self, why: str) -> None:
        if why != self._said:
            log.warning("no tunnel, tried again and again", reason=why)
            self._said = why

    async def _serve(self) -> Closed:
        """One connection, as long as it lasts. Raises Unreachable, KubeconfigError."""
        plane = self._plane
        token = plane.token if isinstance(plane.token, str) else (await plane.token(None)).token
        connections = Connections(Upstream(plane.endpoint, plane.tls, "", plane.proxy_url))
        try:
            async with asyncio.timeout(OPENING):
                answer = await connections.send("GET", self._target, _headers(plane, token), None)
            try:
                if answer.switched is None:
                    async with asyncio.timeout(OPENING):
                        said = (await joined(answer.chunks(), _LONGEST_WHY)).decode("utf-8", "replace")
                    raise Unreachable(f"the control plane opens none: {answer.status} {said.strip()}", sent=True)
                if (b"sec-websocket-protocol", PROTOCOL.encode()) not in answer.headers:
                    raise Unreachable("the control plane speaks another protocol there", sent=True)
                return await self._over(answer.switched)
            finally:
                await answer.close()
        finally:
            await connections.close()

    async def _over(self, connection: Upgraded) -> Closed:
        tunnel = Tunnel(client=True, accept=self._accept)
        tunnel.over(connection)
        connection.ended.add_done_callback(lambda _: tunnel.finish())
        connection.join(tunnel)
        keeping = asyncio.create_task(tunnel.keep())
        CONNECTED.set(1)
        self._said = ""
        log.info("tunnel open", cluster=self._cluster)
        try:
            return await asyncio.shield(tunnel.ended)
        finally:
            CONNECTED.set(0)
            tunnel.end(GOING_AWAY, "the agent stops")
            await cancelled(keeping, *self._dialling)

    # -- streams -------------------------------------------------------------------------------------------------------

    def _accept(self, stream: Stream) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(stream))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, stream: Stream) -> None:
        """To the API server, wherever who asks would like to go."""
        try:
            async with asyncio.timeout(DIAL):
                end = await self._connected()
        except (OSError, TimeoutError) as error:
            stream.abort(f"the agent cannot reach its cluster's API server: {str(error) or 'timed out'}")
            return
        stream.accept()
        stream.ended.add_done_callback(partial(_hang_up, end))
        await bridged(end, stream)

    async def _connected(self) -> SocketEnd:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._dialer is None:
            return (await loop.create_connection(SocketEnd, self._host, self._port))[1]
        made = await self._dialer.dial()
        try:
            return (await loop.create_connection(SocketEnd, sock=made))[1]
        except BaseException:
            made.close()
            raise


def _hang_up(end: SocketEnd, ended: asyncio.Future[None]) -> None:
    end.finish()


def _headers(plane: Access, token: str) -> list[tuple[bytes, bytes]]:
    shown = [(b"authorization", (token if " " in token else f"Bearer {token}").encode())] if token else []
    return [
        *shown,
        *((name.lower().encode(), value.encode()) for name, value in plane.impersonation),
        (b"user-agent", b"kafila-agent"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", base64.b64encode(os.urandom(16))),
        (b"sec-websocket-protocol", PROTOCOL.encode()),
    ]

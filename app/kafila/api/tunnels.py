"""``clusters/NAME/tunnel``: where the agent of that cluster, and nobody else, opens its tunnel; other processes of ours reach streams of it.

Whoever has the tunnel says so in a Lease (``core/tunnels.py``). The newest connection counts: an older one of the same cluster ends,
here or in another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, final
from urllib.parse import parse_qs

import structlog
from prometheus_client import Counter, Gauge

from kafila.core import errors, tunnels
from kafila.core.agents import agent_of
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.rates import Backoff
from kafila.core.tunnels import Route
from kafila.core.values import Object
from kafila.members.joined_connections import bridged
from kafila.members.tunnel.frames import GOING_AWAY, PROTOCOL, REPLACED
from kafila.members.tunnel.stream import TunnelError
from kafila.members.tunnels import STREAM, Tunnels, here
from kafila.registry import Options, Registry, User
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.store.interface import StoreUnavailable
from kafila.telemetry.members import forget, of_member
from kafila.telemetry.tasks import cancelled
from kafila.watch import Entry, Event

from .client_side import ClientSide
from .request import Request
from .responses import Sender
from .upgrades import ROOM

if TYPE_CHECKING:
    from kafila.members.tunnel.streams import Tunnel

log = structlog.get_logger(__name__)
MASTERS: Final = "system:masters"
ANSWER: Final = 2.0  # seconds for the first ping, before others are told of the tunnel
OPEN: Final = Gauge("kafila_tunnels", "Tunnels of agents that end in this process.")
ENDED: Final = Counter("kafila_tunnels_ended", "Tunnels of agents that have ended in this process.", ["reason"])
LATENCY: Final = of_member(
    Gauge("kafila_tunnel_latency_seconds", "How long the last ping through a tunnel took.", ["member_cluster"])
)
_CLUSTERS: Final = "clusters.cluster.karmada.io"
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_OPTIONS: Final = Options(manager="kafila-tunnel")


class Lost(Exception):
    """Another connection has the tunnel by now."""


@final
class TunnelEndpoint:
    def __init__(self, registry: Registry, ways: Tunnels) -> None:
        self._registry = registry
        self._ways = ways
        self._clusters = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._leases = registry.kind("coordination.k8s.io", "v1", "leases")
        self._open: dict[str, tuple[str, str, Tunnel]] = {}  # by cluster: its UID, the session
        self._serving: set[asyncio.Task[None]] = set()
        self._overtaken: set[str] = (
            set()
        )  # sessions since whose beginning another process has said that it has the tunnel
        registry.cache.listen(_CLUSTERS, self._observe)
        registry.cache.listen(tunnels.LEASES, self._observe_lease)

    async def serve(self, request: Request, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        target = request.target
        assert target is not None
        if request.method != "GET":
            raise errors.method_not_supported(self._clusters.group, self._clusters.plural, request.method.lower())
        cluster = self._cluster(target.name)
        protocol = request.headers.get(b"upgrade", b"").strip().lower() if request.switchable else b""
        if target.rest or protocol not in (b"websocket", STREAM):
            raise errors.bad_request(f"a tunnel is opened by a WebSocket of protocol {PROTOCOL}")
        if protocol == STREAM:
            await self._serve_stream(request, send)
        else:
            await self._serve_agent(cluster, request, send)

    async def close(self) -> None:
        """Agents come back to another process."""
        for _, _, tunnel in list(self._open.values()):
            tunnel.end(GOING_AWAY, "the server is shutting down")
        await asyncio.gather(*self._serving, return_exceptions=True)

    # -- an agent ------------------------------------------------------------------------------------------------------

    async def _serve_agent(self, cluster: Object, request: Request, send: Sender) -> None:
        from kafila.members.tunnel.streams import Tunnel  # only who has agents pays for loading it

        name = cluster["metadata"]["name"]
        check_agent(request.user, cluster)
        answer = handshake(request)
        endpoint, server_name = told(request.raw_query)
        with ROOM.place(request.user.name):
            client = send.switched([(b"connection", b"Upgrade"), (b"upgrade", b"websocket"), *answer])
            if client is None:
                return
            tunnel = Tunnel(client=False)
            tunnel.over(client)
            session = new_uid()
            since = time.time()

            def route() -> Route:
                latency = round(tunnel.latency * 1000)
                return Route(session, self._ways.address, endpoint, server_name, since, 0.0, latency)

            self._replace(name, "another connection of the agent came after it")
            self._open[name] = (cluster["metadata"]["uid"], session, tunnel)
            self._ways.put(name, session, here(tunnel, endpoint, server_name))
            log.info("tunnel opened", cluster=name, endpoint=endpoint, session=session)
            client.ended.add_done_callback(lambda _: tunnel.finish())
            with self._counted_in():
                try:
                    await self._kept(name, tunnel, client, route)
                finally:
                    tunnel.end(GOING_AWAY, "the server is shutting down")
                    self._forget(name, session)
                    await self._withdraw(name, session)

    @contextlib.contextmanager
    def _counted_in(self) -> Iterator[None]:
        """This task is waited for at the end."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        OPEN.inc()
        try:
            yield
        finally:
            OPEN.dec()
            self._serving.discard(task)

    async def _kept(self, name: str, tunnel: Tunnel, client: ClientSide, route: Callable[[], Route]) -> None:
        """Until it ends."""
        heard = asyncio.Event()

        def measured() -> None:
            LATENCY.labels(name).set(tunnel.latency)
            heard.set()

        tunnel.on_latency = measured
        keeping = [
            asyncio.create_task(tunnel.keep()),
            asyncio.create_task(self._publish(name, route, tunnel, heard)),
        ]
        try:
            client.join(tunnel)
            why = await asyncio.shield(tunnel.ended)
            log.info("tunnel ended", cluster=name, session=route().session, reason=why.reason or why.code)
            ENDED.labels(_counted(why.code)).inc()
        finally:
            await cancelled(*keeping)

    def _forget(self, name: str, session: str) -> None:
        self._ways.remove(name, session)
        self._overtaken.discard(session)
        if self._open.get(name, ("", ""))[1] == session:
            del self._open[name]
        if name not in self._open:
            forget(name, [LATENCY])

    def _cluster(self, name: str) -> Object:
        """Raises StatusError 404."""
        entry = self._registry.cache.get(_CLUSTERS, "", name)
        if entry is None:
            raise errors.not_found(self._clusters.group, self._clusters.plural, name)
        return decode_entry(self._clusters, entry)

    def _replace(self, name: str, why: str, code: int = REPLACED) -> None:
        found = self._open.pop(name, None)
        if found is not None:
            self._ways.remove(name, found[1])
            found[2].end(code, why)

    # -- another process -----------------------------------------------------------------------------------------------

    async def _serve_stream(self, request: Request, send: Sender) -> None:
        """One stream of a tunnel that ends here."""
        target = request.target
        assert target is not None
        if MASTERS not in request.user.groups:
            raise errors.forbidden(self._clusters.group, "clusters/tunnel", target.name, "it is for servers of kafila")
        found = self._open.get(target.name)
        if found is None or found[1] != request.query.get("session"):
            raise StatusError(
                503, "ServiceUnavailable", f"the tunnel of cluster {target.name} does not end here any more"
            )
        try:
            stream = await found[2].open()
        except TunnelError as error:
            raise StatusError(502, "InternalError", f"cluster {target.name}: {error}") from None
        client = send.switched([(b"connection", b"Upgrade"), (b"upgrade", STREAM)])
        if client is None:
            stream.abort()
            return
        await bridged(client, stream)

    # -- what others know of it ----------------------------------------------------------------------------------------

    async def _publish(self, name: str, route: Callable[[], Route], tunnel: Tunnel, heard: asyncio.Event) -> None:
        """Says that it ends here, and again, until somebody else says so."""
        backoff, taken = Backoff(0.5, 30.0), False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                await heard.wait()  # how quick it is, is said along
        while True:
            try:
                await self._write(name, route(), taken)
            except Lost:
                tunnel.end(REPLACED, "another connection of the agent came after it")
                return
            except (StatusError, StoreUnavailable, OSError) as error:
                log.warning("tunnel not announced to other processes yet", cluster=name, error=str(error))
                await asyncio.sleep(backoff.failed())
                continue
            backoff.reset()
            taken = True
            await asyncio.sleep(tunnels.RENEWED)

    async def _write(self, name: str, route: Route, taken: bool) -> None:
        """``taken``: it was ours already. Raises Lost, StatusError."""
        wanted = tunnels.lease(route, self._cluster(name), time.time())
        lost = False

        def renewed(found: Object) -> Object:
            nonlocal lost
            other = (found.get("spec") or {}).get("holderIdentity") != route.session
            lost = other and (taken or (route.session in self._overtaken and _is_newer(found, route)))
            return (
                found
                if lost
                else {**found, "metadata": {**found["metadata"], **_marks(wanted)}, "spec": wanted["spec"]}
            )

        try:
            await self._registry.modify(self._leases, tunnels.NAMESPACE, tunnels.lease_name(name), renewed, _OPTIONS)
        except StatusError as error:
            if not error.is_not_found:
                raise
            await self._registry.create(self._leases, tunnels.NAMESPACE, wanted, _OPTIONS)
        if lost:
            raise Lost

    async def _withdraw(self, name: str, session: str) -> None:
        entry = self._registry.cache.get(tunnels.LEASES, tunnels.NAMESPACE, tunnels.lease_name(name))
        if entry is None or (entry.decode().get("spec") or {}).get("holderIdentity") != session:
            return
        options = DeleteOptions(resource_version=str(entry.revision))  # not one that came after it
        try:
            await self._registry.delete(self._leases, tunnels.NAMESPACE, tunnels.lease_name(name), options)
        except (StatusError, StoreUnavailable, OSError) as error:
            log.info("tunnel not withdrawn", cluster=name, error=str(error))

    # -- what happens elsewhere ----------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        found = self._open.get(event.key.name)
        if found is None:
            return
        spec = event.new.decode() if event.new is not None else None
        if spec is None or spec["metadata"].get("uid") != found[0] or spec["spec"].get("syncMode") != "Pull":
            self._replace(event.key.name, "the cluster is gone, or is not in Pull mode any more", GOING_AWAY)

    def _observe_lease(self, event: Event) -> None:
        name = tunnels.cluster_of(event.key.name) if event.key.namespace == tunnels.NAMESPACE else ""
        found = self._open.get(name) if name else None
        if found is None or event.new is None:
            return
        before, after = (_holder(entry) for entry in (event.old, event.new))
        if before != after != found[1]:
            self._overtaken.add(found[1])
        if before == found[1] != after:  # it was taken from us
            self._replace(name, "another connection of the agent came after it")


def _holder(entry: Entry | None) -> str | None:
    return (entry.decode().get("spec") or {}).get("holderIdentity") if entry is not None else None


def _is_newer(found: Object, route: Route) -> bool:
    """Whether a Lease is of a connection that came after this one, and lasts."""
    known = tunnels.route_of(found)
    return known is not None and known.since > route.since and known.until > time.time()


def check_agent(user: User, cluster: Object) -> None:
    """Raises StatusError 403: a tunnel is of the agent of that cluster, and of nobody else (GHSA-mg7w-c9x2-xh7r)."""
    name = cluster["metadata"]["name"]
    if agent_of(user) != name:
        raise errors.forbidden(
            "cluster.karmada.io", "clusters/tunnel", name, "only the agent of this cluster opens its tunnel"
        )
    if cluster["spec"].get("syncMode") != "Pull":
        raise errors.forbidden("cluster.karmada.io", "clusters/tunnel", name, f"cluster {name} is in Push mode")


def handshake(request: Request) -> list[tuple[bytes, bytes]]:
    """Headers of the answer to a WebSocket's beginning. Raises StatusError 400."""
    from wsproto.utilities import generate_accept_token

    key = request.headers.get(b"sec-websocket-key", b"")
    offered = [one.strip() for one in request.headers.get(b"sec-websocket-protocol", b"").split(b",")]
    if request.headers.get(b"sec-websocket-version") != b"13" or not _KEY.fullmatch(key):
        raise errors.bad_request("this is no beginning of a WebSocket of version 13")
    if PROTOCOL.encode() not in offered:
        raise errors.bad_request(f"a tunnel is opened by a WebSocket of protocol {PROTOCOL}")
    return [(b"sec-websocket-accept", generate_accept_token(key)), (b"sec-websocket-protocol", PROTOCOL.encode())]


def told(query: str) -> tuple[str, str]:
    """How the agent knows its API server, and whom its certificate is of. Raises StatusError 400."""
    try:
        given = parse_qs(query, max_num_fields=8, keep_blank_values=True)
        endpoint, server_name = (given.get(field, [""])[0] for field in ("endpoint", "serverName"))
        tunnels.check_endpoint(endpoint)
        tunnels.check_server_name(server_name)
    except ValueError as error:
        raise errors.bad_request(str(error)) from None
    return endpoint, server_name


def _marks(wanted: Object) -> Object:
    return {field: wanted["metadata"][field] for field in ("annotations", "ownerReferences")}


def _counted(code: int) -> str:
    return {REPLACED: "replaced", GOING_AWAY: "ended", 1006: "lost", 1002: "violation"}.get(code, "closed")

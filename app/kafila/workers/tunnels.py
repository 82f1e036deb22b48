"""The tunnels of agents: where other processes of ours reach this one, and what it shows them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from kafila.api.app import ObjectsApp
from kafila.api.proxy import MemberProxy
from kafila.api.tunnels import TunnelEndpoint
from kafila.identity.authority import Authority
from kafila.identity.certificates import issue
from kafila.identity.keys import stored_authority
from kafila.identity.serving import first_of, is_due
from kafila.members.transport import TLS
from kafila.members.tunnels import Tunnels
from kafila.settings.settings import Settings
from kafila.watch import Cache

from .certificates import LOOPBACK, SHARE

NAME: Final = "system:kafila:peer"
_ANYWHERE: Final = ("0.0.0.0", "::")
_FAR: Final = "192.0.2.1"  # of a network that there is not: nothing is sent there


def tunnels_of(cache: Cache) -> Tunnels:
    """All there are, wherever they end."""
    return Tunnels(cache, peer_identity(cache))


def serve_tunnels(ways: Tunnels, app: ObjectsApp, proxy: MemberProxy, settings: Settings, port: int) -> None:
    """From now on agents may open theirs. ``port``: that this process listens on."""
    host = settings.peer_advertise_ip or (own_address() if settings.host in _ANYWHERE else settings.host)
    at = settings.peer_advertise_port or port
    ways.address = f"[{host}]:{at}" if ":" in host else f"{host}:{at}"
    app.tunnels = TunnelEndpoint(app.registry, ways)
    proxy.before_close.append(app.tunnels.close)


def peer_identity(cache: Cache) -> Callable[[], TLS]:
    """A certificate as which processes of ours know each other: of the CA that they share, which is renewed before it ends."""
    made: tuple[Authority, TLS] | None = None

    def identity() -> TLS:
        nonlocal made
        authority = stored_authority(cache)[0]
        if made is None or made[0] != authority or is_due(first_of(made[1].certificate), datetime.now(UTC), SHARE):
            pair = authority.with_chain(issue(authority.pair, NAME, ["system:masters"]))
            tls = TLS(authority.bundle, pair.certificate, pair.key, server_name=LOOPBACK)
            made = authority, tls
        return made[1]

    return identity


def own_address() -> str:
    """Of the interface that leads out, as kube-apiserver takes it; of this machine where none does."""
    for family, far in ((socket.AF_INET, _FAR), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((far, 9))
            return str(asking.getsockname()[0])
    return "127.0.0.1"

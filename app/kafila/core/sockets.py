"""Listening sockets, bound before anything else starts."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 4096


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of a host, all on one port; 0 takes a free one. Raises OSError."""
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            one.listen(BACKLOG)  # until then another one could bind it as well
            port = one.getsockname()[1]
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound

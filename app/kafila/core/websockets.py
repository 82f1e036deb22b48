"""Protocols that a WebSocket's client offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

TOKEN_PROTOCOL: Final = b"base64url.bearer.authorization.k8s.io."  # a token behind it, for want of another header
PROTOCOLS: Final = b"sec-websocket-protocol"


def offered_protocols(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Of all headers of the name (in lower case), in order."""
    found = (one.strip() for name, value in headers if name == PROTOCOLS for one in value.split(b","))
    return [one for one in found if one]

"""Limits of the server towards whoever connects: Go's and kube-apiserver's names and values, where they have one."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_OBJECT_BYTES: Final = 8 << 20  # as it is stored


class ServingOptions(NamedTuple):
    max_header_bytes: int = 1 << 20  # request line and headers
    read_header_timeout: float = 32.0  # seconds for the TLS handshake, and for a request's head
    idle_timeout: float = 120.0  # seconds; longer than client-go's 90: in HTTP/1.1 a request and our closing may cross
    request_timeout: float = 60.0  # seconds for a request's body, and without any progress in reading an answer
    max_connections: int = 10_000  # fewer where the limit of descriptors says so
    max_connections_per_peer: int = 0  # 0: half of all

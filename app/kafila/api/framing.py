"""What a request's head has to be before anything else of it is read: one Host, and one meaning of where its body ends.

Where two programs on the way understand a head differently, one of them gets a request that the other has not seen.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .refusals import Refused

VERSIONS: Final = ("1.1", "1.0")
MOST_HEADERS: Final = 1000
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")


def check_head(version: str, headers: list[tuple[bytes, bytes]], upgrade: bool) -> bool:
    """Whether whoever asks waits for "100 Continue". ``headers`` with lower-case names. Raises Refused.

    The parser itself refuses two lengths, a length with an encoding, folded lines and bytes that no header may have.
    """
    if version not in VERSIONS:
        raise Refused("version", 505, "unsupported protocol version")
    found = dict(headers)
    host, encoding, expectation = found.get(b"host"), found.get(b"transfer-encoding"), found.get(b"expect")
    if host is None and version == "1.1":
        raise Refused("host", 400, "missing required Host header")
    names = [name for name, _ in headers] if len(found) < len(headers) else ()
    if names and names.count(b"host") > 1:
        raise Refused("host", 400)
    if host is not None and not _is_host(host):
        raise Refused("host", 400, "malformed Host header")
    if encoding is not None and (
        encoding.lower() != b"chunked" or version == "1.0" or (names and names.count(b"transfer-encoding") > 1)
    ):
        raise Refused("framing", 501, body="Unsupported transfer encoding")
    if upgrade and (encoding is not None or found.get(b"content-length", b"0") != b"0"):
        raise Refused("framing", 400)  # the parser takes what follows for the other protocol
    if expectation is None:
        return False
    if expectation.lower() != b"100-continue":
        raise Refused("expectation", 417)
    return True


@lru_cache(maxsize=64)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None

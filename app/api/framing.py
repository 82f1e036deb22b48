"""What a request's head has to be before anything else is looked at: one Host, and one meaning of where its body ends.

Where two programs on the way understand a head differently, one of them is told a request that the other has not seen.
"""

from __future__ import annotations

import re
from typing import Final

from .refusals import Refused

VERSIONS: Final = ("1.1", "1.0")
MOST_HEADERS: Final = 1000
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")


def check_head(version: str, headers: list[tuple[bytes, bytes]], upgrade: bool) -> None:
    """``headers`` with lower-case names. Raises Refused. The parser itself refuses two lengths, a length with an encoding,
    folded lines and bytes that no header may have."""
    if version not in VERSIONS:
        raise Refused("version", 505, "unsupported protocol version")
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts == 0 and version == "1.1":
        raise Refused("host", 400, "missing required Host header")
    if hosts > 1:
        raise Refused("host", 400)
    if hosts and not _HOST.fullmatch(headers[names.index(b"host")][1]):
        raise Refused("host", 400, "malformed Host header")
    encodings = names.count(b"transfer-encoding")
    if encodings and (
        encodings > 1 or version == "1.0" or headers[names.index(b"transfer-encoding")][1].lower() != b"chunked"
    ):
        raise Refused("framing", 501, body="Unsupported transfer encoding")
    if b"expect" in names and headers[names.index(b"expect")][1].lower() != b"100-continue":
        raise Refused("expectation", 417)
    if upgrade and (encodings or any(name == b"content-length" and value != b"0" for name, value in headers)):
        raise Refused("framing", 400)  # the parser takes what follows for the other protocol

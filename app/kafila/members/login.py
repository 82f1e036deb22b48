"""What a client shows to be known, when that changes while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Credential(NamedTuple):
    """A bearer token (or a whole ``Authorization`` header, told by its space), a client certificate with its key, or both."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


# the argument: what was just refused (401), None when nothing was
CredentialSource = Callable[[Credential | None], Awaitable[Credential]]

"""What a request shows of its sender."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from kafila.core.websockets import TOKEN_PROTOCOL, offered_protocols
from kafila.registry import User

from .users import InvalidCredential

LONGEST_TOKEN: Final = 64 << 10  # characters


class Peer(NamedTuple):
    """A client certificate that the TLS layer has verified, and the chain that it was verified by (DER)."""

    certificate: bytes
    chain: tuple[bytes, ...] = ()  # from the certificate to an authority


class Credentials(NamedTuple):
    headers: Sequence[tuple[bytes, bytes]]  # as they came, names in lower case; a name may come twice
    path: str = ""
    peer: Peer | None = None


class Known(NamedTuple):
    """The user of a token, and which of the audiences that were asked about it is meant for."""

    user: User
    audiences: tuple[str, ...] = ()


# What knows the user of a request by something else than a token, and says all of his groups. None: nothing of the kind is
# shown. Raises InvalidCredential
RequestAuthenticator = Callable[[Credentials], User | None]
# Token and audiences (empty: those of this API server). None: not a token of this kind. Raises InvalidCredential
TokenAuthenticator = Callable[[str, Sequence[str]], Known | None]


class RemoteTokenAuthenticator(Protocol):
    """Has to ask somebody else at times."""

    def remembered(self, token: str, audiences: Sequence[str]) -> Known | None: ...

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Known | None:
        """Raises InvalidCredential."""
        ...


def bearer_token(authorization: bytes) -> str:
    """The token of an Authorization header, empty where there is none: other schemes say nothing here."""
    parts = authorization.decode("latin-1").strip().split(" ", 2)
    return parts[1] if len(parts) > 1 and parts[0].lower() == "bearer" else ""


def websocket_token(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The token among the protocols that a WebSocket's client offers, beside at least one other: pages in a browser have no other
    way to show one. Empty where there is none. Raises InvalidCredential."""
    asked = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)
    if not asked or not any(name == b"connection" and b"upgrade" in value.lower() for name, value in headers):
        return ""  # no WebSocket is begun, as Kubernetes sees it
    offered = offered_protocols(headers)
    shown = [one.removeprefix(TOKEN_PROTOCOL) for one in offered if one.startswith(TOKEN_PROTOCOL)]
    if not shown:
        return ""
    if len(shown) > 1 or len(shown) == len(offered):
        raise InvalidCredential("one token, and another protocol, have to be offered")
    try:
        return base64.b64decode(shown[0] + b"=" * (-len(shown[0]) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidCredential("the token is no base64") from None

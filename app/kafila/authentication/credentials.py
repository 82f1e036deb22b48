"""What a request shows of its sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from kafila.registry import User

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

"""A member's API passed on to callers of the control plane: what a cluster's upstream is, and which headers go there and come back.

The member sees the token of our impersonator and the caller's name in Impersonate headers, so its own RBAC decides. Nothing here
decodes bodies: they go through as they are, compressed or not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from kafila.core.values import Object
from kafila.core.websockets import PROTOCOLS, TOKEN_PROTOCOL, offered_protocols

from .credentials import AUTHORITY, TOKEN, CredentialsError, secret_value
from .dialing import Dialer, by_proxy
from .transport import TLS, sendable

RawHeaders = Sequence[tuple[bytes, bytes]]  # as ASGI has them: lower-case names

# Between two hops only (RFC 9110 7.6.1)
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
# Who the caller is must be what we say. A member's idea of Host is its own name.
NOT_FORWARDED: Final = HOP_BY_HOP | {b"host", b"authorization", b"proxy-authorization", b"expect", b"cookie"}
IDENTITY_PREFIXES: Final = (b"impersonate-", b"x-remote-", b"x-forwarded-")
# A member answers under our origin: what speaks of the content passes, what would bind a client to anything (cookies, HSTS,
# stored data, scripts of other origins, a way to log in) does not.
RETURNED: Final = frozenset(
    (
        b"accept-ranges",
        b"allow",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-range",
        b"content-type",
        b"etag",
        b"expires",
        b"last-modified",
        b"retry-after",
        b"vary",
        b"warning",
        b"x-content-type-options",
        b"x-kubernetes-pf-flowschema-uid",
        b"x-kubernetes-pf-prioritylevel-uid",
    )
)
# ... and of one that switches protocols
SWITCHING: Final = frozenset((b"sec-websocket-accept", b"sec-websocket-protocol", b"x-stream-protocol-version"))
SWITCHED: Final = 101
BODILESS: Final = (204, 304)  # a length of theirs is that of a body which does not come
IN_PATHS: Final = "/:@!$&'()*+,;=~"  # beside letters, digits, "-", "." and "_": what a path has without encoding
_UNSENDABLE: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
OMITTED_GROUPS: Final = ("system:authenticated", "system:unauthenticated")  # the member adds its own


class Upstream(NamedTuple):
    """Equal upstreams may share connections. ``endpoint`` may have a path, which goes before every target. ``dialer``: makes the
    connections. ``note``: what else to know where it cannot be reached."""

    endpoint: str
    tls: TLS
    token: str
    proxy_url: str = ""
    proxy_headers: tuple[tuple[str, str], ...] = ()
    dialer: Dialer | None = None
    note: str = ""


def upstream(cluster: Object, secret: Object | None, impersonator: Object) -> Upstream:
    """``secret``: what spec.secretRef names, None when it names nothing (Pull mode). Raises CredentialsError in Karmada's words."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    endpoint = spec.get("apiEndpoint") or ""
    if not endpoint:
        raise CredentialsError(f"API endpoint of cluster {name} should not be empty")
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise CredentialsError(f"failed to parse api endpoint {endpoint}: must be an http or https URL")
    proxy_url = spec.get("proxyURL") or ""
    try:
        by_proxy(proxy_url, endpoint)
    except ValueError as error:
        raise CredentialsError(str(error)) from None
    token = secret_value(name, impersonator, TOKEN).decode(errors="replace").strip()
    if not token:
        # "impresonate" is Karmada's spelling
        why = f"the impresonate token of cluster {name} is empty"
        raise CredentialsError(f"failed to get impresonateToken for cluster {name}: {why}")
    if spec.get("insecureSkipTLSVerification"):
        tls = TLS(insecure=True)
    else:
        tls = TLS(authority=secret_value(name, secret, AUTHORITY) if secret is not None else b"")
    headers = tuple(sorted((spec.get("proxyHeader") or {}).items())) if proxy_url else ()
    return Upstream(sendable(endpoint), tls, token, proxy_url, headers)


def target_of(rest: str, query: str) -> str:
    """Path and query for the member. ``rest`` is the encoded path behind ``proxy``; it cannot climb above the endpoint."""
    decoded = unquote(rest)
    if ".." in decoded.split("/"):
        rest = quote(posixpath.normpath("/" + decoded.lstrip("/")), safe=IN_PATHS)
        rest += "/" if decoded.endswith("/") else ""
    path = "/" + "/".join(part for part in rest.split("/") if part not in ("", "."))
    if rest.endswith("/") and path != "/":
        path += "/"
    return quote(f"{path}?{query}" if query else path, safe=IN_PATHS + '%?[]"<>\\^`{|}')  # one line, in ASCII


def location_of(given: str, endpoint: str, root: str) -> str | None:
    """A redirect within the member, as the caller can follow it below ``root``; None for any other: a client would take its
    credentials along."""
    base = urlsplit(endpoint)
    try:
        found = urlsplit(given)
    except ValueError:
        return None
    if (found.scheme, found.netloc) not in (("", ""), (base.scheme, base.netloc)) or not found.path.startswith("/"):
        return None
    prefix = base.path.rstrip("/")
    if not found.path.startswith(f"{prefix}/") or ".." in unquote(found.path).split("/"):
        return None
    return root + target_of(found.path[len(prefix) :], found.query)


def request_headers(given: RawHeaders) -> list[tuple[bytes, bytes]]:
    """What of a caller's headers the member gets; without anything that says who the caller is. A token among WebSocket protocols
    is the caller's own."""
    dropped = NOT_FORWARDED | _named_by_connection(given)
    passing = [(name, value) for name, value in given if name not in dropped and not name.startswith(IDENTITY_PREFIXES)]
    kept = [one for one in offered_protocols(passing) if not one.startswith(TOKEN_PROTOCOL)]
    out = [(name, value) for name, value in passing if name != PROTOCOLS]
    return [*out, (PROTOCOLS, b", ".join(kept))] if kept else out


def upgrade_headers(given: RawHeaders, protocol: bytes) -> list[tuple[bytes, bytes]]:
    """As :func:`request_headers`, for a request to switch to ``protocol``."""
    return [*request_headers(given), (b"connection", b"Upgrade"), (b"upgrade", protocol)]


def impersonation(user: str, groups: Iterable[str], token: str) -> list[tuple[bytes, bytes]]:
    """Raises ValueError for a name that would arrive as another one."""
    groups = tuple(groups)
    for kind, name in (("user", user), *(("group", group) for group in groups)):
        if not name or name != name.strip(" \t") or _UNSENDABLE.search(name):
            raise ValueError(f"{kind} {name!a} cannot be named to a member: no header carries it as it is")
    headers = [(b"authorization", b"bearer " + token.encode()), (b"impersonate-user", user.encode())]
    headers += [(b"impersonate-group", group.encode()) for group in groups if group not in OMITTED_GROUPS]
    return headers


def response_headers(given: RawHeaders, status: int) -> list[tuple[bytes, bytes]]:
    passing = RETURNED - _named_by_connection(given)
    if status in BODILESS:
        passing -= {b"content-length"}
    return [(name, value) for name, value in given if name in passing]


def _named_by_connection(headers: RawHeaders) -> set[bytes]:
    named = (value for name, value in headers if name == b"connection")
    return {token.strip().lower() for value in named for token in value.split(b",")}

"""URLs as Go's net/url reads them: what kube-apiserver and Karmada refuse is refused in the same words."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

_SCHEME: Final = re.compile("([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL: Final = re.compile("[\0-\x1f\x7f]")
_ESCAPE: Final = re.compile("%[0-9A-Fa-f]{2}")
_HOST: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!$&'()*+,;=:[]<>\""
)  # in a host without encoding
_USER: Final = re.compile("[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_PORT: Final = re.compile(":[0-9]*")
HIGHEST_PORT: Final = 65535


class URL(NamedTuple):
    """``host`` with its port; ``user`` None: there is none."""

    scheme: str
    user: str | None
    host: str
    path: str
    query: str
    fragment: str

    @property
    def port(self) -> int | None:
        """None when there is none. It may be above what a port can be: Go's parser does not look."""
        digits = self.host.rpartition(":")[2]
        return int(digits[:9]) if digits.isascii() and digits.isdigit() and ":" in self.host else None


def parse(text: str) -> URL:
    """Raises ValueError with the message of Go's url.Parse."""
    whole, _, fragment = text.partition("#")
    try:
        url = _parse(whole)
    except ValueError as error:
        raise ValueError(f"parse {quoted(whole)}: {error}") from None
    try:
        return url._replace(fragment=_unescaped(fragment))
    except ValueError as error:
        raise ValueError(f"parse {quoted(text)}: {error}") from None


def quoted(text: str) -> str:
    """As %q writes it."""
    shown = json.dumps(text, ensure_ascii=False)
    return re.sub(r"\\u00([01][0-9a-f])|\x7f", lambda found: f"\\x{found[1] or '7f'}", shown)


def _parse(text: str) -> URL:
    if _CONTROL.search(text):
        raise ValueError("net/url: invalid control character in URL")
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    rest, _, query = (text[found.end() :] if found else text).partition("?")
    if not rest.startswith("/"):
        if scheme:
            return URL(scheme, None, "", "", query, "")  # opaque
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    user, host = None, ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        named, at, host = authority.rpartition("@")
        host = _host(scheme, host)
        if at:
            if not _USER.fullmatch(named):
                raise ValueError("net/url: invalid userinfo")
            user = _unescaped(named)
    return URL(scheme, user, host, _unescaped(rest), query, "")


def _host(scheme: str, host: str) -> str:
    opening = host.rfind("[")
    if opening > 0:
        raise ValueError("invalid IP-literal")
    if opening == 0:
        return _literal(host)
    if ":" in host:
        first, last = host.index(":"), host.rindex(":")
        port = host[first if scheme in ("http", "https") else last :]
        if not _PORT.fullmatch(port):
            raise ValueError(f"invalid port {quoted(port)} after host")
    return _host_unescaped(host)


def _literal(host: str) -> str:
    """``[IPv6]:port``."""
    closing = host.rfind("]")
    if closing < 0:
        raise ValueError("missing ']' in host")
    port = host[closing + 1 :]
    if port and not _PORT.fullmatch(port):
        raise ValueError(f"invalid port {quoted(port)} after host")
    name, zoned, zone = host[1:closing].partition("%25")
    address = _host_unescaped(name) + (f"%{unquote(zone)}" if zoned else "")
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"invalid host: ParseAddr({quoted(address)}): unable to parse IP") from None
    if known.version == 4:
        raise ValueError("invalid IP-literal")
    return f"[{address}]{port}"


def _host_unescaped(host: str) -> str:
    """Only bytes that are not ASCII may be encoded, and "%" itself."""
    at = 0
    while at < len(host):
        if host[at] == "%":
            escape = host[at : at + 3]
            if not _ESCAPE.fullmatch(escape) or (int(escape[1], 16) < 8 and escape != "%25"):
                raise ValueError(f"invalid URL escape {quoted(escape)}")
            at += 3
            continue
        if host[at] < "\x80" and host[at] not in _HOST:
            raise ValueError(f"invalid character {quoted(host[at])} in host name")
        at += 1
    return unquote(host)


def _unescaped(text: str) -> str:
    at = text.find("%")
    while at >= 0:
        escape = text[at : at + 3]
        if not _ESCAPE.fullmatch(escape):
            raise ValueError(f"invalid URL escape {quoted(escape)}")
        at = text.find("%", at + 3)
    return unquote(text)

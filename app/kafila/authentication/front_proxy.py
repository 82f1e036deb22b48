"""A proxy in front of us that has authenticated the caller itself, and says in headers who he is (kube-apiserver's request headers).

Only to who shows a certificate of the proxies' own authority these headers mean anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from kafila.identity.certificates import name_of
from kafila.registry import User

from .certificates import check_life
from .credentials import Credentials, RequestAuthenticator
from .impersonation import unescaped
from .users import InvalidCredential, authenticated


class HeaderNames(NamedTuple):
    """As the flags give them; case does not matter."""

    user: Sequence[str] = ("X-Remote-User",)
    group: Sequence[str] = ("X-Remote-Group",)
    uid: Sequence[str] = ("X-Remote-Uid",)
    extra: Sequence[str] = ("X-Remote-Extra-",)  # prefixes
    allowed: Sequence[str] = ()  # common names of proxies; none: each that the authority has signed


def front_proxy(authorities: Callable[[], frozenset[bytes]], names: HeaderNames) -> RequestAuthenticator:
    """``authorities``: DER of those that sign proxies' certificates, as of now."""
    users, groups, uids, extras = (_lowered(part) for part in (names.user, names.group, names.uid, names.extra))

    def authenticate(credentials: Credentials) -> User | None:
        peer = credentials.peer
        if peer is None or authorities().isdisjoint(peer.chain):
            return None
        check_life(peer.chain, time.time())
        if names.allowed and _common_name(peer.certificate) not in names.allowed:
            raise InvalidCredential("x509: the common name is not in the list of allowed proxies")
        headers = credentials.headers
        name = next(_values(headers, users), "")
        if not name:
            return None
        found = tuple(_values(headers, groups))
        return authenticated(User(name, found, next(_values(headers, uids), ""), _extra(headers, extras)))

    return authenticate


def _lowered(names: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(name.strip().lower().encode() for name in names if name.strip())


def _values(headers: Sequence[tuple[bytes, bytes]], wanted: Sequence[bytes]) -> Iterator[str]:
    """What is not empty, in the order of the names that are wanted."""
    for name in wanted:
        for header, value in headers:
            if header == name and (text := _text(value)):
                yield text


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip()


def _extra(
    headers: Sequence[tuple[bytes, bytes]], prefixes: Sequence[bytes]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for prefix in prefixes:
        for name, value in headers:
            if name.startswith(prefix):
                found.setdefault(unescaped(_text(name[len(prefix) :])), []).append(_text(value))
    return tuple((key, tuple(values)) for key, values in found.items())


@lru_cache(maxsize=64)
def _common_name(der: bytes) -> str:
    try:
        return name_of(x509.load_der_x509_certificate(der).subject)
    except ValueError:
        return ""

"""Our certificate authority, and how it is exchanged: a new one signs, and the one before is believed beside it for a while.

Each of the two has signed the other's certificate (a *cross certificate*), which goes with everything that is issued meanwhile:
who knows only the old authority believes what the new one has signed, and who knows only the new one what a rollback has.
So nobody has to learn of an exchange before it happens, neither clients nor other processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from kafila.core.clock import parse_rfc3339, rfc3339

from .certificates import KeyPair, cross_signed, new_authority, subject_of
from .serving import ends

OVERLAP: Final = timedelta(days=30)
LONGEST_OVERLAP: Final = timedelta(days=3650)
NAME: Final = "kafila-ca"


class Refused(Exception):
    """What is asked for cannot be done as things are."""


class Previous(NamedTuple):
    """The authority that is believed beside the one that signs. ``cross``: PEM of its certificate, signed by the other one."""

    pair: KeyPair
    cross: bytes
    since: datetime
    until: datetime


class Authority(NamedTuple):
    """``cross``: PEM of its certificate, signed by the previous one, also when that is gone; empty for the first one.
    ``request``: which request has made it so, so that none is carried out twice."""

    pair: KeyPair
    cross: bytes = b""
    previous: Previous | None = None
    request: str = ""

    @property
    def bundle(self) -> bytes:
        """PEM of what clients and servers have to believe now, the one that signs first."""
        return self.pair.certificate + (self.previous.pair.certificate if self.previous else b"")

    @property
    def chain(self) -> bytes:
        """PEM that goes with what is issued now."""
        return self.cross if self.previous else b""

    @property
    def believed(self) -> bytes:
        """PEM of all certificates of those keys: a chain may have been verified by each of them."""
        others = self.previous.pair.certificate + self.previous.cross if self.previous else b""
        return self.pair.certificate + self.cross + others

    def with_chain(self, pair: KeyPair) -> KeyPair:
        return pair._replace(certificate=pair.certificate + self.chain)


def rotated(before: Authority, now: datetime, overlap: timedelta, request: str = "") -> Authority:
    """A new authority signs. While two are believed no third one is made: only the end of the overlap changes."""
    if before.previous is not None:
        previous = before.previous
        until = _until(previous.since, overlap, previous.pair)
        return before._replace(previous=previous._replace(until=until), request=request)
    old, new = before.pair, new_authority(f"{NAME}@{int(now.timestamp())}", now)
    if ends(old.certificate) <= now:
        return Authority(new, request=request)
    until = _until(now, overlap, old)
    return Authority(new, cross_signed(new, old), Previous(old, cross_signed(old, new), now, until), request)


def _until(since: datetime, overlap: timedelta, old: KeyPair) -> datetime:
    """Nobody believes what has expired."""
    return min(since + overlap, ends(old.certificate)).replace(microsecond=0)


def rolled_back(before: Authority, now: datetime, request: str = "") -> Authority:
    """The previous one signs again; the new one is believed as long as the previous one would have been. Raises Refused."""
    previous = before.previous
    if previous is None:
        raise Refused("no rotation is under way: there is nothing to go back to")
    if ends(previous.pair.certificate) <= now:
        raise Refused(f"{subject_of(previous.pair.certificate)} has expired: nobody would believe what it signs")
    return Authority(previous.pair, previous.cross, previous._replace(pair=before.pair, cross=before.cross), request)


def finished(before: Authority, request: str = "") -> Authority:
    """The previous one is believed no longer. Raises Refused."""
    if before.previous is None:
        raise Refused("no rotation is under way: there is nothing to finish")
    return before._replace(previous=None, request=request)


def is_over(authority: Authority, now: datetime) -> bool:
    """Whether the overlap is."""
    return authority.previous is not None and now >= authority.previous.until


def described(authority: Authority) -> str:
    """How things are, in one line."""
    signs = f"{subject_of(authority.pair.certificate)} signs"
    if authority.previous is None:
        return f"{signs}, no other authority is believed"
    other = subject_of(authority.previous.pair.certificate)
    return f"{signs}, {other} is believed beside it until {authority.previous.until:%Y-%m-%dT%H:%M:%SZ}"


# -- as it is stored -----------------------------------------------------------------------------------------------------


def to_body(authority: Authority) -> dict[str, Any]:
    """As it is stored; what needs no other authority is in the form that it always had."""
    body: dict[str, Any] = _pair_of(authority.pair)
    if authority.cross:
        body["cross"] = authority.cross.decode()
    if authority.request:
        body["request"] = authority.request
    if authority.previous is not None:
        pair, cross, since, until = authority.previous
        times = {"since": rfc3339(since.timestamp()), "until": rfc3339(until.timestamp())}
        body["previous"] = {**_pair_of(pair), "cross": cross.decode(), **times}
    return body


def _pair_of(pair: KeyPair) -> dict[str, str]:
    return {"certificate": pair.certificate.decode(), "key": pair.key.decode()}


def from_body(body: dict[str, Any]) -> Authority:
    previous = None
    if (said := body.get("previous")) is not None:
        times = (datetime.fromtimestamp(parse_rfc3339(said[name]), UTC) for name in ("since", "until"))
        previous = Previous(_read(said), said["cross"].encode(), *times)
    return Authority(_read(body), body.get("cross", "").encode(), previous, body.get("request", ""))


def _read(body: dict[str, Any]) -> KeyPair:
    return KeyPair(body["certificate"].encode(), body["key"].encode())


def certificates_in_use(authority: Authority) -> Iterator[tuple[str, KeyPair]]:
    """By the names that ``kafila certs list`` has for them."""
    yield "ca", authority.pair
    if authority.previous is not None:
        yield "ca-previous", authority.previous.pair

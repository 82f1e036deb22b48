"""Our key that signs service account tokens, and how it is exchanged: a new one is published, signs a while later, and the one before
is believed until the tokens that it has signed are over.

Who verifies tokens has to know a key before it signs: other processes of ours, and servers that keep our key set for a while.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from kafila.core.clock import parse_rfc3339, rfc3339

from .authority import Refused
from .certificates import KeyPair, new_signing_key
from .jwk import public_keys

OVERLAP: Final = timedelta(days=366)  # the longest tokens that Kubernetes itself asks for live a year
LONGEST_OVERLAP: Final = timedelta(days=3650)
PUBLISHED: Final = timedelta(hours=1)  # as long as others may keep our key set (Cache-Control)
SHORTEST_PUBLISHED: Final = timedelta(seconds=10)  # until every process has it
LONGEST_PUBLISHED: Final = timedelta(days=30)
MOST_RETIRED: Final = 16


class Next(NamedTuple):
    """The key that signs from ``at`` on; the one before is then believed for ``overlap``."""

    pair: KeyPair
    at: datetime
    overlap: timedelta


class Previous(NamedTuple):
    pair: KeyPair
    since: datetime
    until: datetime


class TokenKeys(NamedTuple):
    """``retired``: the ids of keys that are believed no longer. ``request``: which one has made it so, so that none is carried out
    twice."""

    pair: KeyPair
    next: Next | None = None
    previous: Previous | None = None
    retired: tuple[str, ...] = ()
    request: str = ""

    @property
    def others(self) -> list[bytes]:
        """PEM of the keys that are believed beside the one that signs."""
        return [each.pair.certificate for each in (self.next, self.previous) if each is not None]


def id_of(pair: KeyPair) -> str:
    return public_keys(pair.certificate)[0].id


def rotated(before: TokenKeys, now: datetime, published: timedelta, overlap: timedelta, request: str = "") -> TokenKeys:
    """A new key is published. While two are there no third one is made: only the times change."""
    if before.previous is not None:
        until = _whole(before.previous.since + overlap)
        return before._replace(previous=before.previous._replace(until=until), request=request)
    pair = before.next.pair if before.next is not None else new_signing_key()
    return before._replace(next=Next(pair, _whole(now + published), overlap), request=request)


def due(before: TokenKeys, now: datetime) -> TokenKeys | None:
    """What the time has brought; None: nothing."""
    if before.next is not None and before.next.at <= now:
        previous = Previous(before.pair, before.next.at, _whole(before.next.at + before.next.overlap))
        return before._replace(pair=before.next.pair, next=None, previous=previous)
    if before.previous is not None and before.previous.until <= now:
        return finished(before, before.request)
    return None


def rolled_back(before: TokenKeys, request: str = "") -> TokenKeys:
    """A key that has signed nothing is forgotten; else the previous one signs again, and the new one is believed as long as that
    would have been. Raises Refused."""
    if before.next is not None:
        return before._replace(next=None, request=request)
    if before.previous is None:
        raise Refused("no rotation is under way: there is nothing to go back to")
    previous = before.previous._replace(pair=before.pair)
    return before._replace(pair=before.previous.pair, previous=previous, request=request)


def finished(before: TokenKeys, request: str = "") -> TokenKeys:
    """The previous one is believed no longer. Raises Refused."""
    if before.next is not None:
        raise Refused(f"the new key does not sign yet: it does from {_shown(before.next.at)} on")
    if before.previous is None:
        raise Refused("no rotation is under way: there is nothing to finish")
    retired = (*before.retired, id_of(before.previous.pair))[-MOST_RETIRED:]
    return before._replace(previous=None, retired=retired, request=request)


def described(keys: TokenKeys) -> str:
    """How things are, in one line."""
    signs = f"key {id_of(keys.pair)} signs"
    if keys.next is not None:
        return f"{signs}, key {id_of(keys.next.pair)} is published and signs from {_shown(keys.next.at)} on"
    if keys.previous is not None:
        other, until = id_of(keys.previous.pair), _shown(keys.previous.until)
        return f"{signs}, tokens of key {other} are believed until {until}"
    return f"{signs}, no other key is believed"


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


# -- as it is stored -----------------------------------------------------------------------------------------------------


def to_body(keys: TokenKeys) -> dict[str, Any]:
    """What nobody rotates is in the form that it always had."""
    body: dict[str, Any] = _pair_of(keys.pair)
    if keys.next is not None:
        at, overlap = rfc3339(keys.next.at.timestamp()), keys.next.overlap.total_seconds()
        body["next"] = {**_pair_of(keys.next.pair), "at": at, "overlap": overlap}
    if keys.previous is not None:
        times = {name: rfc3339(getattr(keys.previous, name).timestamp()) for name in ("since", "until")}
        body["previous"] = {**_pair_of(keys.previous.pair), **times}
    if keys.retired:
        body["retired"] = list(keys.retired)
    if keys.request:
        body["request"] = keys.request
    return body


def from_body(body: dict[str, Any]) -> TokenKeys:
    following = previous = None
    if (said := body.get("next")) is not None:
        following = Next(_read(said), _time(said["at"]), timedelta(seconds=said["overlap"]))
    if (said := body.get("previous")) is not None:
        previous = Previous(_read(said), _time(said["since"]), _time(said["until"]))
    return TokenKeys(_read(body), following, previous, tuple(body.get("retired", ())), body.get("request", ""))


def _pair_of(pair: KeyPair) -> dict[str, str]:
    return {"certificate": pair.certificate.decode(), "key": pair.key.decode()}


def _read(body: dict[str, Any]) -> KeyPair:
    return KeyPair(body["certificate"].encode(), body["key"].encode())


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(parse_rfc3339(text), UTC)

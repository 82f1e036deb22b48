"""How a member behaves, seen from here: how long it takes, what it throttles, how it fails, what it forbids, how its clock stands.

A client records it request by request; the status of the Cluster tells it. Everything is bounded, and forgotten in time.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final, NamedTuple, final

import orjson

RECENT: Final = 60.0  # seconds that an answer counts
LASTING: Final = 180.0  # seconds that a refusal counts: longer than any pause before it is asked again
MOST: Final = 1000
PROBES: Final = 3
_MESSAGE: Final = 1 << 14  # bytes of an answer in which a refusal is looked for
_ESCALATING: Final = "is attempting to grant RBAC permissions not currently held"
# RBAC's own words, the same since Kubernetes 1.9: admission refuses with 403 too, and that is not a matter of permissions
_FORBIDDEN: Final = re.compile(
    r'cannot ([a-z]{1,32}) (?:resource "([\w.*/-]{1,128})" in API group "([\w.-]{0,253})"(?: in the namespace "([\w-]{1,63})")?'
    r'|path "([\w.*/-]{1,200})")'
)


class Missing(NamedTuple):
    """A permission that our account does not have."""

    verb: str
    resource: str  # with its group, as kubectl has it: deployments.apps
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def missing_permission(body: bytes) -> Missing | None:
    """What an answer of 403 says is not permitted; None when it is refused for another reason."""
    try:
        message = orjson.loads(body[:_MESSAGE]).get("message")
    except (AttributeError, orjson.JSONDecodeError):
        return None
    if not isinstance(message, str):
        return None
    if _ESCALATING in message:
        return Missing("escalate", "clusterroles.rbac.authorization.k8s.io", "")
    found = _FORBIDDEN.search(message)
    if found is None:
        return None
    verb, resource, group, namespace, path = found.groups()
    return Missing(verb, path or (f"{resource}.{group}" if group else resource), namespace or "")


@final
class Conduct:
    def __init__(self) -> None:
        self._throttled: deque[float] = deque(maxlen=MOST)
        self._failed: deque[float] = deque(maxlen=MOST)
        self._failure = ""
        self._took: deque[float] = deque(maxlen=PROBES)
        self._skew = 0.0
        self.ours = (
            0.0  # seconds that our clock is ahead of the control plane's, where that is another's: we are an agent
        )
        self._missing: dict[str, tuple[Missing, float]] = {}  # by what was asked

    def answered(self, what: str, status: int, body: bytes, now: float) -> None:
        """``what``: method and path."""
        if status == 429:
            self._throttled.append(now)
        elif status >= 500:
            self._failed.append(now)
            self._failure = f"{what}: {status}"
        elif status == 403:
            if (missing := missing_permission(body)) and (what in self._missing or len(self._missing) < MOST):
                self._missing[what] = missing, now
        elif status < 400:
            self._missing.pop(what, None)

    def probed(self, seconds: float, headers: Mapping[str, str], wall: float) -> None:
        """A probe was answered after so long; ``wall``: our clock then, Unix seconds."""
        self._took.append(seconds)
        try:
            theirs = parsedate_to_datetime(headers.get("Date") or headers.get("date") or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            self._skew = 0.0
            return
        # its clock was read at some time of the exchange, and tells whole seconds
        earliest, latest = wall - seconds - 1.0, wall
        self._skew = theirs - latest if theirs > latest else min(theirs - earliest, 0.0)

    @property
    def took(self) -> float:
        """Seconds, of the last probes."""
        return median(self._took) if self._took else 0.0

    @property
    def skew(self) -> float:
        """Seconds that its clock is ahead of ours, at least."""
        return self._skew

    def throttled(self, now: float) -> int:
        return _recent(self._throttled, now)

    def failed(self, now: float) -> tuple[int, str]:
        """How many answers, and the last one."""
        return _recent(self._failed, now), self._failure

    def missing(self, now: float) -> list[Missing]:
        """Without namespaces, each once."""
        for what, (_, at) in list(self._missing.items()):
            if now - at > LASTING:
                del self._missing[what]
        return sorted({found._replace(namespace="") for found, _ in self._missing.values()})


def _recent(times: deque[float], now: float) -> int:
    while times and now - times[0] > RECENT:
        times.popleft()
    return len(times)

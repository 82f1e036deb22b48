"""The conditions of a Cluster beside Karmada's: what is wrong with a member, or with our way to it, in words that are read again.

Each is there only while it has something to say, but ``RESPONSIVE``, whose message has figures in coarse steps: a Cluster is not
written for every answer of its member.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final, NamedTuple

from .clock import parse_rfc3339, rfc3339

READY: Final = "Ready"
COMPLETE: Final = "CompleteAPIEnablements"
HEARTBEAT: Final = "kafila.io/Heartbeat"  # the last probe failed
CREDENTIALS: Final = "kafila.io/CredentialsValid"  # until when our token is valid
SUMMARY: Final = "kafila.io/CompleteResourceSummary"  # resources that the summary leaves out
RESPONSIVE: Final = "kafila.io/Responsive"  # how quickly it answers, and how much waits for it
PERMITTED: Final = "kafila.io/PermissionsSufficient"  # what our account may not do there
CLOCK: Final = "kafila.io/ClockInSync"  # its clock differs from ours
TUNNEL: Final = "kafila.io/TunnelConnected"  # whether its agent has a tunnel open, once it had one

# what is shown of a Cluster as its last error: the first of these that is not True
TROUBLES: Final = (READY, HEARTBEAT, CREDENTIALS, PERMITTED, RESPONSIVE, CLOCK, COMPLETE, SUMMARY, TUNNEL)

_EXPIRY: Final = re.compile(r"the token expire[sd] at (\S+Z)")
_STEPS: Final = tuple(m * 10**e for e in range(7) for m in (1, 2, 5))  # 1, 2, 5, 10 … 5,000,000
_FIGURES: Final = re.compile(r"answers within (\d+)ms; (?:up to )?(\d+) changes wait")


class Figures(NamedTuple):
    """In steps of 1, 2, 5, 10 …, rounded up."""

    milliseconds: int
    waiting: int


def step(amount: float) -> int:
    """The next of the steps, 0 for nothing."""
    return _STEPS[min(bisect_left(_STEPS, amount), len(_STEPS) - 1)] if amount > 0 else 0


def responds(figures: Figures) -> str:
    """Its message."""
    most = "up to " if figures.waiting > 1 else ""
    return f"answers within {figures.milliseconds}ms; {most}{figures.waiting} changes wait"


def expires(at: float, now: float) -> str:
    """When credentials expire, Unix seconds."""
    return f"the token {'expires' if now < at else 'expired'} at {rfc3339(at)}"


def expiry_of(message: str) -> float | None:
    """What ``expires`` wrote at its beginning."""
    found = _EXPIRY.match(message)
    try:
        return parse_rfc3339(found[1]) if found else None
    except ValueError:
        return None


def figures_of(message: str) -> Figures | None:
    """What ``responds`` wrote somewhere in it."""
    found = _FIGURES.search(message)
    return Figures(int(found[1]), int(found[2])) if found else None

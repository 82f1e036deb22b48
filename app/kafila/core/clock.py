"""Wire forms of time: ``metav1.Time`` has seconds, ``metav1.MicroTime`` microseconds, both in UTC."""

from __future__ import annotations

import time
from datetime import datetime
from functools import lru_cache


def rfc3339(epoch: float | None = None) -> str:
    """``2026-11-23T04:00:00Z``; now when ``epoch`` (Unix seconds) is not given."""
    return _second(int(time.time() if epoch is None else epoch))


@lru_cache(maxsize=16)  # strftime looks whether the system's time zone changed, with a system call
def _second(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def parse_rfc3339(text: str) -> float:
    """Unix seconds. Raises ValueError when ``text`` is not RFC 3339."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def human_duration(seconds: float) -> str:
    """An age as kubectl prints it (apimachinery duration.HumanDuration)."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    if s < 120:
        return f"{s}s"
    m = s // 60
    if m < 10:
        return f"{m}m{s % 60}s" if s % 60 else f"{m}m"
    if m < 180:
        return f"{m}m"
    h = s // 3600
    if h < 8:
        return f"{h}h{m % 60}m" if m % 60 else f"{h}h"
    if h < 48:
        return f"{h}h"
    d = h // 24
    if h < 192:
        return f"{d}d{h % 24}h" if h % 24 else f"{d}d"
    if d < 365 * 2:
        return f"{d}d"
    y = d // 365
    if d < 365 * 8:
        return f"{y}y{d % 365}d" if d % 365 else f"{y}y"
    return f"{y}y"

"""Durations on the command line."""

from __future__ import annotations

import re
from typing import Final

from . import UsageError

_LONGEST: Final = 2562047 * 3600.0  # as Go has them


def duration(text: str, flag: str = "--wait") -> float:
    """Seconds of a Go duration such as ``1m30s``, of a flag. Raises UsageError for what is none or not positive."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f'invalid duration "{text}", e.g. 1m0s')
    seconds = sum(float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise UsageError(f"{flag} {text} is too long: 2562047h (292 years) at most")
    if seconds <= 0:
        raise UsageError(f"{flag} {text} must be a positive duration, e.g. 1m0s")
    return seconds

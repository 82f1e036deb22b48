"""What members answer, as our own errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from kafila.core.errors import StatusError

STATUS_BYTES: Final = 1 << 18  # a longer one is no Status
_REASONS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


LONGEST: Final = 4096  # characters of a message: it becomes an event, a condition, a line in the log
MOST_CAUSES: Final = 32
_CAUSE: Final = ("reason", "message", "field")
_DETAILS: Final = ("name", "group", "kind", "uid")


def status_error(code: int, body: bytes) -> StatusError:
    """What a member answered, as our own error. Bodies that are no Status become its message."""
    try:
        status = orjson.loads(body[:STATUS_BYTES])
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = body[:1024].decode(errors="replace").strip()
        return StatusError(code, _REASONS.get(code, ""), text or f"the server answered {code}")
    return _of_status(code, status)


def event_error(obj: Mapping[str, Any]) -> StatusError:
    """What an ERROR event of a watch says, however deep it is nested."""
    if obj.get("kind") != "Status":
        return StatusError(500, _REASONS[500], "the watch ended with an error that is no Status")
    return _of_status(500, obj)


def _of_status(code: int, status: Mapping[str, Any]) -> StatusError:
    own, details = status.get("code"), status.get("details")
    return StatusError(
        own if isinstance(own, int) and 400 <= own < 600 else code,
        _text(status, "reason") or _REASONS.get(code, ""),
        _text(status, "message") or f"the server answered {code}",
        _details(details) if isinstance(details, dict) else None,
    )


def _details(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: _text(given, name) for name in _DETAILS if name in given}
    causes = given.get("causes")
    if isinstance(causes, list):
        shown = [cause for cause in causes[:MOST_CAUSES] if isinstance(cause, dict)]
        found["causes"] = [{name: _text(cause, name) for name in _CAUSE if name in cause} for cause in shown]
    return found


def _text(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name)
    return found[:LONGEST] if isinstance(found, str) else ""

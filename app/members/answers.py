"""What members answer, as our own errors."""

from __future__ import annotations

from typing import Final

import orjson

from app.core.errors import StatusError

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


def status_error(code: int, body: bytes) -> StatusError:
    """What a member answered, as our own error. Bodies that are no Status become its message."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = body[:1024].decode(errors="replace").strip()
        return StatusError(code, _REASONS.get(code, ""), text or f"the server answered {code}")
    details = status.get("details")
    return StatusError(
        int(status.get("code") or code),
        status.get("reason") or _REASONS.get(code, ""),
        status.get("message") or f"the server answered {code}",
        details if isinstance(details, dict) else None,
    )

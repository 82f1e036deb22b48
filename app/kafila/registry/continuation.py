"""``continue``: tokens with which a list goes on where its last page ended (k8s.io/apiserver/pkg/storage/continue.go)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from kafila.core import errors
from kafila.machinery.gojson import syntax_error

EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
VERSION = "meta.k8s.io/v1"
_NOT_BASE64 = re.compile("[^A-Za-z0-9_-]")


def encode_token(revision: int, last_path: str) -> str:
    token = json.dumps({"v": VERSION, "rv": revision, "start": last_path + "\x00"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def decode_token(token: str) -> tuple[int, str]:
    """Revision (-1: the newest) and the path of the last object that was sent. Raises StatusError 400."""
    wrong = _NOT_BASE64.search(token)
    at = wrong.start() if wrong else len(token) - 1 if len(token) % 4 == 1 else -1
    if at >= 0:
        raise _invalid(f": illegal base64 data at input byte {at}")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    try:
        given: dict[str, Any] = json.loads(raw)
        version, revision, start = given.get("v", ""), int(given.get("rv", 0)), str(given.get("start", ""))
    except (ValueError, AttributeError, TypeError) as error:
        raise _invalid(f": {syntax_error(raw) or error}") from error
    if version != VERSION:
        raise _invalid(f": server does not recognize this encoded version {version}")
    if not revision:
        raise _invalid(f": incorrect encoded start resourceVersion (version {VERSION})")
    if not start:
        raise _invalid(f": encoded start key empty (version {VERSION})")
    if any(part in ("", ".", "..") for part in start.removeprefix("/").split("/")):
        raise _invalid(f": {start}")
    return revision, start.removesuffix("\x00")


def _invalid(why: str) -> errors.StatusError:
    return errors.bad_request(f"invalid continue token: continue key is not valid{why}")


def expired_list(after: str | None) -> errors.StatusError:
    """410 of a list as of a revision that is gone; one that goes on after an object carries a token to go on with, inconsistently."""
    if after is None:
        return errors.expired("The resourceVersion for the provided list is too old.")
    error = errors.expired(EXPIRED_CONTINUE)
    error.metadata = {"continue": encode_token(-1, after)}
    return error

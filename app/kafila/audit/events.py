"""Events of audit.k8s.io/v1: what is recorded of a request at one stage, and how it is written down."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from kafila.authorization import Attributes
from kafila.core.clock import rfc3339
from kafila.core.values import Object

from .policy import NAMES, Level

MOST_USER_AGENT: Final = 1024  # characters
MOST_AUDIT_ID: Final = 64  # characters of one that the client chose
LONGEST_ADDRESS: Final = 45  # characters
LARGEST_BODY: Final = 10 << 20  # bytes of what was sent or answered that are recorded, as of an event in kube-apiserver
TRUNCATED: Final = "audit.k8s.io/truncated"
_SUFFIX: Final = "...TRUNCATED"
# valid in JSON, and the end of a line to some of those who read a log
_LINE_ENDS: Final = tuple((mark.encode(), f"\\u{ord(mark):04x}".encode()) for mark in "\u2028\u2029\u0085\x7f")


class Body(NamedTuple):
    """An object as it was on the wire; ``decode`` raises ValueError for what is none. Done by whoever writes, not in the request."""

    raw: bytes
    decode: Callable[[bytes], Any]


class Event(NamedTuple):
    """One stage of a request. ``document`` is complete but for what is in the bodies."""

    document: Object
    level: Level = Level.METADATA
    omit_managed_fields: bool = False
    sent: Body | None = None
    named: bool = False  # what was sent is an object, which may say its name better than the path
    answered: Body | None = None
    head: int = 0  # bytes of the request's line and headers, which are the longest texts in the document

    @property
    def size(self) -> int:
        """Bytes of what waits with it to be written."""
        return self.head + sum(len(body.raw) for body in (self.sent, self.answered) if body is not None)


def micro_time(epoch: float) -> str:
    second = int(epoch)
    return f"{rfc3339(second)[:-1]}.{int((epoch - second) * 1e6):06}Z"


def user_agent(text: str) -> str:
    return text if len(text) <= MOST_USER_AGENT else text[:MOST_USER_AGENT] + _SUFFIX


def object_reference(asked: Attributes) -> Object | None:
    if asked.path is not None:
        return None
    return _set(
        resource=asked.resource,
        namespace=asked.namespace,
        name=asked.name,
        apiGroup=asked.group,
        apiVersion=asked.version,
        subresource=asked.subresource,
    )


def source_addresses(headers: Mapping[bytes, bytes], peer: str) -> list[str]:
    """What proxies on the way say, which anybody can say, and at last who is really connected."""
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    found = [address for part in forwarded if (address := _address(part.strip()))]
    real = _address(headers.get(b"x-real-ip", b"").decode("latin-1"))
    if real and real not in found:
        found.append(real)
    connected = _address(peer)
    if connected and found[-1:] != [connected]:
        found.append(connected)
    return found


def _address(text: str) -> str:
    return _parsed(text) if 0 < len(text) <= LONGEST_ADDRESS else ""


@lru_cache(maxsize=256)  # reading one costs more than all else that an event without objects takes
def _parsed(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def completed(event: Event) -> Object:
    """The whole event, with what its bodies say."""
    document, sent, answered = dict(event.document), None, None
    if event.sent is not None:
        sent = _decoded(event.sent)
        if event.named and isinstance(sent, dict) and "objectRef" in document:
            document["objectRef"] = _named(document["objectRef"], sent)
    if event.answered is not None:
        answered = _decoded(event.answered)
        if isinstance(answered, dict) and answered.get("kind") == "Status" and "responseStatus" in document:
            shows = event.level >= Level.REQUEST_RESPONSE
            document["responseStatus"] = _status(answered, document["responseStatus"], shows)
    if event.level >= Level.REQUEST and sent is not None:
        document["requestObject"] = _shown(sent, event)
    if event.level >= Level.REQUEST_RESPONSE and answered is not None:
        document["responseObject"] = _shown(answered, event)
    return {name: document[name] for name in _ORDER if name in document}


_PATCHED: Final = "patch: Invalid value: "  # what kube-apiserver says before the patched object
_ORDER: Final = (
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
)


def line(document: Object) -> bytes:
    """One line of JSON, whatever texts of strangers are in it."""
    return _written(document) + b"\n"


def event_list(documents: Sequence[Object]) -> bytes:
    """What a webhook is sent."""
    items = (
        _written({name: value for name, value in each.items() if name not in ("kind", "apiVersion")})
        for each in documents
    )
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[%b]}' % b",".join(items)


def _written(document: Object) -> bytes:
    """What cannot be written (nested too deep, a number too large) is left out: nobody hides what he does, or others do, by it."""
    try:
        return _json(document)
    except orjson.JSONEncodeError:
        kept = {name: value for name, value in document.items() if name not in ("requestObject", "responseObject")}
        return _json({**kept, "annotations": {**(document.get("annotations") or {}), TRUNCATED: "true"}})


def _json(value: Any) -> bytes:
    raw = orjson.dumps(value)
    for mark, escaped in _LINE_ENDS:
        if mark in raw:
            raw = raw.replace(mark, escaped)
    return raw


def level_name(level: Level) -> str:
    return NAMES[level]


def _decoded(body: Body) -> Any:
    try:
        return body.decode(body.raw)
    except (ValueError, RecursionError):
        return None


def _named(reference: Object, sent: Object) -> Object:
    """A name and a namespace that the path did not have, and which object and revision the client meant."""
    metadata = sent.get("metadata")
    if not isinstance(metadata, dict):
        return reference
    said = {
        name: metadata[name]
        for name in ("namespace", "name", "uid", "resourceVersion")
        if isinstance(metadata.get(name), str) and metadata[name]
    }
    merged = {**said, **reference}
    order = ("resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource")
    return {name: merged[name] for name in order if name in merged}


def _status(answered: Object, known: Object, shows: bool) -> Object:
    """``shows``: also what a refusal repeats of the object. Of a patch that leads to nothing valid that is all of it."""
    said = {name: answered[name] for name in ("status", "message", "reason") if answered.get(name)}
    if isinstance(answered.get("details"), dict):  # also empty ones
        said["details"] = answered["details"]
    message = said.get("message")
    if not shows and isinstance(message, str) and _PATCHED in message:
        said["message"] = message[: message.index(_PATCHED) + len(_PATCHED)] + "REDACTED"
        said.pop("details", None)
    return {"metadata": {}, **said, "code": known["code"]}


def _shown(obj: Any, event: Event) -> Any:
    try:
        return _without_managed_fields(obj) if event.omit_managed_fields else obj
    except RecursionError:
        return obj  # which is too deep to be written, too


def _without_managed_fields(obj: Any) -> Any:
    """Of an object, of each in a list, and of each that a table shows."""
    if not isinstance(obj, dict):
        return obj
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and "managedFields" in metadata:
        obj = {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}
    if isinstance(obj.get("items"), list):
        obj = {**obj, "items": [_without_managed_fields(item) for item in obj["items"]]}
    if obj.get("kind") == "Table" and isinstance(obj.get("rows"), list):
        rows = [
            {**row, "object": _without_managed_fields(row["object"])}
            if isinstance(row, dict) and "object" in row
            else row
            for row in obj["rows"]
        ]
        obj = {**obj, "rows": rows}
    return obj


def _set(**values: Any) -> Object:
    return {name: value for name, value in values.items() if value}

"""What a request does to the audit log: made when a policy wants it recorded, given each stage, and handed to the backends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, final

import orjson

from kafila.audit import metrics
from kafila.audit.events import (
    LARGEST_BODY,
    TRUNCATED,
    Body,
    Event,
    level_name,
    micro_time,
    object_reference,
    source_addresses,
    user_agent,
)
from kafila.audit.policy import (
    PANIC,
    REQUEST_RECEIVED,
    RESPONSE_COMPLETE,
    RESPONSE_STARTED,
    Level,
    Policy,
    Verdict,
)
from kafila.authorization import Attributes, Decision
from kafila.authorization.attributes import Subject
from kafila.catalog.kind import user_info
from kafila.catalog.protobuf import codec
from kafila.machinery import yaml
from kafila.machinery.protobuf import decode_envelope

MOST_ANNOTATIONS: Final = 256
LONGEST_ANNOTATION: Final = 64 << 10  # characters
DECISION: Final = "authorization.k8s.io/decision"
REASON: Final = "authorization.k8s.io/reason"
# subresources whose requests last as long as somebody wants; kube-apiserver neither counts nor classifies them
LONG_RUNNING: Final = frozenset({"attach", "exec", "log", "portforward", "proxy", "tunnel"})
_CLOSED_EARLY: Final = {"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200}


class Backend(Protocol):
    def put(self, event: Event) -> None:
        """Never waits: what finds no room is lost, and counted."""


@final
class Auditor:
    """``policy`` is exchanged while serving."""

    def __init__(self, policy: Policy, backends: Sequence[Backend]) -> None:
        self.policy = policy
        self.backends = tuple(backends)

    def begin(
        self, asked: Attributes, uri: str, headers: Mapping[bytes, bytes], peer: str, audit_id: str, received: float
    ) -> Record | None:
        """None when the policy does not want the request recorded. ``received``: Unix seconds."""
        verdict = self.policy.verdict(asked)
        metrics.LEVELS.labels(level_name(verdict.level)).inc()
        if verdict.level == Level.NONE:
            return None
        document: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": level_name(verdict.level),
            "auditID": audit_id,
            "requestURI": uri,
            "verb": asked.verb,
            "user": user_info(asked.user),
            "sourceIPs": source_addresses(headers, peer),
            "userAgent": user_agent(headers.get(b"user-agent", b"").decode("utf-8", "replace")),
            "requestReceivedTimestamp": micro_time(received),
        }
        reference = object_reference(asked)
        if reference is not None:
            document["objectRef"] = reference
        head = len(uri) + sum(len(value) for value in headers.values())
        return Record(self, verdict, document, asked, head)

    def emit(self, event: Event) -> None:
        metrics.EVENTS.inc()
        for backend in self.backends:
            backend.put(event)


@final
class Record:
    """One request that is recorded."""

    __slots__ = (
        "_annotations",
        "_answer",
        "_asked",
        "_auditor",
        "_document",
        "_ended",
        "_head",
        "_pieces",
        "_silent",
        "_started",
        "_verdict",
    )

    def __init__(
        self, auditor: Auditor, verdict: Verdict, document: dict[str, Any], asked: Attributes, head: int
    ) -> None:
        self._auditor = auditor
        self._verdict = verdict
        self._document = document
        self._asked = asked
        self._head = head
        self._annotations: dict[str, str] = {}
        self._answer: Body | None = None
        self._pieces: tuple[list[bytes], str] | None = None
        self._ended = self._started = False
        self._silent = not asked.user.name  # nobody knows who asks: one event says so, as if it had only been answered

    def received(self) -> None:
        if not self._silent:
            self._emit(REQUEST_RECEIVED, {})

    def impersonated(self, user: Subject) -> None:
        self._document["impersonatedUser"] = user_info(user)

    def decided(self, decision: Decision) -> None:
        if decision.allowed:
            self._annotations[DECISION], self._annotations[REASON] = "allow", decision.reason
        elif decision.error:
            self._annotations[REASON] = "internal error"
        else:
            self._annotations[DECISION], self._annotations[REASON] = "forbid", decision.reason

    def annotate(self, key: str, value: str, body: bool) -> None:
        """What admission says. The first value of a key counts. ``body``: only where what was sent is recorded too."""
        if body and self._verdict.level < Level.REQUEST:
            return
        if len(self._annotations) < MOST_ANNOTATIONS:
            self._annotations.setdefault(key, value[:LONGEST_ANNOTATION])

    def answer(self, status: int, body: bytes, media_type: str) -> None:
        """What is answered: recorded where the policy says so, and the Status of a refusal or a deletion in any case."""
        if self._verdict.level >= Level.REQUEST_RESPONSE or status >= 400 or self._asked.verb.startswith("delete"):
            self._answer = self._body(body, media_type)

    def pieces(self, pieces: Iterator[bytes], media_type: str) -> Iterator[bytes]:
        """What is answered piece by piece, kept on the way where the policy says so."""
        if self._verdict.level < Level.REQUEST_RESPONSE:
            return pieces
        kept: list[bytes] = []
        self._pieces = kept, media_type
        return _kept(pieces, kept)

    def started(self, status: int) -> None:
        """The head of the answer leaves: an event of its own where the rest takes long."""
        if (
            self._started
            or self._silent
            or not (self._asked.verb == "watch" or self._asked.subresource in LONG_RUNNING)
        ):
            return
        self._started = True
        self._emit(RESPONSE_STARTED, {"responseStatus": {"metadata": {}, "code": status}}, answered=self._answer)

    def completed(self, status: int, method: str, body: bytes, media_type: str) -> None:
        """``body`` is what was sent."""
        if self._ended:
            return
        if self._pieces is not None:
            kept, form = self._pieces
            self._answer = self._body(b"".join(kept), form)
        found = {"metadata": {}, "code": status} if status else _CLOSED_EARLY
        named = method in ("POST", "PUT")
        sent = self._body(body, media_type) if body and (named or self._verdict.level >= Level.REQUEST) else None
        self._emit(
            RESPONSE_STARTED if self._silent else RESPONSE_COMPLETE,
            {"responseStatus": found},
            sent,
            named,
            self._answer,
        )

    def panicked(self, error: Exception) -> None:
        """What nobody foresaw ended it. The reason is in the process's own log."""
        self._ended = True
        status = {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500}
        self._emit(PANIC, {"responseStatus": {**status, "message": f"APIServer panic'd: {type(error).__name__}"}})

    def _body(self, raw: bytes, media_type: str) -> Body | None:
        if len(raw) > LARGEST_BODY:
            self._annotations[TRUNCATED] = "true"
            return None
        return Body(raw, _DECODERS.get(media_type, orjson.loads)) if raw else None

    def _emit(
        self,
        stage: str,
        more: dict[str, Any],
        sent: Body | None = None,
        named: bool = False,
        answered: Body | None = None,
    ) -> None:
        if stage in self._verdict.omit_stages:
            return
        document = {**self._document, "stage": stage, **more, "stageTimestamp": micro_time(time.time())}
        if self._annotations:
            document["annotations"] = dict(self._annotations)
        verdict = self._verdict
        self._auditor.emit(
            Event(document, verdict.level, verdict.omit_managed_fields, sent, named, answered, self._head)
        )


def _kept(pieces: Iterator[bytes], kept: list[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        if size <= LARGEST_BODY:
            kept.append(piece)
            size += len(piece)
        yield piece


def _from_yaml(raw: bytes) -> Any:
    return yaml.load(raw)[0]


def _from_protobuf(raw: bytes) -> Any:
    api_version, kind, content = decode_envelope(raw)
    group, _, version = api_version.rpartition("/")
    found = codec(group, version, kind)
    if found is None:
        raise ValueError(f"{api_version} {kind} has no form in protobuf")
    return {"kind": kind, "apiVersion": api_version, **found.decode(content)}


_DECODERS: Final = {
    "application/yaml": _from_yaml,
    "application/apply-patch+yaml": _from_yaml,
    "application/vnd.kubernetes.protobuf": _from_protobuf,
}

"""Errors as the Kubernetes API answers them: ``metav1.Status`` with code, reason, message and causes.

Constructors are named after k8s.io/apimachinery/pkg/api/errors; their texts are what clients match on.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Any, final

from .resources import Key, group_resource

_UNSET = object()
MOST_TEXT = 64 << 10  # characters of findings; what comes after them is left out
MOST_ALIKE = 16  # findings that say the same
MOST_FOUND = 1000  # findings of one check; what is wrong in more places is not listed


@final
@dataclass(slots=True, frozen=True)
class FieldError:
    """One finding of a validation (k8s.io/apimachinery/pkg/util/validation/field.Error)."""

    reason: str  # cause type, e.g. "FieldValueInvalid"
    field: str  # "spec.containers[0].name"
    value: Any = _field(default=_UNSET)
    detail: str = ""

    def __post_init__(self) -> None:
        gathering: list[FieldError] | None = getattr(_here, "found", None)
        if gathering is not None:
            gathering.append(self)
            if len(gathering) >= MOST_FOUND:
                raise TooManyFindings

    @property
    def body(self) -> str:
        """The message without the field, as it stands in ``details.causes[].message``."""
        text = _TITLES[self.reason]
        if self.value is not _UNSET and self.reason not in _WITHOUT_VALUE:
            text += f": {render_value(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"

    @classmethod
    def invalid(cls, path: str, value: Any, detail: str) -> FieldError:
        return cls("FieldValueInvalid", path, value, detail)

    @classmethod
    def internal(cls, path: str, detail: str) -> FieldError:
        return cls("InternalError", path, detail=detail)

    @classmethod
    def required(cls, path: str, detail: str = "") -> FieldError:
        return cls("FieldValueRequired", path, detail=detail)

    @classmethod
    def forbidden(cls, path: str, detail: str) -> FieldError:
        return cls("FieldValueForbidden", path, detail=detail)

    @classmethod
    def duplicate(cls, path: str, value: Any) -> FieldError:
        return cls("FieldValueDuplicate", path, value)

    @classmethod
    def not_found(cls, path: str, value: Any) -> FieldError:
        return cls("FieldValueNotFound", path, value)

    @classmethod
    def not_supported(cls, path: str, value: Any, supported: Sequence[str]) -> FieldError:
        """The values are listed in the order given, which is not always the alphabet's."""
        listed = ", ".join(json.dumps(v, ensure_ascii=False) for v in supported)
        return cls("FieldValueNotSupported", path, value, f"supported values: {listed}" if listed else "")

    @classmethod
    def too_long(cls, path: str, max_bytes: int) -> FieldError:
        return cls("FieldValueTooLong", path, detail=f"may not be more than {max_bytes} bytes")

    @classmethod
    def too_many(cls, path: str, actual: int, maximum: int) -> FieldError:
        return cls("FieldValueTooMany", path, actual, f"must have at most {maximum} item{'s' if maximum != 1 else ''}")

    @classmethod
    def type_invalid(cls, path: str, value: Any, detail: str) -> FieldError:
        return cls("FieldValueTypeInvalid", path, value, detail)


class TooManyFindings(Exception):
    """So much is wrong that the rest is not looked for. Only ``gathered`` raises and catches it."""


_here = threading.local()


def gathered(check: Callable[[], list[FieldError]]) -> list[FieldError]:
    """What ``check`` finds, or its first MOST_FOUND findings: it is left at the last of them, wherever it is."""
    around: list[FieldError] | None = getattr(_here, "found", None)
    found: list[FieldError] = []
    _here.found = found
    try:
        return check()
    except TooManyFindings:
        return found
    finally:
        _here.found = around


_TITLES = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueNotFound": "Not found",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "InternalError": "Internal error",
}
_AS_GO = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}  # Go's JSON may stand in HTML
_PASSING = frozenset({"NotFound", "Conflict", "AlreadyExists", "TooManyRequests", "Expired", "Gone"})
_WITHOUT_VALUE = frozenset({"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"})


def render_value(value: Any) -> str:
    """A value as Go prints it in a field error: strings quoted, everything that is not a scalar as JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_AS_GO)


class StatusError(Exception):
    """An answer other than success. ``details`` is StatusDetails' JSON form."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after  # seconds; sent as Retry-After, which makes client-go repeat the request
        self.metadata: dict[str, Any] = {}  # ListMeta: the token to go on with after an expired one
        self.is_recorded = False  # a controller has recorded an event for it
        self.by_webhook = False  # a webhook of admission said so, or gave no answer that can be used
        self.refused: Key | None = None  # by a webhook: which of the objects that were to be written together

    def status(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            out["reason"] = self.reason
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details or self.details is not None:
            out["details"] = details
        out["code"] = self.code
        return out

    @property
    def is_refusal(self) -> bool:
        """What was asked for is not allowed as it is; asking again does not help by itself, but where a webhook said so."""
        return self.by_webhook or (400 <= self.code < 500 and self.reason not in _PASSING)

    @property
    def is_not_found(self) -> bool:
        return self.reason == "NotFound"

    @property
    def is_conflict(self) -> bool:
        return self.reason == "Conflict"

    @property
    def is_already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


@final
class ignoring_not_found:
    """Ends the block where an object is not there, which is what was to become of it or needs no change any more."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> bool:
        return isinstance(error, StatusError) and error.is_not_found


def _details(group: str, resource: str, name: str = "", **more: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if resource:
        out["kind"] = resource
    return out | more


def not_found(group: str, resource: str, name: str) -> StatusError:
    gr = group_resource(group, resource)
    return StatusError(404, "NotFound", f'{gr} "{name}" not found', _details(group, resource, name))


def page_not_found() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, resource: str, name: str) -> StatusError:
    gr = group_resource(group, resource)
    return StatusError(409, "AlreadyExists", f'{gr} "{name}" already exists', _details(group, resource, name))


def generate_name_conflict(group: str, resource: str, name: str) -> StatusError:
    gr = group_resource(group, resource)
    message = f'{gr} "{name}" already exists, the server was not able to generate a unique name for the object'
    return StatusError(409, "AlreadyExists", message, _details(group, resource, name), retry_after=1)


OPTIMISTIC_LOCK = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, resource: str, name: str, why: str = OPTIMISTIC_LOCK) -> StatusError:
    gr = group_resource(group, resource)
    message = f'Operation cannot be fulfilled on {gr} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(group, resource, name))


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, resource: str, name: str, why: str) -> StatusError:
    gr = group_resource(group, resource)
    if not resource:
        message = f"forbidden: {why}"
    elif name:
        message = f'{gr} "{name}" is forbidden: {why}'
    else:
        message = f"{gr} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, _details(group, resource, name))


def method_not_allowed() -> StatusError:
    """405 for a method that no route of the path has."""
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def method_not_supported(group: str, resource: str, action: str) -> StatusError:
    gr = group_resource(group, resource)
    message = f'{action} is not supported on resources of kind "{gr}"'
    return StatusError(405, "MethodNotAllowed", message, _details(group, resource))


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> StatusError:
    """422 with one cause per finding. ``kind`` is the Kind ("Deployment"), as Kubernetes puts it there."""
    gk = f"{kind}.{group}" if group else kind
    errors = shown(errors)
    texts = list(dict.fromkeys(str(e) for e in errors))
    listed = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    causes = [{"reason": e.reason, "message": e.body, "field": e.field} for e in errors]
    return StatusError(
        422, "Invalid", f'{gk} "{name}" is invalid: {listed}', _details(group, kind, name, causes=causes)
    )


def shown(errors: Iterable[FieldError]) -> list[FieldError]:
    """The findings that are shown: some show what they are about, and that may be nearly all of a large object."""
    first: list[FieldError] = []
    length = 0
    alike: Counter[tuple[str, str, str, int]] = Counter()
    for error in errors:
        # told apart by what they show, not by its text: that of a list would be written for each of its elements
        same = error.reason, error.field, error.detail, id(error.value)
        alike[same] += 1
        if alike[same] > MOST_ALIKE:
            continue
        first.append(error)
        length += len(str(error))
        if length > MOST_TEXT:
            break
    return first


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def too_large_resource_version(asked: int, current: int) -> StatusError:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return StatusError(504, "Timeout", message, {"causes": causes}, retry_after=1)


def request_entity_too_large(limit: int, resource: str = "", name: str = "") -> StatusError:
    """``resource``, ``name``: of the object, where the caller does not know by itself which of several it is."""
    details = _details("", resource, name) if name else None
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}", details)


def too_many_values(limit: int) -> StatusError:
    message = f"Request entity too large: the allowed maximum of values in a document is {limit}"
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return StatusError(415, "UnsupportedMediaType", message)


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    return StatusError(406, "NotAcceptable", "only the following media types are accepted: " + ", ".join(accepted))


def too_many_requests(message: str, retry_after: int = 1) -> StatusError:
    return StatusError(429, "TooManyRequests", message, retry_after=retry_after)


def internal_error(message: str) -> StatusError:
    causes = [{"message": message}]
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": causes})


def service_unavailable(message: str, retry_after: int | None = 1) -> StatusError:
    """503. With ``retry_after`` client-go repeats the request: only for requests that certainly had no effect."""
    return StatusError(503, "ServiceUnavailable", message, retry_after=retry_after)


def storage_unreachable(why: object) -> StatusError:
    return service_unavailable(f"storage is not reachable: {why}")


def timeout(message: str) -> StatusError:
    """504 without Retry-After: the outcome is unknown and must not be repeated blindly."""
    return StatusError(504, "Timeout", f"Timeout: {message}")


def aggregate(texts: Iterable[str]) -> str:
    """Several errors as one text, each once (utilerrors.NewAggregate); "" for none."""
    once = list(dict.fromkeys(texts))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]" if once else ""

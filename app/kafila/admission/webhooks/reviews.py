"""``AdmissionReview`` v1 and v1beta1: what a webhook is asked, and what its answer means (texts: k8s.io/apiserver)."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, NamedTuple

import orjson

from kafila.catalog.kind import Kind, user_info
from kafila.core.errors import StatusError, bad_request
from kafila.core.values import Object
from kafila.machinery.conversionreview import document_of

from .attributes import Attributes
from .hooks import Hook
from .index import Call, shown_kind

GROUP: Final = "admission.k8s.io"
VERSIONS: Final = ("v1", "v1beta1")
MOST_WARNINGS: Final = 1000
MOST_ANNOTATIONS: Final = 1000
_LONGEST_WAIT: Final = 1 << 31  # seconds
_HIGHEST_CODE: Final = 999  # that an answer over HTTP can have


class InvalidAnswer(ValueError):
    """What came back is no answer to what was asked. The text is kube-apiserver's."""


class Verdict(NamedTuple):
    """``patch``: the operations of a JSON patch. ``refusal``: the error that a write is answered with."""

    refusal: StatusError | None = None
    patch: list[Any] | None = None
    patch_type: str = ""
    warnings: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


def version_of(hook: Hook) -> str:
    """The version of reviews that a webhook is asked in. Raises InvalidAnswer."""
    for version in hook.versions:
        if version in VERSIONS:
            return version
    why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
    raise InvalidAnswer(f"could not create admission objects: {why}")


def review(uid: str, call: Call, asked: Attributes, new: Object | None, old: Object | None) -> Object:
    """``new``, ``old``: in the version that the call shows. Raises InvalidAnswer."""
    version = version_of(call.hook)
    request = {"uid": uid, **request_of(call, asked), "object": new, "oldObject": old}
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def request_of(call: Call, asked: Attributes) -> Object:
    """An ``AdmissionRequest`` without the objects: what conditions see, too."""
    return request_of_kind(call.kind, asked)


def request_of_kind(target: Kind, asked: Attributes) -> Object:
    """``target``: as which kind the object is shown."""
    kind = asked.kind
    request: Object = {
        "kind": _kind(*shown_kind(target, asked.subresource)),
        "resource": _resource(target.group, target.version, target.plural),
    }
    if asked.subresource:
        request["subResource"] = asked.subresource
    request["requestKind"] = _kind(*asked.shown)
    request["requestResource"] = _resource(kind.group, kind.version, kind.plural)
    if asked.subresource:
        request["requestSubResource"] = asked.subresource
    if asked.name:
        request["name"] = asked.name
    if asked.namespace:
        request["namespace"] = asked.namespace
    request |= {
        "operation": asked.operation,
        "userInfo": user_info(asked.user),
        "dryRun": asked.dry_run,
        "options": asked.options,
    }
    return request


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _resource(group: str, version: str, plural: str) -> Object:
    return {"group": group, "version": version, "resource": plural}


# -- answers -----------------------------------------------------------------------------------------------------------------


def verdict_of(uid: str, hook: Hook, answer: bytes, *, mutating: bool) -> Verdict:
    """Raises InvalidAnswer for what is no answer to the review ``uid``."""
    version = version_of(hook)
    document = _document(answer, version)
    response = document.get("response")
    if response is None:
        raise _invalid("webhook response was absent")
    if version == "v1":
        given = _text(response, "uid")
        if given != uid:
            raise _invalid(f'expected response.uid="{uid}", got "{given}"')
        _check_type(document)
    patch, patch_type = _patch(response, version, mutating)
    warnings = _typed(response, "warnings", list, ())
    annotations = _typed(response, "auditAnnotations", dict, {})
    if not all(isinstance(each, str) for each in (*warnings, *annotations, *annotations.values())):
        raise _unreadable("warnings and auditAnnotations must be texts")
    refusal = None
    if _typed(response, "allowed", bool, False) is not True:
        refusal, patch = denial(hook, _typed(response, "status", dict, None)), b""
    return Verdict(
        refusal,
        _operations(patch) if patch else None,
        patch_type,
        tuple(warnings[:MOST_WARNINGS]),
        tuple(list(annotations.items())[:MOST_ANNOTATIONS]),
    )


def _document(answer: bytes, version: str) -> Object:
    """Go's decoder takes the kind that it expects where the answer names none."""
    try:
        document = document_of(answer)
    except ValueError as error:
        raise _unreadable(str(error)) from None
    api_version, kind = document.get("apiVersion") or "", document.get("kind") or ""
    if not isinstance(api_version, str) or not isinstance(kind, str):
        raise _unreadable("couldn't get version/kind; json parse error: kind and apiVersion must be texts")
    if (kind or api_version) and (kind, api_version) not in _KNOWN:
        if not kind:
            raise _unreadable(f"Object 'Kind' is missing in '{answer[:200].decode('utf-8', 'replace')}'")
        if not api_version.startswith(f"{GROUP}/") or kind != "AdmissionReview":
            raise _unreadable(f'no kind "{kind}" is registered for version "{api_version}"')
    response = document.get("response")
    if response is not None and not isinstance(response, dict):
        raise _unreadable("json: cannot unmarshal response of the answer into an AdmissionResponse")
    return document


_KNOWN: Final = frozenset(("AdmissionReview", f"{GROUP}/{version}") for version in VERSIONS)


def _check_type(document: Object) -> None:
    group, _, version = (document.get("apiVersion") or "").rpartition("/")
    kind = document.get("kind") or ""
    if (group, version, kind) != (GROUP, "v1", "AdmissionReview"):
        wanted = f"{GROUP}/v1, Kind=AdmissionReview"
        raise _invalid(f"expected webhook response of {wanted}, got {group}/{version}, Kind={kind}")


def _patch(response: Object, version: str, mutating: bool) -> tuple[bytes, str]:
    encoded = _typed(response, "patch", str, "")
    try:
        patch = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable("illegal base64 data in response.patch") from None
    patch_type = _typed(response, "patchType", str, None)
    if version == "v1beta1":
        return (patch, "JSONPatch") if mutating and patch else (b"", "")
    if not mutating:
        if patch:
            raise _invalid("validating webhook may not return response.patch")
        if patch_type is not None:
            raise _invalid("validating webhook may not return response.patchType")
        return b"", ""
    if patch and patch_type is None:
        raise _invalid("webhook returned response.patch but not response.patchType")
    if not patch and patch_type is not None:
        raise _invalid("webhook returned response.patchType but not response.patch")
    if patch_type == "":
        raise _invalid('webhook returned invalid response.patchType of ""')
    return patch, patch_type or ""


def _operations(patch: bytes) -> list[Any]:
    what = "received undecodable patch in webhook response"
    try:
        operations = orjson.loads(patch)
    except orjson.JSONDecodeError as error:
        raise InvalidAnswer(f"{what}: {error}") from None
    if operations is None:
        return []
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise InvalidAnswer(f"{what}: json: cannot unmarshal it into Go value of type jsonpatch.Patch")
    return operations


def denial(hook: Hook, status: Object | None) -> StatusError:
    """The refusal of a webhook, with its own code, reason and details."""
    status = status or {}
    code, reason, message = status.get("code") or 0, status.get("reason") or "", status.get("message") or ""
    if not isinstance(code, int) or isinstance(code, bool) or not 400 <= code <= _HIGHEST_CODE:
        code = 400
    if not isinstance(reason, str) or not isinstance(message, str):
        raise _unreadable("response.status: reason and message must be texts")
    text = f'admission webhook "{hook.name}" denied the request'
    text = f"{text}: {message or reason}" if message or reason else f"{text} without explanation"
    details = status.get("details")
    details = details if isinstance(details, dict) else None
    after = (details or {}).get("retryAfterSeconds")
    wait = after if isinstance(after, int) and not isinstance(after, bool) and 0 < after < _LONGEST_WAIT else None
    error = StatusError(code, reason, text, details, retry_after=wait)
    error.by_webhook = True
    return error


def no_dry_run(hook: Hook) -> StatusError:
    return bad_request(f'admission webhook "{hook.name}" does not support dry run')


def _typed(response: Object, field: str, expected: type, default: Any) -> Any:
    value = response.get(field)
    if value is None:
        return default
    if not isinstance(value, expected):
        raise _unreadable(f"json: cannot unmarshal AdmissionResponse.response.{field}")
    return value


def _text(response: Object, field: str) -> str:
    return str(_typed(response, field, str, ""))


def _invalid(why: str) -> InvalidAnswer:
    return InvalidAnswer(f"received invalid webhook response: {why}")


def _unreadable(why: str) -> InvalidAnswer:
    """As what a client cannot decode at all: the call itself has failed."""
    return InvalidAnswer(f"failed to call webhook: {why}")

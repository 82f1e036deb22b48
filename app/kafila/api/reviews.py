"""Kinds that are questions, not objects: access reviews and identity. Until RBAC exists system:masters may do everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from kafila.authentication.users import InvalidCredential
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.registry import Registry, User
from kafila.registry.decoding import decode_object
from kafila.registry.prepare import OTHER_NAMESPACE
from kafila.registry.unstored import track

from .authentication import MASTERS
from .bodies import decode_document, read_apart
from .request import Request
from .responses import Response

Object = dict[str, Any]


def _answer(obj: Object, status: Object) -> Response:
    obj["status"] = status
    return Response(201, orjson.dumps(obj) + b"\n")


async def _question(kind: Kind, request: Request) -> Object:
    return await read_apart(request, lambda: _read(kind, request))


def _read(kind: Kind, request: Request) -> Object:
    document = decode_document(request, kind, False)
    options = request.options()
    question = decode_object(kind, document.value, options, document.duplicates, document.raw)
    metadata, target = question["metadata"], request.target
    if kind.namespaced and target is not None:
        if metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise errors.bad_request(OTHER_NAMESPACE)
    track(question, kind.api_version, kind.schema, options)
    return question


def _check(kind: Kind, spec: Object, *, subject: bool, namespace: str = "") -> None:
    """Raises StatusError 422 for a question that cannot be answered."""
    found: list[errors.FieldError] = []
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
        text = "cannot be specified in combination with resourceAttributes"
        found.append(errors.FieldError.invalid("spec.nonResourceAttributes", shown, text))
    elif resource is None and path is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        found.append(errors.FieldError.invalid("spec.resourceAttributes", None, text))
    if subject and not spec.get("user") and not spec.get("groups"):
        text = "at least one of user or group must be specified"
        found.append(errors.FieldError.invalid("spec.user", "", text))
    asked = (resource or {}).get("namespace") or ""
    if namespace and resource is not None and asked != namespace:
        text = "must match metadata.namespace"
        found.append(errors.FieldError.invalid("spec.resourceAttributes.namespace", asked, text))
    if found:
        raise errors.invalid(kind.group, "", "", found)


def _access(groups: Any) -> Object:
    return {"allowed": True} if MASTERS in (groups or ()) else {"allowed": False}


async def _self_subject_access(registry: Registry, kind: Kind, request: Request) -> Response:
    question = await _question(kind, request)
    _check(kind, question.get("spec") or {}, subject=False)
    return _answer(question, _access(request.user.groups))


async def _subject_access(registry: Registry, kind: Kind, request: Request) -> Response:
    question = await _question(kind, request)
    namespace = question["metadata"].get("namespace", "")
    _check(kind, question.get("spec") or {}, subject=True, namespace=namespace)
    return _answer(question, _access((question.get("spec") or {}).get("groups")))


async def _self_subject_rules(registry: Registry, kind: Kind, request: Request) -> Response:
    status: Object = {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
    if MASTERS in request.user.groups:
        status["resourceRules"] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        status["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    question = await _question(kind, request)
    if not (question.get("spec") or {}).get("namespace"):
        raise errors.bad_request("no namespace on request")
    question["spec"] = {}
    return _answer(question, status)


async def _self_subject(registry: Registry, kind: Kind, request: Request) -> Response:
    question = await _question(kind, request)
    question["metadata"].setdefault("creationTimestamp", rfc3339())
    return _answer(question, {"userInfo": _shown(request.user)})


async def _token(registry: Registry, kind: Kind, request: Request) -> Response:
    question = await _question(kind, request)
    spec = question.get("spec") or {}
    if not spec.get("token"):
        raise errors.bad_request("token is required for TokenReview in authentication")
    question["metadata"].pop("namespace", None)
    status = {"user": {}, **(question.get("status") or {})}
    status.pop("authenticated", None)
    assert request.authentication is not None
    try:
        known = await request.authentication.token(spec["token"], tuple(spec.get("audiences") or ()))
        status |= {"authenticated": True, "user": _shown(known.user)}
        if known.audiences:
            status["audiences"] = list(known.audiences)
    except InvalidCredential as error:
        status["error"] = str(error)
    return _answer(question, status)


def _shown(known: User) -> Object:
    """UserInfo."""
    user: Object = {"username": known.name, "groups": list(known.groups)}
    if known.uid:
        user["uid"] = known.uid
    if known.extra:
        user["extra"] = {name: list(values) for name, values in known.extra}
    return user


HANDLERS: dict[tuple[str, str], Callable[[Registry, Kind, Request], Awaitable[Response]]] = {
    ("authorization.k8s.io", "SelfSubjectAccessReview"): _self_subject_access,
    ("authorization.k8s.io", "SubjectAccessReview"): _subject_access,
    ("authorization.k8s.io", "LocalSubjectAccessReview"): _subject_access,
    ("authorization.k8s.io", "SelfSubjectRulesReview"): _self_subject_rules,
    ("authentication.k8s.io", "SelfSubjectReview"): _self_subject,
    ("authentication.k8s.io", "TokenReview"): _token,
}

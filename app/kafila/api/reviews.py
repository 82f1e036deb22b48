"""Kinds that are created and never stored: access reviews, and reviews of who somebody is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson

from kafila.authentication.users import InvalidCredential
from kafila.authorization import Attributes, Decision
from kafila.catalog.kind import Kind, user_info
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.registry import Registry
from kafila.registry.decoding import decode_object
from kafila.registry.prepare import OTHER_NAMESPACE
from kafila.registry.unstored import track

from . import access_reviews
from .admitting import admitted
from .bodies import decode_document, read_in_thread
from .request import Request
from .responses import Response


def _answer(obj: Object, status: Object) -> Response:
    obj["status"] = status
    return Response(201, orjson.dumps(obj) + b"\n")


async def _review(registry: Registry, kind: Kind, request: Request) -> Object:
    return await admitted(registry, kind, request, await read_in_thread(request, lambda: _read(kind, request)))


def _read(kind: Kind, request: Request) -> Object:
    document = decode_document(request, kind, False)
    options = request.options()
    review = decode_object(kind, document.value, options, document.duplicates, document.raw)
    metadata, target = review["metadata"], request.target
    if kind.namespaced and target is not None:
        if metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise errors.bad_request(OTHER_NAMESPACE)
    track(review, kind.api_version, kind.schema, options)
    return review


async def _self_subject_access(registry: Registry, kind: Kind, request: Request) -> Response:
    return await _access(registry, kind, request, subject=False)


async def _subject_access(registry: Registry, kind: Kind, request: Request) -> Response:
    return await _access(registry, kind, request, subject=True)


async def _access(registry: Registry, kind: Kind, request: Request, *, subject: bool) -> Response:
    assert request.authorizer is not None
    review = await _review(registry, kind, request)
    spec = review.get("spec") or {}

    def read() -> tuple[Attributes, list[str]]:  # its selectors are anybody's, and may be as long as the body
        access_reviews.check(kind, review, subject=subject)
        return access_reviews.attributes_of(access_reviews.subject_of(spec) if subject else request.user, spec)

    asked, problems = await read_in_thread(request, read)
    return _answer(review, _shown_decision(await request.authorizer.authorize(asked), problems))


def _shown_decision(decision: Decision, problems: list[str]) -> Object:
    status: Object = {"allowed": decision.allowed}
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    if decision.error:
        problems.insert(0, decision.error)
    if problems:
        status["evaluationError"] = "; ".join(problems)
    return status


async def _self_subject_rules(registry: Registry, kind: Kind, request: Request) -> Response:
    assert request.authorizer is not None
    review = await _review(registry, kind, request)
    namespace = (review.get("spec") or {}).get("namespace")
    if not namespace:
        raise errors.bad_request("no namespace on request")
    rules, error, incomplete = request.authorizer.rules_for(request.user, namespace)
    status: Object = {
        "resourceRules": [access_reviews.shown_resources(rule) for rule in rules if rule.resources],
        "nonResourceRules": [access_reviews.shown_paths(rule) for rule in rules if rule.nonResourceURLs],
        "incomplete": incomplete,
    }
    if error:
        status["evaluationError"] = error
    review["metadata"], review["spec"] = {}, {}
    return _answer(review, status)


async def _self_subject(registry: Registry, kind: Kind, request: Request) -> Response:
    review = await _review(registry, kind, request)
    review["metadata"].setdefault("creationTimestamp", rfc3339())
    return _answer(review, {"userInfo": user_info(request.user)})


async def _token(registry: Registry, kind: Kind, request: Request) -> Response:
    review = await _review(registry, kind, request)
    spec = review.get("spec") or {}
    if not spec.get("token"):
        raise errors.bad_request("token is required for TokenReview in authentication")
    review["metadata"].pop("namespace", None)
    status = {"user": {}, **(review.get("status") or {})}
    status.pop("authenticated", None)
    assert request.authentication is not None
    try:
        known = await request.authentication.token(spec["token"], tuple(spec.get("audiences") or ()))
        status |= {"authenticated": True, "user": user_info(known.user)}
        if known.audiences:
            status["audiences"] = list(known.audiences)
    except InvalidCredential as error:
        status["error"] = str(error)
    return _answer(review, status)


HANDLERS: dict[tuple[str, str], Callable[[Registry, Kind, Request], Awaitable[Response]]] = {
    ("authorization.k8s.io", "SelfSubjectAccessReview"): _self_subject_access,
    ("authorization.k8s.io", "SubjectAccessReview"): _subject_access,
    ("authorization.k8s.io", "LocalSubjectAccessReview"): _subject_access,
    ("authorization.k8s.io", "SelfSubjectRulesReview"): _self_subject_rules,
    ("authentication.k8s.io", "SelfSubjectReview"): _self_subject,
    ("authentication.k8s.io", "TokenReview"): _token,
}

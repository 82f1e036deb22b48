"""Whether a request may be served: what it asks for, as an authorizer sees it, and the answer to one that may not."""

from __future__ import annotations

from typing import Final

from kafila.authorization import Attributes, Decision
from kafila.authorization.attributes import refusal
from kafila.core import errors, selectors
from kafila.core.names import path_segment
from kafila.core.selectors import Requirement, SelectorError

from .request import Asking, Request, Target

VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_SELECTING: Final = ("list", "watch", "deletecollection")


async def authorize(request: Request, watch: bool) -> None:
    """Raises StatusError 403 in Kubernetes' words."""
    assert request.authorizer is not None
    asked = attributes_of(request, watch)
    decision = await request.authorizer.authorize(asked)
    if request.audit is not None:
        request.audit.decided(decision)
    insist(asked, decision)


async def authorize_create(request: Request) -> None:
    """What is written where nothing was is created, whatever the method. Raises StatusError 403."""
    if request.authorizer is not None:
        asked = attributes_of(request, False)._replace(verb="create")
        insist(asked, await request.authorizer.authorize(asked))


def insist(asked: Attributes, decision: Decision) -> None:
    """Raises StatusError 403, and 500 where no authorizer could answer."""
    if decision.allowed:
        return
    if decision.error:
        raise errors.internal_error(decision.error)
    raise refusal(asked, decision.reason)


def verb_of(method: str, target: Target, watch: bool) -> str:
    """Kubernetes has no verb for methods that nothing but proxies pass on, and one for all below the legacy ``/watch/``."""
    if target.watch:
        return "watch"
    verb = VERBS.get(method, "")
    if verb == "get" and not target.name:
        return "watch" if watch else "list"
    if verb == "get" and watch:
        return "watch"
    if verb == "delete" and not target.name:
        return "deletecollection"
    return verb


def attributes_of(request: Asking, watch: bool) -> Attributes:
    target, user = request.target, request.user
    if target is None or not target.plural:
        return Attributes(user, request.method.lower(), path=request.path)
    verb = verb_of(request.method, target, watch)
    name = target.name
    # a namespace lies in itself: who may do all in it may also read it
    namespace = target.name if target.plural == "namespaces" and target.name else target.namespace
    resource = target.plural.strip("\0")
    asked = Attributes(user, verb, target.group, target.version, resource, target.subresource, namespace, name)
    if verb not in _SELECTING or target.watch or not request.query:
        return asked
    fields = _fields(request.query.get("fieldSelector", ""))
    if verb != "deletecollection" and not name:
        asked = asked._replace(name=_only_name(fields))
    if request.authorizer is not None and request.authorizer.asks_others:  # RBAC reads no selector
        asked = asked._replace(fields=fields, labels=_labels(request.query.get("labelSelector", "")))
    return asked


def _fields(text: str) -> tuple[Requirement, ...]:
    """What cannot be read narrows nothing; whoever serves the request refuses it."""
    try:
        found = selectors.parse_fields(text) if text else ()
    except SelectorError:
        return ()
    return tuple(Requirement(each.field, each.operator, (each.value,)) for each in found)


def _labels(text: str) -> tuple[Requirement, ...]:
    try:
        return selectors.parse(text).requirements if text else ()
    except SelectorError:
        return ()


def _only_name(fields: tuple[Requirement, ...]) -> str:
    """The one name that a list is about."""
    for field in fields:
        if field.key == "metadata.name" and field.operator == "=":
            return "" if path_segment(field.values[0]) else field.values[0]
    return ""

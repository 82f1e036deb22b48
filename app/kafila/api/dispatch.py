"""From a request to its handler: which methods a path has, verbs, and subresources that are views of the object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafila.catalog.builtin.validation.common import check_finalizers
from kafila.catalog.catalog import subresources_of
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.metricsadapter.values import VERSIONS as METRICS
from kafila.registry import Registry
from kafila.store.interface import EVENTS

from . import audit_records, eviction, objects, pods, reviews, scaling, tokens
from .admitting import connecting, is_connection
from .negotiation import without
from .object_responses import accept_of, object_response
from .request import Request, Target
from .responses import Response

Handler = Callable[[Registry, Kind, Request], Awaitable[Response]]
ITEM = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
IN_ALL_NAMESPACES = {"GET": "list"}
HANDLERS: dict[str, Handler] = {
    "get": objects.get,
    "update": objects.update,
    "patch": objects.patch,
    "delete": objects.delete,
    "list": objects.list_,
    "create": objects.create,
    "deletecollection": objects.delete_collection,
}
METHODS = {"get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "create": "POST"}


def is_misplaced(kind: Kind, target: Target, method: str) -> bool:
    """Whether a path names a namespace for what has none, or none for what has one. Asked before anything is done with it.

    Also whether the old prefix of watches stands before something else than a watch: whoever may watch subresources may not
    watch the objects. Raises StatusError 404, 405 where kube-apiserver answers with one.
    """
    if target.watch and target.subresource:
        raise errors.page_not_found()
    if target.watch and method != "GET":
        raise errors.method_not_allowed()
    outside = kind.namespaced != bool(target.namespace)
    if outside and kind.definition and (target.name or target.namespace or method != "GET"):
        return True
    if outside and (target.name or target.namespace):
        raise errors.page_not_found()
    return False


async def dispatch(registry: Registry, kind: Kind, request: Request) -> Response:
    """Answers one request for objects (watches and proxies are streams and go elsewhere)."""
    target = request.target
    assert target is not None
    if kind.resource == "pods":
        pods.warn_of_members(registry, kind, request)
    if target.subresource:
        return await _subresource(registry, kind, target, request)
    verb = _verb(kind, target, request.method)
    warn_of_deprecation(kind, request)
    virtual = VIRTUAL_RESOURCES.get((kind.group, kind.kind)) if kind.kind in _VIRTUAL else None
    if virtual is not None and virtual is not audit_records.list_:
        without(request.header(b"accept"), "Table")
    return await (virtual or HANDLERS[verb])(registry, kind, request)


def is_plain(kind: Kind) -> bool:
    """Whether GET of an object is answered with what is stored, by nobody else and without another word."""
    return (
        "get" in kind.verbs
        and kind.from_storage is None
        and kind.converter is None
        and not kind.deprecation
        and kind.kind not in _DEPRECATED
        and kind.kind not in _VIRTUAL
        and kind.resource not in ("pods", EVENTS)
        and kind.group not in METRICS
    )


def warn_of_deprecation(kind: Kind, request: Request) -> None:
    if kind.deprecation or kind.kind in _DEPRECATED:
        if warning := kind.deprecation or DEPRECATED.get(kind.gvk):
            request.warnings.append(warning)


def _verb(kind: Kind, target: Target, method: str) -> str:
    """The verb of a method on a collection or an object. Raises StatusError 404, 405."""
    if target.name:
        routes = ITEM
    elif kind.namespaced and not target.namespace:
        routes = IN_ALL_NAMESPACES
    else:
        routes = COLLECTION
    verb = routes.get(method)
    if verb is not None and verb in kind.verbs:
        return verb
    if any(other in kind.verbs for other in routes.values()):
        raise errors.method_not_allowed()
    raise errors.page_not_found()


async def _subresource(registry: Registry, kind: Kind, target: Target, request: Request) -> Response:
    handler = SUBRESOURCES.get((kind.resource, target.subresource)) or SUBRESOURCES.get(("", target.subresource))
    if handler is None or target.subresource not in kind.subresources:
        raise errors.not_found(kind.group, kind.plural, target.name) if kind.custom else errors.page_not_found()
    allowed = next(s.verbs for s in subresources_of(kind) if s.name == target.subresource)
    if request.method not in [METHODS[verb] for verb in allowed]:
        if kind.definition:
            raise errors.method_not_supported(kind.group, kind.plural, _verb_named(request.method))
        raise errors.method_not_allowed()
    if is_connection(target.subresource):
        await connecting(registry, kind, request)
    if target.subresource in NO_TABLES:
        without(request.header(b"accept"), "Table")
    return await handler(registry, kind, request)


def _verb_named(method: str) -> str:
    return next((verb for verb, name in METHODS.items() if name == method), method.lower())


async def _view(registry: Registry, kind: Kind, request: Request) -> Response:
    """A subresource that is the whole object, of which a part may be written."""
    return await HANDLERS[ITEM[request.method]](registry, kind, request)


async def _finalize(registry: Registry, kind: Kind, request: Request) -> Response:
    """PUT of a namespace's spec.finalizers; the namespace goes when they are empty."""
    target = request.target
    assert target is not None
    options = request.options()
    document = await objects.sent_object(kind, request, options)
    objects.check_names(document, target.name, "")
    wanted = document["metadata"].get("resourceVersion")
    finalizers = list((document.get("spec") or {}).get("finalizers") or [])
    found: list[errors.FieldError] = []
    check_finalizers(finalizers, "spec.finalizers", found)
    if found:
        raise errors.invalid(kind.group, kind.kind, target.name, found)

    def replaced(obj: dict[str, Any]) -> dict[str, Any]:
        if wanted not in (None, "", "0", obj["metadata"]["resourceVersion"]):
            raise errors.conflict(kind.group, kind.plural, target.name)
        obj.setdefault("spec", {}).pop("finalizers", None)
        if finalizers:
            obj["spec"]["finalizers"] = finalizers
        return obj

    entry = await registry.modify(kind, "", target.name, replaced, options, "finalize")
    return await object_response(kind, entry, accept_of(request, kind), request)


SUBRESOURCES: dict[tuple[str, str], Handler] = {
    ("", "status"): _view,
    ("", "scale"): scaling.scale,
    ("namespaces", "finalize"): _finalize,
    ("certificatesigningrequests.certificates.k8s.io", "approval"): _view,
    ("pods", "ephemeralcontainers"): _view,
    ("pods", "resize"): _view,
    ("pods", "binding"): pods.bind,
    ("pods", "eviction"): eviction.evict,
    ("pods", "log"): pods.log,
    ("pods", "exec"): pods.connect,
    ("pods", "attach"): pods.connect,
    ("pods", "portforward"): pods.connect,
    ("pods", "proxy"): pods.unreachable,
    ("services", "proxy"): pods.unreachable,
    ("nodes", "proxy"): pods.unreachable,
    ("serviceaccounts", "token"): tokens.token_request,
}

# what goes on to a member as it comes: ``api/app.py`` hands it to the proxy and reads no body
STREAMED = frozenset({("clusters.cluster.karmada.io", "proxy")})

# what the agent of a cluster opens, and keeps: ``api/tunnels.py``. No discovery names it: it is no API for others
TUNNEL = ("clusters.cluster.karmada.io", "tunnel")

# refused before anything is done: what they answer has no columns
NO_TABLES = ("binding", "eviction", "finalize", "log")

# what is created is answered, not stored; or listed, and stored by nobody who asks here
VIRTUAL_RESOURCES: dict[tuple[str, str], Handler] = {
    **reviews.HANDLERS,
    ("", "Binding"): pods.bindings,
    ("audit.kafila.io", "AuditRecord"): audit_records.list_,
}
_VIRTUAL = frozenset(kind for _, kind in VIRTUAL_RESOURCES)  # which is asked first: nearly nothing is one of them

DEPRECATED = {
    ("", "v1", "ComponentStatus"): "v1 ComponentStatus is deprecated in v1.19+",
    ("", "v1", "Endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
_DEPRECATED = frozenset(kind for *_, kind in DEPRECATED)

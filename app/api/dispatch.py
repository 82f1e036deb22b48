"""From a request to its handler: verbs, subresources, discovery documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from app.catalog.kind import Kind
from app.core import errors
from app.registry import Registry
from app.registry.scale import scale_of, with_replicas

from . import objects, reviews
from .bodies import decode_document
from .request import Request
from .responses import Response

ITEM_VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
ITEM: dict[str, objects.Handler] = {
    "get": objects.get,
    "update": objects.update,
    "patch": objects.patch,
    "delete": objects.delete,
}
COLLECTION: dict[str, objects.Handler] = {
    "list": objects.list_,
    "create": objects.create,
    "deletecollection": objects.delete_collection,
}
Subresource = Callable[[Registry, Kind, Request], Awaitable[Response]]


async def dispatch(registry: Registry, kind: Kind, request: Request) -> Response:
    """Answers one request for objects (watches and proxies are streams and go elsewhere)."""
    target = request.target
    assert target is not None
    if kind.namespaced and target.name and not target.namespace:
        raise errors.page_not_found()
    if not kind.namespaced and target.namespace:
        raise errors.page_not_found()
    review = reviews.HANDLERS.get((kind.group, kind.kind))
    if review is not None:
        if request.method != "POST":
            raise errors.method_not_supported(kind.group, kind.plural, request.method.lower())
        return await review(registry, kind, request)
    if target.subresource:
        handler = SUBRESOURCES.get(target.subresource)
        if target.subresource not in kind.subresources or handler is None:
            raise errors.page_not_found()
        return await handler(registry, kind, request)
    if target.name:
        verb, handlers = ITEM_VERBS.get(request.method), ITEM
    else:
        verb, handlers = COLLECTION_VERBS.get(request.method), COLLECTION
    if verb is None or verb not in kind.verbs:
        raise errors.method_not_supported(kind.group, kind.plural, (verb or request.method.lower()))
    if verb == "create" and kind.namespaced and not target.namespace:
        raise errors.method_not_supported(kind.group, kind.plural, verb)
    return await handlers[verb](registry, kind, request)


async def _status(registry: Registry, kind: Kind, request: Request) -> Response:
    verb = ITEM_VERBS.get(request.method)
    if verb not in ("get", "update", "patch"):
        raise errors.method_not_supported(kind.group, kind.plural, request.method.lower())
    return await ITEM[verb](registry, kind, request)


async def _scale(registry: Registry, kind: Kind, request: Request) -> Response:
    if kind.scale is None:
        raise errors.page_not_found()
    target = request.target
    assert target is not None
    if request.method == "GET":
        await registry.barrier()
        return _json(scale_of(kind, registry.entry(kind, target.namespace, target.name)))
    options = request.options()
    if request.method == "PUT":
        document = decode_document(request, None, False).value
        if not isinstance(document, dict):
            raise errors.bad_request("Scale must be an object")

        def replaced(obj: dict[str, Any]) -> dict[str, Any]:
            return with_replicas(kind, obj, document)
    elif request.method == "PATCH":
        from app.machinery import jsonpatch, mergepatch

        change = objects.patch_of(kind, request)

        def replaced(obj: dict[str, Any]) -> dict[str, Any]:
            view = scale_of(kind, registry.entry(kind, target.namespace, target.name))
            if change.type == "json":
                view = jsonpatch.apply(view, change.document)
            else:  # a Scale has no lists: strategic merge, merge and apply are the same
                view = mergepatch.apply(view, change.document)
            return with_replicas(kind, obj, view)
    else:
        raise errors.method_not_supported(kind.group, kind.plural, request.method.lower())
    entry = await registry.modify(kind, target.namespace, target.name, replaced, options, "scale")
    return _json(scale_of(kind, entry))


async def _finalize(registry: Registry, kind: Kind, request: Request) -> Response:
    """PUT of a namespace's spec.finalizers; the namespace goes when they are empty."""
    if request.method != "PUT":
        raise errors.method_not_supported(kind.group, kind.plural, request.method.lower())
    target = request.target
    assert target is not None
    document = decode_document(request, kind, False).value
    finalizers = list((document.get("spec") or {}).get("finalizers") or [])

    def replaced(obj: dict[str, Any]) -> dict[str, Any]:
        obj.setdefault("spec", {})["finalizers"] = finalizers
        return obj

    entry = await registry.modify(kind, "", target.name, replaced, request.options(), "finalize")
    return objects.object_response(kind, entry, objects.accept_of(request, kind), request)


def _json(obj: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(obj) + b"\n")


SUBRESOURCES: dict[str, Subresource] = {"status": _status, "scale": _scale, "finalize": _finalize, "approval": _status}

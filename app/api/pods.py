"""Subresources of pods, services and nodes that need a kubelet or a pod network.

A control plane has neither: what is about the objects is done, everything else gets the error of a server whose pods run
nowhere.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.catalog.kind import Kind
from app.core import errors
from app.core.clock import rfc3339
from app.registry import Registry

from . import objects
from .bodies import decode_delete_options, decode_document
from .request import Request
from .responses import Response

Object = dict[str, Any]
SUCCESS = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}) + b"\n"


async def _pod(registry: Registry, kind: Kind, request: Request) -> Object:
    target = request.target
    assert target is not None
    await registry.barrier()
    return registry.object(kind, target.namespace, target.name)


async def bind(registry: Registry, kind: Kind, request: Request) -> Response:
    """Puts a pod on a node, as a scheduler does."""
    target = request.target
    assert target is not None
    binding_kind = registry.kind("", "v1", "bindings")
    options = request.options()
    binding = objects.decoded(binding_kind, decode_document(request, binding_kind, False), options)
    metadata, to = binding["metadata"], binding.get("target") or {}
    if metadata.get("name") != target.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    node = to.get("name")
    found = []
    if to.get("kind") not in (None, "", "Node"):
        found.append(errors.FieldError.not_supported("target.kind", to["kind"], ("Node", "<empty>")))
    if not node:
        found.append(errors.FieldError.required("target.name"))
    if found:  # kube-apiserver does not make a Status of these either
        shown = ", ".join(map(str, found))
        raise errors.StatusError(500, "", f"[{shown}]" if len(found) > 1 else shown)

    def bound(pod: Object) -> Object:
        spec, metadata = pod["spec"], pod["metadata"]
        if metadata.get("deletionTimestamp"):
            why = f"pod {target.name} is being deleted, cannot be assigned to a host"
            raise errors.conflict("", "pods/binding", target.name, why)
        if metadata.get("uid") and binding["metadata"].get("uid") not in (None, "", metadata["uid"]):
            sent = binding["metadata"]["uid"]
            why = f"Precondition failed: UID in precondition: {sent}, UID in object meta: {metadata['uid']}"
            raise errors.conflict("", "pods", target.name, why)
        if spec.get("schedulingGates"):
            why = f"pod {target.name} has non-empty .spec.schedulingGates"
            raise errors.conflict("", "pods/binding", target.name, why)
        if spec.get("nodeName"):
            why = f'pod {target.name} is already assigned to node "{spec["nodeName"]}"'
            raise errors.conflict("", "pods/binding", target.name, why)
        spec["nodeName"] = node
        metadata.setdefault("annotations", {}).update(binding["metadata"].get("annotations") or {})
        if not metadata["annotations"]:
            del metadata["annotations"]
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": rfc3339()}
        status = pod.setdefault("status", {})
        others = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
        status["conditions"] = [*others, condition]
        return pod

    options.whole = True
    await registry.modify(kind, target.namespace, target.name, bound, options, "binding")
    return Response(201, SUCCESS)


async def evict(registry: Registry, kind: Kind, request: Request) -> Response:
    """Deletes a pod. Disruption budgets have no controller here that says how many pods may go, so none is asked."""
    target = request.target
    assert target is not None
    document = decode_document(request, kind, False).value
    given = document.get("deleteOptions") if isinstance(document, dict) else None
    named = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(named, dict) and named.get("name") not in (None, "", target.name):
        raise errors.bad_request("name in URL does not match name in Eviction object")
    request.body = orjson.dumps(given) if isinstance(given, dict) else b""
    request.headers = {**request.headers, b"content-type": b"application/json"}
    await registry.delete(kind, target.namespace, target.name, request.delete_options(decode_delete_options(request)))
    return Response(201, SUCCESS)


async def log(registry: Registry, kind: Kind, request: Request) -> Response:
    """A pod that runs nowhere has written nothing yet."""
    pod = await _pod(registry, kind, request)
    containers = [c.get("name") for c in pod["spec"].get("containers") or ()]
    asked = request.query.get("container")
    name = pod["metadata"]["name"]
    if asked and asked not in containers:
        raise errors.bad_request(f"container {asked} is not valid for pod {name}")
    if not asked and len(containers) > 1:
        listed = " ".join(str(c) for c in containers)
        raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{listed}]")
    if pod["spec"].get("nodeName"):
        raise errors.StatusError(502, "", f"no kubelet of node {pod['spec']['nodeName']} can be reached")
    return Response(204, b"")


async def connect(registry: Registry, kind: Kind, request: Request) -> Response:
    pod = await _pod(registry, kind, request)
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    if not node:
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    raise errors.StatusError(502, "", f"no kubelet of node {node} can be reached")


async def unreachable(registry: Registry, kind: Kind, request: Request) -> Response:
    """``…/proxy``: nothing runs behind it."""
    target = request.target
    assert target is not None
    await registry.barrier()
    if kind.resource == "pods":
        registry.entry(kind, target.namespace, target.name)
        raise errors.bad_request("address not allowed")
    name = target.name.split(":")[1] if target.name.count(":") == 2 else target.name.partition(":")[0]
    registry.entry(kind, target.namespace, name)
    what = "endpoints" if kind.resource == "services" else "addresses"
    raise errors.service_unavailable(f'no {what} available for {kind.singular} "{target.name}"', None)

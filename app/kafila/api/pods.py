"""Subresources of pods, services and nodes that need a kubelet or a pod network.

A control plane has neither: what is about the objects is done, everything else gets the error of a server whose pods run
nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from kafila.catalog.kind import Kind
from kafila.core import errors, names
from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.registry import Registry
from kafila.registry.unstored import track

from . import objects
from .admitting import admitted
from .request import Request
from .responses import Response

_CLUSTERS: Final = "clusters.cluster.karmada.io"
SUCCESS = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}) + b"\n"


ELSEWHERE: Final = "pods run in member clusters: kafila logs, exec and kubeconfig find them, and karmadactl get pods --operation-scope=members"


def warn_of_members(registry: Registry, kind: Kind, request: Request) -> None:
    """Who looks for pods (``kind``) here and finds none is told where they are. Informers, which name a version, know what they ask for, and
    karmadactl asks members by itself."""
    target = request.target
    assert target is not None
    if request.method != "GET" or "resourceVersion" in request.query:
        return
    if request.header(b"user-agent").startswith("karmadactl/"):
        return
    cache = registry.cache
    if target.name:
        found = cache.get(kind.resource, target.namespace, target.name)
    else:
        found = next(cache.resource(kind.resource).entries(target.namespace), None)
    if found is None and next(cache.resource(_CLUSTERS).entries(), None) is not None:
        request.warnings.append(ELSEWHERE)


async def _pod(registry: Registry, kind: Kind, request: Request) -> Object:
    target = request.target
    assert target is not None
    await registry.wait_for_consistent_read()
    return registry.object(kind, target.namespace, target.name)


async def bind(registry: Registry, kind: Kind, request: Request) -> Response:
    """Puts a pod on a node, as a scheduler does."""
    assert request.target is not None
    binding = await admitted(registry, kind, request, await _binding(registry, request))
    if binding["metadata"].get("name") != request.target.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    return await _bound_by(registry, request, binding, request.target.namespace)


async def bindings(registry: Registry, kind: Kind, request: Request) -> Response:
    """``POST …/bindings``: the same for old schedulers; the binding names the pod."""
    assert request.target is not None
    binding = await admitted(registry, kind, request, await _binding(registry, request))
    return await _bound_by(registry, request, binding, request.target.namespace)


async def _binding(registry: Registry, request: Request) -> Object:
    kind, options = registry.kind("", "v1", "bindings"), request.options()
    found = await objects.sent_object(kind, request, options)
    assert request.target is not None
    found["metadata"].setdefault("namespace", request.target.namespace)
    track(found, kind.api_version, kind.schema, options, request.target.subresource)
    return found


async def _bound_by(registry: Registry, request: Request, binding: Object, namespace: str) -> Response:
    name, to = binding["metadata"].get("name") or "", binding.get("target") or {}
    node, options = to.get("name"), request.options()
    options.admitted = True
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
            why = f"pod {name} is being deleted, cannot be assigned to a host"
            raise errors.conflict("", "pods/binding", name, why)
        if metadata.get("uid") and binding["metadata"].get("uid") not in (None, "", metadata["uid"]):
            sent = binding["metadata"]["uid"]
            why = f"Precondition failed: UID in precondition: {sent}, UID in object meta: {metadata['uid']}"
            raise errors.conflict("", "pods", name, why)
        if spec.get("schedulingGates"):
            why = f"pod {name} has non-empty .spec.schedulingGates"
            raise errors.conflict("", "pods/binding", name, why)
        if spec.get("nodeName"):
            why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
            raise errors.conflict("", "pods/binding", name, why)
        spec["nodeName"] = node
        metadata.setdefault("annotations", {}).update(binding["metadata"].get("annotations") or {})
        if not metadata["annotations"]:
            del metadata["annotations"]
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": rfc3339()}
        status = pod.setdefault("status", {})
        others = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
        status["conditions"] = [*others, condition]
        return pod

    options.include_status = True
    await registry.modify(registry.kind("", "v1", "pods"), namespace, name, bound, options, "binding")
    return Response(201, SUCCESS)


async def log(registry: Registry, kind: Kind, request: Request) -> Response:
    """A pod that runs nowhere has written nothing yet."""
    assert request.target is not None
    _check_log_options(request, request.target.name)
    pod = await _pod(registry, kind, request)
    _check_container(pod, request.query.get("container"))
    node = pod["spec"].get("nodeName")
    if node:
        raise _unreachable_node(registry, request, node)
    return Response(204, b"")


def _check_log_options(request: Request, name: str) -> None:
    """Raises StatusError 400, 422."""
    found: list[errors.FieldError] = []
    tail, limit, since = (request.number(field) for field in ("tailLines", "limitBytes", "sinceSeconds"))
    moment = request.query.get("sinceTime")
    if moment and (why := _time_error(moment)):
        raise errors.bad_request(why)
    if tail is not None and tail < 0:
        found.append(errors.FieldError.invalid("tailLines", tail, names.NOT_NEGATIVE))
    if limit is not None and limit < 1:
        found.append(errors.FieldError.invalid("limitBytes", limit, "must be greater than 0"))
    if since is not None and moment:
        text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        found.append(errors.FieldError.forbidden("", text))
    elif since is not None and since < 1:
        found.append(errors.FieldError.invalid("sinceSeconds", since, "must be greater than 0"))
    if "stream" in request.query:
        found.append(errors.FieldError.forbidden("stream", "may not be specified"))
    if found:
        raise errors.invalid("", "PodLogOptions", name, found)


def _time_error(text: str) -> str:
    """Why ``text`` is no time, in Go's words as far as they are known; "" when it is one."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        layout = "2006-01-02T15:04:05Z07:00"
        at = next((part for part in ("2006",) if not text[:4].isdigit()), layout)
        return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "{at}"'
    return ""


def _check_container(pod: Object, asked: str | None) -> None:
    spec, name = pod["spec"], pod["metadata"]["name"]
    lists = ("initContainers", "containers", "ephemeralContainers")
    every = [container.get("name") or "" for field in lists for container in spec.get(field) or ()]
    if asked:
        if asked not in every:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
    elif len(spec.get("containers") or ()) > 1:
        listed = " ".join(every)
        raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{listed}]")


def _unreachable_node(registry: Registry, request: Request, node: str) -> errors.StatusError:
    """There is no kubelet behind a node; kube-apiserver names the subresource's kind when there is not even a node."""
    if registry.cache.get("nodes", "", node) is None:
        return errors.not_found("", "pods", node)
    return errors.StatusError(502, "", f"no kubelet of node {node} can be reached")


async def connect(registry: Registry, kind: Kind, request: Request) -> Response:
    assert request.target is not None
    pod = await _pod(registry, kind, request)
    if request.target.subresource != "portforward":
        _check_container(pod, request.query.get("container"))
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    if not node:
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    raise _unreachable_node(registry, request, node)


async def unreachable(registry: Registry, kind: Kind, request: Request) -> Response:
    """``…/proxy``: nothing runs behind it."""
    target = request.target
    assert target is not None
    await registry.wait_for_consistent_read()
    name, port = _named_port(target.name)
    if kind.resource == "services":
        if port.isascii() and port.isdigit():
            service = registry.object(kind, target.namespace, name)
            if all(int(port) != offered.get("port") for offered in service["spec"].get("ports") or ()):
                raise errors.service_unavailable(f'no service port {port} found for service "{name}"', None)
        endpoints = registry.kind("", "v1", "endpoints")
        if registry.cache.get(endpoints.resource, target.namespace, name) is None:
            raise errors.not_found("", kind.plural, name)
        raise errors.service_unavailable(f'no endpoints available for service "{target.name}"', None)
    registry.entry(kind, target.namespace, name)
    if kind.resource == "pods":
        raise errors.bad_request("address not allowed")
    raise errors.service_unavailable(f'no addresses available for {kind.singular} "{target.name}"', None)


def _named_port(text: str) -> tuple[str, str]:
    """Name and port of ``name``, ``name:port`` and ``scheme:name:port``."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return parts[0], parts[1] if len(parts) == 2 else ""

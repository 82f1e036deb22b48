"""``…/scale`` over HTTP: reading and changing the number of replicas without the rest of the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.tables import schema_of
from kafila.core import errors
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry, shown
from kafila.registry.decoding import cannot_be_handled, check_known_type, strict_decoding_errors
from kafila.registry.patching import Patch, merged
from kafila.registry.scale import has_replicas, replicas_path, scale_of, with_replicas
from kafila.watch import Entry

from . import objects, tables
from .bodies import decode_json, decode_protobuf, decode_yaml, read_in_thread
from .negotiation import PROTOBUF, accepted
from .request import Request
from .responses import Response, encoded, to_yaml

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")


async def scale(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    if kind.scale is None:
        raise errors.page_not_found()
    if request.method == "GET":
        await registry.wait_for_consistent_read()
        entry = await shown(kind, registry.entry(kind, target.namespace, target.name))
        if kind.definition and not has_replicas(kind, decode_entry(kind, entry)):
            raise errors.internal_error(f'the spec replicas field "{kind.scale.spec_replicas}" does not exist')
        return await _answer(kind, entry, request)
    options = request.options()
    if request.method == "PATCH" and objects.PATCH_TYPES.get(request.media_type) == "apply":
        patch = _as_apply(kind, await objects.sent_patch(kind, request))
        entry, _ = await registry.patch(kind, target.namespace, target.name, patch, options, "scale")
        return await _answer(kind, entry, request)
    if request.method == "PUT":
        change = await read_in_thread(request, lambda: _replaced(kind, request, options))
    else:
        change = _patched(kind, request, options, await objects.sent_patch(kind, request))
    entry = await registry.modify(kind, target.namespace, target.name, change, options, "scale")
    return await _answer(kind, entry, request)


def _replaced(kind: Kind, request: Request, options: Options) -> Callable[[Object], Object]:
    if request.media_type == PROTOBUF:
        document: Any = decode_protobuf(request.body, SCALE)
    elif request.media_type == "application/yaml":
        document = decode_yaml(request.body, SCALE).value
    else:
        document = decode_json(request.body, SCALE, False).value
    try:
        decoded, unknown = decode_scale(document)
    except DecodeError as error:
        raise cannot_be_handled(SCALE, str(error)) from error
    if texts := strict_decoding_errors(unknown, (), options):
        raise cannot_be_handled(SCALE, texts)
    target = request.target
    assert target is not None
    objects.check_names(decoded, target.name, target.namespace)
    return lambda obj: with_replicas(kind, obj, decoded)


def _patched(kind: Kind, request: Request, options: Options, patch: Patch) -> Callable[[Object], Object]:
    def changed(obj: Object) -> Object:
        view = scale_of(kind, obj)
        before = view["metadata"].get("resourceVersion")
        result = merged(view, patch, None)  # a Scale has no lists: strategic merge and merge are the same
        try:
            new, unknown = decode_scale(result)
            why = strict_decoding_errors(unknown, (), options)
        except DecodeError as error:
            why = str(error)
        if why:
            found = errors.FieldError.invalid("patch", orjson.dumps(result).decode(), why)
            raise errors.invalid("", "", "", [found])
        if new["metadata"].get("resourceVersion") == before:
            new["metadata"].pop("resourceVersion", None)
        return with_replicas(kind, obj, new)

    return changed


def _as_apply(kind: Kind, patch: Patch) -> Patch:
    """An applied Scale as an applied workload: the same field under its own path, so that its owner is found there."""
    config = patch.document
    if not isinstance(config, dict) or (config.get("apiVersion"), config.get("kind")) != ("autoscaling/v1", "Scale"):
        given = config if isinstance(config, dict) else {}
        group, _, version = str(given.get("apiVersion") or "").rpartition("/")
        raise errors.bad_request(f"invalid object type: {group}/{version}, Kind={given.get('kind') or ''}")
    try:
        decoded, _ = decode_scale(config)
    except DecodeError as error:
        raise cannot_be_handled(SCALE, str(error)) from error
    workload: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": config.get("metadata") or {}}
    if "replicas" in (config.get("spec") or {}):
        path = replicas_path(kind)
        parent = workload
        for step in path[:-1]:
            parent = parent.setdefault(step, {})
        parent[path[-1]] = (decoded.get("spec") or {}).get("replicas", 0)
    return patch._replace(document=workload)


def decode_scale(document: Any) -> tuple[Object, list[str]]:
    """The Scale and what it has no fields for. Raises DecodeError, StatusError 400 for another type."""
    if isinstance(document, dict):
        check_known_type(SCALE, document)
    decoded, unknown = compile_decoder(schema_of("io.k8s.api.autoscaling.v1.Scale"))(document)
    decoded["metadata"] = decoded.get("metadata") or {}
    return decoded, unknown


async def _answer(kind: Kind, entry: Entry, request: Request) -> Response:
    entry = await shown(kind, entry)
    view = scale_of(kind, decode_entry(kind, entry))
    accept = accepted(request.header(b"accept"), True)
    if accept.form == "Table":
        body = tables.scale_table(view, accept, request.query.get("includeObject", ""), bool(kind.definition))
        return Response(200, to_yaml(body), accept.content_type) if accept.encoding == "yaml" else Response(200, body)
    return encoded(tables.partial(view, accept.version) if accept.form else view, accept)

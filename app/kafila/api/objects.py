"""The verbs of objects over HTTP: each turns a request into a call of the registry and its answer into bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

import orjson

from kafila.catalog.kind import Kind
from kafila.core import errors, selectors
from kafila.machinery.gojson import syntax_error
from kafila.machinery.paths import MAX_FOUND
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object, json_type
from kafila.registry.patching import Patch, PatchType
from kafila.registry.reading import ListOptions, wait_for
from kafila.registry.reading import parse_resource_version as number

from .authorization import authorize_create
from .bodies import decode_delete_options, decode_document, decode_json, decode_yaml, read_in_thread
from .object_responses import accept_of, check_form, created_response, list_response, object_response
from .request import Request
from .responses import Response, status_response

Handler = Callable[[Registry, Kind, Request], Awaitable[Response]]

PATCH_TYPES: Final[Mapping[str, PatchType]] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
OPERATION = ("op", "path", "from", "value")  # of a JSON patch


def list_options(request: Request) -> ListOptions:
    query = request.query
    target = request.target
    assert target is not None
    try:
        labels = selectors.parse(query["labelSelector"]) if query.get("labelSelector") else None
        fields = selectors.parse_fields(query["fieldSelector"]) if query.get("fieldSelector") else ()
    except selectors.SelectorError as error:
        raise errors.bad_request(str(error)) from error
    limit = request.number("limit") or 0
    request.number("timeoutSeconds")  # has to be one
    return ListOptions(
        namespace=target.namespace,
        labels=labels,
        fields=fields,
        limit=max(limit, 0),
        token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        send_initial="sendInitialEvents" in query,
    )


async def get(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    accept = accept_of(request, kind)
    version = request.query.get("resourceVersion", "")
    if not version:
        await registry.wait_for_consistent_read()
    elif version != "0":
        await wait_for(registry.cache, number(version))
    entry = await registry.storage(kind.resource).read(kind, target.namespace, target.name)
    check_form(accept, kind, request, False)
    return await object_response(kind, entry, accept, request)


async def list_(registry: Registry, kind: Kind, request: Request) -> Response:
    accept = accept_of(request, kind)
    check_form(accept, kind, request, True)
    options = list_options(request)
    page = await registry.storage(kind.resource).list_page(kind, options)
    return await list_response(kind, page, accept, request)


async def sent_object(kind: Kind, request: Request, options: Options) -> dict[str, Any]:
    """The object in the body. Raises StatusError 400, 415, 422."""

    def read() -> dict[str, Any]:
        document = decode_document(request, kind, options.field_validation != "Ignore")
        return decode_object(kind, document.value, options, document.duplicates, document.raw)

    return await read_in_thread(request, read)


async def create(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    accept = accept_of(request, kind)
    options = request.options()
    obj = await sent_object(kind, request, options)
    entry = await registry.create(kind, target.namespace, obj, options)
    return await created_response(kind, entry, accept, request)


async def update(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    accept = accept_of(request, kind)
    options = request.options()
    obj = await sent_object(kind, request, options)
    check_names(obj, target.name, target.namespace)
    try:
        entry = await registry.update(kind, target.namespace, target.name, obj, options, target.subresource)
    except errors.StatusError as error:
        if not (error.is_not_found and kind.strategy.create_on_update and not target.subresource):
            raise
        await authorize_create(request)
        obj["metadata"].pop("resourceVersion", None)
        entry = await registry.create(kind, target.namespace, obj, options)
        return await created_response(kind, entry, accept, request)
    return await object_response(kind, entry, accept, request)


def check_names(obj: dict[str, Any], name: str, namespace: str) -> None:
    metadata = obj["metadata"]
    given = metadata.get("name")
    if not given:
        raise errors.bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    if given != name:
        raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    if namespace and metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


async def patch(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    accept = accept_of(request, kind)
    options = request.options()
    change = await sent_patch(kind, request)
    if options.force and change.type != "apply":
        found = [errors.FieldError.forbidden("force", "may not be specified for non-apply patch")]
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", found)
    if change.type == "apply" and not request.query.get("fieldManager"):
        found = [errors.FieldError.required("fieldManager", "is required for apply patch")]
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", found)
    if change.type == "apply":
        options.before_create = partial(authorize_create, request)
    entry, created = await registry.patch(kind, target.namespace, target.name, change, options, target.subresource)
    if created:
        return await created_response(kind, entry, accept, request)
    return await object_response(kind, entry, accept, request)


async def sent_patch(kind: Kind, request: Request) -> Patch:
    """The patch in the body. Raises StatusError 400, 415."""
    return await read_in_thread(request, lambda: _patch_of(kind, request))


def _patch_of(kind: Kind, request: Request) -> Patch:
    patch_type = PATCH_TYPES.get(request.media_type)
    if kind.custom and patch_type in (None, "strategic"):
        raise errors.unsupported_media_type([t for t in PATCH_TYPES if "strategic" not in t])
    if patch_type is None:
        raise errors.StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    strict = request.query.get("fieldValidation", "Warn") != "Ignore"
    try:
        document = decode_yaml(request.body, kind) if patch_type == "apply" else decode_json(request.body, kind, strict)
    except errors.StatusError as error:
        if error.code == 413:
            raise
        why = str(error.__cause__)
        if isinstance(error.__cause__, orjson.JSONDecodeError):
            why = syntax_error(request.body) or why
        prefix = {"apply": "error decoding YAML: error converting YAML to JSON: ", "strategic": ""}
        raise errors.bad_request(prefix.get(patch_type, "error decoding patch: ") + why) from error
    value = document.value
    if value is None and patch_type in ("json", "strategic"):
        value = [] if patch_type == "json" else {}  # as Go reads null into a list or a map
    if why := _unlike_a_patch(patch_type, value):
        raise errors.bad_request(why)
    found = document.duplicates
    if patch_type == "json" and strict:
        found = tuple(f"json patch {text}" for text in (*found, *_unknown_in_operations(value)))
    return Patch(patch_type, value, found)


def _unknown_in_operations(operations: list[Any]) -> Iterator[str]:
    unknown = (
        f'unknown field "[{index}].{key}"'
        for index, operation in enumerate(operations)
        if isinstance(operation, dict)
        for key in operation
        if key not in OPERATION
    )
    return islice(unknown, MAX_FOUND)


async def sent_options(request: Request) -> DeleteOptions:
    """Raises StatusError 400, 415, 422."""
    return request.delete_options(await read_in_thread(request, lambda: decode_delete_options(request)))


async def _delete_options(kind: Kind, request: Request) -> DeleteOptions:
    options = await sent_options(request)
    if options.propagation is None and kind.strategy.orphan_warning:
        request.warnings.append(kind.strategy.orphan_warning)
    return options


def _unlike_a_patch(patch_type: str, value: Any) -> str:
    """Why a body is no patch of its type, as each type's own code says it; "" when it may be one."""
    go_map = "Go value of type map[string]interface {}"
    match patch_type:
        case "json":
            if not isinstance(value, list):
                return f"error decoding patch: json: cannot unmarshal {json_type(value)} into Go value of type []handlers.jsonPatchOp"
            wrong = [item for item in value if not isinstance(item, (dict, type(None)))]
            if wrong:
                return f"error decoding patch: json: cannot unmarshal {json_type(wrong[0])} into Go value of type handlers.jsonPatchOp"
        case "merge" if value is None:
            return "Invalid JSON Patch"
        case "merge" if not isinstance(value, dict):
            return f"error decoding patch: json: cannot unmarshal {json_type(value)} into {go_map}"
        case "strategic" if not isinstance(value, dict):
            return f"json: cannot unmarshal {json_type(value)} into {go_map}"
        case "apply" if not isinstance(value, (dict, type(None))):
            where = "error decoding YAML: error unmarshaling JSON: while decoding JSON"
            return f"{where}: json: cannot unmarshal {json_type(value)} into {go_map}"
    return ""


async def delete(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    accept = accept_of(request, kind)
    options = await _delete_options(kind, request)
    async with registry.deletions.asked(kind, target.namespace, target.name, options):
        entry, gone = await registry.delete(kind, target.namespace, target.name, options)
    if not gone or kind.strategy.returns_deleted_object:
        return await object_response(kind, entry, accept, request)
    details: dict[str, Any] = {"name": target.name}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.plural, "uid": entry.meta.uid}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return status_response(status, 200, request)


async def delete_collection(registry: Registry, kind: Kind, request: Request) -> Response:
    accept = accept_of(request, kind)
    options = await _delete_options(kind, request)
    selected = list_options(request)
    if selected.resource_version not in ("", "0") and not selected.match:
        selected = selected._replace(match="Exact")  # kube-apiserver reads what to delete in pages, which are exact
    page = await registry.storage(kind.resource).list_page(kind, selected)
    async with registry.deletions.all_asked(kind, selected.namespace, page.entries, options):
        await registry.delete_collection(kind, page.entries, options)
    check_form(accept, kind, request, True)  # only now, as in kube-apiserver
    return await list_response(kind, page, accept, request)  # as they were, not as deletion left them

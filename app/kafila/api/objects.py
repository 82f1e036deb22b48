"""The verbs of objects over HTTP: each turns a request into a call of the registry and its answer into bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.core import errors, selectors
from kafila.machinery import protobuf, yamlout
from kafila.machinery.gojson import syntax_error
from kafila.machinery.paths import MAX_FOUND
from kafila.registry import Options, Registry
from kafila.registry.codec import all_shown, decode_entry, item_bytes, shown, wire_bytes
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object, json_type
from kafila.registry.patching import Patch, PatchType
from kafila.registry.reading import ListOptions, Page, wait_for
from kafila.registry.reading import parse_resource_version as number
from kafila.registry.threads import in_thread
from kafila.watch import Entry

from . import tables
from .authorization import authorize_create
from .bodies import decode_delete_options, decode_document, decode_json, decode_yaml, read_in_thread
from .negotiation import Accepted, accepted
from .request import Request
from .responses import CHUNK, Made, Response, encoded, status_response, to_yaml

Handler = Callable[[Registry, Kind, Request], Awaitable[Response]]

PATCH_TYPES: Final[Mapping[str, PatchType]] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
OPERATION = ("op", "path", "from", "value")  # of a JSON patch
SLICE = 250  # objects encoded before other requests get a turn


def accept_of(request: Request, kind: Kind) -> Accepted:
    target = request.target
    listed = target is not None and not target.name and request.method in ("GET", "HEAD")
    return accepted(request.header(b"accept"), bool(kind.protobuf) and not kind.custom, listed)


def check_form(accept: Accepted, kind: Kind, request: Request, listed: bool) -> None:
    """Metadata of an object and of a list are different forms. Raises StatusError 400, 406."""
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        if include not in ("", "None", "Metadata", "Object"):
            why = "must be 'Metadata', 'Object', 'None', or empty"
            found = errors.FieldError.invalid("includeObject", include, why)
            raise errors.bad_request(f"Unable to convert to Table as requested: {found}")
    elif accept.form == "PartialObjectMetadata" and listed:
        raise errors.StatusError(
            406,
            "NotAcceptable",
            f"you requested {accept.form}, but the requested object is a list ({_go_type(kind)}List)",
        )
    elif accept.form == "PartialObjectMetadataList" and not listed:
        raise errors.StatusError(
            406,
            "NotAcceptable",
            f"you requested {accept.form}, but the requested object is not a list ({_go_type(kind)})",
        )


def _go_type(kind: Kind) -> str:
    if kind.custom:
        return "*unstructured.Unstructured"
    return f"*{kind.group.partition('.')[0] or 'core'}.{kind.kind}"


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


async def object_response(kind: Kind, entry: Entry, accept: Accepted, request: Request, status: int = 200) -> Response:
    if not accept.form and accept.encoding == "json" and kind.from_storage is None:
        return Response(status, wire_bytes(kind, entry))
    entry = await shown(kind, entry)
    return await in_thread(len(entry.body), lambda: _object_response(kind, entry, accept, request, status))


async def created_response(kind: Kind, entry: Entry, accept: Accepted, request: Request) -> Response:
    created = kind.strategy.created
    if created is not None:
        entry = Entry(entry.key, entry.revision, created(entry.body))
    return await object_response(kind, entry, accept, request, 201)


def _object_response(kind: Kind, entry: Entry, accept: Accepted, request: Request, status: int) -> Response:
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        body = tables.table(kind, [entry], accept, include, {"resourceVersion": str(entry.revision)})
    elif accept.form:
        return encoded(tables.partial(entry.decode(), accept.version), accept, status)
    elif accept.encoding == "protobuf":
        found = codec(*kind.gvk)
        assert found is not None
        raw = found.encode(decode_entry(kind, entry))
        return Response(status, protobuf.envelope(kind.api_version, kind.kind, raw), accept.content_type)
    else:
        body = wire_bytes(kind, entry)
    if accept.encoding == "yaml":
        return Response(status, to_yaml(body), accept.content_type)
    return Response(status, body)


async def list_(registry: Registry, kind: Kind, request: Request) -> Response:
    accept = accept_of(request, kind)
    check_form(accept, kind, request, True)
    options = list_options(request)
    page = await registry.storage(kind.resource).list_page(kind, options)
    return await list_response(kind, page, accept, request)


async def list_response(kind: Kind, page: Page, accept: Accepted, request: Request) -> Response:
    if kind.converter is not None:
        page = page._replace(entries=await all_shown(kind, page.entries))
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if kind.definition and not accept.form:
        metadata["continue"] = ""  # lists without a type of their own always have it
    if page.token:
        metadata["continue"] = page.token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    size = sum(len(entry.body) for entry in page.entries)
    if accept.form or accept.encoding != "json":
        await request.hold(size)
        return await in_thread(size, lambda: _converted_list(kind, page.entries, metadata, accept, request))
    pieces = _pieces(kind, page.entries, metadata, size)
    if size < CHUNK:
        return Response(200, b"".join(pieces))
    if kind.from_storage or kind.custom:
        return Response(200, Made(pieces, size))
    around = len(_head(kind, metadata)) + len(_TAIL) + max(len(page.entries) - 1, 0)
    return Response(200, Made(pieces, size + around, exact=True))


def _converted_list(
    kind: Kind, entries: list[Entry], metadata: dict[str, Any], accept: Accepted, request: Request
) -> Response:
    """A list that is not the stored objects as they are."""
    if accept.form == "Table":
        body = tables.table(kind, entries, accept, request.query.get("includeObject", ""), metadata)
    elif accept.form:
        return encoded(tables.partial_list(entries, accept.version, metadata), accept)
    elif accept.encoding == "protobuf":
        found = codec(kind.group, kind.version, kind.list_name)
        assert found is not None
        raw = found.encode({"metadata": metadata, "items": [decode_entry(kind, entry) for entry in entries]})
        return Response(200, protobuf.envelope(kind.api_version, kind.list_name, raw), accept.content_type)
    else:
        # read one by one: all of them at once would hold up everybody
        items = [orjson.loads(item_bytes(kind, entry)) for entry in entries]
        document = {"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": metadata, "items": items}
        return Response(200, yamlout.dump(document), accept.content_type)
    if accept.encoding == "yaml":
        return Response(200, to_yaml(body), accept.content_type)
    return Response(200, body)


_TAIL = b"]}\n"


def _head(kind: Kind, metadata: dict[str, Any]) -> bytes:
    return b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.list_name.encode(),
        kind.api_version.encode(),
        orjson.dumps(metadata),
    )


def _pieces(kind: Kind, entries: list[Entry], metadata: dict[str, Any], size: int) -> Iterator[bytes]:
    """The list in pieces that are made and sent one by one: nobody waits for all of it, and nobody keeps it.
    ``size``: bytes of all entries."""
    stored = kind.from_storage is None and not kind.custom
    most = SLICE if stored else SLICE // 10  # what has to be worked out takes longer
    count = max(1, min(most, CHUNK * len(entries) // max(size, 1)))
    before = _head(kind, metadata)
    for start in range(0, max(len(entries), 1), count):
        some = entries[start : start + count]
        items = [entry.body for entry in some] if stored else [item_bytes(kind, entry) for entry in some]
        yield b"".join((before, b",".join(items), b"" if start + count < len(entries) else _TAIL))
        before = b","


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

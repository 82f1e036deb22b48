"""OpenAPI 3.0: an index and one document per group and version, as kubectl reads them for apply, diff and explain.

Documents are built when first asked for and kept as bytes; a change of the catalog drops only those it touches.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

import orjson

from .catalog import Catalog, Version
from .discovery import etag, find_version
from .openapi_paths import PARAMETERS, PATH_PARAMETERS, Operation, operations
from .openapi_types import Json, Types
from .tables import load_descriptions

_TYPES = {"string": {"type": "string", "uniqueItems": True}}


class Document(NamedTuple):
    body: bytes
    etag: str  # SHA-512, upper-case hex, without quotes


@final
class OpenAPI:
    """The documents of a catalog. Building one takes up to about 100 ms: call from a thread, not on the event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._documents: dict[str, tuple[Version, Document]] = {}
        self._index: tuple[int, bytes] | None = None

    def index(self) -> bytes:
        """``GET /openapi/v3``: every document's path with the hash of its content."""
        revision = self._catalog.revision
        if self._index is None or self._index[0] != revision:
            paths = {}
            for group in self._catalog.groups():
                for version in group.versions:
                    path = document_path(version)
                    digest = self._built(path, version).etag
                    paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
            self._documents = {path: kept for path, kept in self._documents.items() if path in paths}
            self._index = revision, orjson.dumps({"paths": dict(sorted(paths.items()))})
        return self._index[1]

    def document(self, path: str) -> Document | None:
        """``GET /openapi/v3/{path}``, for example "apis/apps/v1"; None when nothing is served there."""
        parts = path.strip("/").split("/")
        if parts[0] == "api" and len(parts) == 2:
            version = find_version(self._catalog, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 3 and parts[1]:
            version = find_version(self._catalog, parts[1], parts[2])
        else:
            return None
        return self._built(document_path(version), version) if version is not None else None

    def _built(self, path: str, version: Version) -> Document:
        kept = self._documents.get(path)
        if kept is not None and _same(kept[0], version):
            return kept[1]
        body = orjson.dumps(build(version))
        document = Document(body, etag(body))
        self._documents[path] = version, document
        return document


def document_path(version: Version) -> str:
    return f"apis/{version.group}/{version.name}" if version.group else f"api/{version.name}"


def build(version: Version) -> Json:
    """The document of one group and version."""
    types = Types("v3", version.kinds, load_descriptions())
    paths: dict[str, Json] = {}
    for operation in operations(version):
        item = paths.setdefault(operation.path, {"parameters": _path_parameters(operation)})
        item[operation.method] = _operation(operation, types)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": types.definitions(), "securitySchemes": SECURITY},
    }


SECURITY = {
    "BearerToken": {"description": "Bearer token", "in": "header", "name": "authorization", "type": "apiKey"},
}


def _same(one: Version, other: Version) -> bool:
    return len(one.kinds) == len(other.kinds) and all(a is b for a, b in zip(one.kinds, other.kinds, strict=True))


def _operation(operation: Operation, types: Types) -> Json:
    out: Json = {
        "description": operation.description,
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "responses": _responses(operation, types),
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(operation),
    }
    if operation.parameters:
        out["parameters"] = [_query_parameter(name) for name in operation.parameters]
    if operation.body is not None:
        schema = {"schema": types.reference(operation.body)}
        out["requestBody"] = {"content": dict.fromkeys(operation.consumes, schema)}
        if operation.method != "delete":
            out["requestBody"]["required"] = True
    return out


def _responses(operation: Operation, types: Types) -> Json:
    schema: Any = {"type": "string"} if operation.answer is None else types.reference(operation.answer)
    content = {media: {"schema": schema} for media in operation.produces}
    answers: Json = {str(code): {"description": CODES[code], "content": content} for code in operation.codes}
    return answers | {"401": {"description": "Unauthorized"}}


CODES = {200: "OK", 201: "Created", 202: "Accepted"}


def group_version_kind(operation: Operation) -> Json:
    group, version, kind = operation.gvk
    return {"group": group, "kind": kind, "version": version}


def _query_parameter(name: str) -> Json:
    kind, text = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}


def _path_parameters(operation: Operation) -> list[Json]:
    return [
        {"name": name, "in": "path", "description": text, "required": True, "schema": _TYPES["string"]}
        for name, text in path_parameters(operation)
    ]


def path_parameters(operation: Operation) -> list[tuple[str, str]]:
    """Name and description of what stands in braces in the path."""
    return [
        (name, text.format(kind=operation.kind))
        for name, text in PATH_PARAMETERS.items()
        if f"{{{name}}}" in operation.path
    ]

"""OpenAPI 2.0 ("swagger"): one document of everything, as JSON and as the protobuf form that older clients ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, final

import orjson

from .catalog import Catalog
from .discovery import etag
from .openapi import CODES, SECURITY, Document, group_version_kind, path_parameters
from .openapi_gnostic import encode_document
from .openapi_paths import PARAMETERS, Operation, operations
from .openapi_types import Json, Types
from .tables import load_descriptions


class Others(NamedTuple):
    """What others serve beside the catalog: ``merge`` puts it into a tree. Equal ``states`` put in the same."""

    states: tuple[object, ...]
    merge: Callable[[Json], None]


NO_OTHERS = Others((), lambda tree: None)


@final
class Swagger:
    """The document of a catalog in both forms. Building takes up to about 500 ms: call from a thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._state: tuple[object, ...] = ()
        self._forms: dict[str, Document] = {}

    def document(self, form: Literal["json", "protobuf"], others: Others = NO_OTHERS) -> Document:
        """``GET /openapi/v2``."""
        state = self._catalog.revision, *others.states
        if self._state != state:
            self._forms, self._state = {}, state
        if form not in self._forms:
            # Only bytes are kept: the tree of dicts takes ten times as much.
            tree = build(self._catalog)
            others.merge(tree)
            body = orjson.dumps(tree) if form == "json" else encode_document(tree)
            self._forms[form] = Document(body, etag(body))
        return self._forms[form]


def build(catalog: Catalog) -> Json:
    """The whole document as a tree."""
    groups = catalog.groups()  # once: kinds come and go while a thread writes
    kinds = (kind for group in groups for version in group.versions for kind in version.kinds)
    types = Types("v2", kinds, load_descriptions())
    paths: dict[str, Json] = {}
    for group in groups:
        for version in group.versions:
            for operation in operations(version):
                item = paths.setdefault(operation.path, {"parameters": _path_parameters(operation)})
                item[operation.method] = _operation(operation, types)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": dict(sorted(paths.items())),
        "definitions": types.definitions(),
        "securityDefinitions": SECURITY,
        "security": [{"BearerToken": []}],
    }


def _operation(operation: Operation, types: Types) -> Json:
    parameters: list[Json] = []
    if operation.body is not None:
        body: Json = {"name": "body", "in": "body", "schema": types.reference(operation.body)}
        parameters.append(body if operation.method == "delete" else body | {"required": True})
    parameters.extend(_query_parameter(name) for name in operation.parameters)
    out: Json = {
        "description": operation.description,
        "consumes": list(operation.consumes),
        "produces": list(operation.produces),
        "schemes": ["https"],
        "tags": [operation.tag],
        "operationId": operation.operation_id,
        "responses": _responses(operation, types),
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(operation),
    }
    return out | {"parameters": parameters} if parameters else out


def _responses(operation: Operation, types: Types) -> Json:
    schema = {"type": "string"} if operation.answer is None else types.reference(operation.answer)
    answers: Json = {str(code): {"description": CODES[code], "schema": schema} for code in operation.codes}
    return answers | {"401": {"description": "Unauthorized"}}


def _query_parameter(name: str) -> Json:
    kind, text = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "type": kind, "uniqueItems": True}


def _path_parameters(operation: Operation) -> list[Json]:
    return [
        {"name": name, "in": "path", "description": text, "required": True, "type": "string", "uniqueItems": True}
        for name, text in path_parameters(operation)
    ]

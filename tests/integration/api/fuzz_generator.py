"""Requests by chance from the published OpenAPI: mostly well formed, some of them hostile.

Everything comes from one ``random.Random``: the seed of a run repeats it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple, final
from urllib.parse import quote, urlencode

import orjson

from kafila.core.values import Object

Schemas = dict[str, Object]
REF = "#/components/schemas/"
NAMES = ("a", "web", "db-0", "x.example.com", "UPPER", "with space", "a" * 70, "-", "..", "é", "a%2Fb")
NAMESPACES = ("default", "fuzz", "missing", "ending")
WORDS = (
    "a", "web", "", "A_b", "app.kubernetes.io/name", "10.0.0.1", "fd00::1", "10.0.0.0/24", "8080", "http", "100Mi", "0", "-1",
    "1.5", "2026-01-01T00:00:00Z", "TCP", "*", "/", "/var/run", "v1", "apps/v1", "spec.x", "metadata.name", "x" * 300, "\x00", "é\u2028",
    "25%", "1h", "@hourly", "*/5 * * * *", "example.com", "https://example.com", "nginx:1", "c2VjcmV0", "{}", "[]", "null",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 80, 443, 8080, 65535, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 10**30)
HOSTILE: tuple[Any, ...] = (None, True, 0, -1, 1.5, 1e300, "", "x", [], {}, [None], [[]], {"": None}, {"a": {"b": []}})
QUERY = {
    "dryRun": ("All", "All", "", "None", "all"),
    "fieldManager": ("fuzz", "fuzz", "", "x" * 129, "\x07"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "strict"),
    "force": ("true", "false", "maybe"),
    "limit": ("1", "2", "500", "-1", "x", "99999999999999999999"),
    "continue": ("", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0"),
    "labelSelector": ("a=b", "a in (b,c)", "!a", "a", "=", "a in (", "a b", "a=b,,c", "x" * 400),
    "fieldSelector": ("metadata.name=a", "spec.nodeName=", "metadata.namespace!=b", "nope=1", "=", "a"),
    "resourceVersion": ("", "0", "1", "3", "-1", "x", "99999999999"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "exact", ""),
    "gracePeriodSeconds": ("0", "-1", "x", "30"),
    "propagationPolicy": ("Foreground", "Background", "Orphan", "x"),
    "orphanDependents": ("true", "x"),
    "pretty": ("true", "x"),
    "includeObject": ("None", "Metadata", "Object", "x"),
    "unknown": ("x",),
}
ACCEPTS = (
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "*/*",
    "text/html",
    ";;;",
)
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


class Sent(NamedTuple):
    """A request, printable when it fails."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: bytes


@final
class Values:
    """Values of an OpenAPI schema."""

    def __init__(self, chance: random.Random, schemas: Schemas) -> None:
        self._chance = chance
        self._schemas = schemas

    def of(self, schema: Object, depth: int = 0) -> Any:
        if self._chance.random() < 0.01:
            return self._chance.choice(HOSTILE)
        schema = self._resolved(schema)
        if "enum" in schema:
            return self._chance.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth)
        if kind == "array":
            count = self._chance.choice((0, 1, 1, 1, 2, 3)) if depth < 8 else 0
            return [self.of(schema.get("items") or {}, depth + 1) for _ in range(count)]
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return self._chance.choice(NUMBERS[:8] if self._chance.random() < 0.9 else NUMBERS)
        if kind == "boolean":
            return self._chance.random() < 0.5
        return self._chance.choice((*WORDS, *NUMBERS[:6], *HOSTILE))

    def _resolved(self, schema: Object) -> Object:
        while True:
            if "$ref" in schema:
                schema = self._schemas[schema["$ref"].removeprefix(REF)]
            elif "allOf" in schema:
                schema = {**schema["allOf"][0], **{k: v for k, v in schema.items() if k != "allOf"}}
            elif "oneOf" in schema or "anyOf" in schema:
                schema = self._chance.choice(schema.get("oneOf") or schema["anyOf"])
            else:
                return schema

    def _object(self, schema: Object, depth: int) -> Object:
        properties: Object = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        if not properties:
            values = extra if isinstance(extra, dict) else {}
            return {
                self._chance.choice(WORDS): self.of(values, depth + 1) for _ in range(self._chance.choice((0, 1, 2)))
            }
        required = schema.get("required") or ()
        wanted = 3 if depth < 4 else 1  # about so many that need not be there
        out = {}
        for name, of in properties.items():
            if name in required or self._chance.random() * len(properties) < wanted:
                out[name] = self.of(of, depth + 1)
        if self._chance.random() < 0.02:
            out[self._chance.choice(WORDS)] = self._chance.choice(HOSTILE)
        return out

    def _string(self, schema: Object) -> str:
        told = re.findall(r'"([A-Za-z0-9.\-/]+)"|`([A-Za-z0-9.\-/]+)`', schema.get("description", ""))
        if told and self._chance.random() < 0.7:
            return "".join(self._chance.choice(told))
        if "default" in schema and self._chance.random() < 0.5:
            return str(schema["default"])
        return self._chance.choice(WORDS)

    def mutated(self, value: Any) -> Any:
        """``value`` with something else at a place of it."""
        if isinstance(value, dict) and value and self._chance.random() < 0.9:
            key = self._chance.choice(list(value))
            if self._chance.random() < 0.1:
                return {k: v for k, v in value.items() if k != key}
            return {**value, key: self.mutated(value[key])}
        if isinstance(value, list) and value and self._chance.random() < 0.9:
            at = self._chance.randrange(len(value))
            return [*value[:at], self.mutated(value[at]), *value[at + self._chance.randrange(2) :]]
        return self._chance.choice((*HOSTILE, *WORDS, *NUMBERS))


class Operation(NamedTuple):
    """A documented method of a path. ``schema``: of what is sent, None when nothing is."""

    method: str
    path: str
    schema: Object | None
    values: Values
    gvk: Object


def operations(documents: list[Object], chance: random.Random) -> list[Operation]:
    """All that the documents offer, but streams."""
    found = []
    for document in documents:
        values = Values(chance, document["components"]["schemas"])
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method not in ("get", "post", "put", "patch", "delete") or "/watch/" in path:
                    continue
                gvk = operation.get("x-kubernetes-group-version-kind") or {}
                content = (operation.get("requestBody") or {}).get("content") or {}
                schema = next((form["schema"] for form in content.values() if "schema" in form), None)
                if method == "patch":  # the schema of a patch says nothing: a part of the object is sent
                    schema = _answered(operation)
                found.append(Operation(method.upper(), path, schema, values, gvk))
    return found


def _answered(operation: Object) -> Object:
    content = operation["responses"]["200"].get("content") or {}
    return next((form["schema"] for form in content.values() if "schema" in form), {})


@final
class Requests:
    """``stored``: an object that exists below a path, or None; what is sent is often made from one."""

    def __init__(self, chance: random.Random, documents: list[Object], stored: Callable[[str], Object | None]) -> None:
        self._chance = chance
        self._operations = operations(documents, chance)
        self._stored = stored

    def next(self) -> Sent:
        operation = self._chance.choice(self._operations)
        path = operation.path
        for name in re.findall(r"{(\w+)}", path):
            pool = NAMESPACES if name == "namespace" else NAMES
            few = pool[:2] if self._chance.random() < 0.8 else pool
            path = path.replace(f"{{{name}}}", quote(self._chance.choice(few), safe="%"))
        body, media_type = self._body(operation, path)
        headers = {"accept": ACCEPTS[0] if self._chance.random() < 0.7 else self._chance.choice(ACCEPTS)}
        if media_type:
            headers["content-type"] = media_type
        return Sent(operation.method, path + self._query(operation), headers, body)

    def _query(self, operation: Operation) -> str:
        names = self._chance.sample(list(QUERY), self._chance.choice((0, 0, 0, 1, 2)))
        query = {name: self._chance.choice(QUERY[name]) for name in names}
        if operation.method == "PATCH":
            query.setdefault("fieldManager", "fuzz")
        if operation.method in ("POST", "PUT", "PATCH", "DELETE") and self._chance.random() < 0.1:
            query["dryRun"] = "All"
        return f"?{urlencode(query)}" if query else ""

    def _body(self, operation: Operation, path: str) -> tuple[bytes, str]:
        if operation.method == "GET" or (operation.schema is None and self._chance.random() < 0.8):
            return b"", ""
        value = self._value(operation, path)
        media_type = "application/json"
        if operation.method == "PATCH":
            media_type = self._chance.choice(PATCHES)
            if media_type == PATCHES[0]:
                value = self._operations_on(value)
        body = _encoded(value)
        roll = self._chance.random()
        if roll < 0.02:
            media_type = self._chance.choice(
                ("application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", "")
            )
        elif roll < 0.05:
            body = self._broken(body)
        return body, media_type

    def _value(self, operation: Operation, path: str) -> Any:
        stored = self._stored(path) if operation.method != "POST" else None
        if stored is not None and self._chance.random() < 0.7:
            value: Any = stored
            for _ in range(self._chance.choice((0, 1, 1, 2))):
                value = operation.values.mutated(value)
            return value
        value = operation.values.of(operation.schema or {})
        if not isinstance(value, dict) or self._chance.random() < 0.03:
            return value
        group = operation.gvk.get("group", "")
        value["apiVersion"] = f"{group}/{operation.gvk.get('version')}" if group else operation.gvk.get("version", "v1")
        value["kind"] = operation.gvk.get("kind", "")
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and self._chance.random() < 0.9:
            last = path.rsplit("/", 1)[-1]
            named = last if "{name}" in operation.path else self._chance.choice(NAMES[:4])
            value["metadata"] = {
                k: v for k, v in metadata.items() if k in ("labels", "annotations", "finalizers", "ownerReferences")
            } | {"name": named}
        return value

    def _operations_on(self, value: Any) -> Any:
        """A JSON patch that touches places of ``value``."""
        out = []
        for _ in range(self._chance.choice((0, 1, 1, 2, 5))):
            at, place = value, ""
            while isinstance(at, (dict, list)) and at and self._chance.random() < 0.8:
                key = self._chance.choice(list(at)) if isinstance(at, dict) else self._chance.randrange(len(at))
                at, place = at[key], f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}"
            op = self._chance.choice(("add", "replace", "remove", "test", "move", "copy", "nope"))
            out.append({"op": op, "path": place, "from": place[:-1], "value": self._chance.choice((at, *HOSTILE))})
        return out

    def _broken(self, body: bytes) -> bytes:
        if not body:
            return b"\xff"
        at = self._chance.randrange(len(body))
        return self._chance.choice(
            (
                body[:at],
                body[:at] + b"\x00" + body[at:],
                body + body,
                b"[" * 3000,
                b'{"a":' * 3000,
                b"\xef\xbb\xbf" + body,
                b"",
            )
        )


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):  # integers beyond 64 bits
        import json

        return json.dumps(value).encode()

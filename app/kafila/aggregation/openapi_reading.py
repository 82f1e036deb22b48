"""What an extension server says in ``/openapi/v2``, as far as it is about its own version, and of the shape that OpenAPI 2.0 has.

A server may say anything. What is of another shape makes its whole document none (as in Go, where it has types), what OpenAPI does
not know is left out, and what it says of others' paths and kinds is not listened to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import orjson

Json = dict[str, Any]
Read = Callable[[Any, int], Any]
DEEPEST: Final = 64  # levels of a document
MOST_DEFINITIONS: Final = 5_000
LARGEST: Final = 4 << 20  # bytes of what is kept of one server's version
DEFINITIONS: Final = "#/definitions/"
PARAMETERS: Final = "#/parameters/"
KINDS: Final = "x-kubernetes-group-version-kind"
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_MOST_INTEGER: Final = 1 << 53


class Swagger(NamedTuple):
    """``body``: JSON with ``paths``, ``definitions`` and ``parameters`` of one version."""

    body: bytes
    etag: bytes

    def tree(self) -> Json:
        found: Json = orjson.loads(self.body)
        return found


def read(body: bytes, group: str, version: str) -> bytes:
    """What a document says of a version. Raises ValueError for one that is none, or is too large."""
    given = _mapping(orjson.loads(body))
    if given.get("swagger") != "2.0":
        raise ValueError("it is no document of OpenAPI 2.0")
    definitions = _named(_schema, MOST_DEFINITIONS)(given.get("definitions") or {}, DEEPEST)
    parameters = _named(_parameter, MOST_DEFINITIONS)(given.get("parameters") or {}, DEEPEST)
    prefix = f"/apis/{group}/{version}/"
    paths = {path: item for path, item in _mapping(given.get("paths") or {}).items() if path.startswith(prefix)}
    found: Json = {
        "paths": _named(_path, MOST_DEFINITIONS)(paths, DEEPEST),
        "definitions": definitions,
        "parameters": parameters,
    }
    kept = without_unused(found, reached({**found, "paths": given.get("paths")}))
    for definition in kept["definitions"].values():
        _only_of(group, definition)
    out = orjson.dumps(kept)
    if len(out) > LARGEST:
        raise ValueError(f"what it says of {group}/{version} is longer than {LARGEST} bytes")
    return out


def without_unused(document: Json, before: set[str]) -> Json:
    """Without the definitions that no path leads to any longer, of those that one led to ``before``."""
    lost = before - reached(document)
    kept = {name: schema for name, schema in document["definitions"].items() if name not in lost}
    return {**document, "definitions": kept}


def reached(document: Json) -> set[str]:
    """The definitions that paths and parameters lead to, over others too."""
    definitions = document["definitions"]
    names: set[str] = set()
    waiting = [document["paths"], document.get("parameters") or {}]
    while waiting:
        for reference in references(waiting.pop()):
            name = reference.removeprefix(DEFINITIONS)
            if name in definitions and name not in names:
                names.add(name)
                waiting.append(definitions[name])
    return names


def references(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str):
                yield reference
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _only_of(group: str, definition: Json) -> None:
    """A server speaks of its own group's kinds only: clients find a kind's schema by what stands here."""
    kinds = definition.pop(KINDS, None)
    if own := [kind for kind in kinds or () if kind["group"] == group]:
        definition[KINDS] = own


# -- shapes ------------------------------------------------------------------------------------------------------------


def _mapping(value: Any) -> Json:
    if not isinstance(value, dict):
        raise ValueError("it has something else where an object is expected")
    return value


def _text(value: Any, depth: int) -> str:
    if not isinstance(value, str):
        raise ValueError("it has something else where text is expected")
    return value


def _flag(value: Any, depth: int) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it has something else where true or false is expected")
    return value


def _count(value: Any, depth: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_INTEGER:
        raise ValueError("it has something else where a count is expected")
    return value


def _number(value: Any, depth: int) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("it has something else where a number is expected")
    return value


def _free(value: Any, depth: int) -> Any:
    """Any value, not too deep."""
    if depth < 0:
        raise ValueError(f"it is deeper than {DEEPEST} levels")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _free(part, depth - 1)
    return value


def _kinds(value: Any, depth: int) -> list[Json]:
    if not isinstance(value, list):
        raise ValueError(f"{KINDS} is no list")
    return [
        {field: _text(_mapping(each).get(field), depth) for field in ("group", "version", "kind")} for each in value
    ]


def _listed(read: Read) -> Read:
    def of(value: Any, depth: int) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("it has something else where a list is expected")
        return [read(each, depth - 1) for each in value]

    return of


def _named(read: Read, most: int = 1_000) -> Read:
    def of(value: Any, depth: int) -> Json:
        if len(_mapping(value)) > most:
            raise ValueError(f"it has more than {most} entries in one place")
        return {name: read(each, depth - 1) for name, each in value.items()}

    return of


def _either(first: type, read: Read, otherwise: Read) -> Read:
    return lambda value, depth: (read if isinstance(value, first) else otherwise)(value, depth)


def _object(fields: dict[str, Read]) -> Read:
    def of(value: Any, depth: int) -> Json:
        if depth < 0:
            raise ValueError(f"it is deeper than {DEEPEST} levels")
        out = {}
        for name, each in _mapping(value).items():
            read = fields.get(name) or (_free if name.startswith("x-") else None)
            if read is not None and each is not None:
                out[name] = read(each, depth - 1)
        return out

    return of


_TEXTS: Final = _listed(_text)


def _schema(value: Any, depth: int) -> Json:
    found: Json = _SCHEMA(value, depth)
    if KINDS in found:
        found[KINDS] = _kinds(found[KINDS], depth)
    return found


_SCHEMA: Final = _object(
    dict.fromkeys(("$ref", "format", "title", "description", "pattern", "discriminator"), _text)
    | dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "uniqueItems", "readOnly"), _flag)
    | dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _count)
    | dict.fromkeys(("multipleOf", "maximum", "minimum"), _number)
    | {
        "default": _free,
        "example": _free,
        "required": _TEXTS,
        "enum": _listed(_free),
        "type": _either(list, _TEXTS, _text),
        "items": _either(list, _listed(_schema), _schema),
        "allOf": _listed(_schema),
        "properties": _named(_schema, MOST_DEFINITIONS),
        "additionalProperties": _either(bool, _flag, _schema),
    }
)
_PARAMETER: Final = _object(
    dict.fromkeys(("$ref", "name", "in", "description", "type", "format"), _text)
    | {"required": _flag, "uniqueItems": _flag, "schema": _schema}
)


def _parameter(value: Any, depth: int) -> Json:
    found: Json = _PARAMETER(value, depth)
    if "$ref" in found:
        return {"$ref": found["$ref"]}
    if found.get("in") not in ("body", "path", "query", "header", "formData") or "name" not in found:
        raise ValueError("it has a parameter without a name or a place")
    if (found["in"] == "body") != ("schema" in found) or (found["in"] != "body" and "type" not in found):
        raise ValueError(f"its parameter {found['name'][:64]!r} has no type")
    return found


_RESPONSE: Final = _object({"description": _text, "schema": _schema})
_OPERATION: Final = _object(
    dict.fromkeys(("description", "summary", "operationId"), _text)
    | dict.fromkeys(("consumes", "produces", "schemes", "tags"), _TEXTS)
    | {"deprecated": _flag, "parameters": _listed(_parameter), "responses": _named(_RESPONSE)}
)
_path: Final = _object(dict.fromkeys(METHODS, _OPERATION) | {"parameters": _listed(_parameter)})

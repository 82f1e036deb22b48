"""A swagger document as gnostic's protobuf message ``openapi.v2.Document`` (gnostic-models, openapiv2/OpenAPIv2.proto).

A writer of the messages that our documents use, and those of extension servers as :mod:`kafila.aggregation` reads them; numbers
in the calls are the field numbers of that file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from kafila.machinery.protobuf_wire import FIXED64, bytes_field, tag_bytes, text_field, varint_field

Json = dict[str, Any]


def encode_document(tree: Json) -> bytes:
    """``tree`` as ``openapi_v2.build`` makes it, with what others have put into it."""
    info = text_field(1, tree["info"]["title"]) + text_field(2, tree["info"]["version"])
    paths = b"".join(_named(2, path, _path_item(item)) for path, item in tree["paths"].items())
    definitions = b"".join(_named(1, name, _schema(schema)) for name, schema in tree["definitions"].items())
    return (
        text_field(1, tree["swagger"])
        + bytes_field(2, info)
        + bytes_field(8, paths)
        + bytes_field(9, definitions)
        + _shared_parameters(tree.get("parameters") or {})
        + b"".join(bytes_field(12, _security_requirement(entry)) for entry in tree["security"])
        + bytes_field(13, b"".join(_named(1, name, _api_key(key)) for name, key in tree["securityDefinitions"].items()))
    )


# --- wire format ------------------------------------------------------------------------------------------------------


def _texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(bytes_field(number, value.encode()) for value in values)


def _flag(number: int, value: Any) -> bytes:
    return varint_field(number, 1) if value else b""


def _double(number: int, value: float) -> bytes:
    return tag_bytes(number, FIXED64) + struct.pack("<d", value)


def _named(number: int, name: str, value: bytes) -> bytes:
    """NamedPathItem, NamedSchema, NamedResponseValue …: all are ``name = 1, value = 2``."""
    return bytes_field(number, text_field(1, name) + bytes_field(2, value))


# --- messages ---------------------------------------------------------------------------------------------------------

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _path_item(item: Json) -> bytes:
    methods = b"".join(bytes_field(_METHODS[key], _operation(item[key])) for key in _METHODS if key in item)
    return methods + _parameters(9, item.get("parameters", ())) + _extensions(10, item)


def _operation(operation: Json) -> bytes:
    answers = b"".join(
        _named(1, code, bytes_field(1, _response(answer))) for code, answer in operation.get("responses", {}).items()
    )
    return (
        _texts(1, operation.get("tags", ()))
        + text_field(2, operation.get("summary", ""))
        + text_field(3, operation.get("description", ""))
        + text_field(5, operation.get("operationId", ""))
        + _texts(6, operation.get("produces", ()))
        + _texts(7, operation.get("consumes", ()))
        + _parameters(8, operation.get("parameters", ()))
        + bytes_field(9, answers)
        + _texts(10, operation.get("schemes", ()))
        + _flag(11, operation.get("deprecated"))
        + _extensions(13, operation)
    )


def _response(answer: Json) -> bytes:
    schema = bytes_field(2, bytes_field(1, _schema(answer["schema"]))) if "schema" in answer else b""
    return text_field(1, answer.get("description", "")) + schema


def _shared_parameters(parameters: Json) -> bytes:
    """Those that operations refer to; ours do not."""
    if not parameters:
        return b""
    return bytes_field(10, b"".join(_named(1, name, _parameter(each)) for name, each in parameters.items()))


def _parameters(number: int, parameters: Iterable[Json]) -> bytes:
    return b"".join(bytes_field(number, _parameters_item(parameter)) for parameter in parameters)


def _parameters_item(parameter: Json) -> bytes:
    if "$ref" in parameter:
        return bytes_field(2, text_field(1, parameter["$ref"]))
    return bytes_field(1, _parameter(parameter))


_PLACES = {"header": 1, "formData": 2, "query": 3, "path": 4}  # parameters that are no body


def _parameter(parameter: Json) -> bytes:
    place, required = parameter["in"], parameter.get("required")
    if place == "body":
        body = text_field(1, parameter.get("description", "")) + text_field(2, parameter["name"])
        body += text_field(3, "body") + _flag(4, required)
        return bytes_field(1, body + bytes_field(5, _schema(parameter["schema"])))
    common = _flag(1, required) + text_field(2, place) + text_field(3, parameter.get("description", ""))
    common += text_field(4, parameter["name"])
    shift = place in ("formData", "query")  # these have a field more: allow_empty_value
    common += text_field(5 + shift, parameter["type"]) + text_field(6 + shift, parameter.get("format", ""))
    common += _flag(19 + shift, parameter.get("uniqueItems"))
    return bytes_field(2, bytes_field(_PLACES[place], common))


def _schema(schema: Json) -> bytes:
    return b"".join(_SCHEMA[key](schema[key]) for key in _SCHEMA if key in schema) + _extensions(31, schema)


_SCHEMA: dict[str, Callable[[Any], bytes]] = {
    "$ref": lambda value: text_field(1, value),
    "format": lambda value: text_field(2, value),
    "title": lambda value: text_field(3, value),
    "description": lambda value: text_field(4, value),
    "default": lambda value: bytes_field(5, _any(value)),
    "multipleOf": lambda value: _double(6, value),
    "maximum": lambda value: _double(7, value),
    "exclusiveMaximum": lambda value: _flag(8, value),
    "minimum": lambda value: _double(9, value),
    "exclusiveMinimum": lambda value: _flag(10, value),
    "maxLength": lambda value: varint_field(11, value),
    "minLength": lambda value: varint_field(12, value),
    "pattern": lambda value: text_field(13, value),
    "maxItems": lambda value: varint_field(14, value),
    "minItems": lambda value: varint_field(15, value),
    "uniqueItems": lambda value: _flag(16, value),
    "maxProperties": lambda value: varint_field(17, value),
    "minProperties": lambda value: varint_field(18, value),
    "required": lambda value: _texts(19, value),
    "enum": lambda value: b"".join(bytes_field(20, _any(item)) for item in value),
    "additionalProperties": lambda value: bytes_field(
        21, _flag(2, value) if isinstance(value, bool) else bytes_field(1, _schema(value))
    ),
    "type": lambda value: bytes_field(22, _texts(1, value if isinstance(value, list) else (value,))),
    "items": lambda value: bytes_field(
        23, b"".join(bytes_field(1, _schema(node)) for node in (value if isinstance(value, list) else (value,)))
    ),
    "allOf": lambda value: b"".join(bytes_field(24, _schema(node)) for node in value),
    "properties": lambda value: bytes_field(
        25, b"".join(_named(1, name, _schema(node)) for name, node in value.items())
    ),
    "discriminator": lambda value: text_field(26, value),
    "readOnly": lambda value: _flag(27, value),
    "example": lambda value: bytes_field(30, _any(value)),
}


def _extensions(number: int, owner: Json) -> bytes:
    return b"".join(_named(number, key, _any(value)) for key, value in owner.items() if key.startswith("x-"))


def _any(value: Any) -> bytes:
    """Any { yaml = 2 }: gnostic keeps free values as YAML text, and JSON is YAML."""
    return text_field(2, orjson.dumps(value).decode())


def _security_requirement(entry: dict[str, list[str]]) -> bytes:
    return b"".join(_named(1, name, _texts(1, scopes)) for name, scopes in entry.items())


def _api_key(key: Json) -> bytes:
    return bytes_field(
        2,
        text_field(1, key["type"])
        + text_field(2, key["name"])
        + text_field(3, key["in"])
        + text_field(4, key["description"]),
    )

"""Validation of custom resources against the models, in the words of a CustomResourceDefinition's schema.

A check gets a value and answers None, or what is wrong in it with the path relative to the value: a valid object costs no
string handling at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from kafila.core.clock import parse_rfc3339
from kafila.core.errors import FieldError
from kafila.core.values import JSON_TYPES
from kafila.machinery.schema import Schema

from .model import QUANTITY, Model
from .shapes import Member, Shape, members

Make = Callable[[str], FieldError]  # path -> the finding
Finding = tuple[str, Make]  # path relative to the value, and the finding
Check = Callable[[Any], "list[Finding] | None"]
Resolve = Callable[[str], Schema]


class Null:
    """A null that a webhook left where a list or map is required: unlike a client's it is not as good as absent."""

    def __bool__(self) -> bool:
        return False


NULL = Null()
_TYPES = {**JSON_TYPES, Null: "null"}


def compile_validation(model: type[Model], resolve: Resolve) -> Callable[[Any], list[FieldError]]:
    """Checks a whole object (metadata is checked elsewhere)."""
    check = _struct(members(model), resolve)

    def validate(obj: Any) -> list[FieldError]:
        found = check(obj)
        return [make(path[1:]) for path, make in found] if found else []

    return validate


def compile_status_validation(model: type[Model], resolve: Resolve) -> Callable[[Any], list[FieldError]]:
    """Checks the status of an object alone, as a write of the subresource does: its texts say where from there on."""
    shape = next(member.shape for member in members(model) if member.name == "status")
    check = _shape(shape, resolve)

    def validate(obj: Any) -> list[FieldError]:
        status = obj.get("status")
        found = check(status) if check is not None and status is not None else None
        return [_below_status(make(path[1:])) for path, make in found or ()]

    return validate


def _below_status(error: FieldError) -> FieldError:
    return replace(error, field=f"status.{error.field}" if error.field else "status")


def _struct(listed: Sequence[Member], resolve: Resolve) -> Check:
    required = tuple(m.name for m in listed if m.required)
    checks = {m.name: check for m in listed if (check := _shape(m.shape, resolve)) is not None}
    return _object(required, checks)


def _object(required: tuple[str, ...], checks: dict[str, Check]) -> Check:
    def check(value: Any) -> list[Finding] | None:
        if type(value) is not dict:
            return _wrong_type(value, "object")
        found: list[Finding] | None = None
        for name in required:
            if value.get(name) is None:
                found = found or []
                found.append((f".{name}", FieldError.required))
        for name, inner in value.items():
            look = checks.get(name)
            # null is as good as absent: the API server takes it out
            if look is not None and inner is not None and (wrong := look(inner)) is not None:
                found = found or []
                found.extend((f".{name}{path}", make) for path, make in wrong)
        return found

    return check


def _shape(shape: Shape, resolve: Resolve) -> Check | None:
    match shape.kind:
        case "struct":
            assert shape.model is not None
            return _struct(members(shape.model), resolve)
        case "ref":
            return _schema(resolve(shape.ref), {})
        case "list":
            assert shape.items is not None
            return _list(_shape(shape.items, resolve), shape.shortest, shape.longest, shape.keys)
        case "map":
            assert shape.items is not None
            return _map(_shape(shape.items, resolve))
        case "string":
            return _string(shape)
        case "integer":
            return _integer(shape.minimum, shape.maximum)
        case "boolean":
            return _typed(bool, "boolean")
        case "time":
            return _time
        case "bytes":
            return _bytes
        case "int-or-string":
            return _amount(shape.pattern) if shape.pattern else None
        case "any" if shape.format == "object":
            return _typed(dict, "object")
    return None


def _schema(schema: Schema, seen: dict[int, list[Check]]) -> Check | None:
    """Kubernetes' own definitions carry types, required fields and enums, no more; a CustomResourceDefinition says how
    quantities are written."""
    match schema.kind:
        case "struct":
            known = seen.get(id(schema))
            if known is not None:
                return lambda value: known[0](value)
            cell: list[Check] = []
            seen[id(schema)] = cell
            checks = {n: c for n, s in schema.fields.items() if (c := _schema(s, seen)) is not None}
            cell.append(_object(tuple(sorted(schema.required)), checks))
            return cell[0]
        case "list" if schema.items is not None:
            return _list(_schema(schema.items, seen), None, None, schema.list_map_keys)
        case "map" if schema.items is not None:
            return _map(_schema(schema.items, seen))
        case "string":
            return _string(Shape("string", enum=schema.enum))
        case "integer":
            return _integer(None, None)
        case "quantity":
            return _amount(QUANTITY)
        case "boolean":
            return _typed(bool, "boolean")
    return None


def _list(each: Check | None, shortest: int | None, longest: int | None, keys: tuple[str, ...]) -> Check:
    def check(value: Any) -> list[Finding] | None:
        if type(value) is not list:
            return _wrong_type(value, "array")
        size = len(value)
        if shortest is not None and size < shortest:
            return _invalid(size, f"should have at least {shortest} items")
        if longest is not None and size > longest:
            return [("", lambda path: FieldError.too_many(path, size, longest))]
        found: list[Finding] = []
        if each is not None:
            for index, item in enumerate(value):
                wrong = each(item)
                if wrong is not None:
                    found.extend((f"[{index}]{path}", make) for path, make in wrong)
        if keys and size > 1 and not found:
            found = _duplicates(value, keys)
        return found or None

    return check


def _duplicates(items: list[dict[str, Any]], keys: tuple[str, ...]) -> list[Finding]:
    seen: set[tuple[Any, ...]] = set()
    found: list[Finding] = []
    for index, item in enumerate(items):
        key = tuple(item.get(k) for k in keys)
        if key in seen:
            shown = dict(zip(keys, key, strict=True))
            found.append((f"[{index}]", lambda path, shown=shown: FieldError.duplicate(path, shown)))  # type: ignore[misc]
        seen.add(key)
    return found


def _map(each: Check | None) -> Check:
    def check(value: Any) -> list[Finding] | None:
        if type(value) is not dict:
            return _wrong_type(value, "object")
        if each is None:
            return None
        found: list[Finding] = []
        for name, item in value.items():
            wrong = each(item) if item is not None else None
            if wrong is not None:
                found.extend((f".{name}{path}", make) for path, make in wrong)
        return found or None

    return check


def _string(shape: Shape) -> Check:
    if shape.enum:
        return _enum(shape.enum)
    shortest, longest = shape.shortest, shape.longest
    pattern = shape.pattern
    matches = _matcher(pattern) if pattern else None
    if shortest is None and longest is None and matches is None:
        return _typed(str, "string")

    def check(value: Any) -> list[Finding] | None:
        if type(value) is not str:
            return _wrong_type(value, "string")
        # the first thing that is wrong is said, as the API server does
        if longest is not None and len(value) > longest:
            return [("", lambda path: FieldError.too_long(path, longest))]
        if shortest is not None and len(value) < shortest:
            return _invalid(value, f"should be at least {shortest} chars long")
        if matches is not None and not matches(value):
            return _invalid(value, f"should match '{pattern}'")
        return None

    return check


def _enum(allowed: tuple[str, ...]) -> Check:
    known = frozenset(allowed)

    def check(value: Any) -> list[Finding] | None:
        if type(value) is not str:
            return _wrong_type(value, "string")
        return None if value in known else [("", lambda path: FieldError.not_supported(path, value, allowed))]

    return check


def _integer(minimum: int | None, maximum: int | None) -> Check:
    def check(value: Any) -> list[Finding] | None:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            return _wrong_type(value, "integer")
        if minimum is not None and value < minimum:
            return _invalid(value, f"should be greater than or equal to {minimum}")
        if maximum is not None and value > maximum:
            return _invalid(value, f"should be less than or equal to {maximum}")
        return None

    return check


def _typed(expected: type, name: str) -> Check:
    def check(value: Any) -> list[Finding] | None:
        return None if type(value) is expected else _wrong_type(value, name)

    return check


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _time(value: Any) -> list[Finding] | None:
    if type(value) is not str:
        return _wrong_type(value, "string")
    try:
        if _RFC3339.fullmatch(value):
            parse_rfc3339(value)
            return None
    except ValueError:
        pass  # a thirteenth month
    return _wrong_format(value, "date-time")


def _bytes(value: Any) -> list[Finding] | None:
    if type(value) is not str:
        return _wrong_type(value, "string")
    return None if _BASE64.fullmatch(value) else _wrong_format(value, "byte")


def _wrong_format(value: str, expected: str) -> list[Finding]:
    text = f'in body must be of type {expected}: "{value}"'
    return [("", lambda path: FieldError.type_invalid(path, value, f"{path} {text}"))]


def _amount(pattern: str) -> Check:
    matches = _matcher(pattern)

    def check(value: Any) -> list[Finding] | None:
        if type(value) is str:
            return None if matches(value) else _invalid(value, f"should match '{pattern}'")
        return None if type(value) is int else _wrong_type(value, "integer,string")

    return check


def _matcher(pattern: str) -> Callable[[str], Any]:
    # Python's $ also matches before a final newline, Go's does not
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern).search


def _wrong_type(value: Any, expected: str) -> list[Finding]:
    given = _TYPES.get(type(value), "object")
    text = f'in body must be of type {expected}: "{given}"'
    return [("", lambda path: FieldError.type_invalid(path, given, f"{path} {text}"))]


def _invalid(value: Any, text: str) -> list[Finding]:
    return [("", lambda path: FieldError.invalid(path, value, f"{path} in body {text}"))]

"""JSON values as expressions see them through a structural schema (Kubernetes' UnstructuredToVal): converted when they are asked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, final

from kafila.machinery.amount import MAX_MADE, count
from kafila.machinery.structural.props import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    PRESERVE,
    Props,
    additional,
    items,
    properties,
)

from .bounds import STEPS
from .gotext import parse_duration, parse_timestamp
from .schema import escaped, unescaped, with_metadata
from .types import Type, opaque
from .values import (
    MISSING,
    NO_OVERLOAD,
    Duration,
    EvaluationError,
    ListLike,
    MapLike,
    Opaque,
    Timestamp,
    equal,
    find,
    is_list,
    is_map,
)

_GO: Final[dict[type, str]] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
Converted = Callable[[Any, "Shape"], Any]  # a closure over its shape would be a cycle


@final
class Shape:
    """A part of a schema, with how its values are converted. Raises EvaluationError for values that do not fit."""

    __slots__ = ("_convert", "additional", "fields", "items", "keys", "nullable", "unescaped")

    def __init__(self, props: Props, root: bool = False) -> None:
        if root or props.get(EMBEDDED):
            props = with_metadata(props)
        self.nullable = bool(props.get("nullable"))
        self.fields: dict[str, Shape] | None = None
        self.unescaped: dict[str, str] = {}
        self.additional: Shape | None = None
        self.items: Shape | None = None
        self.keys: tuple[str, ...] = ()
        self._convert = self._converter(props)

    def value(self, raw: Any) -> Any:
        if raw is None:
            if self.nullable:
                return None
            raise EvaluationError("invalid data, got null for schema with nullable=false")
        return self._convert(raw, self)

    def _converter(self, props: Props) -> Converted:
        if props.get(INT_OR_STRING):
            return _int_or_string
        kind = props.get("type")
        if kind == "object":
            return self._object(props)
        if kind == "array":
            inner = items(props)
            self.items = Shape(inner) if inner is not None else None
            self.keys = tuple(props.get(LIST_MAP_KEYS) or ())
            return _LISTS.get(props.get(LIST_TYPE) or "", _list)
        if kind == "string":
            return _STRINGS.get(props.get("format") or "", _string)
        found = {"number": _number, "integer": _integer, "boolean": _boolean}.get(kind or "")
        if found is not None:
            return found
        return _preserved if props.get(PRESERVE) else _unknown

    def _object(self, props: Props) -> Converted:
        if props.get("properties"):
            self.fields = {name: Shape(child) for name, child in properties(props).items()}
        elif (inner := additional(props)) is not None:
            self.additional = Shape(inner)
        return _object

    def field(self, name: str) -> Shape | None:
        return self.fields.get(name) if self.fields is not None else self.additional


def _object(raw: Any, shape: Shape) -> Any:
    if raw.__class__ is not dict:
        raise EvaluationError("invalid data, expected a map for the provided schema with type=object")
    return Object(raw, shape)


def _elements(raw: Any) -> list[Any]:
    if raw.__class__ is not list:
        raise EvaluationError("invalid data, expected an array for the provided schema with type=array")
    return raw


def _list(raw: Any, shape: Shape) -> Any:
    return TypedList(_elements(raw), shape)


def _set_list(raw: Any, shape: Shape) -> Any:
    return SetList(_elements(raw), shape)


def _map_list(raw: Any, shape: Shape) -> Any:
    return MapList(_elements(raw), shape)


def _preserved(raw: Any, shape: Shape) -> Any:
    return Preserved(raw)


_LISTS: Final[dict[str, Converted]] = {"set": _set_list, "map": _map_list}


def _int_or_string(raw: Any, shape: Shape) -> Any:
    if raw.__class__ is str or raw.__class__ is int:
        return raw
    raise EvaluationError("invalid data, expected XIntOrString value to be either a string or integer")


def _expected(what: str, raw: Any) -> EvaluationError:
    return EvaluationError(f"invalid data, expected {what}, got {_GO.get(raw.__class__, 'unknown')}")


def _text(raw: Any) -> str:
    if raw.__class__ is not str:
        raise _expected("string", raw)
    return str(raw)


def _string(raw: Any, shape: Shape) -> Any:
    return _text(raw)


def _duration(raw: Any, shape: Shape) -> Any:
    nanos = parse_duration(_text(raw))
    if nanos is None:
        raise EvaluationError(f"Invalid duration {raw}: unable to parse {raw} as duration")
    return Duration(nanos)


def _date(raw: Any, shape: Shape) -> Any:
    nanos = parse_timestamp(f"{_text(raw)}T00:00:00Z")
    if nanos is None:
        raise EvaluationError(f"Invalid date formatted string {raw}: cannot parse")
    return Timestamp(nanos)


def _date_time(raw: Any, shape: Shape) -> Any:
    nanos = parse_timestamp(_text(raw).upper())
    if nanos is None:
        raise EvaluationError(f"Invalid date-time formatted string {raw}: cannot parse")
    return Timestamp(nanos)


def _bytes(raw: Any, shape: Shape) -> Any:
    try:
        return base64.b64decode(_text(raw), validate=True)
    except (ValueError, binascii.Error):
        raise EvaluationError(f"Invalid byte formatted string {raw}: illegal base64 data") from None


_STRINGS: Final[dict[str, Converted]] = {
    "duration": _duration,
    "date": _date,
    "date-time": _date_time,
    "byte": _bytes,
}


def _number(raw: Any, shape: Shape) -> Any:
    if raw.__class__ is int or raw.__class__ is float:
        return float(raw)
    raise _expected("float", raw)


def _integer(raw: Any, shape: Shape) -> Any:
    if raw.__class__ is int:
        return raw
    raise _expected("int", raw)


def _boolean(raw: Any, shape: Shape) -> Any:
    if raw.__class__ is bool:
        return raw
    raise _expected("bool", raw)


def _unknown(raw: Any, shape: Shape) -> Any:
    what = "object, array, number, integer, boolean or string, or no type with x-kubernetes-int-or-string or"
    raise EvaluationError(f"invalid type, expected {what} x-kubernetes-preserve-unknown-fields is true, got ")


class Preserved(Opaque):
    """What a schema keeps without a type: it can only be compared."""

    __slots__ = ("raw",)
    cel_type: Type = opaque("unknown")

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def equals(self, other: Any) -> bool:
        STEPS.take(count(self.raw, MAX_MADE) >> 4)
        return bool(self.raw == _raw(other))


def _raw(value: Any) -> Any:
    """The JSON behind a value."""
    STEPS.take()
    if isinstance(value, Object | TypedList | Preserved):
        return value.raw
    if is_list(value):
        return [_raw(part) for part in value]
    return value


@final
class Object(MapLike):
    """An object or map. Fields that its schema does not name are not seen, and of objects those that are null neither."""

    __slots__ = ("raw", "shape")

    def __init__(self, raw: dict[str, Any], shape: Shape) -> None:
        self.raw = raw
        self.shape = shape

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        if self.shape.fields is None:
            return iter(self.raw) if self.shape.additional is not None else iter(())
        return iter([escaped(name) or name for name in self.raw if name in self.shape.fields])

    def find(self, key: Any) -> Any:
        if key.__class__ is not str:
            raise EvaluationError(NO_OVERLOAD)
        fields = self.shape.fields
        if fields is None:
            shape = self.shape.additional
            return shape.value(self.raw[key]) if shape is not None and key in self.raw else MISSING
        name = _unescaped(key) if "__" in key else key
        raw = self.raw.get(name)
        if raw is None or name not in fields:
            return MISSING
        return fields[name].value(raw)

    def equals(self, other: Any) -> bool:
        if not is_map(other):
            raise EvaluationError(NO_OVERLOAD)
        if len(self) != len(other):
            return False
        for name, raw in self.raw.items():
            STEPS.take()
            if self.shape.field(name) is None:
                if not isinstance(other, Object):
                    raise EvaluationError(NO_OVERLOAD)
                if name in other.raw and raw != other.raw[name]:
                    return False
                continue
            key = escaped(name) or name if self.shape.fields is not None else name
            mine, theirs = self.find(key), find(other, key)
            if (mine is MISSING) != (theirs is MISSING):
                return False
            if mine is not MISSING and not equal(mine, theirs):
                return False
        return True


_unescaped: Final = lru_cache(maxsize=4096)(unescaped)


class TypedList(ListLike):
    """A list whose elements a schema describes."""

    __slots__ = ("raw", "shape")

    def __init__(self, raw: list[Any], shape: Shape) -> None:
        self.raw = raw
        self.shape = shape

    def _element(self, raw: Any) -> Any:
        if self.shape.items is None:
            raise EvaluationError("invalid array type, expected Items with a non-empty Schema")
        return self.shape.items.value(raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        return map(self._element, self.raw)

    def at(self, index: int) -> Any:
        return self._element(self.raw[index])


def _hashable(raw: Any) -> Any:
    STEPS.take()
    if isinstance(raw, dict):
        return tuple((key, _hashable(raw[key])) for key in sorted(raw))
    if isinstance(raw, list):
        return tuple(map(_hashable, raw))
    return raw.__class__, raw


@final
class SetList(TypedList):
    """Of x-kubernetes-list-type: set; equal in any order."""

    __slots__ = ()

    def equals(self, other: Any) -> bool:
        if not is_list(other):
            raise EvaluationError(NO_OVERLOAD)
        if len(self) != len(other):
            return False
        known = {_hashable(raw) for raw in self.raw}
        return all(_hashable(_raw(value)) in known for value in other)

    def plus(self, other: Any) -> Any:
        known = {_hashable(raw) for raw in self.raw}
        out = list(self.raw)
        for value in other:
            raw = _raw(value)
            if _hashable(raw) not in known:
                known.add(_hashable(raw))
                out.append(raw)
        return SetList(out, self.shape)


@final
class MapList(TypedList):
    """Of x-kubernetes-list-type: map; elements with the same keys belong together."""

    __slots__ = ()

    def _key(self, raw: Any) -> Any:
        if not is_map(raw):
            raise EvaluationError(
                f"unexpected data format for element of array with x-kubernetes-list-type=map: {type(raw)}"
            )
        return tuple(
            _hashable(_raw(raw.get(name)) if isinstance(raw, dict) else find(raw, name)) for name in self.shape.keys
        )

    def equals(self, other: Any) -> bool:
        if not is_list(other):
            raise EvaluationError(NO_OVERLOAD)
        if len(self) != len(other):
            return False
        known = {self._key(raw): raw for raw in self.raw}
        for value in other:
            key = self._key(_raw(value))
            if key not in known or not equal(self._element(known[key]), value):
                return False
        return True

    def plus(self, other: Any) -> Any:
        out = list(self.raw)
        places = {self._key(raw): index for index, raw in enumerate(out)}
        for value in other:
            raw = _raw(value)
            key = self._key(raw)
            if key in places:
                out[places[key]] = raw
            else:
                places[key] = len(out)
                out.append(raw)
        return MapList(out, self.shape)

"""Types of expressions, as the checker of cel-go knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """``kind``: a scalar's name, "list", "map", "struct", "opaque", "type", "param", "dyn", "error"."""

    kind: str
    name: str
    params: tuple[Type, ...] = ()

    def __str__(self) -> str:
        """As it stands in messages."""
        if self.kind in _SPECIAL:
            return _SPECIAL[self.kind]
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"


def long_name(kind: Type) -> str:
    """As messages of Kubernetes show the type of a whole expression."""
    return f"{kind.name}({', '.join(map(long_name, kind.params))})" if kind.params else kind.name


_SPECIAL: Final = {"error": "!error!", "null": "null", "duration": "duration", "timestamp": "timestamp", "any": "any"}

BOOL: Final = Type("bool", "bool")
BYTES: Final = Type("bytes", "bytes")
DOUBLE: Final = Type("double", "double")
DURATION: Final = Type("duration", "google.protobuf.Duration")
DYN: Final = Type("dyn", "dyn")
ERROR: Final = Type("error", "error")
INT: Final = Type("int", "int")
NULL: Final = Type("null", "null_type")
STRING: Final = Type("string", "string")
TIMESTAMP: Final = Type("timestamp", "google.protobuf.Timestamp")
TYPE: Final = Type("type", "type")
UINT: Final = Type("uint", "uint")

SCALARS: Final = frozenset(["bool", "double", "duration", "int", "timestamp", "uint"])


def list_of(element: Type) -> Type:
    return Type("list", "list", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", "map", (key, value))


def struct(name: str) -> Type:
    return Type("struct", name)


def opaque(name: str, *params: Type) -> Type:
    return Type("opaque", name, params)


def optional(value: Type) -> Type:
    return Type("opaque", "optional_type", (value,))


def type_of(inner: Type) -> Type:
    return Type("type", "type", (inner,))


def param(name: str) -> Type:
    return Type("param", name)


def is_dyn(kind: Type) -> bool:
    return kind.kind in ("dyn", "any")


def is_dyn_or_error(kind: Type) -> bool:
    return kind.kind in ("dyn", "any", "error")


def is_optional(kind: Type) -> bool:
    return kind.kind == "opaque" and kind.name == "optional_type"


def unwrapped(kind: Type) -> tuple[Type, bool]:
    """What an optional holds, and whether it is one."""
    return (kind.params[0], True) if is_optional(kind) else (kind, False)


def is_scalar(kind: Type) -> bool:
    """Whether its size is known to be one."""
    if is_optional(kind):
        return is_scalar(kind.params[0])
    return kind.kind in SCALARS


LIST_DYN: Final = list_of(DYN)
A: Final = param("A")
B: Final = param("B")
LIST_A: Final = list_of(A)
MAP_AB: Final = map_of(A, B)
LIST_STRING: Final = list_of(STRING)

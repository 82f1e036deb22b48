"""Values at run time, their equality, order and text.

| CEL | here |
|---|---|
| int, double, bool, string, bytes, null | int, float, bool, str, bytes, None |
| uint | Uint |
| duration, timestamp | Duration, Timestamp: nanoseconds |
| list | list, or a ListLike |
| map, object | dict (keys of bool are wrapped: ``key_of``), or a MapLike |
| optional | Optional |
| type | types.Type |
| what libraries bring | Opaque |
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

from . import types
from .bounds import STEPS, CostExceeded
from .types import Type

INT_MAX: Final = 2**63 - 1
INT_MIN: Final = -(2**63)
UINT_MAX: Final = 2**64 - 1
MAX_ELEMENTS: Final = 1_000_000  # of what one call makes or compares: more is over every cost limit
MAX_TEXT: Final = 16_000_000  # characters, likewise


class EvaluationError(Exception):
    """An expression that has no value; its message is cel-go's."""


NO_OVERLOAD: Final = "no such overload"


class Uint(int):
    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    nanos: int


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Nanoseconds since 1970 UTC."""

    nanos: int


@dataclass(frozen=True, slots=True)
class Optional:
    value: Any = None
    present: bool = False


NONE: Final = Optional()


class Opaque(ABC):
    """A value of a type that a library brings."""

    __slots__ = ()
    cel_type: Type

    def equals(self, other: Any) -> bool:
        """Raises EvaluationError where they cannot be compared."""
        raise EvaluationError(NO_OVERLOAD)

    def size(self) -> int | None:
        """As costs see it; None for what has none."""
        return None


class ListLike(ABC):
    """A list that is converted when it is asked."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def at(self, index: int) -> Any: ...

    def equals(self, other: Any) -> bool:
        return _equal_lists(self, other)

    def plus(self, other: Any) -> Any:
        return Joined(self, other)


class MapLike(ABC):
    """A map or object that is converted when it is asked."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def find(self, key: Any) -> Any:
        """MISSING where there is none."""

    def equals(self, other: Any) -> bool:
        return _equal_maps(self, other)


MISSING: Final = object()


@final
class Joined(ListLike):
    """Two lists one after the other; nothing is copied until it is read, since joining costs one step."""

    __slots__ = ("_flat", "_parts", "_size")

    def __init__(self, first: Any, second: Any) -> None:
        self._parts: tuple[Any, Any] | None = (first, second)
        self._flat: list[Any] = []
        self._size = len(first) + len(second)

    def __len__(self) -> int:
        return self._size

    def _read(self) -> list[Any]:
        if self._parts is None:
            return self._flat
        if self._size > MAX_ELEMENTS:
            raise CostExceeded
        STEPS.take(self._size >> 6)
        flat: list[Any] = []
        todo: list[Any] = [self]
        while todo:
            part = todo.pop()
            if isinstance(part, Joined) and part._parts is not None:
                todo.extend(reversed(part._parts))
            else:
                flat.extend(part)
        self._flat, self._parts = flat, None
        return flat

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def at(self, index: int) -> Any:
        return self._read()[index]


@final
class Growing(list[Any]):
    """The list that a comprehension collects in: nobody else has it, so adding to it changes it."""

    __slots__ = ()


@final
class BoolKey:
    """A bool as key: Python's True is 1."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


_TRUE, _FALSE = BoolKey(True), BoolKey(False)


def key_of(value: Any) -> Any:
    """What stands in a dict for a key. Raises EvaluationError for what cannot be one."""
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if isinstance(value, str | int | float):
        return value
    raise EvaluationError(f"unsupported key type: {type_of(value).name}")


def keys(value: Any) -> Iterator[Any]:
    if type(value) is not dict:
        yield from value
        return
    for key in value:
        yield key.value if type(key) is BoolKey else key


def find(value: Any, key: Any) -> Any:
    """In a dict or MapLike; MISSING where there is none."""
    if type(value) is dict:
        if type(key) is str:
            return value.get(key, MISSING)
        return value.get(key_of(key), MISSING) if isinstance(key, int | float) else MISSING
    return value.find(key)


_TYPES: Final[dict[type, Type]] = {
    int: types.INT,
    float: types.DOUBLE,
    bool: types.BOOL,
    str: types.STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
    Uint: types.UINT,
    Duration: types.DURATION,
    Timestamp: types.TIMESTAMP,
    list: Type("list", "list"),
    Growing: Type("list", "list"),
    dict: Type("map", "map"),
    Optional: Type("opaque", "optional_type"),
    Type: types.TYPE,
}


def type_of(value: Any) -> Type:
    found = _TYPES.get(type(value))
    if found is not None:
        return found
    if isinstance(value, ListLike):
        return _TYPES[list]
    if isinstance(value, MapLike):
        return _TYPES[dict]
    return value.cel_type


def is_list(value: Any) -> bool:
    return isinstance(value, list | ListLike)


def is_map(value: Any) -> bool:
    return isinstance(value, dict | MapLike)


def equal(first: Any, second: Any) -> bool:
    """Raises EvaluationError where a library's type says that they cannot be compared."""
    kind, other = type(first), type(second)
    if kind is other and kind in _PLAIN:
        return bool(first == second)
    return _equal(first, second)


_PLAIN: Final = frozenset([int, str, bool, bytes, float, type(None), Uint])
_NUMBERS: Final = (int, float)


def _equal(first: Any, second: Any) -> bool:
    STEPS.take()
    if first is None or second is None:
        return first is second
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, _NUMBERS):
        return isinstance(second, _NUMBERS) and _equal_numbers(first, second)
    if isinstance(first, list):
        if isinstance(second, ListLike):
            return _equal_lists(first, second)
        return isinstance(second, list) and _equal_lists(first, second)
    if isinstance(first, dict):
        return isinstance(second, dict | MapLike) and _equal_maps(first, second)
    if isinstance(first, ListLike | MapLike):
        return first.equals(second)
    if isinstance(first, Optional):
        if not isinstance(second, Optional) or first.present != second.present:
            return False
        return not first.present or _equal(first.value, second.value)
    if isinstance(first, Opaque):
        return first.equals(second)
    if isinstance(first, Type):
        return isinstance(second, Type) and (first.kind, first.name) == (second.kind, second.name)
    return type(first) is type(second) and bool(first == second)


def _equal_numbers(first: float, second: float) -> bool:
    if isinstance(first, float) or isinstance(second, float):
        return float(first) == float(second)
    return first == second


def _equal_lists(first: Any, second: Any) -> bool:
    if not is_list(second):
        if isinstance(first, list):
            return False
        raise EvaluationError(NO_OVERLOAD)
    if len(first) != len(second):
        return False
    return all(_equal(left, right) for left, right in zip(first, second, strict=False))


def _equal_maps(first: Any, second: Any) -> bool:
    if not is_map(second):
        if isinstance(first, dict):
            return False
        raise EvaluationError(NO_OVERLOAD)
    if len(first) != len(second):
        return False
    for key in keys(first):
        other = find(second, key)
        if other is MISSING or not _equal(find(first, key), other):
            return False
    return True


def compare(first: Any, second: Any) -> int:
    """-1, 0 or 1. Raises EvaluationError."""
    numbers = _number(first), _number(second)
    if all(numbers):
        if isinstance(first, float) or isinstance(second, float):
            left, right = float(first), float(second)
            if math.isnan(left) or math.isnan(right):
                raise EvaluationError("NaN values cannot be ordered")
            return (left > right) - (left < right)
        return (first > second) - (first < second)
    if not any(numbers) and type(first) is type(second) and isinstance(first, _ORDERED):
        return (first > second) - (first < second)
    raise EvaluationError(NO_OVERLOAD)


_ORDERED: Final = (bool, str, bytes, Duration, Timestamp)


def _number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def contains(container: Any, value: Any) -> bool:
    """``value in container``."""
    if is_map(container):
        return find(container, value) is not MISSING
    if not is_list(container):
        raise EvaluationError(NO_OVERLOAD)
    problem: EvaluationError | None = None
    for element in container:
        try:
            if _equal(value, element):
                return True
        except EvaluationError as raised:
            problem = raised
    if problem is not None and isinstance(container, ListLike):
        raise problem
    return False


def size(value: Any) -> int:
    """Raises EvaluationError."""
    if isinstance(value, str | bytes | list | dict | ListLike | MapLike):
        return len(value)
    raise EvaluationError("no such overload: size")


def cost_size(value: Any) -> int:
    """As costs count it: one for what has no size."""
    if isinstance(value, str | bytes | list | dict | ListLike | MapLike):
        return len(value)
    if isinstance(value, Opaque):
        found = value.size()
        return 1 if found is None else found
    if isinstance(value, Optional) and value.present:
        return cost_size(value.value)
    return 1

"""Optional values, and what the macros over two variables need."""

from __future__ import annotations

from typing import Any, Final

from kafila.cel.declarations import Library, member, overload
from kafila.cel.gotext import shown
from kafila.cel.macros import OPTIONALS, TWO_VARIABLES
from kafila.cel.types import BOOL, DYN, INT, STRING, Type, list_of, map_of, optional, param
from kafila.cel.values import (
    MISSING,
    NONE,
    BoolKey,
    Duration,
    EvaluationError,
    ListLike,
    MapLike,
    Optional,
    Timestamp,
    find,
    key_of,
    keys,
)

_K: Final = param("K")
_V: Final = param("V")
_OPTIONAL: Final = optional(_V)
_LIST: Final = list_of(_V)
_MAP: Final = map_of(_K, _V)
_ZERO_TIME: Final = -62135596800 * 10**9  # the year 1


def of(value: Any) -> Optional:
    return Optional(value, True)


def _of_non_zero(value: Any) -> Optional:
    return NONE if _is_zero(value) else Optional(value, True)


def _is_zero(value: Any) -> bool:
    """Whether it is the value that a field has which nobody set."""
    if value is None:
        return True
    if isinstance(value, Duration):
        return value.nanos == 0
    if isinstance(value, Timestamp):
        return value.nanos == _ZERO_TIME
    if isinstance(value, Optional):
        return not value.present
    if isinstance(value, list | dict | ListLike | MapLike | str | bytes):
        return len(value) == 0
    return isinstance(value, bool | int | float) and not value


def _value(value: Optional) -> Any:
    if not value.present:
        raise EvaluationError("optional.none() dereference")
    return value.value


def _first(values: Any) -> Optional:
    return next((Optional(value, True) for value in values), NONE)


def _last(values: Any) -> Optional:
    if not len(values):
        return NONE
    return Optional(values[-1] if isinstance(values, list) else values.at(len(values) - 1), True)


def _unwrapped(values: Any) -> list[Any]:
    out = []
    for value in values:
        if not isinstance(value, Optional):
            raise EvaluationError(f"value {shown(value)} is not optional")
        if value.present:
            out.append(value.value)
    return out


OPTIONAL_TYPES: Final = Library(
    "optional",
    {
        "optional.of": (overload("optional_of", (_V,), _OPTIONAL, of),),
        "optional.ofNonZeroValue": (overload("optional_ofNonZeroValue", (_V,), _OPTIONAL, _of_non_zero),),
        "optional.none": (overload("optional_none", (), _OPTIONAL, lambda: NONE),),
        "value": (member("optional_value", (_OPTIONAL,), _V, _value),),
        "hasValue": (member("optional_hasValue", (_OPTIONAL,), BOOL, lambda value: value.present),),
        "or": (member("optional_or_optional", (_OPTIONAL, _OPTIONAL), _OPTIONAL),),
        "orValue": (member("optional_orValue_value", (_OPTIONAL, _V), _V),),
        "_?._": (overload("select_optional_field", (DYN, STRING), _OPTIONAL),),
        "_[?_]": (
            overload("list_optindex_optional_int", (_LIST, INT), _OPTIONAL),
            overload("optional_list_optindex_optional_int", (optional(_LIST), INT), _OPTIONAL),
            overload("map_optindex_optional_value", (_MAP, _K), _OPTIONAL),
            overload("optional_map_optindex_optional_value", (optional(_MAP), _K), _OPTIONAL),
        ),
        "_[_]": (
            overload("optional_list_index_int", (optional(_LIST), INT), _OPTIONAL),
            overload("optional_map_index_value", (optional(_MAP), _K), _OPTIONAL),
        ),
        "last": (member("list_last", (_LIST,), _OPTIONAL, _last),),
        "first": (member("list_first", (_LIST,), _OPTIONAL, _first),),
        "optional.unwrap": (overload("optional_unwrap", (list_of(_OPTIONAL),), _LIST, _unwrapped),),
        "unwrapOpt": (member("optional_unwrapOpt", (list_of(_OPTIONAL),), _LIST, _unwrapped),),
    },
    {"optional_type": Type("opaque", "optional_type", (_V,))},
    OPTIONALS,
)


def _inserted(target: dict[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    """The map that a comprehension collects in: nobody else has it."""
    key = key_of(key)
    if key in target:
        raise EvaluationError(f"insert failed: key {shown(key.value if type(key) is BoolKey else key)} already exists")
    target[key] = value
    return target


def _merged(target: dict[Any, Any], entries: Any) -> dict[Any, Any]:
    for key in keys(entries):
        found = find(entries, key)
        _inserted(target, key, None if found is MISSING else found)
    return target


COMPREHENSIONS: Final = Library(
    "comprehensions",
    {
        "cel.@mapInsert": (
            overload("@mapInsert_map_key_value", (_MAP, _K, _V), _MAP, _inserted),
            overload("@mapInsert_map_map", (_MAP, _MAP), _MAP, _merged),
        )
    },
    macros=TWO_VARIABLES,
)

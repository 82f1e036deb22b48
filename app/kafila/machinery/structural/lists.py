"""Uniqueness in lists of type set and map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kafila.core.errors import FieldError
from kafila.core.values import to_keep

from .props import LIST_MAP_KEYS, LIST_TYPE, Props, additional, anywhere, items, properties

Check = Callable[[Any], list[FieldError]]


def compile_list_types(props: Props | None) -> Check | None:
    """None when the schema has no such list."""
    if not anywhere(props, LIST_TYPE):
        return None

    def check(obj: Any) -> list[FieldError]:
        found: list[FieldError] = []
        _check(props, obj, "", found)
        return found

    return check


def _check(props: Props | None, value: Any, path: str, found: list[FieldError]) -> None:
    if props is None:
        return
    if isinstance(value, list):
        match props.get(LIST_TYPE):
            case "set":
                found += [FieldError.duplicate(f"{path}[{i}]", value[i]) for i in _repeated(value)]
            case "map":
                found += _map_list(props.get(LIST_MAP_KEYS) or (), value, path)
        inner = items(props)
        if inner is not None and _worth(inner):
            for i, item in enumerate(value):
                _check(inner, item, f"{path}[{i}]", found)
    elif isinstance(value, dict):
        known, others = properties(props), additional(props)
        for name, item in value.items():
            if item.__class__ is not list and item.__class__ is not dict:
                continue
            if others is not None:
                _check(others, item, f"{path}[{name}]", found)
            if name in known:
                _check(known[name], item, f"{path}.{name}" if path else name, found)


def _worth(props: Props) -> bool:
    return bool(
        props.get(LIST_TYPE) or props.get("properties") or props.get("items") or props.get("additionalProperties")
    )


def _repeated(values: Sequence[Any]) -> list[int]:
    """Positions of the first repetition of each value."""
    seen: dict[str | bytes, int] = {}
    out = []
    for i, value in enumerate(values):
        key = value if value.__class__ is str else to_keep(value)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            out.append(i)
    return out


def _map_list(keys: Sequence[str], value: list[Any], path: str) -> list[FieldError]:
    for i, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            return [FieldError.invalid(f"{path}[{i}]", item, "must be an object for an array of list-type map")]
    shown = [{key: item[key] for key in keys if key in item} if item else {} for item in value]
    return [FieldError.duplicate(f"{path}[{i}]", shown[i]) for i in _repeated(shown)]

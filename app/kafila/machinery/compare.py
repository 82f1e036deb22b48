"""Which fields differ between two objects of a type: the sets that field ownership is made of.

A type is compiled into closures; equal parts are skipped at the speed of Python's own comparison, so the cost follows what
changed. Semantics are those of structured-merge-diff's comparison: containers that come or go are members themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .fieldset import FieldSet, key_element, ordered, union, value_element
from .schema import COMPILING, Schema

Full = Callable[[Any], FieldSet]
# (old, new) -> fields gone, fields new or changed; None for "none". A leaf that changed is the empty node.
Changes = tuple[FieldSet | None, FieldSet | None]
Diff = Callable[[Any, Any], Changes]
ItemKey = Callable[[Any], str]

_ABSENT: Final = object()
_NOTHING: Final[Changes] = (None, None)
_SHAPES: Final = 512


class Comparer(NamedTuple):
    full: Full | None  # node of everything in a value; None for leaves, whose node is always empty
    diff: Diff


class ElementError(ValueError):
    """An element of a list has no usable key; the message is structured-merge-diff's."""


def compile_compare(schema: Schema) -> Comparer:
    ready = schema.compiled.get("compare")
    if ready is not None:
        return ready
    compiled = schema.compiled
    if is_leaf(schema):
        comparer = compiled["compare"] = _LEAF
        return comparer
    # Definitions may refer to themselves: until this one is ready, it is reached by name.
    compiled["compare"] = Comparer(
        lambda value: compiled["compare"].full(value), lambda old, new: compiled["compare"].diff(old, new)
    )
    match schema.kind:
        case "struct":
            comparer = _struct(schema)
        case "map":
            comparer = _map(compile_compare(schema.items) if schema.items else DEDUCED)
        case "list":
            comparer = _list(schema)
        case _:
            comparer = DEDUCED
    compiled["compare"] = comparer
    return comparer


def is_leaf(schema: Schema) -> bool:
    match schema.kind:
        case "struct" | "map" | "any":
            return schema.atomic
        case "list":
            return schema.list_type == "atomic"
    return True


def compare(schema: Schema, old: Any, new: Any) -> tuple[FieldSet, FieldSet]:
    """Fields that ``new`` no longer has, and fields that it added or changed."""
    diff: Diff = schema.compiled.get("diff") or _ready(schema)
    removed, changed = diff(old, new)
    return removed or {}, changed or {}


def prepare(schema: Schema, shared: Schema) -> None:
    """Compiles a type that nobody else has yet, and so without the lock. ``shared``: what it has in common with others."""
    if "diff" not in shared.compiled:
        _ready(shared)
    schema.compiled["diff"] = compile_compare(schema).diff


def _ready(schema: Schema) -> Diff:
    with COMPILING:
        diff = schema.compiled["diff"] = compile_compare(schema).diff
    return diff


def _leaf_diff(old: Any, new: Any) -> Changes:
    return _NOTHING if old == new else (None, {})


_LEAF: Final = Comparer(None, _leaf_diff)


def _struct(schema: Schema) -> Comparer:
    table: dict[str, tuple[str, Full | None, Diff]] = {}
    for name, child in schema.fields.items():
        comparer = compile_compare(child)
        table[name] = (f"f:{name}", comparer.full, comparer.diff)
    unknown = DEDUCED
    # (name, element, inner) in the order of elements, for each set of names seen
    shapes: dict[tuple[str, ...], list[tuple[str, str, Full | None]]] = {}

    def plan(names: tuple[str, ...]) -> list[tuple[str, str, Full | None]]:
        chosen = [(name, *(table.get(name) or (f"f:{name}", *unknown))[:2]) for name in sorted(names)]
        if len(shapes) >= _SHAPES:
            shapes.clear()
        shapes[names] = chosen
        return chosen

    def full(value: Any) -> FieldSet:
        if not value:
            return {}
        names = tuple(value)
        out: FieldSet = {".": {}}
        for name, element, inner in shapes.get(names) or plan(names):
            if inner is None:
                out[element] = {}
            else:
                item = value[name]
                out[element] = inner(item) if item else {}
        return out

    def diff(old: Any, new: Any) -> Changes:
        if not old and not new:
            return _leaf_diff(old, new)
        removed: FieldSet = {}
        changed: FieldSet = {}
        old, new = old or {}, new or {}
        for name, item in new.items():
            before = old.get(name, _ABSENT)
            if before == item:
                continue
            element, inner, compared = table.get(name) or (f"f:{name}", *unknown)
            if before is _ABSENT:
                changed[element] = inner(item) if inner is not None and item else {}
                continue
            gone, fresh = compared(before, item)
            if fresh is not None:
                changed[element] = fresh
            if gone is not None:
                removed[element] = gone
        for name, item in old.items():
            if name not in new:
                element, inner, _ = table.get(name) or (f"f:{name}", *unknown)
                removed[element] = inner(item) if inner is not None and item else {}
        return _finished(removed, changed)

    return Comparer(full, diff)


def _finished(removed: FieldSet, changed: FieldSet) -> Changes:
    return (
        ordered(removed) if len(removed) > 1 else removed or None,
        ordered(changed) if len(changed) > 1 else changed or None,
    )


def _map(values: Comparer) -> Comparer:
    inner, compared = values

    def full(value: Any) -> FieldSet:
        if not value:
            return {}
        out: FieldSet = {".": {}}
        if inner is None:
            for name in sorted(value):
                out[f"f:{name}"] = {}
            return out
        for name in sorted(value):
            item = value[name]
            out[f"f:{name}"] = inner(item) if item else {}
        return out

    def diff(old: Any, new: Any) -> Changes:
        if not old and not new:
            return _leaf_diff(old, new)
        removed: FieldSet = {}
        changed: FieldSet = {}
        old, new = old or {}, new or {}
        for name, item in new.items():
            before = old.get(name, _ABSENT)
            if before is _ABSENT:
                changed[f"f:{name}"] = inner(item) if inner is not None and item else {}
            elif before != item:
                gone, fresh = compared(before, item)
                if fresh is not None:
                    changed[f"f:{name}"] = fresh
                if gone is not None:
                    removed[f"f:{name}"] = gone
        for name, item in old.items():
            if name not in new:
                removed[f"f:{name}"] = inner(item) if inner is not None and item else {}
        return _finished(removed, changed)

    return Comparer(full, diff)


def compile_item_key(schema: Schema) -> ItemKey:
    """The path element of an element of a list of type set or map. Raises ElementError."""
    ready = schema.compiled.get("item_key")
    if ready is None:
        ready = schema.compiled["item_key"] = _keyed(schema) if schema.list_type == "map" else _valued
    return ready


def _valued(item: Any) -> str:
    if isinstance(item, dict):
        raise ElementError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ElementError("not supported: associative list with lists as elements")
    if item is None:
        raise ElementError("associative list without keys has an element that's an explicit null")
    return value_element(item)


def _keyed(schema: Schema) -> ItemKey:
    fields = schema.items.fields if schema.items else {}
    listed = schema.list_map_keys  # nothing below refers to the schema itself: what is compiled goes with its last user
    names = sorted(listed)
    # Only here does ownership take defaults into account: ports without a protocol are TCP ports.
    defaults = {name: fields[name].default for name in names if name in fields and fields[name].default is not None}
    cache: dict[str, str] = {}
    single = names[0] if len(names) == 1 else None

    def key_of(item: Any) -> str:
        if item.__class__ is not dict:
            what = "null element" if item is None else "non-map elements"
            raise ElementError(f"associative list with keys may not have {'a ' if item is None else ''}{what}")
        if single is not None:
            value = item.get(single)
            if value.__class__ is str:
                element = cache.get(value)
                if element is None:
                    if len(cache) > 4096:
                        cache.clear()
                    element = cache[value] = key_element({single: value})
                return element
        keys = {
            name: item[name] if name in item else defaults[name] for name in names if name in item or name in defaults
        }
        if not keys:
            quoted = " ".join(f'"{name}"' for name in listed)
            raise ElementError(
                f"associative list with keys has an element that omits all key fields [{quoted}] "
                "(and doesn't have default values for any key fields)"
            )
        return key_element(keys)

    return key_of


def _list(schema: Schema) -> Comparer:
    key_of = compile_item_key(schema)
    inner, compared = compile_compare(schema.items) if schema.items else DEDUCED

    def indexed(items: Any) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {}
        for item in items or ():
            out.setdefault(key_of(item), []).append(item)
        return out

    def whole(same_key: list[Any]) -> FieldSet:
        # elements with one key are owned together, as one leaf
        return inner(same_key[0]) if len(same_key) == 1 and inner is not None and same_key[0] else {}

    def full(value: Any) -> FieldSet:
        if not value:
            return {}
        out: FieldSet = {".": {}}
        for item in value:
            element = key_of(item)
            out[element] = {} if element in out else inner(item) if inner is not None and item else {}
        return ordered(out) if len(out) > 2 else out

    def diff(old: Any, new: Any) -> Changes:
        if not old and not new:
            return _leaf_diff(old, new)
        before, after = indexed(old), indexed(new)
        removed: FieldSet = {}
        changed: FieldSet = {}
        for element, items in after.items():
            was = before.get(element)
            if was is None:
                changed[element] = whole(items)
            elif was == items:
                continue
            elif len(was) == 1 and len(items) == 1:
                gone, fresh = compared(was[0], items[0])
                if fresh is not None:
                    changed[element] = fresh
                if gone is not None:
                    removed[element] = gone
            elif len(was) > 1 and len(items) > 1:
                changed[element] = {}
            elif len(was) > 1:
                changed[element] = whole(items)
                removed[element] = {}
            else:
                removed[element] = whole(was)
                changed[element] = {}
        for element, items in before.items():
            if element not in after:
                removed[element] = whole(items)
        return _finished(removed, changed)

    return Comparer(full, diff)


def _deduced_full(value: Any) -> FieldSet:
    return _DEDUCED_MAP.full(value) if value.__class__ is dict and _DEDUCED_MAP.full else {}


def _deduced_diff(old: Any, new: Any) -> Changes:
    """Without a schema maps are merged, lists are not; a value that changes its type is a change and its content too."""
    if old.__class__ is dict and new.__class__ is dict:
        return _DEDUCED_MAP.diff(old, new)
    if old.__class__ is not dict and new.__class__ is not dict:
        return _leaf_diff(old, new)
    if new is None or old is None:
        return _DEDUCED_MAP.diff(old, new)
    removed, changed = _DEDUCED_MAP.diff(old if old.__class__ is dict else None, new if new.__class__ is dict else None)
    return removed, union({"x": {}}, {"x": changed})["x"] if changed else {}


DEDUCED: Final = Comparer(_deduced_full, _deduced_diff)
_DEDUCED_MAP: Final = _map(DEDUCED)

"""Values seen through their type, for server-side apply: check, field set, merge, removal of items.

Follows structured-merge-diff: structs and maps are merged member by member, lists of type map or set element by element,
everything else is one value. Without a schema maps are merged and lists are not.
"""

from __future__ import annotations

import json
from typing import Any, Final

from kafila.core.errors import MOST_TEXT
from kafila.core.values import copy_json, printed

from .compare import ElementError, compile_item_key, is_leaf
from .fieldset import FieldSet, element_text, ordered
from .schema import Schema

ABSENT: Final = object()
_ANY: Final = Schema("any")


class TypedError(ValueError):
    """The value does not fit its type; the message is structured-merge-diff's."""


class _Enough(Exception):
    """More findings are not shown."""


class _Told(list[str]):
    """The findings, and how long they are. Raises _Enough."""

    length = 0

    def append(self, text: str, /) -> None:
        super().append(text)
        self.length += len(text)
        if self.length > MOST_TEXT:
            raise _Enough


def check(schema: Schema, value: Any, allow_duplicates: bool = False) -> None:
    """Raises TypedError with all findings that are shown."""
    found = _Told()
    try:
        _check(schema, value, "", allow_duplicates, found)
    except _Enough:
        pass
    if found:
        raise TypedError(found[0] if len(found) == 1 else "\n".join(["errors:", *(f"  {text}" for text in found)]))


def _check(schema: Schema, value: Any, path: str, allow_duplicates: bool, found: _Told) -> None:
    if value is None or schema.kind == "any":
        return
    prefix = f"{path}: " if path else ""
    match schema.kind:
        case "struct" | "map":
            if not isinstance(value, dict):
                found.append(f"{prefix}expected map, got {_shown(value)}")
                return
            for name, item in value.items():
                child = _member(schema, name)
                if child is None:
                    found.append(f"{path}.{name}: field not declared in schema")
                    return
                _check(child, item, f"{path}.{name}", allow_duplicates, found)
        case "list":
            if not isinstance(value, list):
                found.append(f"{prefix}expected list, got {_shown(value)}")
                return
            _check_items(schema, value, path, allow_duplicates, found)
        case _:
            if problem := _scalar_problem(schema, value):
                found.append(f"{prefix}{problem}")


def _check_items(schema: Schema, items: list[Any], path: str, allow_duplicates: bool, found: _Told) -> None:
    child = schema.items or _ANY
    seen: set[str] = set()
    prefix = f"{path}: " if path else ""
    for i, item in enumerate(items):
        inside = f"{path}[{i}]"
        if schema.list_type != "atomic":
            try:
                element = compile_item_key(schema)(item)
            except ElementError as error:
                found.append(f"{prefix}element {i}: {error}")
                return
            inside = path + element_text(element)
            if element in seen and not allow_duplicates:
                found.append(f"{prefix}duplicate entries for key {element_text(element)}")
            seen.add(element)
        _check(child, item, inside, allow_duplicates, found)


def _scalar_problem(schema: Schema, value: Any) -> str:
    match schema.kind:
        case "string" | "bytes":
            return (
                ""
                if isinstance(value, str)
                else f"expected string, got &value.valueUnstructured{{Value:{_source(value)}}}"
            )
        case "integer" | "number":
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
            return "" if fits else f"expected numeric (int or float), got {_go_type(value)}"
        case "boolean":
            return "" if isinstance(value, bool) else f"expected boolean, got {_shown(value)}"
    return f"expected any scalar, got {_shown(value)}" if isinstance(value, (dict, list)) else ""


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
    return names.get(value.__class__, "int64")


def _source(value: Any) -> str:
    """A value as Go's %#v prints it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_source, value)) + "}"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key, ensure_ascii=False)}:{_source(value[key])}" for key in sorted(value))
        return "map[string]interface {}{" + ", ".join(pairs) + "}"
    return "interface {}(nil)" if value is None else printed(value)


def _shown(value: Any) -> str:
    return f"&{{{printed(value)}}}"


def _member(schema: Schema, name: str) -> Schema | None:
    """The type of a member; None when the type knows no such member."""
    if schema.kind == "struct":
        child = schema.fields.get(name)
        return child if child is not None else _ANY if schema.preserve_unknown else None
    if schema.kind == "map":
        return schema.items or _ANY
    return _ANY


def field_set(schema: Schema, value: Any) -> FieldSet:
    """Everything that a configuration mentions. Structs are not members themselves, elements of lists and maps are."""
    return _field_set(schema, value) or {}


def _field_set(schema: Schema, value: Any) -> FieldSet | None:
    """The node of a value; None when it owns nothing."""
    if is_leaf(schema) or value is None:
        return {}
    if isinstance(value, dict) and schema.kind != "list":
        out: FieldSet = {}
        for name, item in value.items():
            node = _field_set(_member(schema, name) or _ANY, item)
            named = schema.kind == "struct" and name in schema.fields
            if item is None or item == {} or not named:
                node = {".": {}, **node} if node else {}
            if node is not None:
                out[f"f:{name}"] = node
        return ordered(out) if out else None
    if isinstance(value, list) and schema.kind == "list":
        return _list_set(schema, value)
    return {}


def _list_set(schema: Schema, items: list[Any]) -> FieldSet | None:
    key_of, child = compile_item_key(schema), schema.items or _ANY
    out: FieldSet = {}
    for item in items:
        element = key_of(item)
        # elements with one key are owned together, as one leaf
        node = None if element in out else _field_set(child, item)
        out[element] = {".": {}, **node} if node else {}
    return ordered(out) if out else None


def merge(schema: Schema, live: Any, config: Any, *, share: bool = False) -> Any:
    """``live`` with everything that ``config`` sets; either may be ABSENT. Shares nothing with its arguments, unless ``share``:
    then what stays as it is is no copy.
    """
    if config is ABSENT:
        return live if share else copy_json(live)
    if live is ABSENT or is_leaf(schema) or live == config:
        return config if share else copy_json(config)
    is_list = schema.kind == "list"
    wanted = list if is_list else dict
    fits = isinstance(config, wanted) or config is None
    if is_list:
        fits = fits and (isinstance(live, list) or live is None)
    elif not isinstance(live, dict) and not isinstance(config, dict):
        fits = False
    if not fits or (not live and not config):
        return config if share else copy_json(config)
    if is_list:
        return _merged_list(schema, live or [], config or [], share)
    live = live if isinstance(live, dict) else {}
    config = config or {}
    out = live.copy() if share else {name: item if name in config else copy_json(item) for name, item in live.items()}
    for name, item in config.items():
        if item.__class__ is str:
            out[name] = item  # in the place of whatever is there
        else:
            out[name] = merge(_member(schema, name) or _ANY, live.get(name, ABSENT), item, share=share)
    return out


def _merged_list(schema: Schema, live: list[Any], config: list[Any], share: bool) -> list[Any]:
    """The order of ``config`` for what it mentions; elements that only ``live`` has stay between their neighbours."""
    key_of, child = compile_item_key(schema), schema.items or _ANY
    left = [key_of(item) for item in live]
    right = [key_of(item) for item in config]
    in_live: dict[str, Any] = {}
    for element, item in zip(left, live, strict=True):
        # elements with the same key cannot be merged with one; they are replaced
        in_live[element] = None if element in in_live else item
    if left == right and len(in_live) == len(left):
        return [merge(child, before, item, share=share) for before, item in zip(live, config, strict=True)]
    in_config = dict(zip(right, config, strict=True))
    shared = [element for element in right if element in in_live]
    out: list[Any] = []
    done: set[str] = set()
    i = j = at = 0  # positions in live, in config, in what they share

    def take(element: str) -> None:
        out.append(merge(child, in_live.get(element, ABSENT), in_config[element], share=share))
        done.add(element)

    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            element = left[i]
            if element == right[j]:
                take(element)
                i, j, at = i + 1, j + 1, at + 1
                continue
            if element in in_config and at < len(shared) and shared[at] != element:
                i += 1  # it comes later, where config has it
                continue
        if i < len(left):
            element = left[i]
            if element not in in_config:
                out.append(live[i] if share else copy_json(live[i]))
                i += 1
                continue
            if element in done:
                i += 1
        if j < len(right):
            element = right[j]
            take(element)
            j += 1
            if at < len(shared) and shared[at] == element:
                at += 1
    return out


def remove_items(schema: Schema, value: Any, doomed: FieldSet) -> Any:
    """``value`` without the members of ``doomed``. What becomes empty becomes null."""
    if isinstance(value, dict) and schema.kind not in ("list",) and not _is_scalar(schema):
        if is_leaf(schema):
            return None
        out = {}
        for name, item in value.items():
            node = doomed.get(f"f:{name}")
            if node is None:
                out[name] = item
            elif node and "." not in node:
                out[name] = remove_items(_member(schema, name) or _ANY, item, node)
        return out or None
    if isinstance(value, list) and (schema.kind == "list" or schema.kind == "any"):
        if is_leaf(schema) or schema.kind == "any":
            return None
        key_of, child = compile_item_key(schema), schema.items or _ANY
        items = []
        for item in value:
            node = doomed.get(key_of(item))
            if node is None:
                items.append(item)
            elif node and "." not in node:
                items.append(remove_items(child, item, node))
        return items or None
    return value


def _is_scalar(schema: Schema) -> bool:
    return schema.kind not in ("struct", "map", "list", "any")


def with_named_fields(schema: Schema | None, fields: FieldSet) -> FieldSet:
    """The set with every struct field that has something below it as a member too."""
    out: FieldSet = {}
    for element, node in fields.items():
        child: Schema | None = None
        named = False
        if node and schema is not None:
            if element[:2] == "f:" and schema.kind in ("struct", "map", "any"):
                name = element[2:]
                child = _member(schema, name)
                named = schema.kind == "struct" and name in schema.fields
            elif element[:2] == "k:" and schema.kind == "list":
                child = schema.items
        if node:
            node = with_named_fields(child, node)
            if named and "." not in node:
                node = {".": {}, **node}
        out[element] = node
    return out


def reconciled(schema: Schema, fields: FieldSet) -> FieldSet:
    """The set after a type became atomic: who owned a part of it now owns the whole."""
    out = fields
    for element, node in fields.items():
        if not node:
            continue
        child: Schema | None = None
        if element[:2] == "f:" and schema.kind in ("struct", "map"):
            child = _member(schema, element[2:])
        elif element[:2] == "k:" and schema.kind == "list":
            child = schema.items
        if child is None or child.kind not in ("struct", "map", "list"):
            continue
        kept = {} if is_leaf(child) else reconciled(child, node)
        if kept is not node:
            if out is fields:
                out = fields.copy()
            out[element] = kept
    return out

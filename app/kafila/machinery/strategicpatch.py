"""Strategic merge patch: lists are merged by the keys and strategies that the type declares.

Directives: ``$patch: replace|delete``, ``$retainKeys``, ``$setElementOrder/<list>``, ``$deleteFromPrimitiveList/<list>``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final, Literal

from kafila.core.values import Object, copy_json, json_key, printed, same_json

from .schema import Schema

_DIRECTIVE: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder"
_DELETE: Final = "$deleteFromPrimitiveList"

_ABSENT: Final = object()

Code = Literal[400, 422, 500]


class PatchError(ValueError):
    """The patch cannot be applied; ``code`` is what kube-apiserver answers."""

    def __init__(self, message: str, code: Code = 500) -> None:
        super().__init__(message)
        self.code: Code = code


def apply(doc: Object, patch: Any, schema: Schema) -> Object:
    """A new document that shares nothing with ``doc`` or ``patch``. Raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("invalid JSON document", 400)
    return _merge_map(copy_json(doc), copy_json(patch), schema)


def _merge_map(original: Object, patch: Object, schema: Schema | None) -> Object:
    """Both arguments belong to this call and may be changed."""
    if _DIRECTIVE in patch:
        directive = patch.pop(_DIRECTIVE)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise PatchError(f"unknown patch type: {directive} in map: {printed({**patch, _DIRECTIVE: directive})}")
    if _RETAIN_KEYS in patch:
        _retain_keys(original, patch)
    if any(key.startswith(_ORDER) for key in patch):
        _merge_ordered_lists(original, patch, schema)
    for key, value in patch.items():
        deletes = key.startswith(_DELETE)
        if deletes:
            key = _list_name(key, _DELETE, "invalid patch format of primitive list")
        if value is None:
            original.pop(key, None)
            continue
        current = original.get(key)
        if current.__class__ is dict and value.__class__ is dict:
            child, strategy = _child(schema, key)
            original[key] = value if strategy == "replace" else _merge_map(current, value, child)
        elif current.__class__ is list and value.__class__ is list:
            child, strategy = _child(schema, key)
            if strategy == "merge" or deletes:
                original[key] = _merge_list(current, value, child, deletes)
            else:
                original[key] = value
        elif deletes:
            continue
        elif current.__class__ in (dict, list) or value.__class__ in (dict, list):
            _discard_nulls(value)
            kept = _without_directives(value)
            if kept is None:
                original.pop(key, None)
            else:
                original[key] = kept
        else:
            original[key] = value
    return original


def _child(schema: Schema | None, key: str) -> tuple[Schema | None, str]:
    """The schema of a member and its strategy apart from retainKeys, which is a directive of its own."""
    if schema is None:
        return None, ""
    child = schema.fields.get(key) or (schema.items if schema.kind == "map" else None)
    if child is None:
        return None, ""
    strategies = [strategy for strategy in child.patch_strategy if strategy != "retainKeys"]
    return child, strategies[0] if strategies else ""


def _list_name(key: str, prefix: str, problem: str) -> str:
    name, slash, rest = key.partition("/")
    if name != prefix or not slash:
        raise PatchError(problem, 400)
    return rest


def _retain_keys(original: Object, patch: Object) -> None:
    kept = patch.pop(_RETAIN_KEYS)
    if not isinstance(kept, list):
        raise PatchError("invalid patch format of retainKeys", 400)
    kept = {json_key(key) for key in kept}
    for key, value in patch.items():
        if value is not None and key not in kept and not key.startswith((_DELETE, _ORDER)):
            raise PatchError("invalid patch format of retainKeys", 400)
    for key in [key for key in original if key not in kept]:
        del original[key]


def _merge_ordered_lists(original: Object, patch: Object, schema: Schema | None) -> None:
    """Merges every list that the patch orders, and takes it out of the patch."""
    problem = "invalid patch format of setElementOrder list"
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _bad_type("[]interface {}", order)
        key = _list_name(directive, _ORDER, problem)
        found, patched = key in original, key in patch
        current, changes = original.get(key) or [], patch.get(key) or []
        for value in (original.get(key, []), patch.get(key, [])):
            if not isinstance(value, list):
                raise _bad_type("[]interface {}", value)
        child, strategy = _child(schema, key)
        merge_key = child.patch_merge_key if child else ""
        _check_order(changes, order, merge_key)
        before = list(current)
        if found and patched:
            merged = _merge_list(current, changes, child, False) if strategy == "merge" else changes
        elif found:
            merged = current
        elif patched:
            merged = _without_directives(changes)
        else:
            continue
        _element_type(before, changes)
        in_patch, server_only = _partition(merged, order, merge_key)
        original[key] = _ordered(in_patch, server_only, order, before, merge_key)
        patch.pop(key, None)


def _check_order(changes: list[Any], order: list[Any], merge_key: str) -> None:
    """The elements of the patch must stand in the order that the patch itself gives."""
    if not changes or not order:
        return
    left = [item for item in changes if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "delete")]
    i = j = 0
    while i < len(left) and j < len(order):
        if isinstance(left[i], dict) and _DIRECTIVE in left[i]:
            i += 1
            continue
        here, wanted = _keys([left[i], order[j]], merge_key)
        i, j = i + same_json(here, wanted), j + 1
    if i < len(left) and j >= len(order):
        raise PatchError(
            f"The order in patch list:\n{printed(changes)}\n doesn't match {_ORDER} list:\n{printed(order)}\n"
        )


def _merge_list(original: list[Any], patch: list[Any], child: Schema | None, deletes: bool) -> list[Any]:
    if not original and not patch:
        return original
    merge_key = child.patch_merge_key if child else ""
    if _element_type(original, patch) is not dict:
        if deletes:
            doomed = {json_key(item) for item in patch}
            return [item for item in original if json_key(item) not in doomed]
        distinct: dict[Hashable, Any] = {}
        for item in original + patch:
            distinct.setdefault(json_key(item), item)
        merged = list(distinct.values())
        in_patch, server_only = _partition(merged, patch, merge_key)  # which refuses scalars where it needs a key
        return _ordered(in_patch, server_only, patch, original, "")
    if not merge_key:
        raise PatchError("cannot merge lists without merge key for struct")
    original, patch = _apply_element_directives(original, patch, merge_key)
    element = child.items if child else None
    before = list(original)
    merged = list(original)
    positions = _ranks([item.get(merge_key, _ABSENT) for item in original])
    for item in patch:
        position = positions.setdefault(json_key(_key(item, merge_key)), len(merged))
        if position == len(merged):
            merged.append(item)
        else:
            merged[position] = _merge_map(merged[position], item, element)
    in_patch, server_only = _partition(merged, patch, merge_key)
    return _ordered(in_patch, server_only, patch, before, merge_key)


def _apply_element_directives(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    rest, replace = [], False
    doomed: set[Hashable] = set()
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if _DIRECTIVE not in item:
            rest.append(item)
        elif directive == "delete":
            doomed.add(json_key(_key(item, merge_key)))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise PatchError("merging lists cannot yet be specified in the patch")
        else:
            raise PatchError(f"unknown patch type: {directive} in map: {printed(item)}")
    if doomed:
        original = [one for one in original if json_key(one.get(merge_key)) not in doomed]
    return (rest, []) if replace else (original, rest)


def _element_type(*lists: list[Any]) -> type:
    """The one type that all elements have. Raises PatchError when they differ."""
    items = [item for one in lists for item in one]
    if not items:
        raise PatchError("no elements in any of the given slices")
    first = items[0].__class__
    if first is list:
        raise PatchError("lists of lists are not supported", 422)
    if any(item.__class__ is not first for item in items) and not {item.__class__ for item in items} <= {int, float}:
        raise PatchError(f"list element types are not identical: {printed(list(lists))}")
    return first


def _key(item: Any, merge_key: str) -> Any:
    if not isinstance(item, dict):
        raise _bad_type("map[string]interface {}", item)
    if merge_key not in item:
        raise PatchError(f"map: {printed(item)} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _keys(items: list[Any], merge_key: str) -> list[Any]:
    return [_key(item, merge_key) for item in items] if merge_key else items


def _ranks(keys: Iterable[Any]) -> dict[Hashable, int]:
    """Where each stands first."""
    out: dict[Hashable, int] = {}
    for i, key in enumerate(keys):
        out.setdefault(json_key(key), i)
    return out


def _partition(items: list[Any], by: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Elements that the patch names, and those that only the server has."""
    named = _ranks([item.get(merge_key) for item in by if isinstance(item, dict)] if merge_key else by)
    inside: list[Any] = []
    outside: list[Any] = []
    for item, key in zip(items, _keys(items, merge_key), strict=True):
        (inside if json_key(key) in named else outside).append(item)
    return inside, outside


def _ordered(
    in_patch: list[Any], server_only: list[Any], patch_order: list[Any], server_order: list[Any], merge_key: str
) -> list[Any]:
    """The patch's elements in its order, the server's in theirs; where both orders speak, the server's decides."""
    in_patch = _sorted_by(in_patch, patch_order, merge_key)
    server_only = _sorted_by(server_only, server_order, merge_key)
    known = _ranks(_keys(server_order, merge_key))

    def rank(item: Any) -> int:
        return known.get(json_key(_key(item, merge_key) if merge_key else item), -1)

    out: list[Any] = []
    i = j = 0
    while i < len(server_only) and j < len(in_patch):
        left, right = rank(server_only[i]), rank(in_patch[j])
        if 0 <= left < right:
            out.append(server_only[i])
            i += 1
        else:
            out.append(in_patch[j])
            j += 1
    return out + server_only[i:] + in_patch[j:]


def _sorted_by(items: list[Any], order: list[Any], merge_key: str) -> list[Any]:
    known = _ranks(_keys(order, merge_key))
    ranks = [known.get(json_key(key), -1) for key in _keys(items, merge_key)]
    if -1 not in ranks:
        return [items[i] for i in sorted(range(len(items)), key=ranks.__getitem__)]
    return [items[i] for i in _inserted(ranks)]


def _inserted(ranks: list[int]) -> list[int]:
    """Positions in the order that insertion leaves. Elements that the order does not name (-1) are before all others for
    Kubernetes' comparison, even before each other: what comes out follows from its way of sorting.

    So each goes behind the last one that came before it, has a name and is not greater, else to the front.
    """
    front = len(ranks)  # stands before all positions
    named = sorted((i for i in range(len(ranks)) if ranks[i] >= 0), key=ranks.__getitem__)
    before = dict(zip(named, [front, *named], strict=False))  # among those not taken out yet: the last are taken first
    after = dict(zip([front, *named], named, strict=False))
    behind = [front] * len(ranks)
    for i in sorted(named, reverse=True):
        behind[i], greater = before[i], after.get(i)
        after[before[i]] = greater  # type: ignore[assignment]
        if greater is not None:
            before[greater] = before[i]
    following: dict[int, int | None] = {front: None}
    for i, place in enumerate(behind):
        following[i], following[place] = following[place], i
    out: list[int] = []
    at = following[front]
    while at is not None:
        out.append(at)
        at = following[at]
    return out


def _discard_nulls(value: Any) -> None:
    """A new value must not bring nulls along: in a patch null means absent."""
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        for item in value.values():
            _discard_nulls(item)
    elif isinstance(value, list):
        for item in value:
            _discard_nulls(item)


def _without_directives(value: Any) -> Any:
    """What is left of a new value; None when it is itself a directive."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return None
        cleaned = ((key, item if item is None else _without_directives(item)) for key, item in value.items())
        return {key: item for key, item in cleaned if item is not None}
    if isinstance(value, list):
        kept = []
        for item in value:
            cleaned_item = _without_directives(item)
            if cleaned_item is not None or item is None:
                kept.append(cleaned_item)
        return kept
    return value


def _bad_type(expected: str, actual: Any) -> PatchError:
    names = {dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64"}
    return PatchError(f"expected a {expected}, but received a {names.get(actual.__class__, 'float64')}")

"""Drops what a schema does not declare, and nulls where null means nothing (apiextensions-apiserver's pruning).

Compiled into closures that build a new object; the paths of what was dropped are only looked for when something was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kafila.core.values import Object, copy_json
from kafila.machinery.paths import MAX_FOUND, Path, shown

from .props import EMBEDDED, META, PRESERVE, Props, additional, has_additional, items, member, properties

# Copies a value without what is dropped, and records in the list that something was
Node = Callable[[Any, list[bool]], Any]
Prune = Callable[[Object], tuple[Object, list[str]]]
_AS_IS: Final = frozenset({str, bool, int})


class _Member(NamedTuple):
    node: Node
    nulls: bool  # whether null is kept: it is allowed, or a default will replace it


def compile_pruning(props: Props | None) -> Prune:
    """``prune(object) -> (new object, sorted paths of what was dropped)``. apiVersion, kind and metadata stay as they are."""
    root = {**(props or {}), EMBEDDED: True}
    node = _node(root)

    def prune(obj: Object) -> tuple[Object, list[str]]:
        dropped: list[bool] = []
        out = node(obj, dropped)
        return out, unknown_paths(root, obj) if dropped else []

    return prune


def _plain(value: Any, dropped: list[bool]) -> Any:
    """Everything is kept; a number without a fraction is an integer, as Go writes it."""
    if value.__class__ is dict:
        return {key: _plain(item, dropped) for key, item in value.items()}
    if value.__class__ is list:
        return [_plain(item, dropped) for item in value]
    return int(value) if value.__class__ is float and value.is_integer() and abs(value) < 1e18 else value


def _nothing(value: Any, dropped: list[bool]) -> Any:
    """A value without a schema: of objects nothing is left."""
    if value.__class__ is dict:
        if value:
            dropped.append(True)
        return {}
    if value.__class__ is list:
        return [_nothing(item, dropped) for item in value]
    return _plain(value, dropped)


def _node(props: Props | None, preserving: bool = False) -> Node:
    """``preserving``: unknown members are kept, because of the schema itself or of a list that it is an element of."""
    if props is None:
        return _plain if preserving else _nothing
    keep = preserving or bool(props.get(PRESERVE))
    members = {name: _Member(_node(child), _keeps_null(child)) for name, child in properties(props).items()}
    embedded = bool(props.get(EMBEDDED))
    rest: _Member | None = None
    if has_additional(props):
        others = additional(props)
        rest = _Member(_node(others), others is None or _keeps_null(others))
    elements = items(props)
    item = _plain if keep and elements is None else _node(elements, keep)
    if keep and not members and rest is None and item is _plain:
        return _plain
    if not keep and not members and rest is None and item is _nothing and not embedded:
        return _nothing
    return _container(members, rest, item, embedded, keep)


def _container(members: dict[str, _Member], rest: _Member | None, item: Node, embedded: bool, keep: bool) -> Node:
    def copy(value: Any, dropped: list[bool]) -> Any:
        if value.__class__ is list:
            return [item(one, dropped) for one in value]
        if value.__class__ is not dict:
            return _plain(value, dropped)
        out: Object = {}
        for key, one in value.items():
            if embedded and key in META:
                out[key] = copy_json(one)
                continue
            found = members.get(key, rest)
            if found is None:
                if keep:
                    out[key] = _plain(one, dropped)
                else:
                    dropped.append(True)
            elif one is None:
                if found.nulls:
                    out[key] = None
            else:
                out[key] = one if one.__class__ in _AS_IS else found.node(one, dropped)
        return out

    return copy


def _keeps_null(props: Props) -> bool:
    return bool(props.get("nullable")) or props.get("default") is not None


def unknown_paths(props: Props | None, value: Any) -> list[str]:
    """Paths of the members that a schema drops, as many as are shown: ``spec.list[0].unknown``."""
    found: list[str] = []
    _find(props, value, None, found, False)
    return sorted(found)


def _find(props: Props | None, value: Any, path: Path, found: list[str], preserving: bool) -> None:
    if len(found) >= MAX_FOUND:
        return
    keep = preserving or (props is not None and bool(props.get(PRESERVE)))
    if isinstance(value, list):
        inner = items(props) if props is not None else None
        if keep and inner is None:
            return
        for i, one in enumerate(value):
            _find(inner, one, (path, i), found, keep)
    if not isinstance(value, dict):
        return
    for key, one in value.items():
        if props is not None and props.get(EMBEDDED) and key in META:
            continue
        declared = props is not None and (key in properties(props) or has_additional(props))
        if declared:
            _find(member(props, key), one, (path, key), found, False)
        elif not keep and len(found) < MAX_FOUND:
            found.append(shown((path, key)))

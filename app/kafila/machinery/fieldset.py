"""Sets of fields as ``metadata.managedFields`` writes them (FieldsV1), and their algebra.

A set is the FieldsV1 JSON itself, nested dicts: ``{"f:spec": {"f:replicas": {}, "f:template": {".": {}, ...}}}``. Keys are
path elements: ``f:<name>``, ``k:<JSON of the keys>``, ``v:<JSON of the value>``, ``i:<index>``. An empty node is a member;
a node with content is a member only when it has ``"."``. Sets are values: no function changes its arguments, results may
share nodes with them. Nodes are kept in Kubernetes' order (``in_order``), which all functions preserve.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kafila.core.remembered import remembered

FieldSet = dict[str, Any]
Path = tuple[str, ...]


def from_paths(paths: Iterable[Path]) -> FieldSet:
    """``from_paths([("f:metadata", "f:name")])``; parents are not members."""
    out: FieldSet = {}
    for path in paths:
        node = out
        for element in path[:-1]:
            if not node.get(element, True):
                node[element] = {".": {}}
            node = node.setdefault(element, {})
        last = node.setdefault(path[-1], {})
        if last:
            last["."] = {}
    return out


def field_path(*names: str) -> Path:
    return tuple(f"f:{name}" for name in names)


def paths(fields: FieldSet) -> Iterator[Path]:
    """All members: at each level first the members, then what is inside, both in order."""
    yield from _paths(fields, ())


def _paths(node: FieldSet, prefix: Path) -> Iterator[Path]:
    elements = sorted((element for element in node if element != "."), key=_order)
    for element in elements:
        child = node[element]
        if not child or "." in child:
            yield (*prefix, element)
    for element in elements:
        if node[element]:
            yield from _paths(node[element], (*prefix, element))


def has(fields: FieldSet, path: Path) -> bool:
    node: Any = fields
    for element in path:
        node = node.get(element)
        if node is None:
            return False
    return bool(path) and (not node or "." in node)


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    if not a:
        return b
    if not b:
        return a
    out = a.copy()
    grown = False
    for element, right in b.items():
        left = out.get(element)
        if left is None:
            out[element] = right
            grown = True
        elif left is right:
            continue
        elif not left:
            out[element] = {".": {}, **right} if right else right
        elif not right:
            out[element] = {".": {}, **left}
        else:
            out[element] = union(left, right)
    return ordered(out) if grown and len(out) > 1 else out


def union_all(sets: Sequence[FieldSet]) -> FieldSet:
    """Halves are united first: what the whole is made of is visited only a few times."""
    if len(sets) == 1:
        return sets[0]
    half = len(sets) // 2
    return union(union_all(sets[:half]), union_all(sets[half:]))


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    out: FieldSet = {}
    if len(b) < len(a):
        a, b = b, a
    for element, left in a.items():
        right = b.get(element)
        if right is None or element == ".":
            continue
        inner = intersection(left, right) if left and right else {}
        if (not left or "." in left) and (not right or "." in right):
            out[element] = {".": {}, **inner} if inner else inner
        elif inner:
            out[element] = inner
    return out


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """Members of ``a`` that are no members of ``b``. Taking away a parent leaves its children."""
    out = a
    for element in a if len(a) < len(b) else b:
        left, right = a.get(element), b.get(element)
        if left is None or right is None or element == ".":
            continue
        inner = difference(left, right) if left and right else left
        if not right or "." in right:  # the node itself goes
            if "." in inner:
                inner = {key: value for key, value in inner.items() if key != "."}
            kept = inner or None
        elif not left:
            continue
        else:
            kept = _tidy(inner)
        if kept is left:
            continue
        if out is a:
            out = a.copy()
        if kept is None:
            del out[element]
        else:
            out[element] = kept
    return out


def _tidy(node: FieldSet) -> FieldSet | None:
    """A node that lost children: None when nothing is left, the plain member when only "." is."""
    if not node:
        return None
    return {} if len(node) == 1 and "." in node else node


def recursive_difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """Like ``difference``, but a member of ``b`` takes everything below it along."""
    out = a.copy()
    for element, right in b.items():
        left = a.get(element)
        if left is None or element == ".":
            continue
        if not right or "." in right:
            del out[element]
        elif left:
            kept = _tidy(recursive_difference(left, right))
            if kept is None:
                del out[element]
            else:
                out[element] = kept
    return out


def normal(fields: Any) -> FieldSet:
    """A set as it came from outside, in the form that the algebra expects. Raises ValueError."""
    if not isinstance(fields, dict):
        raise ValueError("FieldsV1 must be an object")
    out: FieldSet = {}
    for element, node in fields.items():
        if element == ".":
            out["."] = {}
            continue
        if len(element) < 2:
            raise ValueError("key must be 2 characters long:")
        if element[1] != ":":
            raise ValueError(f"missing colon: {element}")
        if element[0] not in "fvki":
            raise ValueError("unknown path element type")
        if element[0] == "k":
            element = key_element(_parsed(element[2:], dict))
        elif element[0] == "v":
            element = value_element(_parsed(element[2:]))
        elif element[0] == "i":
            element = f"i:{int(element[2:])}"
        inner = normal(node)
        out[element] = {} if len(inner) == 1 and "." in inner else inner
    return ordered(out)


def _parsed(text: str, kind: type = object) -> Any:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise ValueError(f"unexpected {text}")
    return value


def ordered(node: FieldSet) -> FieldSet:
    """One node in Kubernetes' order: ".", names, keys, values, indices."""
    for element in node:
        if element[0] not in "f.":
            return {element: node[element] for element in sorted(node, key=_order)}
    return {element: node[element] for element in sorted(node)}


def in_order(fields: FieldSet) -> FieldSet:
    """A whole set in Kubernetes' order."""
    return ordered({element: in_order(node) if node else node for element, node in fields.items()})


_RANK = {".": 0, "f": 1, "k": 2, "v": 3, "i": 4}


@remembered(8192)
def _order(element: str) -> tuple[Any, ...]:
    kind = element[0]
    rank = _RANK[kind]
    if kind == "f" or kind == ".":
        return rank, element
    if kind == "i":
        return rank, int(element[2:])
    value = json.loads(element[2:])
    if kind == "k":
        return rank, tuple((name, *_value_order(value[name])) for name in sorted(value))
    return rank, _value_order(value)


def _value_order(value: Any) -> tuple[int, Any]:
    """structured-merge-diff compares numbers first, then strings, then booleans, then the rest."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, (int, float)):
        return 0, value
    if isinstance(value, str):
        return 1, value
    return 3, json.dumps(value, sort_keys=True)


@remembered(8192, typed=True)
def _json(value: Any) -> str:
    """JSON as Go writes it: characters that matter to HTML are escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def _text(value: Any) -> str:
    if value.__class__ in (dict, list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return _json(value)


def key_element(keys: Mapping[str, Any]) -> str:
    return "k:{" + ",".join([f"{_json(name)}:{_text(keys[name])}" for name in sorted(keys)]) + "}"


def value_element(value: Any) -> str:
    return f"v:{_text(value)}"


def path_text(path: Path) -> str:
    """``.spec.template.spec.containers[name="nginx"].image``"""
    return "".join(map(element_text, path))


def element_text(element: str) -> str:
    kind, rest = element[0], element[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "i":
        return f"[{rest}]"
    value = json.loads(rest)
    if kind == "v":
        return f"[={_shown(value)}]"
    return "[" + ",".join(f"{name}={_shown(value[name])}" for name in sorted(value)) + "]"


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

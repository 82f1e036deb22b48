"""Types of expressions from structural schemas (Kubernetes' SchemaDeclType), with what bounds the sizes of values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, final

from kafila.machinery.structural.props import EMBEDDED, INT_OR_STRING, Props, additional, items, properties

from .parser import RESERVED
from .ranges import Path
from .types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, Type, list_of, map_of, struct

MAX_REQUEST: Final = 3 << 20  # bytes of a request
_NUMBER, _BOOL, _STRING, _DATE, _TIME, _DURATION = 1, 4, 2, 12, 21, 3  # bytes that a value has at least
_LONGEST: Final = {"duration": 32, "date": 12, "date-time": 32}
_ESCAPES: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_UNESCAPES: Final = {text: sign for sign, text in _ESCAPES.items()}
_NAME: Final = re.compile(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*", re.ASCII)
_ESCAPE: Final = re.compile(r"__|[./-]")
_UNESCAPE: Final = re.compile("|".join(_UNESCAPES))
METADATA: Final[Props] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}


def escaped(name: str) -> str | None:
    """A field's name as expressions write it; None for one that they cannot name."""
    if name in RESERVED:
        return f"__{name}__"
    if not _NAME.fullmatch(name):
        return None
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], name)


def unescaped(name: str) -> str:
    if name.startswith("__") and name.endswith("__") and name[2:-2] in RESERVED:
        return name[2:-2]
    return _UNESCAPE.sub(lambda found: _UNESCAPES[found[0]], name)


@final
@dataclass(slots=True, eq=False)
class Declared:
    """The type of a part of a schema. ``most``: elements or characters at most; ``least``: bytes at least, as JSON."""

    type: Type
    least: int
    most: int = 0
    fields: dict[str, Declared] | None = None  # by escaped name
    key: Declared | None = None
    element: Declared | None = None
    names: dict[str, str] = field(default_factory=dict)  # escaped name -> name


_STRING_KEY: Final = Declared(STRING, _STRING)


def with_metadata(props: Props) -> Props:
    """A whole object has these fields, whatever its schema says of them."""
    known = {"kind": {"type": "string"}, "apiVersion": {"type": "string"}, "metadata": METADATA}
    return {**props, "type": "object", "properties": {**properties(props), **known}}


def declared(props: Props | None, root: bool = False) -> Declared | None:
    """None for what expressions cannot see. ``root``: it is the schema of a whole object."""
    if props is None:
        return None
    if props.get(INT_OR_STRING):
        longest = props.get("maxLength")
        return Declared(DYN, 1, MAX_REQUEST - 2 if longest is None else max(longest, 0) * 4)
    if root:
        props = with_metadata(props)
    kind = props.get("type")
    if kind == "array":
        return _list(props)
    if kind == "object":
        return _map(props) if additional(props) is not None else _object(props)
    if kind == "string":
        return _string(props)
    return {
        "boolean": Declared(BOOL, _BOOL),
        "number": Declared(DOUBLE, _NUMBER),
        "integer": Declared(INT, _NUMBER),
    }.get(kind or "")


def _nested(props: Props | None) -> Declared | None:
    return None if props is None else declared(props, bool(props.get(EMBEDDED)))


def _list(props: Props) -> Declared | None:
    element = _nested(items(props))
    if element is None:
        return None
    most = props.get("maxItems")
    most = (MAX_REQUEST - 2) // (element.least + 1) if most is None else max(most, 0)
    return Declared(list_of(element.type), 2, most, element=element)


def _map(props: Props) -> Declared | None:
    element = _nested(additional(props))
    if element is None:
        return None
    most = props.get("maxProperties")
    most = (MAX_REQUEST - 2) // (element.least + 6) if most is None else max(most, 0)
    return Declared(map_of(STRING, element.type), 2, most, key=_STRING_KEY, element=element)


def _object(props: Props) -> Declared:
    required = set(props.get("required") or ())
    fields: dict[str, Declared] = {}
    names: dict[str, str] = {}
    least = 2
    for name, child in properties(props).items():
        found = _nested(child)
        if found is None:
            continue
        known = escaped(name)
        if known is not None:
            fields[known] = found
            names[known] = name
        if name in required and child.get("default") is None:
            least += len(name.encode()) + found.least + 4
    return Declared(struct("object"), least, fields=fields, names=names)


def _string(props: Props) -> Declared:
    form, longest = props.get("format") or "", props.get("maxLength")
    if form == "byte":
        return Declared(BYTES, _STRING, MAX_REQUEST - 2 if longest is None else max(longest, 0))
    if form in _LONGEST:
        kind = DURATION if form == "duration" else TIMESTAMP
        return Declared(kind, {"duration": _DURATION, "date": _DATE}.get(form, _TIME), _LONGEST[form])
    if longest is not None:
        return Declared(STRING, _STRING, max(longest, 0) * 4)
    if enum := props.get("enum"):
        return Declared(STRING, _STRING, max(len(one.encode()) if isinstance(one, str) else 0 for one in enum))
    return Declared(STRING, _STRING, MAX_REQUEST - 2)


def named(root: Declared, name: str) -> tuple[Type, dict[str, dict[str, Type]]]:
    """The type with names for its objects (``name``, ``name.field``, ``name.@idx`` …), and the fields of each."""
    objects: dict[str, dict[str, Type]] = {}
    return _named(root, name, objects), objects


def _named(node: Declared, path: str, objects: dict[str, dict[str, Type]]) -> Type:
    if node.fields is not None:
        objects[path] = {key: _named(child, f"{path}.{key}", objects) for key, child in node.fields.items()}
        return struct(path)
    if node.key is not None and node.element is not None:
        return map_of(STRING, _named(node.element, f"{path}.@elem", objects))
    return list_of(_named(node.element, f"{path}.@idx", objects)) if node.element is not None else node.type


def size_at(root: Declared, path: Path) -> int | None:
    """The most that is at a path from a variable of this type."""
    node: Declared | None = root
    for step in path[1:]:
        assert node is not None
        if step in ("@items", "@values"):
            node = node.element
        elif step == "@keys":
            node = node.key
        else:
            node = (node.fields or {}).get(step)
        if node is None:
            return None
    return node.most if node is not None else None


def max_cardinality(least: int) -> int:
    """How many of such values a request can have."""
    return MAX_REQUEST // (least + 1)

"""Whether a schema is structural: everything that is validated is also specified, and nothing is said where it cannot be obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from kafila.core.errors import FieldError

from .patterns import pattern_error
from .props import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    QUANTORS,
    RULES,
    Props,
    properties,
)

Level = Literal["root", "item", "field"]
_TYPE_NEEDED: Final[dict[str, str]] = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_INT_OR_STRING_ANY_OF: Final = [{"type": "integer"}, {"type": "string"}]
# what may only be said outside of allOf, anyOf, oneOf and not
_FORBIDDEN_NESTED: Final = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (PRESERVE, "must be false to be structural"),
    (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"),
    (LIST_MAP_KEYS, "must be empty to be structural"),
    (LIST_TYPE, "must be undefined to be structural"),
    (MAP_TYPE, "must be undefined to be structural"),
    (RULES, "must be empty to be structural"),
)


def structural_findings(props: Props, path: str) -> list[FieldError]:
    found = [*_invariants(props, "root", path), *_complete(props, props, path, path)]
    return sorted(found, key=str)


def _schema(value: Any) -> Props | None:
    return value if isinstance(value, dict) else None


def _invariants(props: Props | None, level: Level, path: str) -> Iterator[FieldError]:
    if props is None:
        return
    kind = props.get("type") or ""
    if kind == "array" and props.get("items") is None:
        yield FieldError.required(f"{path}.items", "must be specified")
    yield from _invariants(_schema(props.get("items")), "item", f"{path}.items")
    for name, child in properties(props).items():
        yield from _invariants(child, "field", f"{path}.properties[{name}]")
    if props.get("additionalProperties") is not None:
        if level == "root":
            yield FieldError.forbidden(f"{path}.additionalProperties", "must not be used at the root")
        yield from _invariants(_schema(props["additionalProperties"]), "field", f"{path}.additionalProperties")
    if props.get(INT_OR_STRING):
        for extension in (PRESERVE, EMBEDDED):
            if props.get(extension):
                why = f"must be false if {INT_OR_STRING} is true"
                yield FieldError.invalid(f"{path}.{extension}", True, why)
    yield from _values(props, path)
    yield from _types(props, kind, level, path)
    yield from _metadata(props, level, path)


def _types(props: Props, kind: str, level: Level, path: str) -> Iterator[FieldError]:
    embedded = bool(props.get(EMBEDDED))
    if embedded and kind != "object":
        why = f"must be object if {EMBEDDED} is true"
        yield FieldError.invalid(f"{path}.type", kind, why) if kind else FieldError.required(f"{path}.type", why)
    elif not kind and not props.get(INT_OR_STRING) and not props.get(PRESERVE):
        yield FieldError.required(f"{path}.type", _TYPE_NEEDED[level])
    if embedded and props.get("additionalProperties") is not None:
        yield FieldError.forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
    if level == "root" and kind and kind != "object":
        yield FieldError.invalid(f"{path}.type", kind, "must be object at the root")
    if embedded and not props.get(PRESERVE) and not properties(props):
        why = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
        yield FieldError.required(f"{path}.properties", why)


def _metadata(props: Props, level: Level, path: str) -> Iterator[FieldError]:
    """Of apiVersion, kind and metadata a schema may only say what they are anyway, and restrict names."""
    known = properties(props)
    whole = level == "root" or bool(props.get(EMBEDDED))
    for name in ("kind", "apiVersion"):
        if whole and name in known and known[name].get("type") != "string":
            given = known[name].get("type") or ""
            yield FieldError.invalid(f"{path}.properties[{name}].type", given, "must be string")
    metadata = known.get("metadata")
    if metadata is None:
        return
    where = f"{path}.properties[metadata]"
    if whole and metadata.get("type") != "object":
        yield FieldError.invalid(f"{where}.type", metadata.get("type") or "", "must be object")
    if level == "root":
        names = set(properties(metadata))
        said = {key for key, value in metadata.items() if value not in (None, "", False, [], {})}
        if names - {"name", "generateName"} or said - {"type", "properties", "default", "format"}:
            why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield FieldError.forbidden(where, why)


def _values(props: Props, path: str, skip_any_of: bool = False, skip_first: bool = False) -> Iterator[FieldError]:
    """What combinations of schemas may say. ``skip…``: the ways to write that an int-or-string is one."""
    if "type" in props or INT_OR_STRING in props or not path.endswith("]"):
        skip_any_of = skip_any_of or props.get("anyOf") == _INT_OR_STRING_ANY_OF
        all_of = props.get("allOf") or []
        skip_first = skip_first or (bool(all_of) and all_of[0].get("anyOf") == _INT_OR_STRING_ANY_OF)
    for name in QUANTORS:
        for i, nested in enumerate(props.get(name) or ()):
            if name == "anyOf" and skip_any_of:
                continue
            yield from _nested(nested, f"{path}.{name}[{i}]", name == "allOf" and i == 0 and skip_first)
    yield from _nested(_schema(props.get("not")), f"{path}.not")
    pattern = props.get("pattern")
    if pattern and (why := pattern_error(pattern)):
        text = f"must be a valid regular expression, but isn't: {why}"
        yield FieldError.invalid(f"{path}.pattern", pattern, text)


def _nested(props: Props | None, path: str, skip_any_of: bool = False) -> Iterator[FieldError]:
    if props is None:
        return
    yield from _values({k: v for k, v in props.items() if k != "type"}, path, skip_any_of)
    yield from _nested(_schema(props.get("items")), f"{path}.items")
    for name, child in properties(props).items():
        yield from _nested(child, f"{path}.properties[{name}]")
    for keyword, why in _FORBIDDEN_NESTED:
        if props.get(keyword) not in (None, "", False, []):
            yield FieldError.forbidden(f"{path}.{keyword}", why)
    if "metadata" in properties(props):
        yield FieldError.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _complete(values: Props | None, props: Props | None, path: str, nested: str) -> Iterator[FieldError]:
    """What a combination validates (``values``, at ``nested``) has to be specified by the schema itself.

    As in Kubernetes, only combinations at the root are held to that.
    """
    if values is None:
        return
    if props is None:
        yield FieldError.required(path, f"because it is defined in {nested}")
        return
    if nested != path:
        yield from _complete_below(values, props, path, nested)
    if values.get("not") is not None:
        yield from _complete(values["not"], props, path, f"{nested}.not")
    for name in QUANTORS:
        for i, one in enumerate(values.get(name) or ()):
            yield from _complete(one, props, path, f"{nested}.{name}[{i}]")


def _complete_below(values: Props, props: Props, path: str, nested: str) -> Iterator[FieldError]:
    if (inner := _schema(values.get("items"))) is not None:
        yield from _complete(inner, _schema(props.get("items")), f"{path}.items", f"{nested}.items")
    for name, child in properties(values).items():
        where, inside = f"{path}.properties[{name}]", f"{nested}.properties[{name}]"
        yield from _complete(child, properties(props).get(name), where, inside)

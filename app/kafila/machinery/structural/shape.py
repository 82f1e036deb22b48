"""A structural schema as the machinery's Schema: what server-side apply and managedFields have to know."""

from __future__ import annotations

from dataclasses import replace

from kafila.machinery.schema import Schema

from .props import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    Props,
    additional,
    has_additional,
    items,
    properties,
)

# one for all fields that say no more
_SCALARS = {kind: Schema(kind) for kind in ("string", "integer", "number", "boolean")}
_STRING = _SCALARS["string"]


def schema_of(props: Props | None, meta: Schema) -> Schema:
    """The schema of a whole object. ``meta`` is ObjectMeta's."""
    root = _object({"type": "object", **(props or {}), EMBEDDED: True}, meta)
    root.compiled["zero"] = {}  # what the server fills in belongs to who has written the object
    return root


def _node(props: Props | None, meta: Schema) -> Schema:
    if props is None:
        return Schema("any")
    if props.get(INT_OR_STRING):
        return Schema("int-or-string", default=props.get("default"))
    default = props.get("default")
    match props.get("type"):
        case "object":
            found = _object(props, meta)
        case "array":
            found = Schema(
                "list",
                items=_node(items(props), meta),
                list_type=props.get(LIST_TYPE) or "atomic",
                list_map_keys=tuple(props.get(LIST_MAP_KEYS) or ()),
            )
        case "string" | "integer" | "number" | "boolean" as scalar:
            found = _SCALARS[scalar] if default is None else Schema(scalar)
        case _:
            found = _object(props, meta) if properties(props) or props.get(EMBEDDED) else Schema("any")
    if default is not None:
        found.default = default
    return found


def _object(props: Props, meta: Schema) -> Schema:
    fields = {name: _node(child, meta) for name, child in properties(props).items()}
    if props.get(EMBEDDED):
        fields = {"apiVersion": _STRING, "kind": _STRING, "metadata": replace(meta)} | {
            name: child for name, child in fields.items() if name not in ("apiVersion", "kind", "metadata")
        }
    atomic = props.get(MAP_TYPE) == "atomic"
    if not fields and has_additional(props):
        return Schema("map", items=_node(additional(props), meta), atomic=atomic)
    if not fields and props.get(PRESERVE):
        return Schema("any") if not atomic else Schema("map", items=Schema("any"), atomic=True)
    return Schema(
        "struct",
        fields=fields,
        required=frozenset(props.get("required") or ()),
        atomic=atomic,
        preserve_unknown=bool(props.get(PRESERVE)),
    )

"""A custom resource's schema as OpenAPI publishes it: with what every object has, and in 2.0 without what clients misread there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from kafila.machinery.structural.props import EMBEDDED, INT_OR_STRING, PRESERVE, Props, additional, items, properties

Json = dict[str, Any]
Refer = Callable[[str], Json]  # text -> a reference to ObjectMeta
Describe = Callable[[str], str]  # what Kubernetes says of apiVersion, kind or metadata of its own kinds
CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_UNKNOWN_TO_V2 = ("allOf", "anyOf", "oneOf", "not", "nullable", "default")
# of an object within another one: the words are kube-apiserver's
_EMBEDDED_TYPE = {
    "apiVersion": "apiVersion defines the versioned schema of this representation of an object. "
    f"More info: {CONVENTIONS}#resources",
    "kind": f"kind is a string value representing the type of this object. In CamelCase. More info: {CONVENTIONS}#types-kinds",
}


def published(props: Props | None, dialect: Literal["v2", "v3"], metadata: Refer, describe: Describe) -> Json:
    if props is None or (dialect == "v2" and props.get(PRESERVE)):
        # with properties clients would take everything else for a mistake
        return {"type": "object"}
    out = _v2(props) if dialect == "v2" else dict(props)
    refer = partial(metadata, describe("metadata"))
    known = {name: _node(child, dialect, refer) for name, child in properties(out).items()}
    out["properties"] = known | _of_every_object({name: describe(name) for name in _EMBEDDED_TYPE}, refer)
    return out


def _of_every_object(texts: dict[str, str], metadata: Callable[[], Json]) -> Json:
    named = {name: {"description": text, "type": "string"} for name, text in texts.items()}
    return named | {"metadata": metadata()}


def _node(props: Props, dialect: Literal["v2", "v3"], metadata: Callable[[], Json]) -> Json:
    out = _v2(props) if dialect == "v2" else dict(props)
    if dialect == "v3" and props.get(INT_OR_STRING) and not props.get("anyOf"):
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if out.get("properties") is not None:
        out["properties"] = {name: _node(child, dialect, metadata) for name, child in properties(out).items()}
    if (inner := items(out)) is not None:
        out["items"] = _node(inner, dialect, metadata)
    if (others := additional(out)) is not None:
        out["additionalProperties"] = _node(others, dialect, metadata)
    if props.get(EMBEDDED) and not (dialect == "v2" and props.get(PRESERVE)):
        out["properties"] = (out.get("properties") or {}) | _of_every_object(_EMBEDDED_TYPE, metadata)
        required = out.get("required") or []
        out["required"] = [*required, *(name for name in ("kind", "apiVersion") if name not in required)]
    return out


def _v2(props: Props) -> Json:
    """2.0 has neither combinations, null nor (here) defaults, and kubectl reads properties beside unknown fields as all there are."""
    out = {name: value for name, value in props.items() if name not in _UNKNOWN_TO_V2}
    if props.get("nullable") or props.get(PRESERVE):
        for name in ("items", "properties"):
            out.pop(name, None)
    untyped = props.get("nullable") or (props.get(PRESERVE) and out.get("type") == "object")
    if untyped or (out.get("type") == "array" and "items" not in out):
        out.pop("type", None)
    nullable = {name for name, child in properties(out).items() if child.get("nullable")}
    if nullable and out.get("required"):
        out["required"] = [name for name in out["required"] if name not in nullable]
    if not out.get("required"):
        out.pop("required", None)
    return out

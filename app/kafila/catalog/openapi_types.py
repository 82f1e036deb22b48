"""Schemas as OpenAPI writes them, in the two dialects that are served (2.0 and 3.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, final

from kafila.machinery.schema import Schema

from .custom.openapi import CONVENTIONS, published
from .kind import Kind
from .tables import definition_name, group_version_kinds, has_definition, openapi_of, schema_of, unions_of

Json = dict[str, Any]
Dialect = Literal["v2", "v3"]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."

_REFERENCE = {"v2": "#/definitions/", "v3": "#/components/schemas/"}
_SCALARS: dict[str, Json] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "quantity": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "micro-time": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
}
_OBJECT, _LIST = (
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.PodList",
)  # what these say is said of custom kinds too
_LIST_TEXTS = {
    "apiVersion": "Group and version of this representation of the list.",
    "kind": "Kind of this list, in CamelCase.",
    "metadata": "Metadata of the list.",
}


def type_name(kind: Kind) -> str:
    """The definition of a kind's objects: "io.k8s.api.apps.v1.Deployment", "io.karmada.policy.v1alpha1.OverridePolicy"."""
    if kind.schema.name:
        return kind.schema.name
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


@final
class Types:
    """Collects the definitions that a document refers to and writes each once.

    ``describe(definition, field or "")`` gives the texts of Kubernetes' own definitions.
    """

    def __init__(self, dialect: Dialect, kinds: Iterable[Kind], describe: Callable[[str, str], str]) -> None:
        self._dialect = dialect
        self._describe = describe
        self._custom = {type_name(kind): kind for kind in kinds if not has_definition(type_name(kind))}
        self._lists = {f"{name}List": kind for name, kind in self._custom.items()}
        self._wanted: list[str] = []
        self._seen: set[str] = set()

    def reference(self, name: str) -> Json:
        """``{"$ref": …}`` to a definition, which is then part of the document."""
        if name not in self._seen:
            self._seen.add(name)
            self._wanted.append(name)
        return {"$ref": _REFERENCE[self._dialect] + name}

    def definitions(self) -> dict[str, Json]:
        """Everything referred to so far and what that refers to, by name."""
        out: dict[str, Json] = {}
        while self._wanted:
            name = self._wanted.pop()
            out[name] = self._definition(name)
        return dict(sorted(out.items()))

    def _definition(self, name: str) -> Json:
        if name in self._custom:
            kind = self._custom[name]
            if kind.definition:
                refer = partial(self._referring, META + "ObjectMeta", beside={})
                body = published(kind.document, self._dialect, refer, partial(self._describe, _OBJECT))
            else:
                body = self._inline(kind.schema)
            return body | {"x-kubernetes-group-version-kind": [_gvk(kind.group, kind.version, kind.kind)]}
        if name in self._lists:
            return self._list(self._lists[name])
        plain = openapi_of(name)
        body = self._plain(plain) if plain is not None else self._struct(schema_of(name), name)
        if text := self._describe(name, ""):
            body = {"description": text} | body
        if gvks := group_version_kinds(name):
            body |= {"x-kubernetes-group-version-kind": [_gvk(*gvk) for gvk in gvks]}
        if unions := unions_of(name):
            body |= {"x-kubernetes-unions": unions}
        return body

    def _plain(self, schema: Json) -> Json:
        """2.0 has no oneOf: what may be a number is called a string there, as Kubernetes does."""
        if self._dialect == "v3" or "oneOf" not in schema:
            return dict(schema)
        return {"type": "string"} | {key: value for key, value in schema.items() if key != "oneOf"}

    def _list(self, kind: Kind) -> Json:
        texts = dict(_LIST_TEXTS, items=f"The {kind.plural}.")
        if kind.definition:
            texts = {name: self._describe(_LIST, name) for name in texts}
            texts["items"] = f"List of {kind.plural}. More info: {CONVENTIONS}"
        listed = {"description": texts["items"], "type": "array", "items": self.reference(type_name(kind))}
        properties: Json = {name: {"description": texts[name], "type": "string"} for name in ("apiVersion", "kind")}
        properties |= {"items": listed, "metadata": self._referring(META + "ListMeta", texts["metadata"], {})}
        return {
            "description": f"{kind.list_name} is a list of {kind.kind}{'' if kind.definition else '.'}",
            "type": "object",
            "required": ["items"],
            "properties": properties,
            "x-kubernetes-group-version-kind": [_gvk(kind.group, kind.version, kind.list_name)],
        }

    def _struct(self, schema: Schema, owner: str) -> Json:
        properties = {}
        for name, node in sorted(schema.fields.items()):
            text = node.description or (self._describe(owner, name) if owner else "")
            properties[name] = self._field(node, text, self._default(schema, name, node))
        out: Json = {"type": "object"}
        if properties:
            out["properties"] = properties
        if schema.required:
            out["required"] = sorted(schema.required)
        if schema.atomic:
            out["x-kubernetes-map-type"] = "atomic"
        if schema.preserve_unknown:
            out["x-kubernetes-preserve-unknown-fields"] = True
        return out

    def _default(self, schema: Schema, name: str, node: Schema) -> Any:
        """Defaults are 3.0's alone. A struct that Go always writes has ``{}``: it is never null."""
        if self._dialect == "v2":
            return None
        if node.default is None and node.kind == "struct" and node.name:
            embedded = schema.always.get(name) is not None or name in schema.drop_zero
            return {} if embedded else None
        return node.default

    def _field(self, node: Schema, text: str, default: Any) -> Json:
        beside: Json = {}
        if default is not None:
            beside["default"] = default
        if node.patch_strategy:
            beside["x-kubernetes-patch-strategy"] = ",".join(node.patch_strategy)
        if node.patch_merge_key:
            beside["x-kubernetes-patch-merge-key"] = node.patch_merge_key
        if node.name and has_definition(node.name):
            if node.atomic != schema_of(node.name).atomic:  # the field says otherwise than its type
                beside["x-kubernetes-map-type"] = "atomic" if node.atomic else "granular"
            return self._referring(node.name, text, beside)
        body = self._inline(node)
        if text:
            body["description"] = text
        return body | beside

    def _referring(self, name: str, text: str, beside: Json) -> Json:
        reference = self.reference(name)
        if text:
            beside = {"description": text, **beside}
        if not beside:
            return reference
        return {**reference, **beside} if self._dialect == "v2" else {"allOf": [reference], **beside}

    def _inline(self, node: Schema) -> Json:
        """A node without a definition of its own."""
        body = self._shape(node)
        if node.format and node.kind not in ("any", "int-or-string"):
            body["format"] = node.format
        if node.enum:
            body["enum"] = list(node.enum)
        if node.embedded:
            body["x-kubernetes-embedded-resource"] = True
        if node.description:
            body["description"] = node.description
        return body

    def _shape(self, node: Schema) -> Json:
        match node.kind:
            case "struct":
                return self._struct(node, "")
            case "list":
                out: Json = {"type": "array", "items": self._element(node.items)}
                out["x-kubernetes-list-type"] = node.list_type
                if node.list_map_keys:
                    out["x-kubernetes-list-map-keys"] = list(node.list_map_keys)
                return out
            case "map":
                out = {"type": "object", "additionalProperties": self._element(node.items)}
                if node.atomic:
                    out["x-kubernetes-map-type"] = "atomic"
                return out
            case "any":
                free: Json = {"type": "object"} if node.format == "object" or node.embedded else {}
                return free | {"x-kubernetes-preserve-unknown-fields": True}
            case "int-or-string":
                return {"x-kubernetes-int-or-string": True}
            case scalar:
                return dict(_SCALARS[scalar])

    def _element(self, node: Schema | None) -> Json:
        return self._field(node, "", None) if node is not None else {}


def name_of(group: str, version: str, kind: str, kinds: Iterable[Kind]) -> str | None:
    """The definition of a group, version and kind, Kubernetes' own or one of ``kinds``."""
    found = definition_name(group, version, kind)
    if found is not None:
        return found
    return next((type_name(k) for k in kinds if (k.group, k.version, k.kind) == (group, version, kind)), None)


def _gvk(group: str, version: str, kind: str) -> Json:
    return {"group": group, "kind": kind, "version": version}

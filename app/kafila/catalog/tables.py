"""Kubernetes' own types as schemas, read from the generated tables in ``app/kafila/catalog/data`` (README.md there)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, cast

import orjson

from kafila.machinery.schema import Kind as SchemaKind
from kafila.machinery.schema import Schema

Json = Any
_NO_ATTRIBUTES: dict[str, Json] = {}
_ANNOTATED = ("mt", "lt", "k", "ps", "pk", "d", "e")  # attributes that make a field's node differ from its type's


def read_table(name: str) -> Json:
    """The parsed table, for example ``read_table("kinds.json")``. Not kept: callers keep what they need."""
    return orjson.loads(files("kafila.catalog").joinpath("data", name).read_bytes())


def schema_of(name: str) -> Schema:
    """The schema of a definition, for example "io.k8s.api.apps.v1.Deployment". Built once and shared: do not change it.

    Raises KeyError for a name that no served document defines.
    """
    found = _built.get(name)
    return found if found is not None else _build(name)


def has_definition(name: str) -> bool:
    return name in _definitions()


def definition_names() -> list[str]:
    return list(_definitions())


def definition_name(group: str, version: str, kind: str) -> str | None:
    """The definition of a kind, or None when the tables do not have it."""
    return _by_gvk().get((group, version, kind))


def group_version_kinds(name: str) -> list[list[str]]:
    """``[group, version, kind]`` of every kind that a definition is (apimachinery's types belong to many)."""
    return _definitions()[name].get("g", []) if name in _definitions() else []


def openapi_of(name: str) -> Json | None:
    """The OpenAPI form of a definition that is not a struct (Quantity, Time …); None for all others."""
    return _definitions()[name].get("o") if name in _definitions() else None


def unions_of(name: str) -> Json | None:
    return _definitions()[name].get("u") if name in _definitions() else None


def load_descriptions() -> Callable[[str, str], str]:
    """A lookup ``(definition, field or "") -> text``.

    Read anew on every call, so that the texts can be let go: only OpenAPI documents need them.
    """
    packed = files("kafila.catalog").joinpath("data", "descriptions.json.gz").read_bytes()
    texts: dict[str, dict[str, str]] = orjson.loads(gzip.decompress(packed))

    def describe(name: str, field: str = "") -> str:
        return texts.get(name, _NO_ATTRIBUTES).get(field, "")

    return describe


@cache
def _definitions() -> dict[str, Json]:
    return cast("dict[str, Json]", read_table("definitions.json")["definitions"])


@cache
def _by_gvk() -> dict[tuple[str, str, str], str]:
    # Types that belong to many groups (DeleteOptions, WatchEvent) are not looked up by kind.
    tables = _definitions().items()
    return {(g[0], g[1], g[2]): name for name, table in tables if len(gvks := table.get("g", ())) == 1 for g in gvks}


_built: dict[str, Schema] = {}


def _build(name: str) -> Schema:
    table = _definitions()[name]
    if "f" not in table:
        return _built.setdefault(name, Schema("any", name, atomic=True))
    attributes = {key: entry[1] for key, entry in table["f"].items() if isinstance(entry, list)}
    schema = Schema(
        "struct",
        name,
        required=frozenset(table.get("r", ())),
        always={key: values["z"] for key, values in attributes.items() if "z" in values},
        drop_zero=frozenset(key for key, values in attributes.items() if "o" in values),
        atomic=table.get("mt") == "atomic",
        go={
            key: (values.get("in", ""), tuple(values.get("go", ())))
            for key, values in attributes.items()
            if "in" in values or "go" in values
        },
    )
    _built[name] = schema  # before its fields: definitions refer to themselves
    for key, entry in table["f"].items():
        schema.fields[key] = _field(entry if isinstance(entry, str) else entry[0], attributes.get(key, _NO_ATTRIBUTES))
    return schema


def _field(kind: str, attributes: Json) -> Schema:
    node = _node(kind)
    default = attributes["d"] if "d" in attributes else _zero_as_default(kind, attributes.get("z"))
    if default is None and not any(key in attributes for key in _ANNOTATED):
        return node
    # Patch and list semantics belong to the field that points here: a copy that shares the type's fields.
    return replace(
        node,
        default=default,
        atomic=attributes["mt"] == "atomic" if "mt" in attributes else node.atomic,
        list_type=attributes.get("lt", "atomic"),
        list_map_keys=tuple(attributes.get("k", ())),
        patch_strategy=tuple(attributes["ps"].split(",")) if "ps" in attributes else (),
        patch_merge_key=attributes.get("pk", ""),
        enum=tuple(attributes.get("e", ())),
    )


def _zero_as_default(kind: str, zero: Json) -> Json:
    """OpenAPI gives a scalar that Go always writes its zero as default."""
    return zero if kind[0] not in "@[{" and not isinstance(zero, (dict, list)) else None


@cache
def _node(kind: str) -> Schema:
    if kind.startswith("@"):
        return schema_of(kind[1:])
    if kind.startswith("[]"):
        return Schema("list", items=_node(kind[2:]))
    if kind.startswith("{}"):
        return Schema("map", items=_node(kind[2:]))
    scalar, _, name = kind.partition("@")
    scalar, _, format = scalar.partition(":")
    return Schema(
        cast(SchemaKind, scalar), name, format=format, atomic=scalar == "any"
    )  # RawExtension: owned as a whole

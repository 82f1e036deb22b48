"""OpenAPI 2.0 of extension servers in the document of this one, as kube-apiserver's aggregator does it. Pure functions.

Paths that are there already stay. A definition or parameter that has the name of another one gets a new name (``…_v2``), and
what refers to it too; where two definitions say the same, their kinds are joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from .openapi_reading import DEFINITIONS, KINDS, PARAMETERS, Swagger, reached, without_unused

Json = dict[str, Any]


def merge_all(into: Json, swaggers: Iterable[Swagger]) -> None:
    """The order of paths and names is that of one server alone."""
    for swagger in swaggers:
        merge(into, swagger.tree())
    into["paths"] = dict(sorted(into["paths"].items()))


def merge(into: Json, source: Json) -> None:
    """``source``: as :func:`openapi_reading.read` keeps it; ``into`` is changed."""
    new = {path: item for path, item in source["paths"].items() if path not in into["paths"]}
    if not new:
        return
    if len(new) < len(source["paths"]):
        source = without_unused({**source, "paths": new}, reached(source))
    for kind, prefix in (("definitions", DEFINITIONS), ("parameters", PARAMETERS)):
        renamed = _names(into.get(kind) or {}, source.get(kind) or {})
        source = _renamed(source, kind, prefix, renamed)
    definitions = into["definitions"]
    for name, schema in source["definitions"].items():
        if name in definitions:
            definitions[name] = _joined(definitions[name], schema)
        else:
            definitions[name] = schema
    if source.get("parameters"):
        into["parameters"] = source["parameters"] | (into.get("parameters") or {})
    into["paths"] |= source["paths"]


def _names(there: Json, given: Json) -> dict[str, str]:
    """New names of those that would stand for something else."""
    renamed: dict[str, str] = {}
    taken = {*there, *given}
    for name, one in given.items():
        if name not in there or _alike(there[name], one):
            continue
        for number in count(2):
            other = f"{name}_v{number}"
            if (other in there and _alike(there[other], one)) or other not in taken:
                break
        renamed[name] = other
        taken.add(other)
    return renamed


def _alike(one: Json, other: Json) -> bool:
    """But for their kinds."""
    return {**one, KINDS: None} == {**other, KINDS: None}


def _joined(one: Json, other: Json) -> Json:
    kinds = [*one.get(KINDS, ()), *(kind for kind in other.get(KINDS, ()) if kind not in one.get(KINDS, ()))]
    if len(kinds) == len(one.get(KINDS, ())):
        return one
    return {**one, KINDS: sorted(kinds, key=lambda kind: f"{kind['group']}/{kind['version']}.{kind['kind']}")}


def _renamed(source: Json, kind: str, prefix: str, renamed: dict[str, str]) -> Json:
    if not renamed:
        return source
    references = {prefix + name: prefix + other for name, other in renamed.items()}
    found = {part: _referring(value, references) for part, value in source.items()}
    return {**found, kind: {renamed.get(name, name): value for name, value in found[kind].items()}}


def _referring(value: Any, references: dict[str, str]) -> Any:
    if isinstance(value, dict):
        out = {key: _referring(each, references) for key, each in value.items()}
        reference = out.get("$ref")
        if isinstance(reference, str) and reference in references:
            out["$ref"] = references[reference]
        return out
    if isinstance(value, list):
        return [_referring(each, references) for each in value]
    return value

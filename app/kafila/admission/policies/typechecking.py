"""What the types of a ValidatingAdmissionPolicy's kinds say of its expressions (k8s.io/apiserver policy/validating typechecking).

At a write nothing is known of ``object``, which is dynamic; ``status.typeChecking`` says afterwards what cannot be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.cel import CompileError, Environment, InstantiationError, Objects
from kafila.cel.admission import FIELDS, NAMESPACE_TYPE, REQUEST_TYPE, VARIABLES_TYPE
from kafila.cel.libraries.authorizer import AUTHORIZER_TYPE
from kafila.cel.published import published
from kafila.cel.schema import named
from kafila.cel.types import DYN, Type
from kafila.core.resources import split_api_version
from kafila.core.values import Object

MOST_KINDS: Final = 10  # of one rule


class _Typed(NamedTuple):
    type: Type
    objects: Mapping[str, Mapping[str, Type]]


def expression_warnings(spec: Object, catalog: Catalog, number: int) -> list[Object]:
    """``status.typeChecking.expressionWarnings``. ``number``: stands behind the names of types in texts."""
    environments = [(kind, _environment(spec, kind, catalog, number)) for kind in kinds_of(spec, catalog)]
    out: list[Object] = []
    for index, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            source = validation.get(field) or ""
            found = [text for kind, known in environments if source and (text := _checked(source, kind, known))]
            if found:
                out.append({"fieldRef": f"spec.validations[{index}].{field}", "warning": "\n".join(found)})
    return out


def kinds_of(spec: Object, catalog: Catalog) -> list[Kind]:
    """Those that rules without wildcards name, by group, version and kind."""
    found: dict[str, Kind] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        for count, kind in enumerate(_named(rule, catalog), 1):
            found[str(kind.gvk)] = kind
            if count == MOST_KINDS:
                return _sorted(found)
    return _sorted(found)


def _sorted(found: Mapping[str, Kind]) -> list[Kind]:
    return sorted(found.values(), key=lambda kind: (kind.group, kind.version, kind.kind))


def _named(rule: Object, catalog: Catalog) -> Iterator[Kind]:
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    if any("*" in name for name in (*groups, *versions)):
        return
    resources = [name for name in rule.get("resources") or () if "*" not in name and "/" not in name]
    for group in sorted(groups):
        for version in sorted(versions):
            for resource in sorted(resources):
                for kind in catalog:  # no group: that of any group, as kube-controller-manager looks them up
                    if (
                        group in ("", kind.group)
                        and kind.version == version
                        and resource in (kind.plural, kind.singular)
                    ):
                        yield kind


def _checked(source: str, kind: Kind, known: Environment) -> str:
    try:
        known.compile(source)
    except InstantiationError:
        return ""
    except CompileError as error:
        group, version, name = kind.gvk
        return f"{group}/{version}, Kind={name}: {error}\n"
    return ""


def _environment(spec: Object, kind: Kind, catalog: Catalog, number: int) -> Environment:
    object_type = _typed(kind, number)
    variables: dict[str, Type] = {}
    fields = {**FIELDS, **object_type.objects, VARIABLES_TYPE.name: variables}
    names = {
        "object": object_type.type,
        "oldObject": object_type.type,
        "namespaceObject": NAMESPACE_TYPE,
        "request": REQUEST_TYPE,
        "authorizer": AUTHORIZER_TYPE,
        "variables": VARIABLES_TYPE,
    }
    if (params := spec.get("paramKind")) is not None:
        group, version = split_api_version(params.get("apiVersion") or "")
        param_kind = catalog.by_kind(group, version, params.get("kind") or "")
        found = _typed(param_kind, number + 1) if param_kind is not None else _Typed(DYN, {})
        fields |= found.objects
        names["params"] = found.type
    known = Environment(names, objects=Objects(fields))
    for variable in spec.get("variables") or ():
        variables[variable["name"]] = _output(variable["expression"], known)
    return known


def _output(source: str, known: Environment) -> Type:
    """Of a variable: nothing is known of the fields of objects behind it."""
    try:
        return _without_structs(known.compile(source).output)
    except CompileError:
        return DYN


def _without_structs(kind: Type) -> Type:
    if kind.kind in ("list", "map"):
        return Type(kind.kind, kind.name, tuple(map(_without_structs, kind.params)))
    return DYN if kind.kind in ("struct", "opaque") else kind


def _typed(kind: Kind, number: int) -> _Typed:
    found = published(kind.schema)
    return _Typed(*named(found, f"{kind.kind}{number}")) if found is not None else _Typed(DYN, {})

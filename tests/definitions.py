"""CustomResourceDefinitions, of which tests say what matters to them."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import Object

ANYTHING: Final[Object] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name: str = "v1", schema: Object | None = None, **fields: Any) -> Object:
    """One that is served and stored, and takes any object."""
    return {
        "name": name,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema or {"type": "object"}},
        **fields,
    }


def properties(**fields: Object) -> Object:
    return {"type": "object", "properties": fields}


def definition(group: str, kind: str, *versions: Object, plural: str = "", **spec: Any) -> Object:
    """Of a namespaced kind, unless ``spec`` says otherwise."""
    plural = plural or f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": list(versions) or [version()],
            **spec,
        },
    }

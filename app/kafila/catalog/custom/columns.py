"""Printer columns of custom resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from kafila.catalog.kind import Column
from kafila.catalog.tables import load_descriptions
from kafila.core.values import Object
from kafila.machinery.jsonpath import JSONPathError, cell, compile_path

Cells = Callable[[Object, float], list[Any]]

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def _texts() -> tuple[str, str]:
    """What Kubernetes says about metadata.name and metadata.creationTimestamp."""
    describe = load_descriptions()
    return describe(META, "name"), describe(META, "creationTimestamp")


def age_column() -> Object:
    return {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": _texts()[1]}


def printer_columns(given: Sequence[Object]) -> tuple[Sequence[Column], Cells]:
    """The columns of ``additionalPrinterColumns`` behind the object's name, and what fills a row of them.

    As in Kubernetes, nothing that comes after a path that cannot be read is shown; without columns there is the age.
    """
    shown, paths = [Column("Name", "string", "name", _texts()[0])], []
    for column in given or (age_column(),):
        path, kind = column["jsonPath"], column["type"]
        try:
            compiled = compile_path(path)
        except JSONPathError:
            break
        text = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
        shown.append(Column(column["name"], kind, column.get("format") or "", text, column.get("priority") or 0))
        paths.append((compiled, kind))

    def cells(obj: Object, now: float) -> list[Any]:
        return [(obj.get("metadata") or {}).get("name", ""), *(cell(path, kind, obj, now) for path, kind in paths)]

    return tuple(shown), cells

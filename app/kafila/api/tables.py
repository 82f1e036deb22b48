"""``meta.k8s.io Table`` and ``PartialObjectMetadata``: what kubectl prints, and what metadata clients read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kafila.catalog.builtin.columns import descriptions, in_order_of_rows
from kafila.catalog.builtin.prepare import TEMPLATE_GENERATION
from kafila.catalog.custom.columns import age_column, printer_columns
from kafila.catalog.kind import Column, Kind
from kafila.core.values import Object
from kafila.registry.codec import decode_entry
from kafila.watch import Entry

from .negotiation import Accepted


def column_definitions(kind: Kind) -> list[Object]:
    texts = descriptions(kind.kind) if kind.protobuf and not kind.custom else {}
    return _definitions(kind.columns, texts)


def _definitions(columns: Sequence[Column], texts: Mapping[str, str]) -> list[Object]:
    return [
        {
            "name": c.name,
            "type": c.type,
            "format": c.format,
            "description": c.description or texts.get(c.name, ""),
            "priority": c.priority,
        }
        for c in columns
    ]


def table(
    kind: Kind, entries: Sequence[Entry], accept: Accepted, include: str, metadata: Object, *, columns: bool = True
) -> bytes:
    """A Table of ``entries``. ``include`` is the includeObject parameter: None, Metadata (default) or Object."""
    now = time.time()
    objects = [decode_entry(kind, entry) for entry in entries]
    out = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{accept.version}",
        "metadata": metadata,
        "columnDefinitions": column_definitions(kind) if columns else None,
        "rows": [_row(kind, obj, accept, include, now) for obj in in_order_of_rows(kind.kind, objects)],
    }
    return orjson.dumps(out)


def _row(kind: Kind, obj: Object, accept: Accepted, include: str, now: float) -> Object:
    row: Object = {"cells": kind.cells(obj, now) if kind.cells else _plain_cells(obj)}
    if kind.kind == "Pod" and not kind.group:
        if conditions := _finished(obj):
            row["conditions"] = conditions
    if include == "Object":
        row["object"] = obj
    else:
        row["object"] = None if include == "None" else partial(obj, accept.version)
    return row


def scale_table(view: Object, accept: Accepted, include: str, custom: bool) -> bytes:
    """The Table of a Scale: ``kubectl get --subresource=scale``. Two tables in Kubernetes, with words of their own."""
    columns, cells = printer_columns(
        [
            {
                "name": "Desired",
                "type": "integer",
                "jsonPath": ".spec.replicas",
                "description": "Number of desired replicas",
            },
            {
                "name": "Available",
                "type": "integer",
                "jsonPath": ".status.replicas",
                "description": "Number of actual replicas",
            },
            age_column(),
        ]
    )
    if not custom:
        name, desired, available, age = columns
        columns = (
            name._replace(format=""),
            desired._replace(description="replicas is the desired number of instances for the scaled object."),
            available._replace(description="replicas is the actual number of observed instances of the scaled object."),
            age._replace(type="string"),
        )
    row: Object = {"cells": cells({"spec": {"replicas": 0}, **view}, time.time())}
    shown = {"Object": view, "None": None}.get(include, partial(view, accept.version))
    out = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{accept.version}",
        "metadata": {"resourceVersion": view["metadata"].get("resourceVersion", "")},
        "columnDefinitions": _definitions(columns, {}),
        "rows": [{**row, "object": shown}],
    }
    return orjson.dumps(out)


def _plain_cells(obj: Object) -> list[Any]:
    metadata = obj["metadata"]
    return [metadata["name"], metadata.get("creationTimestamp")]


def _finished(obj: Object) -> list[Object] | None:
    phase = (obj.get("status") or {}).get("phase")
    texts = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in texts:
        return None
    return [{"type": "Completed", "status": "True", "reason": phase, "message": texts[phase]}]


def partial(obj: Object, version: str) -> Object:
    metadata = obj["metadata"]
    if TEMPLATE_GENERATION in (metadata.get("annotations") or ()):  # only the whole object's conversion writes it
        others = {key: value for key, value in metadata["annotations"].items() if key != TEMPLATE_GENERATION}
        metadata = {key: value for key, value in metadata.items() if key != "annotations"}
        if others:
            metadata["annotations"] = others
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}


def partial_list(entries: Sequence[Entry], version: str, metadata: Object) -> Object:
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "items": [partial(entry.decode(), version) for entry in entries],
    }

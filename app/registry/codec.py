"""Between stored bodies, plain dicts and what goes over the wire."""

from __future__ import annotations

from typing import Any

import orjson

from app.catalog.kind import Kind
from app.watch import Entry

Object = dict[str, Any]


def encode_body(obj: Object) -> bytes:
    """The stored form: no kind, no apiVersion, no resourceVersion, metadata first. Does not change ``obj``."""
    body = {"metadata": None}
    body.update(obj)
    body.pop("kind", None)
    body.pop("apiVersion", None)
    metadata = obj["metadata"]
    if "resourceVersion" in metadata:
        metadata = {k: v for k, v in metadata.items() if k != "resourceVersion"}
    body["metadata"] = metadata
    return orjson.dumps(body)


def stored_form(kind: Kind, obj: Object) -> Object:
    """``obj`` of a served version in the version that is stored."""
    return kind.to_storage(obj) if kind.to_storage else obj


def decode_entry(kind: Kind, entry: Entry) -> Object:
    """A fresh dict of the served version, with kind and apiVersion."""
    obj: Object = {"kind": kind.kind, "apiVersion": kind.api_version}
    obj.update(entry.decode())
    if kind.from_storage:
        obj = kind.from_storage(obj)
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
    return obj


def wire_bytes(kind: Kind, entry: Entry) -> bytes:
    """JSON of one object, as GET answers it."""
    if kind.from_storage:
        return orjson.dumps(decode_entry(kind, entry))
    return b'{"kind":"%b","apiVersion":"%b",%b' % (kind.kind.encode(), kind.api_version.encode(), entry.body[1:])


def item_bytes(kind: Kind, entry: Entry) -> bytes:
    """JSON of one object inside a list: built-in kinds leave kind and apiVersion out there, custom ones do not."""
    if kind.from_storage:
        obj = decode_entry(kind, entry)
        if not kind.custom:
            del obj["kind"], obj["apiVersion"]
        return orjson.dumps(obj)
    return wire_bytes(kind, entry) if kind.custom else entry.body

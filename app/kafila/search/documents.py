"""What is written to OpenSearch: Karmada's indices and documents (pkg/search/backendstore/opensearch.go), by ids of our own.

An id names the object's place, and what a member says is no part of it but for namespace and name: so no member writes over
the documents of another one, and an object that is made anew takes the place of the old one.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import orjson

from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.placement.constants import CACHED_FROM_CLUSTER

PREFIX: Final = "kubernetes"  # of the indices' names
LONGEST_ID: Final = 512  # bytes
# what a document has that tells whose it is
OWNER_FIELDS: Final = ("apiVersion", f"metadata.annotations.{CACHED_FROM_CLUSTER}")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_NO_TIME: Final = "0001-01-01T00:00:00Z"
_ESCAPED: Final = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
_TEXT: Final[Object] = {"type": "text"}
_NAME: Final[Object] = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
_UNREAD: Final[Object] = {"type": "object", "enabled": False}
INDEX: Final[Object] = {
    "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0}},
    "mappings": {
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {
                "properties": {
                    "annotations": _UNREAD,
                    "creationTimestamp": _TEXT,
                    "deletionTimestamp": _TEXT,
                    "labels": _UNREAD,
                    "name": _NAME,
                    "namespace": _NAME,
                    "ownerReferences": _TEXT,
                    "resourceVersion": _NAME,
                }
            },
            "spec": _UNREAD,
            "status": _UNREAD,
        }
    },
}


class Owner(NamedTuple):
    """Whose documents of an index: each is of one kind, or of several that differ in their groups."""

    api_version: str
    cluster: str


def index_of(kind: Kind) -> str:
    return f"{PREFIX}-{kind.kind.lower()}"


def id_of(kind: Kind, cluster: str, namespace: str, name: str) -> str:
    found = f"{cluster}:{kind.api_version}:{namespace}/{name}"
    if len(found.encode()) <= LONGEST_ID:
        return found
    return f"{cluster}:{hashlib.sha256(found.encode()).hexdigest()}"


def document_of(body: bytes) -> bytes:
    """Of an object as it is kept (:mod:`.bodies`). Texts of ``spec`` and ``status`` are as Go writes JSON."""
    obj: Object = orjson.loads(body)
    metadata = obj["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    if obj["kind"] == "Secret" and obj["apiVersion"] == "v1":
        annotations.pop(_LAST_APPLIED, None)  # has what is in it
    document = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {
            "annotations": annotations,
            "creationTimestamp": _text(metadata.get("creationTimestamp")) or _NO_TIME,
            "deletionTimestamp": _text(metadata.get("deletionTimestamp")),
            "labels": metadata.get("labels"),
            "name": metadata["name"],
            "namespace": metadata.get("namespace") or "",
        },
        "spec": go_json(obj.get("spec")).decode(),
        "status": go_json(obj.get("status")).decode(),
    }
    return orjson.dumps(document)


def owner_of(source: Any) -> Owner | None:
    """Of a document, whoever wrote it, by its :data:`OWNER_FIELDS`. None: it is none of Karmada's form."""
    if not isinstance(source, dict) or not isinstance(metadata := source.get("metadata"), dict):
        return None
    annotations = metadata.get("annotations")
    cluster = annotations.get(CACHED_FROM_CLUSTER) if isinstance(annotations, dict) else None
    version = source.get("apiVersion")
    return Owner(version, cluster) if isinstance(version, str) and isinstance(cluster, str) else None


def go_json(value: Any) -> bytes:
    """With sorted keys, and escapes for HTML, as ``encoding/json`` has them."""
    found = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    for char, escape in _ESCAPED:
        found = found.replace(char, escape)
    return found.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

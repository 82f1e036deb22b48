"""A member's object as it is kept: JSON that names its cluster, without managedFields, and whose version can be exchanged unread."""

from __future__ import annotations

from typing import Final

import orjson

from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.placement.constants import CACHED_FROM_CLUSTER

_VERSION: Final = b'"metadata":{"resourceVersion":"'  # before it come two texts of ours


def kept_body(kind: Kind, obj: Object, cluster: str) -> bytes:
    """Raises orjson.JSONEncodeError for one that is nested too deep."""
    given = obj["metadata"]
    metadata = {"resourceVersion": given["resourceVersion"], **given}
    metadata.pop("managedFields", None)
    metadata["annotations"] = {**(given.get("annotations") or {}), CACHED_FROM_CLUSTER: cluster}
    body = {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    first = {name: body.pop(name) for name in ("apiVersion", "kind", "metadata")}
    return orjson.dumps([[[[[[[[{**first, **body}]]]]]]]])[
        8:-8
    ]  # what lists and events need around it is taken off the depth


def with_version(body: bytes, version: str) -> bytes:
    """``version`` has no character that JSON escapes."""
    start = body.index(_VERSION) + len(_VERSION)
    return b"".join((body[:start], version.encode(), body[body.index(b'"', start) :]))


def version_of(body: bytes) -> str:
    start = body.index(_VERSION) + len(_VERSION)
    return body[start : body.index(b'"', start)].decode()

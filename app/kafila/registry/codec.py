"""Between stored bodies, plain dicts and what goes over the wire."""

from __future__ import annotations

import orjson

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.values import Object, fitted
from kafila.watch import Entry

_NOT_STORED = frozenset({"kind", "apiVersion", "metadata"})
# ObjectMeta in wire order, without resourceVersion
_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)


def encode_body(obj: Object) -> bytes:
    """The stored form: no kind, no apiVersion, no resourceVersion, metadata first. Does not change ``obj``."""
    metadata = obj["metadata"]
    body: Object = {"metadata": {k: metadata[k] for k in _METADATA if k in metadata}}
    for key, value in obj.items():
        if key not in _NOT_STORED:
            body[key] = value
    try:
        # the encoder nests to a limit; what lists, events and tables around an object need is taken off it
        return orjson.dumps([[[[[[[[body]]]]]]]])[8:-8]
    except orjson.JSONEncodeError as error:
        raise errors.bad_request(f"the object cannot be stored: {error}") from error


def with_version(body: bytes, version: str) -> bytes:
    """``body`` with a resourceVersion that was sent: what a dry run is answered."""
    head = b'{"metadata":{'
    return b'%b"resourceVersion":%b,%b' % (head, orjson.dumps(version), body[len(head) :])


def same_object(one: Object, other: Object) -> bool:
    """Whether two decoded objects are stored as the same JSON, whatever the order of their fields."""
    if one != other:
        return False
    # equal in Python is not equal in JSON: 1 == True == 1.0
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def stored_form(kind: Kind, obj: Object) -> Object:
    """``obj`` of a served version in the version that is stored."""
    return kind.to_storage(obj) if kind.to_storage else obj


def in_version(kind: Kind, target: Kind, obj: Object) -> Object:
    """``obj`` of one served version as another one of the same objects shows it. Does not change ``obj``."""
    stored = dict(stored_form(kind, obj))
    shown = dict(target.from_storage(stored)) if target.from_storage else stored
    return {**shown, "kind": target.kind, "apiVersion": target.api_version}


def is_other_version(kind: Kind, stored: Object) -> bool:
    """Whether a webhook has to convert a stored body before ``kind`` can show it."""
    return kind.conversion is not None and kind.stored_as is not None and kind.stored_as(stored) != kind.api_version


async def shown(kind: Kind, entry: Entry) -> Entry:
    """The entry as ``kind`` can show it. Raises the StatusError of a conversion that fails."""
    return entry if kind.converter is None else (await kind.converter.shown(kind, (entry,)))[0]


async def all_shown(kind: Kind, entries: list[Entry]) -> list[Entry]:
    return entries if kind.converter is None else await kind.converter.shown(kind, entries)


def served_body(kind: Kind, entry: Entry) -> bytes:
    """The body of a custom object as its schema of today shows it; worked out once per entry."""
    assert kind.from_storage is not None
    if entry.view is not None and entry.view[0] is kind:
        return entry.view[1]
    stored = entry.decode()
    if kind.converter is not None and is_other_version(kind, stored):
        return kind.converter.known(kind, entry)
    shown = kind.from_storage(stored)
    body = entry.body if shown == stored else fitted(orjson.dumps(shown))
    entry.view = kind, body
    return body


def decode_entry(kind: Kind, entry: Entry) -> Object:
    """A fresh dict of the served version, with kind and apiVersion."""
    obj: Object = {"kind": kind.kind, "apiVersion": kind.api_version}
    if kind.definition:
        obj.update(orjson.loads(served_body(kind, entry)))
        return obj
    obj.update(entry.decode())
    if kind.from_storage:
        obj = kind.from_storage(obj)
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
    return obj


def wire_bytes(kind: Kind, entry: Entry) -> bytes:
    """JSON of one object, as GET answers it."""
    if kind.from_storage and not kind.definition:
        return orjson.dumps(decode_entry(kind, entry))
    body = entry.body if kind.from_storage is None else served_body(kind, entry)
    return b'{"kind":"%b","apiVersion":"%b",%b' % (kind.kind.encode(), kind.api_version.encode(), body[1:])


def item_bytes(kind: Kind, entry: Entry) -> bytes:
    """JSON of one object inside a list: built-in kinds leave kind and apiVersion out there, custom ones do not."""
    if kind.custom:
        return wire_bytes(kind, entry)
    if kind.from_storage:
        obj = decode_entry(kind, entry)
        del obj["kind"], obj["apiVersion"]
        return orjson.dumps(obj)
    return entry.body

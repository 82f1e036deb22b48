"""Objects and their changes, as this process keeps them."""

from __future__ import annotations

from typing import Any, final

import msgspec
import orjson

from kafila.core.resources import Key

_HEAD = len(b'{"metadata":{')
_OVERHEAD = 500  # bytes of an event and its entry beside the object's


class OwnerReference(msgspec.Struct, gc=False):
    uid: str = ""
    kind: str = ""
    name: str = ""
    apiVersion: str = ""
    controller: bool = False
    blockOwnerDeletion: bool = False


class Meta(msgspec.Struct, gc=False):
    """The part of ObjectMeta that selection and garbage collection read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    deletionTimestamp: str | None = None
    ownerReferences: list[OwnerReference] | None = None


class _Outline(msgspec.Struct, gc=False):
    metadata: Meta


_decode_outline = msgspec.json.Decoder(_Outline).decode


def with_revision(body: bytes, revision: int) -> bytes:
    """Splices ``metadata.resourceVersion`` into a stored body. Revision 0 is an object that was never stored: it has none."""
    if not revision:
        return body
    separator = b'"' if body[_HEAD : _HEAD + 1] == b"}" else b'",'
    return b'{"metadata":{"resourceVersion":"%d%b%b' % (revision, separator, body[_HEAD:])


@final
class Entry:
    """One object at one revision. ``body`` is its JSON with resourceVersion, without kind and apiVersion."""

    __slots__ = ("_meta", "body", "key", "revision", "view")

    def __init__(self, key: Key, revision: int, body: bytes) -> None:
        self.key = key
        self.revision = revision
        self.body = with_revision(body, revision)
        self._meta: Meta | None = None
        self.view: tuple[Any, bytes] | None = (
            None  # what readers of one kind see, where that is worked out from the body
        )

    @property
    def meta(self) -> Meta:
        if self._meta is None:
            self._meta = _decode_outline(self.body).metadata
        return self._meta

    def mentions(self, needle: bytes) -> bool:
        """Whether the stored JSON has it in it (:mod:`kafila.watch.needles`)."""
        return needle in self.body

    def decode(self) -> dict[str, Any]:
        """A fresh dict that the caller may change; still without kind and apiVersion."""
        return orjson.loads(self.body)


@final
class Event:
    """A change of one object: ``old`` None when it was created, ``new`` None when it was deleted.

    ``last`` is the final state of a deleted object, at the revision of its deletion.
    """

    __slots__ = ("frames", "key", "last", "new", "old", "revision")

    def __init__(self, revision: int, old: Entry | None, new: Entry | None, last: Entry | None) -> None:
        after = new or last
        assert after is not None
        self.key = after.key
        self.revision = revision
        self.old = old
        self.new = new
        self.last = last
        self.frames: dict[Any, bytes] | None = None  # encoder -> wire bytes, shared by all watchers; None: old

    @property
    def generation_changed(self) -> bool:
        """Also where it was created or deleted: more than its status and metadata is another."""
        return self.old is None or self.new is None or self.old.meta.generation != self.new.meta.generation

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory: the object before and after, about."""
        old, after = self.old, self.new or self.last
        return (len(old.body) if old is not None else 0) + (len(after.body) if after is not None else 0) + _OVERHEAD


def at_revision(entry: Entry, revision: int) -> Entry:
    """The same content under another resourceVersion."""
    moved = Entry.__new__(Entry)
    moved.key, moved.revision, moved._meta = entry.key, revision, entry._meta
    moved.view = None
    head, _, rest = entry.body.partition(b'"resourceVersion":"')
    moved.body = b'%b"resourceVersion":"%d%b' % (head, revision, rest[rest.index(b'"') :])
    return moved

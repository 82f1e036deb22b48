"""What happened to a template, and which of it was our own doing."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntFlag
from typing import Final, final

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.watch import Entry

_MARKS: Final = frozenset(
    (
        constants.PP_PERMANENT_ID,
        constants.CPP_PERMANENT_ID,
        constants.PP_NAMESPACE,
        constants.PP_NAME,
        constants.CPP_NAME,
    )
)


class EnqueueReason(IntFlag):
    """The reasons why a template was enqueued; they add up until a run succeeds."""

    STATUS = 1  # members reported: only aggregated statuses can change
    DEPENDENCY = 2  # clusters, overrides or its binding
    USER = 4  # its own content
    START = 8  # everything is enqueued
    POLICY = 16  # a policy that selects it, or which one has claimed it
    CLAIMING_POLICY = 32  # the policy that has claimed it


class Changed(Enum):
    NOTHING = 0  # status, managedFields, resourceVersion
    CLAIM = 1  # which policy has claimed it
    CONTENT = 2


def what_changed(old: Entry, new: Entry) -> Changed:
    before, after = old.meta, new.meta
    if before.deletionTimestamp != after.deletionTimestamp:
        return Changed.CONTENT
    relabelled = before.labels != after.labels or before.annotations != after.annotations
    if relabelled and (
        _unmarked(before.labels) != _unmarked(after.labels)
        or _unmarked(before.annotations) != _unmarked(after.annotations)
    ):
        return Changed.CONTENT
    if before.generation != after.generation and not relabelled:
        return Changed.CONTENT
    # some kinds have no generation, and a Deployment's rises with its annotations too
    if (not after.generation or before.generation != after.generation) and _content(old) != _content(new):
        return Changed.CONTENT
    return Changed.CLAIM if relabelled else Changed.NOTHING


def is_marked_alike(old: Entry, new: Entry) -> bool:
    """Whether nothing has changed that says whose it is, or that it ends."""
    before, after = old.meta, new.meta
    return (
        before.deletionTimestamp == after.deletionTimestamp
        and before.labels == after.labels
        and before.annotations == after.annotations
    )


def _unmarked(found: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (found or {}).items() if key not in _MARKS}


def _content(entry: Entry) -> Object:
    """Everything that users write but labels and annotations, which were compared."""
    obj = entry.decode()
    obj.pop("status", None)
    for field in ("managedFields", "resourceVersion", "generation", "labels", "annotations"):
        obj["metadata"].pop(field, None)
    return obj


@final
class OwnWrites:
    """Hides the events of our own commits while these are under way; whoever wrote after us is not overlooked."""

    def __init__(self) -> None:
        self._newest: dict[Key, int] = {}

    def hides(self, key: Key, revision: int) -> bool:
        if key not in self._newest:
            return False
        self._newest[key] = revision
        return True

    def begin(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._newest[key] = 0

    def end(self, key: Key) -> int:
        """The revision of the last event that was hidden, 0 for none."""
        return self._newest.pop(key, 0)

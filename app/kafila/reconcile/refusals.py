"""What is refused to a controller, or fails it unexpectedly, becomes an event on the object it was about.

A write that is refused would else be a line in the log that is written again and again, and nothing that a user sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, final

from kafila.core.errors import StatusError
from kafila.core.resources import Key, split_api_version
from kafila.core.values import Object
from kafila.registry import Registry
from kafila.watch import Entry

from .events import Recorder
from .queue import is_expected

EVENT_RECONCILE_FAILED: Final = "ReconcileFailed"
_BINDINGS: Final = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io")


@contextmanager
def recording(record: Callable[[str], None]) -> Iterator[None]:
    """``record`` is given the text of a refusal: for whoever has a better event for it than ReconcileFailed."""
    try:
        yield
    except StatusError as error:
        if error.is_refusal and not error.is_recorded:
            record(str(error))
            error.is_recorded = True
        raise


@final
class Refusals:
    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        self._registry = registry
        self._recorder = recorder

    def record(self, controller: str, key: Key, error: Exception) -> None:
        """An event on the object of ``key``; where it is a binding, on its template too."""
        entry = self._registry.cache.get(*key)
        if entry is None or not _is_worth_recording(error):
            return
        what = str(error) if isinstance(error, StatusError) else f"unexpectedly: {type(error).__name__}: {error}"
        for obj in self._concerned(entry):
            self._recorder.event(obj, "Warning", EVENT_RECONCILE_FAILED, f"{controller} failed: {what}")

    def _concerned(self, entry: Entry) -> Iterator[Object]:
        kind = self._registry.catalog.storage_kind(entry.key.resource)
        if kind is None:
            return
        metadata = {"namespace": entry.key.namespace, "name": entry.key.name, "uid": entry.meta.uid}
        yield {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        for owner in (entry.meta.ownerReferences or ()) if entry.key.resource in _BINDINGS else ():
            group, version = split_api_version(owner.apiVersion)
            of = self._registry.catalog.by_kind(group, version, owner.kind) if owner.controller else None
            if of is not None:
                where = entry.key.namespace if of.namespaced else ""
                metadata = {"namespace": where, "name": owner.name, "uid": owner.uid}
                yield {"apiVersion": owner.apiVersion, "kind": owner.kind, "metadata": metadata}


def _is_worth_recording(error: Exception) -> bool:
    if isinstance(error, StatusError):
        return error.is_refusal and not error.is_recorded
    return not is_expected(error)

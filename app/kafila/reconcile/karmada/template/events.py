"""The events of a pass over a template: on its binding, on itself, or on both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import Binding
from kafila.reconcile.events import Enclosure, NewEvent
from kafila.reconcile.karmada.event_sources import source_of
from kafila.registry import Registry
from kafila.registry.context import Change
from kafila.store.interface import EVENTS

_OVERRIDDEN = (constants.EVENT_APPLY_OVERRIDE, constants.EVENT_APPLY_OVERRIDE_FAILED)
_ON_TEMPLATE_ONLY = (
    *_OVERRIDDEN,
    constants.EVENT_APPLY_POLICY,
    constants.EVENT_GET_REPLICAS,
    constants.EVENT_GET_COMPONENTS,
)
_ON_BINDING_ONLY = (constants.EVENT_AGGREGATE_STATUS,)


def new_events(binding: Binding, uid: str, template: Object, events: Iterable[Event]) -> Iterator[NewEvent]:
    """``uid``: the binding's, which one that was just made does not have in its metadata."""
    about = {**binding, "metadata": {**binding["metadata"], "uid": uid}}
    for event in events:
        if event.reason not in _ON_TEMPLATE_ONLY:
            yield NewEvent(about, *event)
        if event.reason not in _ON_BINDING_ONLY:
            yield NewEvent(template, *event, source_of(binding, event.reason))


async def committed_with(registry: Registry, changes: Sequence[Change], enclosed: Enclosure) -> list[int]:
    """Revisions of the changes, committed with the events about them. An event that cannot be written keeps nothing from being done."""
    try:
        revisions = await registry.commit_together([*changes, *enclosed.changes])
    except StatusError as error:
        about = error.refused.resource if error.refused is not None else (error.details or {}).get("kind")
        if not enclosed.changes or about not in (EVENTS, "namespaces"):
            raise
        enclosed.leave()
        revisions = await registry.commit_together(changes)
    enclosed.committed()
    return revisions[: len(changes)]

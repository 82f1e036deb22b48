"""The last step of a status on its way back: the template's own, aggregated up from what its binding says of each cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.conditions import conditions_of, find
from kafila.core.errors import StatusError
from kafila.core.resources import gvk_of
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.interpreter import Interpreter, InterpretError, Operation
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import AggregatedStatusItem, Binding
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.reconcile.karmada.event_sources import source_of
from kafila.reconcile.karmada.indexes import stored_size
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry


@final
class StatusWriter:
    """``record``: writes events on a binding and its template."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        record: Callable[[Binding, Object, Sequence[Event]], None],
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._interpreting = interpreting
        self._record = record

    async def write_status(
        self, kind: Kind, template: Object, binding: Binding, items: list[AggregatedStatusItem]
    ) -> None:
        """The template's status, aggregated over the clusters. ``items``: what is known of them. Raises InterpretError."""
        interpreting = self._interpreting
        if not interpreting.sources.hook_enabled(gvk_of(template), Operation.AGGREGATE_STATUS):
            return
        if not items and find(conditions_of(binding), constants.COND_FULLY_APPLIED) is None:
            return  # there was never anything to aggregate
        try:
            size = stored_size(self._registry.cache, kind, template)
            aggregated = await interpreting.decide(
                lambda interpreter: interpreter.aggregate_status(template, items), size
            )
            if aggregated is template:
                return
            await interpreting.carry_out(partial(self._write, kind, template, items))
        except (InterpretError, StatusError) as error:
            if isinstance(error, StatusError) and error.is_not_found:
                return
            self._record(binding, template, [Event("Warning", constants.EVENT_AGGREGATE_STATUS_FAILED, str(error))])
            raise
        message = "Update Resource with AggregatedStatus successfully."
        source = source_of(binding, constants.EVENT_AGGREGATE_STATUS)
        self._recorder.event(template, "Normal", constants.EVENT_AGGREGATE_STATUS, message, source)

    async def _write(
        self, kind: Kind, template: Object, items: list[AggregatedStatusItem], interpreter: Interpreter
    ) -> None:
        metadata = template["metadata"]
        await self._registry.modify(
            kind,
            metadata.get("namespace", ""),
            metadata["name"],
            lambda current: interpreter.aggregate_status(current, items),
            OPTIONS,
            "status",
        )

"""What the members report of a template, summed up in its binding and in its own status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

from kafila.catalog.kind import Kind
from kafila.core.conditions import conditions_of, find
from kafila.core.errors import StatusError
from kafila.core.resources import gvk_of
from kafila.placement import constants
from kafila.placement.interpreter import Interpreter, InterpretError, Operation
from kafila.placement.scheduler.schedule import Event
from kafila.placement.work.status import NO_FAILURES, NoSuchManifest, aggregated_event, with_aggregated
from kafila.reconcile.karmada.event_sources import source_of
from kafila.reconcile.karmada.federation import Federation
from kafila.registry import Options

Object = dict[str, Any]
STATUS = Options(manager="karmada-controller-manager")


def aggregated(
    binding: Object,
    template: Object,
    works: Sequence[Object],
    events: list[Event],
    failures: Mapping[str, str] = NO_FAILURES,
) -> Object:
    """The binding with the statuses of its Works. ``failures``: by cluster, why there is no Work as it should be."""
    try:
        status = with_aggregated(binding, works, failures, template=template)
    except NoSuchManifest:  # somebody wrote into a Work; the next look at it puts it right
        return binding
    if status == (binding.get("status") or {}):
        return binding
    if (binding.get("status") or {}).get("aggregatedStatus") != status.get("aggregatedStatus"):
        events.append(Event(*aggregated_event(binding)))
    return {**binding, "status": status}


@final
class StatusAggregation:
    """``tell``: records events on a binding and its template."""

    def __init__(self, federation: Federation, tell: Callable[[Object, Object, list[Event]], None]) -> None:
        self._federation = federation
        self._tell = tell

    async def write_status(self, kind: Kind, template: Object, binding: Object, items: list[Object]) -> None:
        """The template's status, summed over the clusters. ``items``: what is known of them. Raises InterpretError."""
        interpreting = self._federation.interpreting
        if not interpreting.sources.hook_enabled(gvk_of(template), Operation.AGGREGATE_STATUS):
            return
        if not items and find(conditions_of(binding), constants.COND_FULLY_APPLIED) is None:
            return  # there was never anything to sum up
        try:
            size = self._federation.size_of(kind, template)
            summed = await interpreting.decide(lambda interpreter: interpreter.aggregate_status(template, items), size)
            if summed is template:
                return
            await interpreting.carry_out(partial(self._write_sum, kind, template, items))
        except (InterpretError, StatusError) as error:
            if isinstance(error, StatusError) and error.is_not_found:
                return
            self._tell(binding, template, [Event("Warning", constants.EVENT_AGGREGATE_STATUS_FAILED, str(error))])
            raise
        told_well = "Update Resource with AggregatedStatus successfully."
        source = source_of(binding, constants.EVENT_AGGREGATE_STATUS)
        self._federation.recorder.event(template, "Normal", constants.EVENT_AGGREGATE_STATUS, told_well, source)

    async def _write_sum(self, kind: Kind, template: Object, items: list[Object], interpreter: Interpreter) -> None:
        metadata = template["metadata"]
        await self._federation.registry.modify(
            kind,
            metadata.get("namespace", ""),
            metadata["name"],
            lambda current: interpreter.aggregate_status(current, items),
            STATUS,
            "status",
        )

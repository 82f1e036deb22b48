"""apps.kruise.io/v1alpha1 DaemonSet."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import reflecting
from kafila.placement.interpreter.thirdparty.values import at, less, same

from . import workloads

_COUNTERS: Final = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
)
_HASH: Final = {"daemonSetHash": 0}  # a text, and 0 when there is none


def _is_rolled_out(obj: Any) -> bool:
    status = at(obj, "status")
    if not same(at(status, "observedGeneration"), at(obj, "metadata", "generation")):
        return False
    updated = at(status, "updatedNumberScheduled")
    if less(updated, at(status, "desiredNumberScheduled")):
        return False
    return not less(at(status, "numberAvailable"), updated)


DAEMON_SET: Final = ThirdParty(
    aggregate=workloads.summed(_COUNTERS, _HASH, when_nowhere=_HASH),
    reflect=reflecting(*_COUNTERS, *_HASH, "observedGeneration", with_generations=True),
    health=_is_rolled_out,
    dependencies=workloads.dependencies,
)

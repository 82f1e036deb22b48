"""apps.kruise.io/v1beta1 StatefulSet."""

from __future__ import annotations

from typing import Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import reflecting

from . import workloads

_COUNTERS: Final = (
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "updatedReadyReplicas",
)
_REVISIONS: Final = {"updateRevision": "", "currentRevision": ""}

STATEFUL_SET: Final = ThirdParty(
    replicas=workloads.replicas,
    revise=workloads.revise,
    aggregate=workloads.summed(_COUNTERS, _REVISIONS, when_nowhere=_REVISIONS),
    reflect=reflecting(*_COUNTERS, *_REVISIONS, "observedGeneration", with_generations=True),
    health=workloads.is_rolled_out,
    dependencies=workloads.dependencies,
)

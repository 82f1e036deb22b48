"""apps.kruise.io/v1alpha1 CloneSet."""

from __future__ import annotations

from typing import Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import reflecting

from . import workloads

_COUNTERS: Final = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "updatedReadyReplicas",
    "expectedUpdatedReplicas",
)
_TEXTS: Final = {"updateRevision": "", "currentRevision": "", "labelSelector": ""}

CLONE_SET: Final = ThirdParty(
    replicas=workloads.replicas,
    revise=workloads.revise,
    aggregate=workloads.summed(_COUNTERS, _TEXTS, when_nowhere={}),
    reflect=reflecting(*_COUNTERS, *_TEXTS, "observedGeneration", with_generations=True),
    health=workloads.is_rolled_out,
    dependencies=workloads.dependencies,
)

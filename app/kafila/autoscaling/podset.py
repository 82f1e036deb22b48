"""The pods of one workload, with what follows from them alone: at most looks they are the same as before, and only samples are new."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, final

from .metrics import PodMetrics
from .pods import Groups, Pod, Tuning, grouped

_NOBODY: Final[frozenset[str]] = frozenset()


class CannotCompute(Exception):
    """Why no number follows; the message is the HPA's."""


@final
class PodSet:
    """Of all clusters together. Pods do not change: others are another set."""

    def __init__(self, pods: Sequence[Pod] = ()) -> None:
        self._pods = pods
        self._requests: dict[tuple[str, str], dict[str, int]] = {}  # by resource and container

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods)

    @cached_property
    def labels(self) -> Sequence[Mapping[str, str]]:
        """Pods of one template have one map of labels, which is here once."""
        return list({id(pod.labels): pod.labels for pod in self._pods}.values())

    def grouped(self, metrics: PodMetrics, resource: str, tuning: Tuning, now: float) -> Groups:
        """As :func:`kafila.autoscaling.pods.grouped`."""
        if now >= self._settled + tuning.cpu_initialization_period and self._names <= metrics.keys():
            return Groups(len(self._pods), _NOBODY, _NOBODY, _NOBODY)
        return grouped(self._pods, metrics, resource, tuning, now)

    def requests(self, resource: str, container: str = "") -> dict[str, int]:
        """Thousandths by pod: of all its containers, or of the named one. Raises CannotCompute for one that asks for nothing."""
        found = self._requests.get((resource, container))
        if found is None:
            found = self._requests[resource, container] = _requests(self._pods, resource, container)
        return found

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(pod.name for pod in self._pods)

    @cached_property
    def _settled(self) -> float:
        """When the last of them began, if all of them are as a pod is for most of its life: it runs and is ready, so that it counts
        with every sample once it has been there for a while. Else never."""
        if any(pod.deleted or pod.phase in ("Failed", "Pending") or pod.ready != "True" for pod in self._pods):
            return math.inf
        return max((math.inf if pod.started is None else pod.started for pod in self._pods), default=math.inf)


def _requests(pods: Sequence[Pod], resource: str, container: str) -> dict[str, int]:
    found: dict[str, int] = {}
    totals: dict[int, int] = {}  # pods of one template share what they ask for
    for pod in pods:
        if (known := totals.get(id(pod.requests))) is not None:
            found[pod.name] = known
            continue
        total = 0
        for name, amounts in pod.requests:
            if container and name != container:
                continue
            amount = next((amount for asked, amount in amounts if asked == resource), None)
            if amount is None:
                raise CannotCompute(f"missing request for {resource} in container {name} of Pod {pod.name}")
            total += amount
        found[pod.name] = totals[id(pod.requests)] = total
    return found

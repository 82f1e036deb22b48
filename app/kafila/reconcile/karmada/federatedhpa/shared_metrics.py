"""Metrics that many autoscalers ask for: one question about a namespace instead of one for each of its autoscalers.

An autoscaler asks for the pods that its selector selects. Where several of a namespace do so, all of the namespace's pods are asked for
once, and each gets its own by their labels. Who looks soon after has the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar, final

from kafila.autoscaling.metrics import NO_USAGE, MetricsClient, MetricsError, ObjectReference, PodMetrics, PodUsage
from kafila.core.selectors import Selector
from kafila.telemetry.tasks import cancelled

from .targets import parsed_selector

T = TypeVar("T")
FRESH: Final = 5.0  # seconds that an answer is given to others, at most
LEAST: Final = 4  # selectors of one namespace from which on it is asked about as a whole
FOR_EACH: Final = 200  # pods of the namespace for each of them: with more, each asks for its own
ALONE: Final = 300.0  # seconds until a namespace for which that was no good is tried again
MOST_KEPT: Final = 200_000  # pods of all answers that are kept
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_EQUALITY: Final = ("=", "==", "in")
_Labelled = tuple[Mapping[str, str], list[PodUsage]]  # labels, and the pods that have just them


@final
class NamespaceUsage:
    """The pods of a namespace, found by their labels. Pods of one template have the same ones, and are looked at once."""

    def __init__(self, usages: Sequence[PodUsage]) -> None:
        """Raises ValueError where a cluster does not tell labels: nobody knows whose these pods are."""
        silent = {usage.cluster for usage in usages} - {usage.cluster for usage in usages if usage.labels}
        if silent:
            raise ValueError(f"no labels of pods from {len(silent)} clusters")
        self.count = len(usages)
        groups: dict[int, _Labelled] = {}
        for usage in usages:
            labels = usage.labels or _NONE
            found = groups.get(id(labels))
            if found is None:
                groups[id(labels)] = labels, [usage]
            else:
                found[1].append(usage)
        self._groups = list(groups.values())
        self._by_label: dict[str, dict[str, list[_Labelled]]] = {}  # by key and value, of keys that somebody selects by

    def select(self, selector: Selector) -> list[PodUsage]:
        return [usage for labels, usages in self._candidates(selector) if selector.matches(labels) for usage in usages]

    def _candidates(self, selector: Selector) -> Sequence[_Labelled]:
        best: Sequence[_Labelled] = self._groups
        for each in selector.requirements:
            if each.operator in _EQUALITY and len(each.values) == 1:
                best = min(best, self._of_key(each.key).get(each.values[0], []), key=len)
        return best

    def _of_key(self, key: str) -> dict[str, list[_Labelled]]:
        values = self._by_label.get(key)
        if values is None:
            values = self._by_label[key] = {}
            for group in self._groups:
                if (value := group[0].get(key)) is not None:
                    values.setdefault(value, []).append(group)
        return values


@final
class SharedMetrics:
    """``client`` is asked; ``period``: seconds between two looks at an autoscaler."""

    def __init__(self, client: MetricsClient, period: float) -> None:
        self._client = client
        self._period = period
        self._fresh = min(FRESH, period / 3)
        self._asking: dict[str, dict[str, float]] = {}  # by namespace and selector, when it was asked about last
        self._alone: dict[str, float] = {}  # until when a namespace is not asked about as a whole
        self._answers: dict[Hashable, asyncio.Task[Any]] = {}
        self._kept = 0  # pods
        self._next_prune = 0.0

    async def close(self) -> None:
        """Nobody looks any more."""
        await cancelled(*self._answers.values())
        self._asking.clear()
        self._alone.clear()

    async def resource(self, namespace: str, selector: str) -> Sequence[PodUsage]:
        if not self._is_shared(namespace, selector):
            return await self._client.resource(namespace, selector)
        whole = await self._once(namespace, lambda: self._whole(namespace))
        if whole is None:
            return await self._client.resource(namespace, selector)
        found = whole.select(parsed_selector(selector))
        if not found:
            raise MetricsError(NO_USAGE)
        return found

    async def of_pods(self, namespace: str, selector: str, metric: str, metric_selector: str) -> PodMetrics:
        """Nobody says which labels these pods have: each asks for its own."""
        return await self._client.of_pods(namespace, selector, metric, metric_selector)

    async def of_object(self, namespace: str, about: ObjectReference, metric: str, metric_selector: str) -> int:
        asked = namespace, about, metric, metric_selector
        return await self._once(asked, lambda: self._client.of_object(*asked))

    async def external(self, namespace: str, metric: str, metric_selector: str) -> Sequence[int]:
        asked = namespace, metric, metric_selector
        return await self._once(asked, lambda: self._client.external(*asked))

    # -- who asks about a namespace ------------------------------------------------------------------------------------

    def _is_shared(self, namespace: str, selector: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._next_prune:
            self._prune(now)
        asking = self._asking.setdefault(namespace, {})
        asking[selector] = now
        return len(asking) >= LEAST and namespace not in self._alone

    def _prune(self, now: float) -> None:
        """Autoscalers that have not asked for two periods do so no more."""
        self._next_prune = now + self._period
        since = now - 2 * self._period
        for namespace, asking in list(self._asking.items()):
            left = {selector: at for selector, at in asking.items() if at >= since}
            if left:
                self._asking[namespace] = left
            else:
                del self._asking[namespace]
        self._alone = {namespace: until for namespace, until in self._alone.items() if until > now}

    async def _whole(self, namespace: str) -> NamespaceUsage | None:
        """None: each has to ask for its own."""
        try:
            found = NamespaceUsage(await self._client.resource(namespace, ""))
        except (MetricsError, ValueError):
            found = None
        if found is None or found.count > FOR_EACH * len(self._asking.get(namespace, ())):
            self._alone[namespace] = asyncio.get_running_loop().time() + ALONE
        return found

    # -- the same question -----------------------------------------------------------------------------------------------

    async def _once(self, asked: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Whoever asks at the same time, or a little later, has the same answer. Raises MetricsError."""
        task = self._answers.get(asked)
        if task is None:
            task = self._answers[asked] = asyncio.ensure_future(ask())
            task.add_done_callback(lambda done: self._answered(asked, done))
        found: T = task.result() if task.done() else await asyncio.shield(task)
        return found

    def _answered(self, asked: Hashable, task: asyncio.Task[Any]) -> None:
        pods = 0
        if not task.cancelled() and task.exception() is None and isinstance(task.result(), NamespaceUsage):
            pods = task.result().count
        if task.cancelled() or self._kept + pods > MOST_KEPT:
            del self._answers[asked]
            return
        self._kept += pods
        asyncio.get_running_loop().call_later(self._fresh, self._forget, asked, pods)

    def _forget(self, asked: Hashable, pods: int) -> None:
        self._kept -= pods
        del self._answers[asked]
